"""Root causes of issue 5.4: overage that was set by hand is not what is counted, priced and included."""

from __future__ import annotations

from nself.app import App
from nself.core.period import Period
from nself.diagnosis import Cause, Evidence, Look
from nself.domains.invoice.model import Override
from nself.domains.invoice.service import assess
from nself.domains.overage import rules
from nself.domains.overage.rules import Mismatch
from nself.domains.overage.service import show

MOST = 20
"""Decisions that are looked at, the newest."""
Wrong = list[tuple[Override, Mismatch, str]]


def _wrong(app: App) -> Wrong:
    """Decisions that nobody gave a reason for, that are not invoiced yet, and that differ from what is counted."""
    found = Wrong()
    with app.db.reading() as tx:
        for one in assess.open_decisions(app, tx, MOST):
            counted = show.counted(app, tx, one.user, Period(one.period_start, one.period_end)).get(one.metric)
            if differs := rules.mismatch(one, counted):
                found.append((one, *differs))
    return found


def _told(look: Look, kind: Mismatch) -> Evidence | None:
    found = [(one, text) for one, what, text in look.once(_wrong) if what == kind]
    if not found:
        return None
    (one, text), period = found[-1], assess.month(look.app, found[-1][0].period_start)
    more = f"; {len(found) - 1} others are like it" if len(found) > 1 else ""
    return Evidence(
        f"the overage of {one.user}, {one.metric}, {period} was set by {one.actor} at {one.updated_at:%Y-%m-%dT%H:%M:%SZ} without "
        f"a reason, and is not invoiced yet: {text}{more}",
        {"user": one.user, "metric": one.metric, "period": period},
    )


def wrong_rate(look: Look) -> Evidence | None:
    return _told(look, "rate")


def wrong_usage(look: Look) -> Evidence | None:
    return _told(look, "usage")


def no_tiers(look: Look) -> Evidence | None:
    return _told(look, "tiers")


def wrong_share(look: Look) -> Evidence | None:
    return _told(look, "share")


MEND = (
    "nself billing overage audit --user {user}",
    "nself billing overage recalculate --user {user} --metric {metric} --period {period} --execute",
)
AGREES = (
    "What is invoiced already is not touched by taking it back. With a reason given, such a decision is no finding."
)
CAUSES = (
    Cause(
        id="5.4.1",
        title="Wrong overage rate",
        detect=wrong_rate,
        explain=(
            "The next invoice would bill another rate than overage-tiers.yml has for the period, since somebody set it by hand. "
            f"Usage and quota are right; a price with tiers that was set as one rate is 5.4.3. {AGREES}"
        ),
        mend=MEND,
    ),
    Cause(
        id="5.4.2",
        title="Incorrect usage aggregation",
        detect=wrong_usage,
        explain=(
            "The next invoice would bill another usage than the events add up to, since somebody set it by hand or events came "
            f"after that. Whether the events themselves are right is issue 2.3. {AGREES}"
        ),
        mend=MEND,
        follows=("2.3.1", "2.3.2", "2.3.3", "2.3.4"),
    ),
    Cause(
        id="5.4.3",
        title="Tiered pricing not applied",
        detect=no_tiers,
        explain=(
            "The price of the period has tiers or packages, and the overage was set by hand at one rate for all units. Usage and "
            f"quota are right. {AGREES}"
        ),
        mend=MEND,
    ),
    Cause(
        id="5.4.4",
        title="Proration errors",
        detect=wrong_share,
        explain=(
            "The overage was set by hand against another quota than the period has: a share of it, or that of another period. "
            f"Usage is right. {AGREES}"
        ),
        mend=MEND,
    ),
)
