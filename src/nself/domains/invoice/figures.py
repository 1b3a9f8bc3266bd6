"""From lines to an invoice's totals: discounts, taxes, balance, the minimum charge. Pure, worked out apart from Stripe.

Amounts are whole minor units of one currency. Own discounts of a line come first, then the invoice's in their order,
then taxes: for each line and rate on what the discounts left, rounded half away from zero. Inclusive taxes are part of
the amount, exclusive ones are worked out without them and come on top. One order, one rounding a line and rate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

from nself.domains.invoice.rating import whole

Snapshot = dict[str, Any]
STRIPE_MINIMUM: Mapping[str, int] = {
    "usd": 50, "aed": 200, "aud": 50, "bgn": 100, "brl": 50, "cad": 50, "chf": 50, "czk": 1500, "dkk": 250, "eur": 50,
    "gbp": 30, "hkd": 400, "huf": 17500, "inr": 50, "jpy": 50, "mxn": 1000, "myr": 200, "nok": 300, "nzd": 50, "pln": 200,
    "ron": 200, "sek": 300, "sgd": 50, "thb": 1000,
}  # fmt: skip
"""Least that Stripe charges, as published: an invoice of less is paid at once and owed with the next one."""


class Discount(NamedTuple):
    """A coupon as it applies: percent (8.25 is 8.25 %) or amount; `products` None: all."""

    id: str
    percent: Decimal | None = None
    amount: int = 0
    products: frozenset[str] | None = None


class Rate(NamedTuple):
    """A tax rate; one that does not apply (exempt, reverse charge) is named with 0."""

    id: str
    percent: Decimal
    inclusive: bool
    applies: bool = True


class Line(NamedTuple):
    amount: int
    discountable: bool = True
    product: str | None = None
    discounts: tuple[Discount, ...] = ()
    rates: tuple[Rate, ...] = ()


class Worked(NamedTuple):
    """Of one line: what each discount takes off (by id), each rate's tax (in the order of the rates), and what is left."""

    off: dict[str, int]
    taxes: tuple[int, ...]
    net: int


class Totals(NamedTuple):
    lines: list[Worked]
    subtotal: int
    discount: int
    exclusive_tax: int
    inclusive_tax: int
    total: int


def work_out(lines: Sequence[Line], discounts: Sequence[Discount] = ()) -> Totals:
    """`total` = the lines' amounts - all discounts + exclusive taxes; `subtotal` is after the lines' own discounts alone."""
    off = [_own(line) for line in lines]
    left = [line.amount - sum(own.values()) for line, own in zip(lines, off, strict=True)]
    subtotal = sum(left)
    for discount in discounts:
        at = [n for n, line in enumerate(lines) if left[n] > 0 and _concerns(discount, line)]
        for n, part in zip(at, _spread(_taken(discount, sum(left[n] for n in at)), [left[n] for n in at]), strict=True):
            off[n][discount.id] = off[n].get(discount.id, 0) + part
            left[n] -= part
    worked = [Worked(off[n], taxes(left[n], line.rates), left[n]) for n, line in enumerate(lines)]
    by_rate = [
        (rate.inclusive, tax)
        for line, one in zip(lines, worked, strict=True)
        for rate, tax in zip(line.rates, one.taxes, strict=True)
    ]
    exclusive = sum(tax for inclusive, tax in by_rate if not inclusive)
    discount = sum(sum(one.off.values()) for one in worked)
    return Totals(
        worked, subtotal, discount, exclusive, sum(tax for _, tax in by_rate) - exclusive, sum(left) + exclusive
    )


def _own(line: Line) -> dict[str, int]:
    found: dict[str, int] = {}
    left = line.amount
    for discount in line.discounts:
        if left > 0 and _concerns(discount, line):
            found[discount.id] = _taken(discount, left)
            left -= found[discount.id]
    return found


def _concerns(discount: Discount, line: Line) -> bool:
    return line.discountable and (discount.products is None or line.product in discount.products)


def _taken(discount: Discount, base: int) -> int:
    if discount.percent is not None:
        return whole(Fraction(base) * Fraction(discount.percent) * Fraction(1, 100))
    return min(discount.amount, base)


def _spread(taken: int, amounts: Sequence[int]) -> list[int]:
    """In proportion, to the last cent: the largest remainders get what is left, the earlier line first."""
    base = sum(amounts)
    if not base:
        return [0 for _ in amounts]
    parts = [taken * amount // base for amount in amounts]
    order = sorted(range(len(amounts)), key=lambda n: (-(taken * amounts[n] % base), n))
    for n in order[: taken - sum(parts)]:
        parts[n] += 1
    return parts


def taxes(net: int, rates: Sequence[Rate]) -> tuple[int, ...]:
    """Each rate's tax on what the discounts left of a line."""
    within = sum((Fraction(rate.percent) for rate in rates if rate.inclusive and rate.applies), Fraction(0))
    gross = Fraction(net, 1) * Fraction(within.denominator, 100 * within.denominator + within.numerator)
    inside = [whole(gross * Fraction(rate.percent)) if rate.inclusive and rate.applies else 0 for rate in rates]
    base = Fraction(net - sum(inside), 100)
    return tuple(
        within_it if rate.inclusive or not rate.applies else whole(base * Fraction(rate.percent))
        for rate, within_it in zip(rates, inside, strict=True)
    )


class Due(NamedTuple):
    """What an invoice asks for, and the balance that it leaves (below 0 credit, above owed)."""

    asked: int
    left: int


def due(total: int, balance: int, currency: str) -> Due:
    """Credit is used first, what is owed is added; below Stripe's minimum it stays owed."""
    owed = total + balance
    return Due(owed, 0) if owed >= STRIPE_MINIMUM.get(currency, 1) else Due(0, owed)


def rates_of(snapshots: Sequence[Snapshot], exempt: str) -> tuple[Rate, ...]:
    """Stripe's tax rates; none applies to a customer that is `exempt` or in `reverse`."""
    return tuple(
        Rate(one["id"], Decimal(str(one["percentage"])), bool(one["inclusive"]), exempt not in ("exempt", "reverse"))
        for one in snapshots
    )


def top_up(short: int, rates: Sequence[Rate]) -> int:
    """The least amount of a line by which a total grows by `short` at least, with the line's own taxes."""
    low, high = 1, short
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if grown(middle, rates) >= short else (middle + 1, high)
    return low


def grown(amount: int, rates: Sequence[Rate]) -> int:
    """By how much a line of `amount` makes a total larger."""
    return work_out([Line(amount, rates=tuple(rates))]).total
