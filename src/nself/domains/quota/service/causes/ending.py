"""Root cause of issue 3.5 that quotas show: what ended goes on granting."""

from __future__ import annotations

from nself.diagnosis import Cause, Evidence, Look
from nself.domains.quota.service.causes.enforcing import more
from nself.domains.quota.service.kept import kept_plans


def plan_kept(look: Look) -> Evidence | None:
    found = kept_plans(look.app)
    if not found:
        return None
    one = found[0]
    text = f"{one.subscription} is over, and {one.user} still has {one.metric} by its plan {one.plan}"
    return Evidence(text + more(len(found)), {"subscription": one.subscription})


CAUSES = (
    Cause(
        id="3.5.3",
        title="Cache not invalidated",
        detect=plan_kept,
        explain=(
            "A subscription is over, here as at Stripe, and the counters that decide what its user may do are still those of its "
            "plan: whatever ends a subscription marks them to be counted anew, but a dump that was read back or a hand in the "
            "database does not. Where its row goes on, it is 3.5.2 or 3.5.4; a counter of before a reset is 5.2.4."
        ),
        mend=(
            "nself cache clear billing:subscription:{subscription}",
            "nself billing subscription show {subscription}",
        ),
        itself=True,
    ),
)
