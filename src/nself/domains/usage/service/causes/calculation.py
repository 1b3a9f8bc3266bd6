"""Root causes 2.3.2 and 2.3.3: usage is counted by another formula or in another zone than before."""

from __future__ import annotations

from nself.diagnosis import Cause, Evidence, Look
from nself.domains.usage.service import terms


def wrong_formula(look: Look) -> Evidence | None:
    found = look.once(terms.changed_formulas)
    if not found:
        return None
    metric, (before, now) = next(iter(sorted(found.items())))
    more = f"; so are {len(found) - 1} others" if len(found) > 1 else ""
    return Evidence(
        f"{metric} was counted as {before} when the month began, and usage-metrics.yml has {now} now{more}",
        {"metric": metric},
    )


def wrong_zone(look: Look) -> Evidence | None:
    before = look.once(terms.changed_zone)
    if not before:
        return None
    now = look.app.settings.value("BILLING_TIMEZONE")
    outside = look.app.environ.get("TZ")
    beside = f"; TZ is {outside}" if outside else ""
    return Evidence(
        f"the month began in the zone {before}, BILLING_TIMEZONE ({now.origin}) is {look.app.timezone.key} now{beside}",
        {"zone": before},
    )


CAUSES = (
    Cause(
        id="2.3.2",
        title="Wrong aggregation formula",
        detect=wrong_formula,
        explain=(
            "usage-metrics.yml was changed for a month that had begun: what was counted already is read by another formula, and "
            "every figure of the month jumps. Raw events and rollups agree (else it is 2.3.4), and no event is there twice (2.3.1). "
            "A version with `from` a later month changes a formula without this."
        ),
        mend=("nself billing usage show-formula --metric {metric}",),
        elsewhere="put services/billing/config/usage-metrics.yml back, and add a version with `from` the first day of a later month",
    ),
    Cause(
        id="2.3.3",
        title="Timezone issues",
        detect=wrong_zone,
        explain=(
            "BILLING_TIMEZONE was changed in a month that had begun: days and months begin at another instant than before, and "
            "usage at their edges moves from one into the other. Rollups are hours of UTC and stay right."
        ),
        mend=("nself env get BILLING_TIMEZONE", "nself env set BILLING_TIMEZONE={zone}", "nself restart billing"),
    ),
)
