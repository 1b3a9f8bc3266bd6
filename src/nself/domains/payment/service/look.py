"""Objects as Stripe has them now, or as the mirror has them; whose they are; wishes under a name that was given."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple

from nself.app import App
from nself.core.errors import ExclusiveParameters
from nself.db.connect import Tx
from nself.domains.connection.model import Snapshot, Wish
from nself.domains.connection.rules import part
from nself.domains.connection.service import change
from nself.domains.customer import service as customers
from nself.domains.mirror import service as mirror
from nself.domains.mirror.model import Picture
from nself.domains.payment import rules
from nself.domains.payment.errors import NoCustomerYet
from nself.gateway.answers import no_such, recorded
from nself.gateway.errors import CardDeclined, IdempotencyMismatch, NoAnswer, StripeDown, StripeFailure

SOURCE = "payment"


def fresh(app: App, kind: str, id: str) -> Snapshot:
    """The object as Stripe has it now; from here on the mirror has it too. Raises NoSuchObject, the gateway's errors."""
    picture = mirror.fetch(app, kind, id, SOURCE)
    if picture.snapshot.get("deleted"):
        with app.db.reading() as tx:
            known = mirror.known(tx, kind, id)
        if known:
            mirror.in_order(app, picture, lambda tx, one: mirror.accept(app, tx, one) and None)
        raise no_such(kind, id[:100])

    def work(tx: Tx, one: Picture) -> Snapshot:
        mirror.accept(app, tx, one)
        return one.snapshot

    return mirror.in_order(app, picture, work)


def renew(app: App, kind: str, id: str | None) -> None:
    """Have the mirror show what became of an object; where Stripe does not answer, its webhook will."""
    if id:
        with suppress(StripeFailure):
            fresh(app, kind, id)


def stored(app: App, kind: str, id: str) -> Snapshot | None:
    """The object as the mirror has it."""
    found = mirror.latest(app, kind, id)
    return found.snapshot if found else None


def sent_back(app: App, refunds: Iterable[str]) -> set[str]:
    """Those of refunds that reached nobody, as far as the mirror knows."""
    with app.db.reading() as tx:
        known = mirror.stored(tx, "refund", list(refunds))
    return {id for id, one in known.items() if one.snapshot.get("status") in rules.SENT_BACK}


def for_payment(app: App, kind: str, id: str) -> Snapshot:
    """As Stripe has it now; as the mirror has it where payments wait in the queue, or Stripe does not answer.

    So a payment is recorded also while Stripe is away, and made later. Raises as `fresh`.
    """
    known = stored(app, kind, id)
    if known and app.settings.flag("BILLING_QUEUE_PAYMENTS"):
        return known
    try:
        return fresh(app, kind, id)
    except (NoAnswer, StripeDown):
        if known is None:
            raise
        return known


def customer_id(app: App, customer: str | None, user: str | None) -> str | None:
    """The customer that a command is about. Raises ExclusiveParameters, NoSuchUser, NoCustomerYet."""
    if user is None:
        return customer
    if customer is not None:
        raise ExclusiveParameters("customer", "user")
    customers.require_user(app, user)
    with app.db.reading() as tx:
        found = customers.customers_of(tx, [user], app.settings.live).get(user)
    if found is None:
        raise NoCustomerYet(user=user)
    return found


class Standing(NamedTuple):
    """An operation that may be driven. `created` is false where it was wished for before."""

    operation: str
    created: bool


def wish_once(app: App, tx: Tx, wish: Wish, request: str) -> Standing:
    """Step: record a wish under a name that whoever asks has given; the same request again is the same wish.

    `request` tells what was asked for; it is in the parameters' metadata as well. What was declined stays so under this
    name, as at Stripe. Raises IdempotencyMismatch where the name was given to something else, CardDeclined.
    """
    livemode = app.settings.live
    mirror.lock(tx, "operation", [wish.operation])
    before = change.earlier(tx, wish.operation, livemode)
    if before is not None:
        same = part(part(before.params, "params"), "metadata").get("nself_request") == request
        refused = recorded(before.failure) if before.failure else None
        if before.state != "failed" or isinstance(refused, CardDeclined):
            if not same:
                raise IdempotencyMismatch
            if refused and before.state == "failed":
                raise refused
            return Standing(wish.operation, created=False)
    change.plan(tx, wish, livemode)
    return Standing(wish.operation, created=True)
