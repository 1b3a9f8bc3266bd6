"""Which object an event is about, and whether it can be asked for at all."""

from __future__ import annotations

import json
from typing import Any

import pytest
from money_bench import Bench, email, signed

from nself.app import App
from nself.domains.webhook.service import process
from nself.domains.webhook.service.receive import receive


def deliver(app: App, type: str, object: dict[str, Any], **more: Any) -> None:
    event = {"id": "evt_1", "type": type, "created": 1, "livemode": False, "data": {"object": object}, **more}
    body = json.dumps(event).encode()
    receive(app, body, signed(body))


def kept(bench: Bench) -> list[tuple[str, str]]:
    return bench.sql("select object_id, status from billing_webhook_events")


@pytest.mark.parametrize("object", [{"object": "invoice"}, {"object": "invoice", "id": "upcoming_in_1"}])
def test_an_invoice_that_will_come_is_none_that_was_deleted(bench: Bench, object: dict[str, Any]):
    app = bench.app()
    deliver(app, "invoice.upcoming", object)
    bench.work(app)
    assert kept(bench) == [(object.get("id", "invoice.upcoming"), "ignored")]
    assert bench.sql("select from billing_mirror") == []


def test_what_belongs_to_another_account_is_ignored(bench: Bench):
    """Our key does not see its objects, which therefore are not deleted."""
    app = bench.app()
    deliver(app, "customer.updated", {"object": "customer", "id": "cus_theirs"}, account="acct_theirs")
    bench.work(app)
    assert kept(bench) == [("cus_theirs", "ignored")]
    assert bench.sql("select from billing_mirror") == []


@pytest.mark.parametrize("named", ["customer", "subscription"])
def test_an_event_of_a_discount_fetches_what_has_it(bench: Bench, named: str):
    """Stripe may tell of its end by this alone."""
    app, stripe = bench.app(), bench.sandbox
    owner = stripe.post("/v1/customers", email=email("user1"), payment_method="pm_card_visa")["id"]
    coupon = stripe.post("/v1/coupons", percent_off=50, duration="forever")["id"]
    discount = {"object": "discount", "id": "di_1", "customer": owner, "subscription": None, "invoice": None}
    id = owner
    if named == "subscription":
        product = stripe.post("/v1/products", name="Pro")["id"]
        price = stripe.post("/v1/prices", product=product, currency="usd", unit_amount=999, recurring={"interval": "month"})  # fmt: skip
        method = stripe.get(f"/v1/customers/{owner}/payment_methods")[0]["id"]
        items = [{"price": price["id"]}]
        id = stripe.post(
            "/v1/subscriptions", customer=owner, items=items, default_payment_method=method, discounts=[{"coupon": coupon}]
        )["id"]  # fmt: skip
        discount["subscription"] = id
    deliver(app, "customer.discount.deleted", discount)
    bench.work(app)
    assert kept(bench) == [(id, "processed")]
    assert (named, id) in bench.sql("select kind, object_id from billing_mirror")


def test_an_event_of_a_part_of_a_payment_fetches_the_invoice(bench: Bench):
    app, stripe = bench.app(), bench.sandbox
    owner = stripe.post("/v1/customers", email=email("user1"))["id"]
    invoice = stripe.post("/v1/invoices", customer=owner)["id"]
    deliver(app, "invoice_payment.paid", {"object": "invoice_payment", "id": "inpay_1", "invoice": invoice})
    bench.work(app)
    assert kept(bench) == [(invoice, "processed")]


def test_events_that_were_put_aside_for_the_other_mode_are_processed_once_it_is_ours(bench: Bench):
    """They were acknowledged: Stripe sends them no more."""
    app, stripe = bench.app(), bench.sandbox
    owner = stripe.post("/v1/customers", email=email("user1"))["id"]
    live = bench.app(STRIPE_MODE="live", STRIPE_SECRET_KEY="sk_live_never", STRIPE_MOCK_ENABLED="false")
    deliver(live, "customer.created", {"object": "customer", "id": owner})
    assert process.unpark(live) == 0
    assert kept(bench) == [(owner, "parked")]
    assert (process.unpark(app), process.unpark(app)) == (1, 0)
    bench.work(app)
    assert kept(bench) == [(owner, "processed")]
    assert bench.sql("select customer_id, deleted from billing_customers") == [(owner, False)]
