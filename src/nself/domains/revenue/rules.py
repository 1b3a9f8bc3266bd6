"""What a subscription is worth a month, from when on, and months made of that. Pure; fractions, rounded once a subscription."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime
from fractions import Fraction
from zoneinfo import ZoneInfo

from nself.core.period import Period
from nself.domains.connection.rules import items
from nself.domains.revenue.model import Guessed, Moved, Part, RevenueMonth, Snapshot, Step, Taken

COUNTED = ("active", "past_due")
"""Statuses that are worth something. A trial is not yet, an unpaid or paused subscription not any more."""
PER_MONTH = {"day": Fraction(365, 12), "week": Fraction(52, 12), "month": Fraction(1), "year": Fraction(1, 12)}


def monthly(amount: Fraction, interval: str, every: int) -> Fraction:
    """An amount for `every` intervals as one for a month."""
    return amount * PER_MONTH[interval] * Fraction(1, every)


BELOW = "its prices come to less than nothing: counted as nothing"


def total(parts: Iterable[Part]) -> Fraction:
    return sum((Fraction(one.monthly) for one in parts), Fraction(0))


def whole(exact: Fraction) -> int:
    """Minor units, half away from zero."""
    return (2 * exact.numerator + exact.denominator) // (2 * exact.denominator)


def instant(snapshot: Snapshot, told: int) -> int:
    """When it became what it is: its end, else when Stripe told; by a test clock, which events do not live by, its newest time."""
    if snapshot["status"] == "canceled":
        return snapshot.get("ended_at") or snapshot.get("canceled_at") or told
    if snapshot.get("test_clock"):
        return max([began(snapshot), *(int(one["current_period_start"]) for one in items(snapshot, "items"))])
    return told


def began(snapshot: Snapshot) -> int:
    """When it began to be paid for, as far as a snapshot can say: with its start, or at the end of its trial."""
    start, trial_end = snapshot.get("start_date") or snapshot["created"], snapshot.get("trial_end")
    return max(start, trial_end) if trial_end and snapshot["status"] != "trialing" else start


def steps(
    snapshot: Snapshot, at: int, first: bool, turns: Collection[int], parts: Callable[[int], list[Part]]
) -> list[Step]:  # fmt: skip
    """What it is worth from `at` on, and from each of `turns` on, when its discounts become others.

    Of one that is seen for the first time also what it was worth before.
    """
    status, start, stop = snapshot["status"], at, None
    if first:
        start = began(snapshot)
        stop = instant(snapshot, at) if status == "canceled" else None
    if status not in COUNTED and (stop is None or stop <= start):
        return [Step(start, [])]
    later = sorted(turn for turn in turns if turn > start and (stop is None or turn < stop))
    found = [Step(one, parts(one)) for one in (start, *later)]
    return found if stop is None else [*found, Step(stop, [])]


def known(before: Sequence[Step], found: Sequence[Step]) -> bool:
    """Whether an earlier note says all of it: a renewal changes a subscription, and not what it is worth."""
    begin = found[0].at
    held = [one for one in before if one.at <= begin][-1:]
    later = [one for one in before if one.at > begin]
    return [one.parts for one in held] == [found[0].parts] and later == list(found[1:])


def months(
    moved: Sequence[Moved], taken: Sequence[Taken], guessed: Sequence[Guessed], span: Sequence[Period], tz: ZoneInfo
) -> list[RevenueMonth]:  # fmt: skip
    """A row a month and currency, oldest first; `moved` goes back to the beginning."""
    by_month = {(one.start, one.currency): one for one in moved}
    money = {(one.start, one.currency): one for one in taken}
    currencies = sorted({one.currency for one in (*moved, *taken)})
    standing = dict.fromkeys(currencies, 0)
    for one in moved:
        if one.start < span[0].start:
            standing[one.currency] += one.change
    found: list[RevenueMonth] = []
    for month in span:
        for currency in currencies:
            key = (month.start, currency)
            row = _month(month, standing[currency], by_month.get(key), money.get(key), currency, tz, guessed)
            standing[currency] = row.mrr_minor
            found.append(row)
    return found


def _month(
    month: Period, start: int, moved: Moved | None, taken: Taken | None, currency: str, tz: ZoneInfo, guessed: Sequence[Guessed]
) -> RevenueMonth:  # fmt: skip
    paid, refunds = (taken.paid_minor, taken.refunds_minor) if taken else (0, 0)
    return RevenueMonth(
        month=f"{month.start.astimezone(tz):%Y-%m}",
        currency=currency,
        start_minor=start,
        new_minor=moved.new_minor if moved else 0,
        expansion_minor=moved.expansion_minor if moved else 0,
        contraction_minor=moved.contraction_minor if moved else 0,
        churned_minor=moved.churned_minor if moved else 0,
        reactivated_minor=moved.reactivated_minor if moved else 0,
        mrr_minor=start + (moved.change if moved else 0),
        paid_minor=paid,
        refunds_minor=refunds,
        net_minor=paid - refunds,
        usage_minor=taken.usage_minor if taken else 0,
        estimate=any(one.start <= month.start < one.end for one in guessed),
    )


def remarks(
    rows: Sequence[RevenueMonth], now: datetime, tz: ZoneInfo, waiting: int, doubts: Sequence[str]
) -> list[str]:
    """What is to be said beside the months."""
    found: list[str] = []
    guessed = sorted({one.month for one in rows if one.estimate})
    if guessed:
        found.append(
            f"estimated from what was there later: {', '.join(guessed)}; movements from then on are as they were seen"
        )
    if any(one.month == f"{now.astimezone(tz):%Y-%m}" for one in rows):
        found.append(f"{now.astimezone(tz):%Y-%m} is not over: its MRR is that of now")
    if waiting:
        found.append(f"{waiting} changed subscriptions are not worked out yet: the worker does it")
    return found + [f"in doubt: {one}" for one in doubts]
