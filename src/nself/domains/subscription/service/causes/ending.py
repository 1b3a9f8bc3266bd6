"""Root causes of issue 3.5 that subscriptions show themselves."""

from __future__ import annotations

from datetime import timedelta

from nself.diagnosis import Cause, Evidence, Look
from nself.domains.subscription import store

SINCE, MOST = timedelta(hours=24), 100


def at_period_end(look: Look) -> Evidence | None:
    with look.app.db.reading() as tx:
        found = store.canceled_twice(tx, look.app.clock() - SINCE, look.app.settings.live, MOST)
    if not found:
        return None
    one = found[0]
    ends = f"{one.ends_at:%Y-%m-%d %H:%M:%SZ}" if one.ends_at else "its period"
    others = f"; {len(found) - 1} more like it" if len(found) > 1 else ""
    text = f"{one.subscription} was canceled {one.count} times and runs until {ends}{others}"
    return Evidence(text, {"subscription": one.subscription}, "likely")


CAUSES = (
    Cause(
        id="3.5.1",
        title="Cancel at period end (not immediate)",
        detect=at_period_end,
        explain=(
            "A subscription that was canceled ends with its period, and until then access and the plan go on; that is "
            "BILLING_CANCELLATION_MODE=at_period_end and no failure. It is told where somebody canceled again, and so meant at once."
        ),
        mend=("nself billing subscription cancel {subscription} --immediate",),
    ),
)
