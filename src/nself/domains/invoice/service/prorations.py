"""What part of a period's price a subscription's line is, to the second."""

from __future__ import annotations

from typing import cast

from nself.app import App
from nself.core.money import Money
from nself.domains.connection.model import Snapshot
from nself.domains.connection.rules import items, part
from nself.domains.invoice import rating
from nself.domains.invoice.service import current
from nself.domains.mirror import service as mirror
from nself.gateway.errors import NoSuchObject


def of_period(app: App, line: Snapshot, price: Snapshot, whole: int, times: str) -> tuple[int, str]:
    """A period in advance: all of it, the seconds of a shorter one, nothing in a trial."""
    start, end = line["period"]["start"], line["period"]["end"]
    subscription = _subscription(app, line)
    trial = (subscription or {}).get("trial_start"), (subscription or {}).get("trial_end")
    if trial[0] and trial[1] and trial[0] <= start and end <= trial[1]:
        return 0, "a trial costs nothing"
    first, last = _around(subscription, price, start) or (start, end)
    if (first, last) == (start, end):
        return whole, times
    return rating.share(whole, end - start, last - first), f"{times}, {end - start} of {last - first} seconds"


def _subscription(app: App, line: Snapshot) -> Snapshot | None:
    """As the mirror has it, else as Stripe has it; None where it is gone."""
    id = part(part(line, "parent"), "subscription_item_details").get("subscription")
    if not id:
        return None
    with app.db.reading() as tx:
        stored = mirror.stored(tx, "subscription", [id]).get(id)
    if stored:
        return stored.snapshot
    try:
        return current.fetched(app, "subscription", id)
    except NoSuchObject:
        return None


def _around(subscription: Snapshot | None, price: Snapshot, at: int) -> tuple[int, int] | None:
    """The whole period in which an instant lies, counted from the subscription's anchor."""
    recurring = part(price, "recurring")
    if subscription is None or not recurring:
        return None
    anchor = subscription["billing_cycle_anchor"]
    return rating.period_around(anchor, recurring["interval"], recurring["interval_count"], at)


def amount(app: App, invoice: Snapshot, line: Snapshot, whole: int) -> tuple[int, str]:
    """A credit for unused time takes back what was debited; a debit is the rest of the period at the new price.

    Where several debits may be meant, the one that gives the amount is.
    """
    found = [*_of_debits(app, invoice, line), *_of_price(app, line, whole)]
    if not found:
        return line["amount"], "the line that it takes back is not known here: nothing to work it out from"
    return next((one for one in found if one[0] == line["amount"]), found[0])


def _of_debits(app: App, invoice: Snapshot, line: Snapshot) -> list[tuple[int, str]]:
    """The named lines' seconds that were not used, or those of a debit beside it for the same item."""
    if line["amount"] > 0:
        return []
    details = part(part(line, "parent"), "subscription_item_details")
    named = part(part(part(details, "proration_details"), "credited_items"), "invoice_line_item_details") or part(
        part(details, "proration_details"), "credited_items"
    )
    debits: list[Snapshot] = []
    if named.get("invoice"):
        other = current.refresh(app, named["invoice"]) if named["invoice"] != invoice["id"] else invoice
        debits = [one for one in items(other, "lines") if one["id"] in named["invoice_line_items"]]
    item = details.get("subscription_item")
    debits += [
        one
        for one in items(invoice, "lines")
        if one["amount"] > 0 and part(part(one, "parent"), "subscription_item_details").get("subscription_item") == item
    ]
    return [found for debit in debits if (found := _taken_back(line, debit))]


def _taken_back(line: Snapshot, debit: Snapshot) -> tuple[int, str] | None:
    start, end = line["period"]["start"], line["period"]["end"]
    of_start, of_end = debit["period"]["start"], debit["period"]["end"]
    if end != of_end or start < of_start or of_start == of_end:
        return None
    net = debit["amount"] - sum(one["amount"] for one in cast("list[Snapshot]", debit.get("discount_amounts") or []))
    how = f"{Money(net, line['currency'])} of {debit['id']}, {end - start} of {of_end - of_start} seconds unused"
    return -rating.share(net, end - start, of_end - of_start), how


def _of_price(app: App, line: Snapshot, whole: int) -> list[tuple[int, str]]:
    start, end = line["period"]["start"], line["period"]["end"]
    price = part(part(line, "pricing"), "price_details").get("price")
    with app.db.reading() as tx:
        stored = mirror.stored(tx, "price", [price]).get(price) if price else None
    around = _around(_subscription(app, line), stored.snapshot, start) if stored else None
    if around is None:
        return []
    sign, span = (-1 if line["amount"] < 0 else 1), around[1] - around[0]
    how = f"{Money(whole, line['currency'])} for the period, {end - start} of {span} seconds"
    return [(sign * rating.share(whole, end - start, span), how)]
