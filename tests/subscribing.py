"""Subscriptions at the sandbox, and what is told of them. Needs tests/faults on the path."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from money_bench import Bench, signed
from money_seams import Crash, Seams, fragile

from nself.app import App
from nself.core.clock import Clock, system_clock
from nself.domains.mirror import service as mirror
from nself.domains.webhook.service.receive import receive

DAY = 86_400
CARD, FAILING = "pm_card_visa", "pm_card_chargeCustomerFail"


class Shop:
    """Sells plans to users of a bench; its apps tell both ways."""

    def __init__(self, bench: Bench, settings: dict[str, str]) -> None:
        self.bench, self.settings, self.sandbox = bench, settings, bench.sandbox
        self.copies = 0

    def app(self, clock: Clock = system_clock, **more: str) -> App:
        return self.bench.app(clock, STRIPE_WEBHOOK_SECRET="whsec_bench", **{**self.settings, **more})

    # At Stripe

    def customer(self, app: App, user: str, card: str = CARD) -> str:
        """Through our own command, and its card is what is charged."""
        self.bench.create(app, user, card)
        ((id,),) = self.bench.sql("select customer_id from billing_customers where user_id = %s", user)
        return str(id)

    def price(self, amount: int = 2000, **more: Any) -> str:
        product = self.sandbox.post("/v1/products", name="Pro")["id"]
        recurring = {"interval": "month"}
        made = {"product": product, "currency": "usd", "unit_amount": amount, "recurring": recurring, **more}
        return str(self.sandbox.post("/v1/prices", **made)["id"])

    def subscribe(self, customer: str, *prices: str, **more: Any) -> str:
        items = [{"price": price} for price in prices or (self.price(),)]
        return str(self.sandbox.post("/v1/subscriptions", customer=customer, items=items, **more)["id"])

    def use_card(self, customer: str, card: str) -> None:
        method = self.sandbox.post(f"/v1/payment_methods/{card}/attach", customer=customer)["id"]
        self.sandbox.post(f"/v1/customers/{customer}", invoice_settings={"default_payment_method": method})

    def pass_days(self, days: float) -> None:
        self.sandbox.admin("clock", advance=int(days * DAY))

    def get(self, subscription: str) -> dict[str, Any]:
        return self.sandbox.get(f"/v1/subscriptions/{subscription}")

    def newest_invoice(self, subscription: str) -> dict[str, Any]:
        return self.sandbox.get(f"/v1/invoices/{self.get(subscription)['latest_invoice']}")

    # What we hear of it

    def events(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while more := self.sandbox.events(found[-1]["id"] if found else None):
            found += more
            if len(more) < 100:
                break
        return found

    def hear(self, app: App, events: list[dict[str, Any]] | None = None) -> None:
        """By webhook, all that happened."""
        self.deliver(app, self.events() if events is None else events)
        self.bench.work(app)

    def deliver(self, app: App, events: list[dict[str, Any]]) -> None:
        for event in events:
            body = json.dumps(event).encode()
            receive(app, body, signed(body, at=app.clock()))

    def copy(self, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """As a provider that forgot what it sent would tell them again: under other ids."""
        self.copies += 1
        return [event | {"id": f"{event['id']}_{self.copies}"} for event in events]

    def look(self, app: App, source: str = "sync 1") -> None:
        """By looking at everything, as a synchronisation does."""
        for kind, path in (
            ("customer", "customers"), ("subscription", "subscriptions"), ("invoice", "invoices"), ("charge", "charges"),
            ("payment_intent", "payment_intents"), ("dispute", "disputes"),
        ):  # fmt: skip
            more = {"status": "all"} if kind == "subscription" else {}
            for one in self.sandbox.get(f"/v1/{path}", limit=100, **more)[::-1]:
                mirror.refresh(app, kind, one["id"], source)

    # What is told

    def told(self, channel: str = "webhook", *kinds: str) -> list[str]:
        """Kinds, in the order of the alphabet: objects are processed at once."""
        rows = self.bench.sql("select kind from billing_notifications where channel = %s order by kind", channel)
        return [kind for (kind,) in rows if not kinds or kind in kinds]

    def told_once(self) -> list[tuple[str, str]]:
        return self.bench.sql("select once, channel from billing_notifications order by once, channel")


def crash_at_calls_and_commits(shop: Shop, ids: Iterator[str], deed: Callable[[App, str], object]) -> Iterator[str]:
    """The subscriptions of `ids` after `deed` crashed, each at another seam, and was given again; the first one in peace."""
    heir, seams = shop.app(), Seams()
    for at in (0, *range(1, 100)):
        if at and (at > len(seams.passed) or seams.passed[at - 1] == "after statement"):
            continue
        id, crash = next(ids), Seams(at) if at else seams
        app = fragile(shop.bench, crash, **shop.settings)
        with suppress(Crash):
            deed(app, id)
        app.close()
        shop.bench.pass_time(600)
        if at % 2:  # the worker comes first, or the operator
            shop.bench.work(heir)
        deed(heir, id)
        yield id
    assert seams.passed.count("before commit") >= 2
    assert [one for one in shop.bench.intents() if one[1] == "pending"] == []
