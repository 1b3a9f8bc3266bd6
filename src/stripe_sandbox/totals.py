"""From lines to an invoice's totals: discounts, then taxes. Pure: the one place where this is worked out.

All amounts are whole minor units of one currency; percentages are decimals (8.25 is 8.25 %). In this order:

1. Each line's own discounts, one after the other, each on what the one before left.
2. The invoice's discounts, in their order, on what is left of the lines that they concern: positive, discountable
   and, where the coupon names products, of such a product. A percentage is taken of the sum of these lines and
   rounded once; an amount is at most that sum. Either is spread over the lines in proportion, so that the parts
   add up to the whole (largest remainders first, earlier lines first among equals).
3. Taxes, for each line and rate, on what the discounts left, rounded half away from zero. Inclusive taxes are
   part of the amount; exclusive ones are worked out on the amount without the inclusive ones and come on top.

Stripe publishes the order (https://docs.stripe.com/billing/subscriptions/coupons, /tax/tax-rates), not its
rounding; the rounding here is this sandbox's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from stripe_sandbox.currencies import round_minor


@dataclass(frozen=True)
class Discount:
    id: str
    percent_off: Decimal | None = None
    amount_off: int | None = None
    products: frozenset[str] | None = None  # none: all

    def off(self, base: int) -> int:
        if self.percent_off is not None:
            return round_minor(base * self.percent_off / 100)
        return min(self.amount_off or 0, base)


@dataclass(frozen=True)
class Rate:
    id: str
    percentage: Decimal
    inclusive: bool
    reason: str = "not_available"  # Stripe's `taxability_reason`
    applies: bool = True  # an exempt customer's rate is named, with an amount of 0


@dataclass(frozen=True)
class Line:
    amount: int  # before discounts and exclusive taxes
    discountable: bool = True
    product: str | None = None
    discounts: tuple[Discount, ...] = ()
    rates: tuple[Rate, ...] = ()


@dataclass(frozen=True)
class Tax:
    rate: str
    behavior: Literal["inclusive", "exclusive"]
    reason: str
    amount: int
    taxable_amount: int


@dataclass(frozen=True)
class LineTotals:
    discounts: tuple[tuple[str, int], ...]  # discount, amount
    taxes: tuple[Tax, ...]
    net: int  # after discounts, before exclusive taxes


@dataclass(frozen=True)
class Totals:
    """`total` = sum of the lines' amounts - sum of discounts + sum of exclusive taxes."""

    lines: tuple[LineTotals, ...]
    subtotal: int  # after the lines' own discounts, before the invoice's and before exclusive taxes
    subtotal_excluding_tax: int
    total: int
    total_excluding_tax: int

    @property
    def discounts(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for line in self.lines:
            for discount, amount in line.discounts:
                found[discount] = found.get(discount, 0) + amount
        return found

    @property
    def taxes(self) -> list[Tax]:
        """One for each rate, behaviour and reason, in the order of the lines."""
        found: dict[tuple[str, str, str], Tax] = {}
        for tax in (tax for line in self.lines for tax in line.taxes):
            key = (tax.rate, tax.behavior, tax.reason)
            so_far = found.get(key)
            amount = tax.amount + (so_far.amount if so_far else 0)
            taxable = tax.taxable_amount + (so_far.taxable_amount if so_far else 0)
            found[key] = Tax(tax.rate, tax.behavior, tax.reason, amount, taxable)
        return list(found.values())


def work_out(lines: Sequence[Line], discounts: Sequence[Discount] = ()) -> Totals:
    given: list[list[tuple[str, int]]] = [_own(line) for line in lines]
    left = [line.amount - sum(off for _, off in own) for line, own in zip(lines, given, strict=True)]
    before = list(left)
    for discount in discounts:
        concerned = [at for at, line in enumerate(lines) if left[at] > 0 and _concerns(discount, line)]
        for at, part in zip(concerned, spread(discount, [left[at] for at in concerned]), strict=True):
            given[at].append((discount.id, part))
            left[at] -= part
    taxes = [taxes_on(net, line.rates) for net, line in zip(left, lines, strict=True)]
    return Totals(
        lines=tuple(
            LineTotals(tuple(given[at]), taxes[at], left[at]) for at in range(len(lines))
        ),
        subtotal=sum(before),
        subtotal_excluding_tax=sum(
            amount - _sum(taxes_on(amount, line.rates), "inclusive")
            for amount, line in zip(before, lines, strict=True)
        ),
        total=sum(net + _sum(taxed, "exclusive") for net, taxed in zip(left, taxes, strict=True)),
        total_excluding_tax=sum(net - _sum(taxed, "inclusive") for net, taxed in zip(left, taxes, strict=True)),
    )  # fmt: skip


def _own(line: Line) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    left = line.amount
    for discount in line.discounts:
        if left > 0 and _concerns(discount, line):
            found.append((discount.id, off := discount.off(left)))
            left -= off
    return found


def _concerns(discount: Discount, line: Line) -> bool:
    return line.discountable and (discount.products is None or line.product in discount.products)


def spread(discount: Discount, amounts: Sequence[int]) -> list[int]:
    """The discount on the sum of the amounts, in parts that add up to it."""
    base = sum(amounts)
    return share(discount.off(base), amounts) if base else [0 for _ in amounts]


def share(whole: int, weights: Sequence[int]) -> list[int]:
    """`whole` in parts proportional to the weights (positive, not all 0), largest remainders first."""
    base = sum(weights)
    parts = [whole * weight // base for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda at: (-(whole * weights[at] % base), at))
    for at in by_remainder[: whole - sum(parts)]:
        parts[at] += 1
    return parts


def taxes_on(amount: int, rates: Sequence[Rate]) -> tuple[Tax, ...]:
    """The taxes on one line's amount after its discounts."""
    within = sum((rate.percentage for rate in rates if rate.inclusive and rate.applies), Decimal(0))
    amounts: dict[int, int] = {}
    for at, rate in enumerate(rates):
        if rate.inclusive and rate.applies:
            amounts[at] = round_minor(amount * rate.percentage / (100 + within))
    net = amount - sum(amounts.values())
    for at, rate in enumerate(rates):
        if not rate.inclusive and rate.applies:
            amounts[at] = round_minor(net * rate.percentage / 100)
    return tuple(
        Tax(
            rate.id,
            "inclusive" if rate.inclusive else "exclusive",
            rate.reason,
            amounts.get(at, 0),
            net if rate.applies else 0,
        )
        for at, rate in enumerate(rates)
    )


def _sum(taxes: Sequence[Tax], behavior: str) -> int:
    return sum(tax.amount for tax in taxes if tax.behavior == behavior)
