"""What a change in mid-period credits and charges: our own calculation, after Stripe's published rules.

Per second; two lines an item, the unused time of what was and the remaining time of what comes, each rounded once, half
away from zero. Billing mode `flexible` credits what was really debited, `classic` the current price. Amounts are net of
the discounts that run, but for coupons for once. Another interval, and free to paid, begin a new period: the unused time
is credited and the whole new period charged at once. Nothing is prorated in a trial, nor what is metered.
"""

from __future__ import annotations

import calendar
from collections.abc import Sequence
from datetime import UTC, datetime
from fractions import Fraction
from typing import Literal, NamedTuple

SECONDS = {"day": 86_400, "week": 7 * 86_400}
MONTHS = {"month": 1, "year": 12}
QUIET = ("trialing", "paused")
"""Statuses in which nothing was debited that could be credited."""


class Tier(NamedTuple):
    """`up_to` is inclusive, None for the last; amounts in minor units."""

    up_to: int | None
    unit: Fraction
    flat: Fraction


class Price(NamedTuple):
    """`unit` in minor units for one, or for a `package` of so many; `tiers` instead where there are any."""

    id: str
    product: str
    currency: str
    interval: str
    every: int
    metered: bool = False
    unit: Fraction = Fraction(0)
    tiers: tuple[Tier, ...] = ()
    volume: bool = False
    package: int = 1
    package_up: bool = True


class Off(NamedTuple):
    """A discount that runs: of `item` alone, or of all that the coupon's `products` allow. `amount` in minor units."""

    percent: Fraction = Fraction(0)
    amount: int | None = None
    products: frozenset[str] | None = None
    item: str | None = None


class Debit(NamedTuple):
    """What was charged for `[start, end)` and not credited since, less its discounts; `source` says where it stands."""

    amount: int
    start: int
    end: int
    source: str


class Item(NamedTuple):
    id: str
    price: Price
    quantity: int
    debits: tuple[Debit, ...] = ()


class Facts(NamedTuple):
    """A subscription as it is. Instants are Unix seconds; `anchor` is where its periods are counted from."""

    status: str
    classic: bool
    anchor: int
    start: int
    end: int
    items: tuple[Item, ...]
    offs: tuple[Off, ...] = ()
    ends_at: int | None = None


class Wish(NamedTuple):
    """One item becomes `price` and `quantity`: calculated as of `at`, done at `now`."""

    item: str
    price: Price
    quantity: int
    at: int
    now: int
    behavior: str = "create_prorations"


class Line(NamedTuple):
    kind: Literal["unused", "remaining", "period", "next period"]
    item: str
    price: str
    quantity: int
    start: int
    end: int
    amount: int
    formula: str


class Outcome(NamedTuple):
    """`lines` come with the change, `following` with the renewal at the period's end. `restarts`: a new period begins now."""

    lines: tuple[Line, ...]
    following: tuple[Line, ...]
    restarts: bool
    end: int

    @property
    def total(self) -> int:
        return sum(line.amount for line in self.lines)


# ---- Amounts ----


def rounded(exact: Fraction) -> int:
    """Half away from zero: the one rounding of a line."""
    whole = (2 * abs(exact.numerator) + exact.denominator) // (2 * exact.denominator)
    return whole if exact >= 0 else -whole


def full(price: Price, quantity: int) -> Fraction:
    """What a quantity costs for a whole period, in minor units."""
    if not price.tiers:
        packages, rest = divmod(quantity, price.package)
        return price.unit * (packages + (1 if rest and price.package_up else 0))
    if price.volume:
        tier = next(one for one in price.tiers if one.up_to is None or quantity <= one.up_to)
        return tier.flat + tier.unit * quantity
    total, below = Fraction(0), 0
    for number, tier in enumerate(price.tiers):
        if number and quantity <= below:
            break
        reached = quantity if tier.up_to is None else min(quantity, tier.up_to)
        total += tier.flat + tier.unit * (reached - below)
        below = reached if tier.up_to is None else tier.up_to
    return total


def nets(items: Sequence[Item], offs: Sequence[Off], classic: bool) -> dict[str, Fraction]:
    """Each item's whole period less the discounts: an item's own first; amounts are spread, in proportion or (classic) evenly."""
    left = {one.id: full(one.price, one.quantity) for one in items if not one.price.metered}
    for off in sorted(offs, key=lambda one: one.item is None):
        concerned = [
            one.id
            for one in items
            if left.get(one.id) and off.item in (None, one.id) and (off.products is None or one.price.product in off.products)
        ]  # fmt: skip
        base = sum((left[id] for id in concerned), Fraction(0))
        for id in concerned:
            if off.amount is None:
                left[id] *= 1 - off.percent
            elif classic:
                left[id] -= min(left[id], Fraction(off.amount, len(concerned)))
            else:
                left[id] *= 1 - Fraction(min(Fraction(off.amount), base), base)
    return left


# ---- Periods ----


def boundary(anchor: int, price: Price, number: int) -> int:
    """Where period `number` after the anchor begins. A month that has no such day takes its last one."""
    if price.interval in SECONDS:
        return anchor + SECONDS[price.interval] * price.every * number
    first = datetime.fromtimestamp(anchor, UTC)
    year, month = divmod(first.year * 12 + first.month - 1 + MONTHS[price.interval] * price.every * number, 12)
    day = min(first.day, calendar.monthrange(year, month + 1)[1])
    return int(first.replace(year=year, month=month + 1, day=day).timestamp())


def cycle(anchor: int, price: Price, at: int) -> tuple[int, int]:
    """The whole period in which an instant lies, counted from the anchor."""
    days = 31 if at >= anchor else 28  # so that the first guess is not too late
    length = SECONDS.get(price.interval) or MONTHS[price.interval] * days * 86_400
    number = (at - anchor) // (length * price.every) - 1
    while boundary(anchor, price, number + 1) <= at:
        number += 1
    return boundary(anchor, price, number), boundary(anchor, price, number + 1)


# ---- A change ----


def simulate(facts: Facts, wish: Wish) -> Outcome:
    """What the change credits and charges, and what its next renewal charges."""
    after = tuple(
        one._replace(price=wish.price, quantity=wish.quantity) if one.id == wish.item else one for one in facts.items
    )
    item = next(one for one in facts.items if one.id == wish.item)
    changed = (item.price.id, item.quantity) != (wish.price.id, wish.quantity)
    trialing, prorates = facts.status == "trialing", wish.behavior != "none" and facts.status not in QUIET
    if changed and not trialing and _restarts(facts, item, wish):
        credits = _credits(facts, facts.items, wish.at) if prorates else []
        end = boundary(wish.now, wish.price, 1)
        whole = [_whole("period", one, wish.now, end) for one in after if not one.price.metered]
        return Outcome((*credits, *whole), _following(after, wish.now, end, None), True, end)
    lines: list[Line] = []
    if changed and prorates:
        lines = _credits(facts, (item,), wish.at) + _debit(facts, after, wish)
    return Outcome(tuple(lines), _following(after, facts.anchor, facts.end, facts.ends_at), False, facts.end)


def _restarts(facts: Facts, item: Item, wish: Wish) -> bool:
    """Another interval, or from free to paid."""
    if (item.price.interval, item.price.every) != (wish.price.interval, wish.price.every):
        return True
    if any(one.price.metered or rounded(full(one.price, one.quantity)) for one in facts.items):
        return False
    return not wish.price.metered and rounded(full(wish.price, wish.quantity)) > 0


def _credits(facts: Facts, items: Sequence[Item], at: int) -> list[Line]:
    found: list[Line] = []
    for one in items:
        if one.price.metered:
            continue
        if facts.classic:
            if one.debits and at < facts.end:
                net = nets(facts.items, facts.offs, True)[one.id]
                found.append(_part("unused", one, -net, cycle(facts.anchor, one.price, at), (at, facts.end)))
            continue
        for debit in one.debits:
            if debit.amount and max(at, debit.start) < debit.end:
                span = (max(at, debit.start), debit.end)
                line = _part("unused", one, Fraction(-debit.amount), (debit.start, debit.end), span)
                found.append(line._replace(formula=f"{line.formula}; debited by {debit.source}"))
    return [line for line in found if line.amount]


def _debit(facts: Facts, after: Sequence[Item], wish: Wish) -> list[Line]:
    one = next(one for one in after if one.id == wish.item)
    if one.price.metered or wish.at >= facts.end:
        return []
    net = nets(after, facts.offs, facts.classic)[one.id]
    return [_part("remaining", one, net, cycle(facts.anchor, one.price, wish.at), (wish.at, facts.end))]


def _part(
    kind: Literal["unused", "remaining"], item: Item, amount: Fraction, whole: tuple[int, int], part: tuple[int, int]
) -> Line:
    """`amount` for `whole`, of which `part` counts."""
    exact = share(amount, whole, part)
    return Line(kind, item.id, item.price.id, item.quantity, *part, rounded(exact), formula(amount, whole, part))


def share(amount: Fraction, whole: tuple[int, int], part: tuple[int, int]) -> Fraction:
    return amount * Fraction(part[1] - part[0], whole[1] - whole[0])


def formula(amount: Fraction, whole: tuple[int, int], part: tuple[int, int]) -> str:
    """The arithmetic of a line in words: `2000 x 1296000 s of 2592000 s = 1000`."""
    exact = share(amount, whole, part)
    return f"{plain(amount)} x {part[1] - part[0]} s of {whole[1] - whole[0]} s = {plain(exact)}"


def plain(exact: Fraction) -> str:
    """Minor units with at most four digits behind the point, for showing."""
    scaled = rounded(exact * 10_000)
    whole, rest = divmod(abs(scaled), 10_000)
    return ("-" if scaled < 0 else "") + f"{whole}.{rest:04d}".rstrip("0").rstrip(".")


def _whole(kind: Literal["period", "next period"], item: Item, start: int, end: int) -> Line:
    exact = full(item.price, item.quantity)
    words = f"{item.quantity} x {item.price.id} = {plain(exact)}"
    return Line(kind, item.id, item.price.id, item.quantity, start, end, rounded(exact), words)


def _following(after: Sequence[Item], anchor: int, end: int, ends_at: int | None) -> tuple[Line, ...]:
    """Gross: an invoice takes its discounts off the sum. What is metered is billed when it was used."""
    if ends_at is not None and ends_at <= end:
        return ()
    return tuple(
        _whole("next period", one, end, cycle(anchor, one.price, end)[1]) for one in after if not one.price.metered
    )
