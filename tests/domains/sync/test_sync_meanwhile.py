"""What comes and goes at Stripe between two calls of a synchronisation."""

from __future__ import annotations

from typing import Any

import pytest
from money_bench import Bench, email

from nself.app import App
from nself.domains.sync.inputs import Reconcile, SyncCustomer, SyncSubscription
from nself.domains.sync.service import one, run
from nself.gateway.errors import NoSuchObject


def customer(bench: Bench, number: int = 1) -> str:
    user = f"user{number}"
    return str(
        bench.sandbox.post(
            "/v1/customers", email=email(user), payment_method="pm_card_visa", metadata={"nself_user": user}
        )["id"]
    )


def subscription(bench: Bench, owner: str) -> str:
    stripe = bench.sandbox
    product = stripe.post("/v1/products", name="Pro")["id"]
    price = stripe.post("/v1/prices", product=product, currency="usd", unit_amount=999, recurring={"interval": "month"})
    method = stripe.get(f"/v1/customers/{owner}/payment_methods")[0]["id"]
    items = [{"price": price["id"]}]
    return str(stripe.post("/v1/subscriptions", customer=owner, items=items, default_payment_method=method)["id"])


def told(bench: Bench) -> set[tuple[str, str | None]]:
    """Kind, and to whom."""
    return set(bench.sql("select kind, data::jsonb -> 'data' ->> 'user' from billing_notifications"))


@pytest.fixture
def app(bench: Bench) -> App:
    return bench.app(NOTIFY_WEBHOOK_URL="http://127.0.0.1:9/told")


@pytest.mark.parametrize("use", [one.import_subscription, one.sync_subscription, one.rebuild])
def test_what_an_import_tells_is_told_to_the_owner(bench: Bench, app: App, use: Any):
    sub = subscription(bench, customer(bench))
    use(app, SyncSubscription(subscription=sub))
    assert ("subscription.active", "user1") in told(bench)
    assert not {kind for kind, user in told(bench) if user is None}


def test_a_customer_who_came_after_the_page_of_customers_is_told_what_is_theirs(
    bench: Bench, app: App, monkeypatch: pytest.MonkeyPatch
):
    read, made = type(app.stripe).page, list[str]()

    def page(self: Any, kind: str, **given: Any) -> Any:
        if kind == "subscription" and not made:
            made.append(subscription(bench, customer(bench)))
        return read(self, kind, **given)

    monkeypatch.setattr(type(app.stripe), "page", page)
    run.reconcile(app, Reconcile())
    assert ("subscription.active", "user1") in told(bench)
    assert not {kind for kind, user in told(bench) if user is None}


def test_a_draft_that_goes_while_it_is_the_cursor_ends_no_list(bench: Bench, app: App, monkeypatch: pytest.MonkeyPatch):
    owner = customer(bench)
    drafts = [bench.sandbox.post("/v1/invoices", customer=owner)["id"] for _ in range(5)]
    read, gone = type(app.stripe).page, list[str]()

    def page(self: Any, kind: str, **given: Any) -> Any:
        if kind == "invoice" and given.get("after") and not gone:
            gone.append(given["after"])
            bench.sandbox.client.raw_request("delete", f"/v1/invoices/{given['after']}")
            raise NoSuchObject(detail=f"No such invoice: {given['after']}")
        return read(self, kind, **{**given, "limit": 2})

    monkeypatch.setattr(type(app.stripe), "page", page)
    one.sync_customer(app, SyncCustomer(customer=owner))
    assert {id for (id,) in bench.sql("select invoice_id from billing_invoices")} == set(drafts) - set(gone)


def test_a_draft_that_goes_after_the_list_ends_no_import(bench: Bench, app: App, monkeypatch: pytest.MonkeyPatch):
    owner = customer(bench)
    drafts = [bench.sandbox.post("/v1/invoices", customer=owner)["id"] for _ in range(3)]
    fetch = type(app.stripe).fetch

    def deleting(self: Any, kind: str, id: str) -> Any:
        if id == drafts[0]:
            bench.sandbox.client.raw_request("delete", f"/v1/invoices/{id}")
        return fetch(self, kind, id)

    monkeypatch.setattr(type(app.stripe), "fetch", deleting)
    done = one.import_customer(app, SyncCustomer(customer=owner))
    assert {found.object for found in done if found.kind == "invoice"} == set(drafts[1:])


def test_money_is_counted_once_where_a_page_is_begun_anew(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    """All are of one second; the cursor goes, so that the page after it begins with that second again."""
    app, owner, stripe = bench.app(), customer(bench), bench.sandbox
    for number in range(6):
        draft = stripe.post("/v1/invoices", customer=owner)["id"]
        if number != 3:
            stripe.post("/v1/invoiceitems", customer=owner, amount=500, currency="usd", invoice=draft)
            stripe.post(f"/v1/invoices/{draft}/finalize")
    everything = stripe.get("/v1/invoices", limit=100)
    (cursor,) = [one["id"] for one in everything if one["status"] == "draft"]
    second = everything[0]["created"]
    read, gone = type(app.stripe).page, list[str]()

    def page(self: Any, kind: str, **given: Any) -> Any:
        if given.get("after") == cursor and not gone:
            gone.append(cursor)
            stripe.client.raw_request("delete", f"/v1/invoices/{cursor}")
            raise NoSuchObject(detail=f"No such invoice: {cursor}")
        found = read(self, kind, **given)
        return found._replace(objects=[{**one, "created": second} for one in found.objects])

    monkeypatch.setattr(type(app.stripe), "page", page)
    done = run.reconcile(app, Reconcile(kind="invoice", batch_size=3))
    assert gone
    (total,) = [one for one in done.totals if one.kind == "invoice total"]
    assert (total.here_minor, total.stripe_minor) == (2500, 2500)
