"""Root causes of issue 4.2: drafts with lines that are not what they should be. What is known here is asked, not Stripe."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple

from nself.app import App
from nself.core.money import Money
from nself.core.period import Period
from nself.diagnosis import Cause, Evidence, Look
from nself.domains.connection.model import Snapshot
from nself.domains.connection.rules import items, part
from nself.domains.invoice import formulas, rating, store
from nself.domains.invoice.service import assess, changes, late, prorations
from nself.domains.mirror import service as mirror

MOST = 50
"""Newest drafts whose lines are worked out again."""
Found = tuple[Snapshot, Snapshot, str]
"""A draft, its line, what is wrong with it."""


class Drafts(NamedTuple):
    """With the prices of their lines, and by customer and product the prices that are subscribed to."""

    drafts: list[Snapshot]
    prices: dict[str, Snapshot]
    subscribed: dict[tuple[str, str], set[str]]


def standing(app: App) -> Drafts:
    """The newest drafts."""
    subscribed = defaultdict[tuple[str, str], set[str]](set)
    with app.db.reading() as tx:
        drafts = store.drafts(tx, app.settings.live, MOST)
        ids = {id for draft in drafts for line in items(draft, "lines") if (id := _price(line))}
        prices = {id: one.snapshot for id, one in mirror.stored(tx, "price", sorted(ids)).items() if not one.deleted}
        for customer, product, price in store.prices_subscribed(tx, sorted({draft["customer"] for draft in drafts})):
            subscribed[customer, product].add(price)
    return Drafts(drafts, prices, subscribed)


def _price(line: Snapshot) -> str | None:
    return part(part(line, "pricing"), "price_details").get("price") or part(line, "metadata").get("nself_price")


def _evidence(look: Look, found: list[Found], sure: bool) -> Evidence | None:
    """Of the first; a line that hands changed is the work of hands."""
    touched = {(one.invoice, one.line) for one in look.once(changes.by_hand)}
    found = [one for one in found if (one[0]["id"], one[1]["id"]) not in touched]
    if not found:
        return None
    draft, line, wrong = found[0]
    text = f"draft {draft['id']}: line {line['id']} {wrong}" + (f"; {len(found) - 1} more lines" if found[1:] else "")
    return Evidence(text, {"invoice": draft["id"], "line": line["id"]}, "certain" if sure else "likely")


def wrong_price(look: Look) -> Evidence | None:
    known = look.once(standing)
    found = list(_unlike(known))
    return _evidence(look, found, sure=True) if found else _evidence(look, list(_not_subscribed(known)), sure=False)


def _items(known: Drafts) -> Iterator[tuple[Snapshot, Snapshot, Snapshot]]:
    """Drafts, lines that are items, their prices."""
    for draft in known.drafts:
        for line in items(draft, "lines"):
            price = known.prices.get(_price(line) or "")
            if price and price["currency"] == line["currency"] and formulas.kind(line) == "item":
                yield draft, line, price


def _unlike(known: Drafts) -> Iterator[Found]:
    for draft, line, price in _items(known):
        metadata = part(line, "metadata")
        quantity = metadata.get("nself_quantity") or line.get("quantity_decimal") or line.get("quantity") or 0
        owed = Money(rating.amount(price, Decimal(str(quantity))), price["currency"])
        if owed.minor != line["amount"]:
            stands = Money(line["amount"], line["currency"])
            yield draft, line, f"asks for {stands} by {price['id']}, which makes {owed} of {quantity}"


def _not_subscribed(known: Drafts) -> Iterator[Found]:
    """A period of a plan that the customer has at another price."""
    for draft, line, price in _items(known):
        paid = known.subscribed.get((draft["customer"], price["product"]), set())
        if part(price, "recurring") and paid and price["id"] not in paid:
            stands = Money(line["amount"], line["currency"])
            yield (
                draft,
                line,
                f"asks for {stands} by {price['id']}, {draft['customer']} subscribes to {', '.join(sorted(paid))}",
            )


def not_counted(look: Look) -> Evidence | None:
    app = look.app
    with app.db.reading() as tx:
        drafts = store.drafts_of_usage(tx, app.settings.live, MOST)
        for one in drafts:
            missing = late.owed(app, tx, one.user, Period(one.period_start, one.period_end), one.currency)
            if missing:
                month, line = assess.month(app, one.period_start), missing[0]
                text = (
                    f"draft {one.invoice} lacks {Money(line.amount_minor, one.currency)} for {line.metric} of {one.user} in {month}: "
                    f"{line.used} used by now"
                )
                return Evidence(text, {"invoice": one.invoice, "user": one.user, "period": month})
    return None


def wrong_proration(look: Look) -> Evidence | None:
    known = look.once(standing)
    return _evidence(look, list(_prorated(look.app, known)), sure=True)


def _prorated(app: App, known: Drafts) -> Iterator[Found]:
    """Debits alone: what a credit takes back may stand on an invoice that only Stripe has."""
    for draft in known.drafts:
        for line in items(draft, "lines"):
            price = known.prices.get(_price(line) or "")
            if (
                not price
                or price["currency"] != line["currency"]
                or line["amount"] <= 0
                or formulas.kind(line) != "proration"
            ):
                continue
            whole = rating.amount(price, Decimal(str(line.get("quantity_decimal") or line.get("quantity") or 0)))
            owed, how = prorations.amount(app, draft, line, whole)
            if owed != line["amount"]:
                stands, right = Money(line["amount"], line["currency"]), Money(owed, line["currency"])
                yield draft, line, f"asks for {stands} where {right} is the share: {how}"


def by_hand(look: Look) -> Evidence | None:
    found = look.once(changes.by_hand)
    if not found:
        return None
    one, more = found[0], f"; {len(found) - 1} more lines" if found[1:] else ""
    text = f"draft {one.invoice}: line {one.line} was changed at Stripe from {one.before} to {one.after} ({one.source}){more}"
    return Evidence(text, {"invoice": one.invoice, "line": one.line}, "likely")


AGAIN = (
    "nself billing invoice remove-item {invoice} --line-item {line}",
    "nself billing invoice add-item {invoice} --price price_correct --quantity 5",
)
CAUSES = (
    Cause(
        id="4.2.1",
        title="Wrong price attached",
        detect=wrong_price,
        explain=(
            "A line of a draft names a price that does not make its amount, or bills a period of a plan at a price which the "
            "customer does not subscribe to. Nobody changed the line after it was made, which would be 4.2.4, and it is no "
            "share of a period, which would be 4.2.3."
        ),
        mend=AGAIN,
    ),
    Cause(
        id="4.2.2",
        title="Metered billing not aggregated",
        detect=not_counted,
        explain=(
            "Usage of a period was counted after the lines of a draft for that period had been made, so expected charges are "
            "missing on it. The lines that stand are right; `invoice update` adds the rest. Once the invoice is final, "
            "`invoice generate` bills the rest on another one."
        ),
        mend=(
            "nself billing usage recalculate --user {user} --period {period}",
            "nself billing invoice update {invoice}",
        ),
        itself=True,
    ),
    Cause(
        id="4.2.3",
        title="Proration errors",
        detect=wrong_proration,
        explain=(
            "A line charges another share of a subscription's period than the seconds that it is for. It was worked out again "
            "from price and period, to the second. Issue 3.3 tells why prorations of a subscription go wrong; this is about a "
            "line that stands on a draft and can be replaced."
        ),
        mend=AGAIN,
    ),
    Cause(
        id="4.2.4",
        title="Manual adjustments",
        detect=by_hand,
        explain=(
            "Somebody changed the amount of a line of a draft at Stripe, in the Dashboard or by another program, while nself "
            "knew the draft. An item that was made there from the beginning is no finding: it may be meant."
        ),
        mend=AGAIN,
    ),
)
