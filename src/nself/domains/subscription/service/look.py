"""A subscription as Stripe has it now, with all that its prorations follow from."""

from __future__ import annotations

from typing import Any, cast

from nself.app import App
from nself.domains.connection.rules import items, part
from nself.domains.customer import service as customer
from nself.domains.mirror import service as mirror
from nself.domains.mirror.model import Picture, Snapshot
from nself.domains.subscription import facts, rules
from nself.domains.subscription.errors import Canceled, NoSuchSubscription, WhichItem
from nself.domains.subscription.model import Done
from nself.domains.subscription.prorations import Facts, Off, Price

SINCE = 86_400
"""Seconds before a period's begin from which on invoices are read: a renewal's is made when it begins."""


def fresh(app: App, id: str, source: str) -> Snapshot:
    """Fetched, and stored. Raises NoSuchSubscription, the gateway's errors."""
    picture = mirror.fetch(app, "subscription", id, source)
    if picture.snapshot.get("deleted"):
        raise NoSuchSubscription(subscription=id[:100])
    keep(app, picture)
    return stored(app, id)


def keep(app: App, picture: Picture) -> None:
    mirror.in_order(app, picture, lambda tx, picture: mirror.accept(app, tx, picture) and None)


def stored(app: App, id: str) -> Snapshot:
    """As the mirror has it: nobody has looked later."""
    with app.db.reading() as tx:
        return mirror.stored(tx, "subscription", [id])[id].snapshot


def running(snapshot: Snapshot) -> Snapshot:
    """Raises Canceled."""
    if snapshot["status"] in rules.ENDED:
        raise canceled(snapshot)
    return snapshot


def canceled(snapshot: Snapshot) -> Canceled:
    price = next(iter(facts.prices(snapshot)), "price_123")
    return Canceled(
        subscription=snapshot["id"], status=snapshot["status"], customer=snapshot["customer"], price=price
    )  # fmt: skip


def item_of(snapshot: Snapshot, given: str | None) -> Snapshot:
    """The item that a change is about. Raises WhichItem."""
    every = items(snapshot, "items")
    found = [one for one in every if given in (None, one["id"])]
    if len(found) != 1:
        words = "not this one" if given else "not one"
        names = ", ".join(one["id"] for one in every)
        raise WhichItem(subscription=snapshot["id"], count=len(every), given=words, items=names)
    return found[0]


def price(app: App, id: str) -> Price:
    """With its tiers. Raises NoSuchPrice."""
    return facts.price(app.stripe.look_up("price", id))


def gather(app: App, snapshot: Snapshot) -> Facts:
    """Raises the gateway's errors."""
    every = items(snapshot, "items")
    known = {
        one["price"]["id"]: price(app, one["price"]["id"])
        if one["price"].get("billing_scheme") == "tiered"
        else facts.price(one["price"])
        for one in every
    }
    begin = min(one["current_period_start"] for one in every)
    return facts.facts(
        snapshot, known, _lines(app, snapshot["id"], begin - SINCE), pending(app, snapshot), _offs(app, snapshot)
    )


def _lines(app: App, id: str, since: int) -> list[Snapshot]:
    """Of the subscription's invoices, oldest first."""
    found = list(app.stripe.listed("invoices", subscription=id, created={"gte": since}))[::-1]
    whole = [app.stripe.fetch("invoice", one["id"]) if part(one, "lines").get("has_more") else one for one in found]
    return [line | {"invoice": one["id"]} for one in whole for line in items(one, "lines")]


def pending(app: App, snapshot: Snapshot) -> list[Snapshot]:
    """The subscription's items that wait for its next invoice, oldest first."""
    found = list(app.stripe.listed("invoiceitems", customer=snapshot["customer"], pending=True))[::-1]
    return [one for one in found if facts.line_details(one).get("subscription") == snapshot["id"]]


def _offs(app: App, snapshot: Snapshot) -> list[Off]:
    """The discounts that run: the items' and the subscription's own, else the customer's."""
    given: list[tuple[Snapshot, str | None]] = []
    if snapshot.get("discounts") or any(one.get("discounts") for one in items(snapshot, "items")):
        told = app.stripe.retrieve("subscriptions", snapshot["id"], "discounts", "items.data.discounts")
        for one in items(told, "items"):
            given += [(discount, one["id"]) for discount in cast("list[Snapshot]", one.get("discounts") or [])]
        given += [(discount, None) for discount in told["discounts"]]
    if not any(item is None for _, item in given):
        general = part(app.stripe.fetch("customer", snapshot["customer"]), "discount")
        given += [(general, None)] if general else []
    found = [facts.off(_coupon(app, discount), item) for discount, item in given]
    return [one for one in found if one]


def _coupon(app: App, discount: Snapshot) -> Snapshot:
    return app.stripe.retrieve("coupons", str(part(discount, "source")["coupon"]), "applies_to")


def done(app: App, id: str, changed: bool, note: str, **more: Any) -> Done:
    """What became of a subscription, from the mirror."""
    snapshot = stored(app, id)
    with app.db.reading() as tx:
        user = customer.users_of(tx, [snapshot["customer"]]).get(snapshot["customer"])
    return rules.done(snapshot, user, changed, note, **more)
