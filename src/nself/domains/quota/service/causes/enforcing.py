"""Root causes of issue 5.1: quotas are not enforced."""

from __future__ import annotations

from datetime import datetime, timedelta

from nself.app import App
from nself.core.period import Period
from nself.diagnosis import Cause, Evidence, Look
from nself.domains.catalog import service as catalog
from nself.domains.quota import store
from nself.domains.quota.facts import Contrary, Exceeded
from nself.domains.quota.model import UNLIMITED
from nself.domains.quota.service import limits
from nself.domains.quota.service.decide import policy
from nself.domains.usage.service import inspect, measure

SWITCH = "QUOTA_ENFORCEMENT_ENABLED"
TIMES = 100
"""So many times its plan's limit is no arrangement with one user: somebody counted the zeros wrongly."""
MOST = 200
SETTLED = timedelta(minutes=2)
"""What is above a limit is noticed by the sweep, which comes twice a minute."""


def switched_off(look: Look) -> Evidence | None:
    if look.app.settings.flag(SWITCH):
        return None
    return Evidence(f"{SWITCH} is false ({look.app.settings.value(SWITCH).origin}): every request is allowed")


def contrary(app: App) -> list[Contrary]:
    """Users' own limits that contradict those of the plan they have."""
    with app.db.reading() as tx:
        found = store.contrary_limits(tx, TIMES, MOST)
        plans = limits.plans(app, tx, sorted({one.user for one in found})) if found else {}
    return [one for one in found if plans[one.user].plan == one.plan]


def wrong_limit(look: Look) -> Evidence | None:
    found = [one for one in look.once(contrary) if one.limit <= 0 or one.period == one.plan_period]
    if not found:
        return None
    one = found[0]
    own = "unlimited" if one.limit == UNLIMITED else f"{one.limit} a {one.period}"
    text = f"{one.user} has {own} {one.metric} as a limit of its own, plan {one.plan} has {one.plan_limit} a {one.plan_period}"
    fields = {"user": one.user, "metric": one.metric, "limit": one.plan_limit, "period": one.plan_period}
    return Evidence(text + more(len(found)), fields, "likely")


def more(count: int) -> str:
    return f", and {count - 1} more" if count > 1 else ""


def not_tracked(look: Look) -> Evidence | None:
    known = catalog.metric_file(look.app).metrics
    with look.app.db.reading() as tx:
        found = [one for one in store.limited_metrics(tx) if one.metric not in known]
    if not found:
        return None
    one = found[0]
    whose = f"of {one.user} and others" if one.limits > 1 else f"of {one.user}" if one.user else "of a plan"
    text = (
        f"{one.limits} limits ({whose}) are on {one.metric}, which usage-metrics.yml does not have: nothing is counted"
    )
    return Evidence(text + more(len(found)), {"user": one.user or "user123", "metric": one.metric})


def exceeded(app: App) -> list[Exceeded]:
    """Hard limits that are exceeded now; of some of them duplicates are the reason."""
    with app.db.reading() as tx:
        return store.exceeded(tx, app.clock(), 20)


def doubled(app: App) -> dict[tuple[str, str], int]:
    """What alike events add to the usage of those limits that are exceeded by them alone."""
    found = dict[tuple[str, str], int]()
    sums = {name for name, one in catalog.metrics_at(app, app.clock()).items() if one.aggregation == "sum"}
    above = [one for one in exceeded(app) if one.metric in sums]
    with app.db.reading() as tx:
        for one in above:
            extra = inspect.doubled(tx, one.user, one.metric, Period(one.counted_from, one.window_end))
            if one.used - extra <= one.limit < one.used:
                found[one.user, one.metric] = extra
    return found


def raced(look: Look) -> Evidence | None:
    twice, rule = look.once(doubled), policy(look.app)
    for one in look.once(exceeded):
        last = _last_used(look.app, one)
        if (one.user, one.metric) in twice or last is None or last < one.exceeded_at - SETTLED:
            continue
        if one.set_at and last <= one.set_at:
            continue
        if rule.grace and last < one.exceeded_at + timedelta(seconds=rule.grace):
            continue
        text = f"{one.user} used {one.used} {one.metric} of a hard limit of {one.limit}: {one.used - one.limit} came past it, without a reservation"
        return Evidence(text, {"user": one.user, "metric": one.metric, "limit": one.used}, "likely")
    return None


def _last_used(app: App, one: Exceeded) -> datetime | None:
    metrics = {one.metric: catalog.metrics_at(app, app.clock())[one.metric]}
    with app.db.reading() as tx:
        figures = measure.measure(tx, [one.user], Period(one.counted_from, one.window_end), metrics, app.clock())
    return figures[0].last_at if figures else None


CAUSES = (
    Cause(
        id="5.1.1",
        title="Quota enforcement disabled",
        detect=switched_off,
        explain=(
            f"With {SWITCH}=false each check and reserve is answered with allowed, whatever was used; limits are counted all the "
            "same, so that they show as exceeded and nobody is stopped."
        ),
        mend=(f"nself env set {SWITCH}=true", "nself restart billing"),
        itself=True,
        needs=(),
    ),
    Cause(
        id="5.1.2",
        title="Wrong quota limits",
        detect=wrong_limit,
        explain=(
            "A user's own limit comes before the plan's. One that is unlimited, zero or a hundred times as large or as small as "
            "the plan's was rarely meant: a zero too many, or a test that was left. It differs from a wrong period (5.2.2) in that "
            "the period is the plan's."
        ),
        mend=("nself billing quota set --user {user} --metric {metric} --limit {limit} --period {period}",),
    ),
    Cause(
        id="5.1.3",
        title="Usage not tracked",
        detect=not_tracked,
        explain=(
            "A limit stands on a metric that usage-metrics.yml does not have (any more). Nothing of it is recorded, so it is never "
            "reached. Where the app still sends it, its events are rejected as of an unknown metric."
        ),
        mend=("nself billing usage show --user {user}", "nself billing quota check --user {user}"),
        elsewhere="put the metric back into services/billing/config/usage-metrics.yml, or set the limit on the metric that replaced it",
    ),
    Cause(
        id="5.1.4",
        title="Race conditions",
        detect=raced,
        explain=(
            "The app asks whether more is allowed, works, and records what it used: two requests that ask at once are both allowed. "
            "A reservation takes its part of the limit when it is made, so that the second is refused. Told apart from a limit that "
            "was lowered later by usage that came after the limit was set, and from duplicates (5.2.1)."
        ),
        mend=(
            "nself billing quota set --user {user} --metric {metric} --limit {limit} --period month",
            "nself billing quota test-enforce --user {user}",
        ),
        elsewhere="let the app reserve before it works and commit afterwards: POST /api/v1/quota/reserve and /commit",
        follows=("5.1.1", "5.2.1"),
    ),
)
