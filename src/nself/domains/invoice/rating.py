"""What a line costs by Stripe's price: exact fractions of a minor unit, rounded once, half away from zero. Pure.

Worked out here apart from Stripe, so that an audit compares two things. Prices are Stripe's own objects.
"""

from __future__ import annotations

import calendar
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any, cast

Snapshot = dict[str, Any]
SECONDS = {"day": 86_400, "week": 7 * 86_400}
MONTHS = {"month": 1, "year": 12}


def whole(exact: Fraction) -> int:
    """Minor units, half away from zero."""
    top, bottom = abs(exact.numerator), exact.denominator
    rounded = (2 * top + bottom) // (2 * bottom)
    return rounded if exact >= 0 else -rounded


def share(amount: int, part: int, of: int) -> int:
    """`amount * part / of`, rounded once: of a period's price the seconds that are charged."""
    return whole(Fraction(amount * part, of))


def amount(price: Snapshot, quantity: Decimal | int) -> int:
    """Of `quantity` by a price: for one, by packages, graduated (each unit in its tier) or volume (all in one)."""
    count = Fraction(quantity)
    if price["billing_scheme"] == "tiered":
        tiers = cast("list[Snapshot]", price["tiers"])
        return whole(_volume(tiers, count) if price["tiers_mode"] == "volume" else _graduated(tiers, count))
    return whole(
        _decimal(price, "unit_amount") * _packages(cast("Snapshot | None", price["transform_quantity"]), count)
    )


def _decimal(of: Snapshot, name: str) -> Fraction:
    return Fraction(str(of.get(f"{name}_decimal") or of.get(name) or 0))


def _packages(transform: Snapshot | None, count: Fraction) -> Fraction:
    if not transform:
        return count
    found, rest = divmod(count, int(transform["divide_by"]))
    return Fraction(found + (1 if rest and transform["round"] == "up" else 0))


def _volume(tiers: list[Snapshot], count: Fraction) -> Fraction:
    tier = next(one for one in tiers if one["up_to"] is None or count <= one["up_to"])
    return _decimal(tier, "flat_amount") + _decimal(tier, "unit_amount") * count


def _graduated(tiers: list[Snapshot], count: Fraction) -> Fraction:
    """Each tier that is reached adds its flat amount; the first is, even by nothing."""
    total, below = Fraction(0), Fraction(0)
    for number, tier in enumerate(tiers):
        if number and count <= below:
            break
        top = count if tier["up_to"] is None else min(count, Fraction(tier["up_to"]))
        total += _decimal(tier, "flat_amount") + _decimal(tier, "unit_amount") * (top - below)
        below = top
    return total


def period_around(anchor: int, interval: str, count: int, at: int) -> tuple[int, int]:
    """The billing period (Unix seconds) in which `at` lies, counted from the anchor; the 31st becomes a month's last day."""
    if interval in SECONDS:
        step = SECONDS[interval] * count
        start = anchor + (at - anchor) // step * step
        return start, start + step
    first, now, step = _utc(anchor), _utc(at), MONTHS[interval] * count
    number = ((now.year - first.year) * 12 + now.month - first.month) // step
    if _months_on(first, number * step) > at:
        number -= 1
    return _months_on(first, number * step), _months_on(first, (number + 1) * step)


def _utc(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _months_on(first: datetime, months: int) -> int:
    year, month = divmod(first.year * 12 + first.month - 1 + months, 12)
    day = min(first.day, calendar.monthrange(year, month + 1)[1])
    return int(first.replace(year=year, month=month + 1, day=day).timestamp())
