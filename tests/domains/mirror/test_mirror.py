"""Every kind is mirrored whole; what changed is recorded with it; what was asked for before a deletion does not undo it."""

from __future__ import annotations

from typing import Any

import pytest
from money_bench import Bench

from nself.app import App
from nself.domains.mirror import service as mirror
from nself.domains.mirror.model import Picture, Stored
from nself.gateway.kinds import KINDS


def stored(app: App, kind: str, id: str) -> Stored:
    with app.db.reading() as tx:
        return mirror.stored(tx, kind, [id])[id]


def changes(app: App, id: str) -> list[tuple[str, list[str], str]]:
    with app.db.reading() as tx:
        return [
            (one.what, [change["field"] for change in one.changes], one.source) for one in mirror.changes(tx, id, 100)
        ]


@pytest.fixture
def objects(bench: Bench) -> dict[str, str]:
    """One object of each kind at Stripe, by kind."""
    stripe = bench.sandbox
    customer = stripe.post("/v1/customers", email="user@example.com", payment_method="pm_card_visa")["id"]
    method = stripe.get(f"/v1/customers/{customer}/payment_methods")[0]["id"]
    product = stripe.post("/v1/products", name="Pro")["id"]
    price = stripe.post(
        "/v1/prices", product=product, currency="usd", billing_scheme="tiered", tiers_mode="volume",
        recurring={"interval": "month"}, tiers=[{"up_to": 10, "unit_amount": 100}, {"up_to": "inf", "unit_amount": 50}],
    )["id"]  # fmt: skip
    rate = stripe.post("/v1/tax_rates", display_name="VAT", percentage="20", inclusive="false")["id"]
    subscription = stripe.post(
        "/v1/subscriptions", customer=customer, items=[{"price": price, "quantity": 2}], default_payment_method=method
    )
    invoice = subscription["latest_invoice"]
    payment = stripe.get("/v1/payment_intents", customer=customer)[0]
    note = stripe.post("/v1/credit_notes", invoice=invoice, amount=50, refund_amount=50)
    disputed = stripe.post(
        "/v1/payment_intents", amount=1000, currency="usd", payment_method="pm_card_createDispute", confirm="true",
        automatic_payment_methods={"enabled": "true", "allow_redirects": "never"},
    )  # fmt: skip
    dispute = stripe.get("/v1/disputes", payment_intent=disputed["id"])[0]
    refund = stripe.get("/v1/refunds", payment_intent=payment["id"])[0]
    return {
        "customer": customer, "payment_method": method, "product": product, "price": price, "tax_rate": rate,
        "subscription": subscription["id"], "invoice": invoice, "payment_intent": payment["id"],
        "charge": payment["latest_charge"], "credit_note": note["id"], "dispute": dispute["id"], "refund": refund["id"],
    }  # fmt: skip


def test_every_kind_is_mirrored_whole(bench: Bench, objects: dict[str, str]):
    app = bench.app()
    assert objects.keys() == KINDS.keys()
    for kind, id in objects.items():
        mirror.refresh(app, kind, id, "test")
        row = stored(app, kind, id)
        assert row.snapshot == {"livemode": False, **app.stripe.fetch(kind, id)}  # refunds do not tell their mode
        assert (row.deleted, row.source, row.intact) == (False, "test", True)
        assert changes(app, id) == [("created", [], "test")]
        assert mirror.refresh(app, kind, id, "again") is None
        assert changes(app, id) == [("created", [], "test")]
        assert stored(app, kind, id).source == "again"


def test_a_change_by_hand_of_every_kind_is_mirrored(bench: Bench, objects: dict[str, str]):
    app = bench.app()
    for kind, id in objects.items():
        mirror.refresh(app, kind, id, "test")
        bench.sandbox.edit(kind, id, webhook=False, metadata={"note": "by hand"})
        assert mirror.refresh(app, kind, id, "sync 1") is not None
        assert changes(app, id)[-1] == ("updated", ["metadata.note"], "sync 1")


def test_a_list_holds_the_same_objects_as_a_fetch(bench: Bench, objects: dict[str, str]):
    stripe = bench.app().stripe
    for kind, id in objects.items():
        customer = objects["customer"] if KINDS[kind].of_customer else None
        listed = {one["id"]: one for one in stripe.page(kind, customer=customer).objects}
        assert listed[id] == stripe.fetch(kind, id), kind


def test_a_subscription_is_mirrored_with_more_than_ten_items(bench: Bench):
    stripe, app = bench.sandbox, bench.app()
    customer = stripe.post("/v1/customers", payment_method="pm_card_visa", invoice_settings={"default_payment_method": "pm_card_visa"})["id"]  # fmt: skip
    product = stripe.post("/v1/products", name="Pro")["id"]
    prices = [
        stripe.post("/v1/prices", product=product, currency="usd", unit_amount=100 + n, recurring={"interval": "month"})["id"]
        for n in range(13)
    ]  # fmt: skip
    made = stripe.post("/v1/subscriptions", customer=customer, items=[{"price": price} for price in prices])
    mirror.refresh(app, "subscription", made["id"], "test")
    items = stored(app, "subscription", made["id"]).snapshot["items"]
    assert {one["price"]["id"] for one in items["data"]} == set(prices)
    (listed,) = app.stripe.page("subscription").objects
    assert listed["items"]["data"] == items["data"]
    mirror.refresh(app, "invoice", made["latest_invoice"], "test")
    assert len(stored(app, "invoice", made["latest_invoice"]).snapshot["lines"]["data"]) == 13


def test_a_change_is_recorded_field_by_field(bench: Bench):
    app = bench.app()
    product = bench.sandbox.post("/v1/products", name="Pro", metadata={"tier": "1"})["id"]
    mirror.refresh(app, "product", product, "test")
    bench.sandbox.edit("product", product, name="Pro 2", metadata={"tier": "2"})
    change = mirror.refresh(app, "product", product, "sync 1", cause="changed by hand")
    assert change is not None and change.before is not None and change.before["name"] == "Pro"
    with app.db.reading() as tx:
        recorded = mirror.changes(tx, product, 10)[-1]
    assert (recorded.what, recorded.source, recorded.cause) == ("updated", "sync 1", "changed by hand")
    assert {"field": "name", "before": "Pro", "after": "Pro 2"} in recorded.changes
    assert {"field": "metadata.tier", "before": "1", "after": "2"} in recorded.changes


def test_a_deletion_keeps_what_was_known_and_is_final_for_what_was_asked_for_before(bench: Bench):
    app = bench.app()
    product = bench.sandbox.post("/v1/products", name="Pro")["id"]
    old = mirror.fetch(app, "product", product, "old")
    mirror.refresh(app, "product", product, "test")
    bench.sandbox.edit("product", product, delete=True)
    gone = mirror.fetch(app, "product", product, "test")
    late = Picture(old.snapshot, mirror.draw(app), "late", None)
    app.db.transact(lambda tx: mirror.accept(app, tx, gone))
    row = stored(app, "product", product)
    assert (row.deleted, row.snapshot["name"]) == (True, "Pro")
    app.db.transact(lambda tx: mirror.accept(app, tx, late))
    assert stored(app, "product", product).deleted
    assert [what for what, *_ in changes(app, product)] == ["created", "deleted"]


def test_an_older_picture_is_never_stored(bench: Bench):
    app = bench.app()
    product = bench.sandbox.post("/v1/products", name="Pro")["id"]
    old = mirror.fetch(app, "product", product, "old")
    bench.sandbox.edit("product", product, name="newer")
    mirror.refresh(app, "product", product, "test")
    with pytest.raises(mirror.Overtaken):
        app.db.transact(lambda tx: mirror.accept(app, tx, old))
    mirror.in_order(app, old, lambda tx, picture: mirror.accept(app, tx, picture) and None)
    assert stored(app, "product", product).snapshot["name"] == "newer"


@pytest.mark.parametrize("table", ["billing_subscriptions", "billing_customers"])
def test_what_somebody_else_wrote_is_seen(bench: Bench, objects: dict[str, str], table: str):
    kind = {"billing_subscriptions": "subscription", "billing_customers": "customer"}[table]
    app = bench.app()
    mirror.refresh(app, kind, objects[kind], "test")
    bench.sql(f'update {table} set snapshot = snapshot || \'{{"currency": "eur"}}\'')
    assert not stored(app, kind, objects[kind]).intact
    mirror.refresh(app, kind, objects[kind], "test")
    assert stored(app, kind, objects[kind]).intact
    assert changes(app, objects[kind])[-1][:2] == ("updated", ["currency"])


def test_the_guides_columns_are_what_stripe_says(bench: Bench, objects: dict[str, Any]):
    app = bench.app()
    mirror.refresh(app, "subscription", objects["subscription"], "test")
    found = bench.sql("select customer_id, status from billing_subscriptions")
    assert found == [(objects["customer"], "active")]


def test_a_draft_that_was_deleted_before_it_was_seen_stays_deleted_and_is_told_once(bench: Bench):
    """An older picture of it comes later; and it is looked at again and again."""
    app, stripe = bench.app(), bench.sandbox
    customer = stripe.post("/v1/customers", email="user@example.com")["id"]
    draft = stripe.post("/v1/invoices", customer=customer)["id"]
    old = mirror.fetch(app, "invoice", draft, "old")
    stripe.client.raw_request("delete", f"/v1/invoices/{draft}")
    for source in ("first", "second"):
        mirror.refresh(app, "invoice", draft, source)
    app.db.transact(lambda tx: mirror.accept(app, tx, old))
    assert stored(app, "invoice", draft).deleted
    assert changes(app, draft) == [("deleted", [], "first")]
