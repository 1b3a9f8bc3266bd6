"""Root causes of issue 5.2: users are refused although they should not be."""

from __future__ import annotations

from nself.diagnosis import Cause, Evidence, Look
from nself.domains.quota import store
from nself.domains.quota.service.causes.enforcing import contrary, doubled, more
from nself.domains.quota.service.limits import UNSUBSCRIBED
from nself.domains.quota.service.reset import strange_zones


def duplicates(look: Look) -> Evidence | None:
    found = look.once(doubled)
    if not found:
        return None
    (user, metric), extra = next(iter(found.items()))
    text = f"{user} is above the limit of {metric} only because events that came twice count {extra}"
    return Evidence(text + more(len(found)), {"user": user, "metric": metric})


def wrong_period(look: Look) -> Evidence | None:
    found = [one for one in look.once(contrary) if one.limit > 0 and one.period != one.plan_period]
    if not found:
        return None
    one = found[0]
    text = f"{one.user} has {one.limit} {one.metric} a {one.period} as a limit of its own, plan {one.plan} counts it by the {one.plan_period}"
    fields = {"user": one.user, "metric": one.metric, "limit": one.limit, "period": one.plan_period}
    return Evidence(text + more(len(found)), fields, "likely")


def other_zone(look: Look) -> Evidence | None:
    said = look.once(strange_zones)
    return Evidence(said) if said else None


def left_in_cache(look: Look) -> Evidence | None:
    app = look.app
    with app.db.reading() as tx:
        found = store.left_counters(tx, app.clock(), UNSUBSCRIBED, 100)
    if not found:
        return None
    one = found[0]
    return Evidence(f"the counter of {one.user} for {one.metric} {one.text}" + more(len(found)), {"user": one.user})


CAUSES = (
    Cause(
        id="5.2.1",
        title="Duplicate usage records",
        detect=duplicates,
        explain=(
            "Events that say the same of the same instant came under two keys and both count; without the second ones the user "
            "would be within the limit. Told apart from real usage above a limit (5.1.4) by taking them out."
        ),
        mend=(
            "nself billing usage deduplicate --user {user}",
            'nself billing usage deduplicate --user {user} --execute --reason "came twice"',
        ),
    ),
    Cause(
        id="5.2.2",
        title="Wrong quota period",
        detect=wrong_period,
        explain=(
            "A user's own limit counts over another period than the plan's limit of the same metric: usage of a whole year against "
            "a limit that was meant for a month refuses wrongly, that of a day hardly ever."
        ),
        mend=("nself billing quota set --user {user} --metric {metric} --limit {limit} --period {period}",),
    ),
    Cause(
        id="5.2.3",
        title="Timezone issues",
        detect=other_zone,
        explain=(
            "Days and months of quotas begin in BILLING_TIMEZONE. A service that was started with another one still counts from "
            "there: what it refuses, another process allows. Told apart from a zone that is set wrongly (2.3.3): here the setting "
            "is right and was not taken up."
        ),
        mend=("nself env get BILLING_TIMEZONE", "nself restart billing"),
        itself=True,
        needs=(),
    ),
    Cause(
        id="5.2.4",
        title="Cache not cleared after reset",
        detect=left_in_cache,
        explain=(
            "Counters are kept so that decisions are quick; each reset, limit and block marks them to be counted anew. One that was "
            "restored or changed past nself still counts what the reset took away, or refuses by a block that is gone. Usage "
            "itself is right."
        ),
        mend=("nself cache clear billing:quota:{user}",),
        itself=True,
    ),
)
