"""What may happen in a history: deeds at Stripe, deliveries, work and trouble. Each is data, so that hypothesis shrinks it.

Numbers choose among what is there (`choose`); a deed that finds nothing to choose from, or that Stripe refuses, does nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from nself.domains.customer.inputs import CreateCustomer
from nself.gateway.kinds import KINDS

if TYPE_CHECKING:
    from convergence import Stand

T = TypeVar("T")
CARDS = ("pm_card_visa", "pm_card_chargeCustomerFail", "pm_card_createDispute")
MONTHLY = {"interval": "month"}
DAY = 86_400
TIMES = (2 * 3600, 4 * DAY, 35 * DAY)
MANY = 12
"""Items of a subscription; Stripe shows the first ten."""


class Nothing(Exception):
    """There is none to be chosen."""


@dataclass(frozen=True)
class Deed:
    """Something that happens."""

    def do(self, stand: Stand) -> None:
        raise NotImplementedError


def choose(things: Sequence[T], number: int) -> T:
    if not things:
        raise Nothing
    return things[number % len(things)]


@dataclass(frozen=True)
class NewCustomer(Deed):
    card: int

    def do(self, stand: Stand) -> None:
        card = CARDS[self.card]
        stand.wire.post("/v1/customers", payment_method=card, invoice_settings={"default_payment_method": card})


@dataclass(frozen=True)
class OwnCustomer(Deed):
    """Made by the product, for a user."""

    card: int

    def do(self, stand: Stand) -> None:
        user = stand.new_user()
        stand.plan(CreateCustomer(user=user, email=f"{user}@example.com", payment_method=CARDS[self.card]))


@dataclass(frozen=True)
class NewPrice(Deed):
    tiered: bool

    def do(self, stand: Stand) -> None:
        cost: dict[str, Any] = {"unit_amount": 700}
        if self.tiered:
            tiers = [{"up_to": 3, "unit_amount": 700}, {"up_to": "inf", "unit_amount": 350}]
            cost = {"billing_scheme": "tiered", "tiers_mode": "graduated", "tiers": tiers}
        stand.wire.post("/v1/prices", currency="usd", recurring=MONTHLY, product_data={"name": "Plan"}, **cost)


@dataclass(frozen=True)
class Subscribe(Deed):
    customer: int
    price: int
    items: int
    trial: bool = False

    def do(self, stand: Stand) -> None:
        prices = [choose(stand.listed("price"), self.price)["id"]]
        if self.items > 1:
            prices += stand.more_prices(self.items - 1)
        stand.wire.post(
            "/v1/subscriptions",
            customer=choose(stand.listed("customer"), self.customer)["id"],
            items=[{"price": price, "quantity": 2} for price in prices],
            **({"trial_period_days": 3} if self.trial else {}),
        )


@dataclass(frozen=True)
class ChangePlan(Deed):
    subscription: int
    how: int

    def do(self, stand: Stand) -> None:
        found = choose(stand.listed("subscription"), self.subscription)
        item, price = found["items"]["data"][0]["id"], choose(stand.listed("price"), self.how)["id"]
        items = ([{"id": item, "quantity": 5}], [{"id": item, "price": price}], [{"price": price}])[self.how % 3]
        stand.wire.post(f"/v1/subscriptions/{found['id']}", items=items)


@dataclass(frozen=True)
class Cancel(Deed):
    subscription: int
    now: bool

    def do(self, stand: Stand) -> None:
        id = choose(stand.listed("subscription"), self.subscription)["id"]
        if self.now:
            stand.wire.delete(f"/v1/subscriptions/{id}")
        else:
            stand.wire.post(f"/v1/subscriptions/{id}", cancel_at_period_end="true")


@dataclass(frozen=True)
class OtherCard(Deed):
    customer: int
    card: int

    def do(self, stand: Stand) -> None:
        id = choose(stand.listed("customer"), self.customer)["id"]
        method = stand.wire.post(f"/v1/payment_methods/{CARDS[self.card]}/attach", customer=id)["id"]
        stand.wire.post(f"/v1/customers/{id}", invoice_settings={"default_payment_method": method})


@dataclass(frozen=True)
class Detach(Deed):
    customer: int

    def do(self, stand: Stand) -> None:
        id = choose(stand.listed("customer"), self.customer)["id"]
        method = choose(stand.wire.listed("payment_method", id), 0)["id"]
        stand.wire.post(f"/v1/payment_methods/{method}/detach")


@dataclass(frozen=True)
class Bill(Deed):
    """An invoice by hand: left a draft, deleted, open, paid, void or uncollectible."""

    customer: int
    end: int
    taxed: bool = False

    def do(self, stand: Stand) -> None:
        of = choose(stand.listed("customer"), self.customer)["id"]
        taxes = {}
        if self.taxed:
            rates = stand.listed("tax_rate") or [stand.wire.post("/v1/tax_rates", display_name="VAT", percentage="20", inclusive="false")]  # fmt: skip
            taxes = {"tax_rates": [rates[0]["id"]]}
        id = stand.wire.post("/v1/invoices", customer=of, auto_advance="false")["id"]
        stand.wire.post("/v1/invoiceitems", customer=of, invoice=id, currency="usd", amount=1000, **taxes)
        steps = ((), ("delete",), ("finalize",), ("finalize", "pay"), ("finalize", "void"), ("finalize", "mark_uncollectible"))  # fmt: skip
        for step in steps[self.end % len(steps)]:
            if step == "delete":
                stand.wire.delete(f"/v1/invoices/{id}")
            else:
                stand.wire.post(f"/v1/invoices/{id}/{step}")


@dataclass(frozen=True)
class Refund(Deed):
    charge: int
    whole: bool

    def do(self, stand: Stand) -> None:
        paid = [one for one in stand.listed("charge") if one["paid"] and not one["refunded"]]
        stand.wire.post("/v1/refunds", charge=choose(paid, self.charge)["id"], **({} if self.whole else {"amount": 30}))


@dataclass(frozen=True)
class Credit(Deed):
    invoice: int

    def do(self, stand: Stand) -> None:
        found = [one for one in stand.listed("invoice") if one["status"] in ("open", "paid") and one["total"] > 40]
        one = choose(found, self.invoice)
        how = {} if one["status"] == "open" else {"credit_amount": 40}
        stand.wire.post("/v1/credit_notes", invoice=one["id"], amount=40, **how)


@dataclass(frozen=True)
class Dispute(Deed):
    """One that stands is answered; else a payment is made that the cardholder disputes."""

    won: bool

    def do(self, stand: Stand) -> None:
        asked = [one for one in stand.listed("dispute") if one["status"] == "needs_response"]
        if asked:
            text = "winning_evidence" if self.won else "losing_evidence"
            stand.wire.post(f"/v1/disputes/{asked[0]['id']}", evidence={"uncategorized_text": text}, submit="true")
        else:
            methods = {"enabled": "true", "allow_redirects": "never"}
            stand.wire.post("/v1/payment_intents", amount=900, currency="usd", confirm="true", payment_method=CARDS[2], automatic_payment_methods=methods)  # fmt: skip


@dataclass(frozen=True)
class Edit(Deed):
    """Changed by hand in the Dashboard; whether Stripe tells."""

    kind: str
    object: int
    told: bool

    def do(self, stand: Stand) -> None:
        id = choose(stand.listed(self.kind), self.object)["id"]
        stand.touch(self.kind, id, self.told)


@dataclass(frozen=True)
class Delete(Deed):
    kind: str
    object: int
    told: bool

    def do(self, stand: Stand) -> None:
        id = choose(stand.listed(self.kind), self.object)["id"]
        if self.told:
            stand.wire.delete(f"/v1/{KINDS[self.kind].collection}/{id}")
        else:
            stand.wire.admin("edit", kind=self.kind, id=id, webhook=False, delete=True)


@dataclass(frozen=True)
class PassTime(Deed):
    """Renewals, finalisations, retries of payments, ends of trials."""

    time: int

    def do(self, stand: Stand) -> None:
        stand.advance(TIMES[self.time])


# Our side


@dataclass(frozen=True)
class Deliver(Deed):
    """These of Stripe's events, counted from the newest, in this order; some were delivered before."""

    events: tuple[int, ...]

    def do(self, stand: Stand) -> None:
        stand.deliver([choose(stand.events(), -1 - back) for back in self.events])


@dataclass(frozen=True)
class DeliverAll(Deed):
    """What was not delivered yet, but each `but`-th, which is late or lost."""

    backwards: bool = False
    but: int = 0
    trouble: Trouble | None = None

    def do(self, stand: Stand) -> None:
        waiting = [one for at, one in enumerate(stand.undelivered(), 1) if not self.but or at % self.but]
        stand.deliver(waiting[::-1] if self.backwards else waiting, self.trouble)


@dataclass(frozen=True)
class LeasesEnd(Deed):
    def do(self, stand: Stand) -> None:
        stand.bench.pass_time()


@dataclass(frozen=True)
class Touch(Deed):
    """What the one who is interrupted is about to store is changed at Stripe."""

    told: bool = True

    def do(self, stand: Stand) -> None:
        kind, id = stand.in_hand()
        if KINDS[kind].of_customer and not (stand.wire.fetched(kind, id) or {}).get("customer"):
            raise Nothing  # one that was detached is listed nowhere; Stripe changes it no more
        stand.touch(kind, id, self.told)


@dataclass(frozen=True)
class Remove(Deed):
    """It is deleted, where Stripe deletes such objects."""

    def do(self, stand: Stand) -> None:
        kind, id = stand.in_hand()
        if kind == "price":
            raise Nothing  # which is deleted only where nothing was ever sold for it
        stand.wire.admin("edit", kind=kind, id=id, delete=True)


@dataclass(frozen=True)
class Trouble:
    """At the `nth` passing of `seam`: the process crashes, its connections are cut, the answer to its commit is lost, or it
    sleeps while the deeds of `meanwhile` happen, or races with them, where it is inside a transaction. In an `outage` so many reads of Stripe fail, and where there is a seam
    the process crashes there.
    """

    kind: str
    seam: str
    nth: int
    meanwhile: tuple[Deed, ...] = ()


@dataclass(frozen=True)
class Work(Deed):
    """A worker works until nothing is due, or until it is in trouble."""

    trouble: Trouble | None = None

    def do(self, stand: Stand) -> None:
        stand.suffer(self.trouble, stand.work)


@dataclass(frozen=True)
class Sync(Deed):
    """A synchronisation, begun while other things go on."""

    trouble: Trouble | None = None

    def do(self, stand: Stand) -> None:
        stand.suffer(self.trouble, stand.settle)


@dataclass(frozen=True)
class Kill(Deed):
    """kill -9 of a worker's process, so many milliseconds from now; another one is started."""

    worker: int
    after: int

    def do(self, stand: Stand) -> None:
        stand.kill(self.worker, self.after)


@dataclass(frozen=True)
class Cut(Deed):
    """All connections to the database end, so many milliseconds from now."""

    after: int

    def do(self, stand: Stand) -> None:
        stand.cut(self.after)
