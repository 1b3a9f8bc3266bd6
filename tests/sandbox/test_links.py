"""Checkout and the billing portal as links; pages that resolve."""

from typing import Any

import pytest
import stripe

from sandbox.conftest import Sandbox, Sdk, ask, event_types, refusal

SUCCESS = {"success_url": "https://example.com/done"}


def priced(api: Sdk, **fields: Any) -> str:
    return api.prices.create({"product_data": {"name": "P"}, "currency": "usd", "unit_amount": 500, **fields}).id


def test_a_subscription_by_checkout(api: Sdk, sandbox: Sandbox) -> None:
    customer = api.customers.create({"email": "a@b.c"})
    price = priced(api, recurring={"interval": "month"})
    made = api.checkout.sessions.create(
        {"mode": "subscription", "customer": customer.id, "line_items": [{"price": price, "quantity": 2}],
         "subscription_data": {"metadata": {"a": "b"}}, "metadata": {"c": "d"}, "client_reference_id": "x", **SUCCESS}
    )  # fmt: skip
    assert (made.status, made.payment_status, made.amount_total, made.subscription) == ("open", "unpaid", 1000, None)
    assert ask(made.url, "GET")["id"] == made.id
    done = sandbox.admin("POST", f"checkout/sessions/{made.id}/complete", {"payment_method": "pm_card_visa"})
    assert (done["status"], done["payment_status"], done["customer_details"]["email"]) == ("complete", "paid", "a@b.c")
    subscription = api.subscriptions.retrieve(done["subscription"])
    assert (subscription.status, subscription.metadata.a, subscription.latest_invoice) == (
        "active",
        "b",
        done["invoice"],
    )
    assert event_types(api)[-1] == "checkout.session.completed"
    assert sandbox.admin("POST", f"checkout/sessions/{made.id}/complete", {}) == 409
    items = api.checkout.sessions.line_items.list(made.id).data
    assert [(one.quantity, one.amount_total, one.price.id) for one in items] == [(2, 1000, price)]
    assert [one.id for one in api.checkout.sessions.list({"customer": customer.id, "status": "complete"}).data] == [
        made.id
    ]


@pytest.mark.parametrize("mode", ["payment", "setup"])
def test_payments_and_setups_by_checkout(api: Sdk, sandbox: Sandbox, mode: str) -> None:
    """A declined card changes nothing; the next one does."""
    lines = {"line_items": [{"price": priced(api)}]} if mode == "payment" else {"currency": "usd"}
    made = api.checkout.sessions.create({"mode": mode, "customer_email": "new@b.c", **lines, **SUCCESS})
    path = f"checkout/sessions/{made.id}/complete"
    assert sandbox.admin("POST", path, {"payment_method": "pm_card_chargeDeclined"}) == 402
    assert api.customers.list().data == []
    done = sandbox.admin("POST", path, {})
    assert api.customers.retrieve(done["customer"]).email == "new@b.c"
    if mode == "payment":
        assert api.payment_intents.retrieve(done["payment_intent"]).amount_received == 500
    else:
        assert api.setup_intents.retrieve(done["setup_intent"]).status == "succeeded"
        assert done["payment_status"] == "no_payment_required"


def test_sessions_expire(api: Sdk, sandbox: Sandbox) -> None:
    made, late = (api.checkout.sessions.create({"mode": "setup", "currency": "usd", **SUCCESS}) for _ in range(2))
    assert (api.checkout.sessions.expire(made.id).status, event_types(api)[-1]) == (
        "expired",
        "checkout.session.expired",
    )
    refusal(stripe.InvalidRequestError, api.checkout.sessions.expire, made.id)
    sandbox.admin("POST", "clock", {"advance": 86401})
    assert api.checkout.sessions.retrieve(late.id).status == "expired"
    assert sandbox.admin("POST", f"checkout/sessions/{late.id}/complete", {}) == 409


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"mode": "payment"}, "line_items"),
        ({"mode": "payment", "line_items": [{"price": "price_none"}]}, "line_items[0][price]"),
        ({"mode": "setup", "expires_at": 5}, "expires_at"),
        ({"mode": "setup", "success_url": None}, "success_url"),
        ({"mode": "setup", "customer": "cus_none"}, "customer"),
    ],
)
def test_wrong_sessions(api: Sdk, params: dict[str, Any], param: str) -> None:
    wanted = {name: value for name, value in {**SUCCESS, **params}.items() if value is not None}
    assert refusal(stripe.InvalidRequestError, api.checkout.sessions.create, wanted).param == param


def test_the_portal_and_an_invoices_page(api: Sdk) -> None:
    customer = api.customers.create()
    made = api.billing_portal.sessions.create({"customer": customer.id, "return_url": "https://example.com"})
    assert ask(made.url, "GET")["customer"] == customer.id
    again = api.billing_portal.sessions.create({"customer": customer.id, "configuration": made.configuration})
    assert again.configuration == made.configuration
    assert [one.id for one in api.billing_portal.configurations.list().data] == [made.configuration]
    invoice = api.invoices.create({"customer": customer.id})
    api.invoice_items.create({"customer": customer.id, "invoice": invoice.id, "amount": 900})
    opened = api.invoices.finalize_invoice(invoice.id)
    assert ask(opened.hosted_invoice_url, "GET")["number"] == opened.number
    assert opened.invoice_pdf is None
    assert ask(opened.hosted_invoice_url + "x", "GET") == 404
