"""Pure: a change as we calculate it beside Stripe's preview of it, line by line."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from fractions import Fraction
from typing import NamedTuple

from nself.domains.mirror.model import Snapshot
from nself.domains.subscription import facts, prorations
from nself.domains.subscription.model import ComparedLine
from nself.domains.subscription.prorations import Facts, Item, Line, Outcome, Price, Wish

UNEXPECTED = "Stripe has a line that we do not expect"


class Compared(NamedTuple):
    """`ours` and `theirs` are what the change costs; `reason` says why they differ, empty where they do not."""

    lines: list[ComparedLine]
    ours: int
    theirs: int
    reason: str


def compare(
    outcome: Outcome, given: Sequence[Snapshot], wish: Wish, waiting: Collection[str], at_once: bool
) -> Compared:  # fmt: skip
    """`given` are the lines of the invoice that Stripe previews: the one that is made at once, else the renewal's.

    `waiting` are the ids of the items that were pending before the change; `at_once` tells which invoice it is.
    """
    earlier = [one for one in given if facts.line_details(one).get("invoice_item") in waiting]
    left = [one for one in given if one not in earlier]
    found: list[ComparedLine] = []
    ours, theirs = 0, 0
    for line in (*outcome.lines, *(() if at_once else outcome.following)):
        match = _match(line, left)
        if match is not None:
            left.remove(match)
        their = None if match is None else int(match["amount"])
        reason = _reason(line.amount, their)
        found.append(_row(line.kind, line, match, (line.amount, their), wish.price.currency, reason))
        if line.kind != "next period":
            ours, theirs = ours + line.amount, theirs + (their or 0)
    for one in [*left, *earlier]:
        of_change, their = one not in earlier and _is_of_change(one, wish), int(one["amount"])
        theirs += their if of_change else 0
        reason = UNEXPECTED if of_change and their else "" if of_change else _other(one)
        found.append(
            _row(_kind(one), None, one, (0, their) if of_change else (None, their), wish.price.currency, reason)
        )
    reasons = [one.reason for one in found if one.difference_minor]
    return Compared(found, ours, theirs, "; ".join(dict.fromkeys(reasons)) if ours != theirs else "")


def _match(line: Line, given: Iterable[Snapshot]) -> Snapshot | None:
    """The line of the same kind and price, of the same amount before others; of a proration of the same time.

    A period that begins with the change begins by Stripe's clock.
    """
    same = [one for one in given if (_kind(one), facts.price_of_line(one)) == (_kind_of(line), line.price)]
    if line.kind in ("unused", "remaining"):
        same = [one for one in same if (one["period"]["start"], one["period"]["end"]) == (line.start, line.end)]
    return next((one for one in same if one["amount"] == line.amount), next(iter(same), None))


def _kind(one: Snapshot) -> str:
    if not facts.line_details(one).get("proration"):
        return "period"
    return "unused" if one["amount"] < 0 else "remaining"


def _kind_of(line: Line) -> str:
    return "period" if line.kind == "next period" else line.kind


def _is_of_change(one: Snapshot, wish: Wish) -> bool:
    """A proration as of the date that was asked for."""
    return bool(facts.line_details(one).get("proration")) and one["period"]["start"] == wish.at


def _other(one: Snapshot) -> str:
    if facts.line_details(one).get("proration"):
        return "a proration of an earlier change, which waits for this invoice"
    if not facts.line_details(one).get("subscription_item"):
        return "an item that waits for this invoice"
    return "usage, or a period that the change does not touch"


def _reason(ours: int, theirs: int | None) -> str:
    if theirs is None:
        return "Stripe has no such line" if ours else ""
    if ours == theirs:
        return ""
    if abs(ours - theirs) == 1:
        return "half a minor unit is rounded the other way"
    return "Stripe counts with other discounts, debits or an amount that was changed by hand"


def _row(
    kind: str, line: Line | None, match: Snapshot | None, amounts: tuple[int | None, int | None], currency: str, reason: str
) -> ComparedLine:  # fmt: skip
    """`amounts` are ours and Stripe's; ours is None for what is none of the change's business."""
    ours, theirs = amounts
    difference = 0 if ours is None else ours - (theirs or 0)
    start, end = _span(line, match)
    price = line.price if line else facts.price_of_line(match or {})
    return ComparedLine(
        kind=kind,
        price=price,
        quantity=line.quantity if line else (match or {}).get("quantity"),
        start=datetime.fromtimestamp(start, UTC),
        end=datetime.fromtimestamp(end, UTC),
        ours_minor=ours,
        stripe_minor=theirs,
        difference_minor=difference,
        currency=currency,
        reason=reason,
    )


def _span(line: Line | None, match: Snapshot | None) -> tuple[int, int]:
    if line:
        return line.start, line.end
    assert match
    return match["period"]["start"], match["period"]["end"]


class Explained(NamedTuple):
    """What a proration should be, None where that cannot be told, and its arithmetic."""

    expected: int | None
    arithmetic: str


def explained(line: Snapshot, around: Sequence[Snapshot], known: Facts, price: Price) -> Explained:
    """A line or pending item that is a proration; `around` are all lines and pending items of the subscription."""
    span = (line["period"]["start"], line["period"]["end"])
    debited = _debited(line, around)
    if debited is not None:
        whole = (debited["period"]["start"], debited["period"]["end"])
        return _explained(-facts.net(debited), whole, span, f"; debited by {debited.get('invoice') or debited['id']}")
    item = Item(str(facts.line_details(line).get("subscription_item")), price, int(line.get("quantity") or 0))
    whole = _whole(item, span, around, known.anchor)
    if whole is None:
        return Explained(None, "the period that it is a part of is not known here")
    others = [one for one in known.items if one.id != item.id]
    amount = prorations.nets([*others, item], known.offs, known.classic)[item.id]
    words = f"; {item.quantity} x {price.id}" + (", less discounts" if known.offs else "")
    return _explained(-amount if line["amount"] < 0 else amount, whole, span, words)


def missing(line: Snapshot, began: int) -> tuple[tuple[int, int], Explained]:
    """What a line of which the time is free since a trial `began` should be credited, and for when."""
    whole = (line["period"]["start"], line["period"]["end"])
    span = (max(whole[0], began), whole[1])
    source = line.get("invoice") or line["id"]
    return span, _explained(-facts.net(line), whole, span, f"; debited by {source}, free since a trial began")


def _explained(amount: int | Fraction, whole: tuple[int, int], span: tuple[int, int], words: str) -> Explained:
    exact = prorations.share(Fraction(amount), whole, span)
    return Explained(prorations.rounded(exact), prorations.formula(Fraction(amount), whole, span) + words)


def _debited(line: Snapshot, around: Sequence[Snapshot]) -> Snapshot | None:
    """The one line that a credit is for, where it names it."""
    credited = facts.line_details(line)["credited"]
    found = [one for one in around if one["id"] in credited]
    return found[0] if len(found) == 1 else None


def _whole(item: Item, span: tuple[int, int], around: Sequence[Snapshot], anchor: int) -> tuple[int, int] | None:
    """By the anchor, or where that has moved since, of the line that charged the period in advance."""
    by_anchor = prorations.cycle(anchor, item.price, span[0])
    if by_anchor[1] == span[1]:
        return by_anchor
    for one in around:
        details = facts.line_details(one)
        period = (one["period"]["start"], one["period"]["end"])
        mine = details.get("subscription_item") == item.id and not details.get("proration")
        if mine and period[0] <= span[0] and period[1] == span[1]:
            return period
    return None
