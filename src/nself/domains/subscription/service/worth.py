"""What the licensed items of a subscription cost for a whole period, less the discounts that run at an instant."""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple, cast

from nself.app import App
from nself.domains.connection.model import Snapshot
from nself.domains.connection.rules import items, part
from nself.domains.subscription import facts
from nself.domains.subscription.prorations import Item, Off, Price, full, nets
from nself.domains.subscription.service import look
from nself.gateway.errors import NoSuchObject

Coupons = dict[str, Snapshot | None]
"""What was asked of Stripe already; None where it is gone."""


class Worth(NamedTuple):
    """Exact minor units for `every` intervals: `amount` by the price, `net` less the discounts."""

    item: str
    price: str
    quantity: int
    interval: str
    every: int
    amount: Fraction
    net: Fraction


class Running(NamedTuple):
    """A discount from `start` until `end`."""

    off: Off
    start: int
    end: int | None

    def runs(self, at: int) -> bool:
        return self.start <= at and (self.end is None or at < self.end)


class Terms(NamedTuple):
    """`general` is the customer's discount, which holds while the subscription has none; `doubt` what is not known."""

    items: tuple[Item, ...]
    own: tuple[Running, ...]
    general: tuple[Running, ...]
    classic: bool
    doubt: str | None

    @property
    def turns(self) -> set[int]:
        """Instants from which on other discounts run."""
        return {at for one in (*self.own, *self.general) for at in (one.start, one.end) if at is not None}

    def at(self, instant: int) -> list[Worth]:
        running = [one.off for one in self.own if one.runs(instant)]
        if all(off.item is not None for off in running):
            running += [one.off for one in self.general if one.runs(instant)]
        left = nets(self.items, running, self.classic)
        return [
            Worth(
                one.id,
                one.price.id,
                one.quantity,
                one.price.interval,
                one.price.every,
                full(one.price, one.quantity),
                left[one.id],
            )
            for one in self.items
            if one.id in left
        ]


def terms(app: App, snapshot: Snapshot, general: Snapshot, coupons: Coupons) -> Terms:
    """Asks Stripe for coupons and tiers alone. Raises the gateway's errors."""
    doubts: list[str] = []
    every = items(snapshot, "items")
    found: list[Running] = []
    for discount, item in _discounts(app, snapshot):
        found += _running(app, discount, item, snapshot["currency"], coupons, doubts)
    shared = _running(app, general, None, snapshot["currency"], coupons, doubts) if general else []
    doubts += [
        f"price {one['price']['id']} is in {one['price']['currency']}"
        for one in every
        if one["price"]["currency"] != snapshot["currency"]
    ]
    return Terms(
        items=tuple(Item(one["id"], _price(app, one["price"]), one.get("quantity") or 0) for one in every),
        own=tuple(found),
        general=tuple(shared),
        classic=part(snapshot, "billing_mode").get("type") == "classic",
        doubt=", ".join(doubts) or None,
    )


def _price(app: App, snapshot: Snapshot) -> Price:
    tiered = snapshot.get("billing_scheme") == "tiered"
    return look.price(app, snapshot["id"]) if tiered else facts.price(snapshot)


def _discounts(app: App, snapshot: Snapshot) -> list[tuple[Snapshot, str | None]]:
    """The subscription's own and its items', of those that the snapshot names, as Stripe says now what they are."""
    given = {*_ids(snapshot), *(id for one in items(snapshot, "items") for id in _ids(one))}
    if not given:
        return []
    told = app.stripe.retrieve("subscriptions", snapshot["id"], "discounts", "items.data.discounts")
    found = [(one, item["id"]) for item in items(told, "items") for one in cast("list[Snapshot]", item["discounts"])]
    found += [(one, None) for one in cast("list[Snapshot]", told["discounts"])]
    return [(one, item) for one, item in found if one["id"] in given]


def _ids(snapshot: Snapshot) -> list[str]:
    return cast("list[str]", snapshot.get("discounts") or [])


def _running(
    app: App, discount: Snapshot, item: str | None, currency: str, coupons: Coupons, doubts: list[str]
) -> list[Running]:  # fmt: skip
    """None of a coupon that is for one invoice, or an amount in another currency."""
    id = str(part(discount, "source")["coupon"])
    if id not in coupons:
        coupons[id] = _coupon(app, id)
    coupon = coupons[id]
    if coupon is None:
        doubts.append(f"coupon {id} is gone: counted without it")
        return []
    off = facts.off(coupon, item)
    if off is None or (off.amount is not None and coupon.get("currency") != currency):
        return []
    return [Running(off, discount["start"], discount.get("end"))]


def _coupon(app: App, id: str) -> Snapshot | None:
    try:
        return app.stripe.retrieve("coupons", id, "applies_to")
    except NoSuchObject:
        return None
