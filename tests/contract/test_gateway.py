"""The gateway's contract: what the product relies on at Stripe."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from contract.target import Target
from nself.core.errors import NotFound
from nself.gateway import errors
from nself.gateway.api import Snapshot, Stripe


def draft(stripe: Stripe, customer: Snapshot, key: str, *amounts: int) -> Snapshot:
    """An invoice with one line an amount, in minor units of usd."""
    params = {"customer": customer["id"], "auto_advance": False, "pending_invoice_items_behavior": "exclude"}
    invoice = stripe.change("invoices", params=params, key=f"{key}:invoice")
    for number, amount in enumerate(amounts):
        line = {"customer": customer["id"], "invoice": invoice["id"], "amount": amount, "currency": "usd"}
        stripe.change("invoiceitems", params=line, key=f"{key}:line:{number}")
    return invoice


def test_account(stripe: Stripe) -> None:
    assert stripe.account()["object"] == "account"


def test_customers(stripe: Stripe, customer: Snapshot, target: Target) -> None:
    found = stripe.fetch("customer", customer["id"])
    assert (found["metadata"]["user"], found["livemode"]) == ("u1", False)
    assert found == customer
    email = f"changed-{target.run}@example.com"
    changed = stripe.change("customers", customer["id"], params={"email": email}, key="customers:email")
    assert changed["email"] == email
    assert [one["id"] for one in stripe.listed("customers", email=email)] == [customer["id"]]


def test_the_same_key_gives_the_same_answer(stripe: Stripe) -> None:
    first = stripe.change("customers", params={"name": "once"}, key="same:1")
    assert stripe.change("customers", params={"name": "once"}, key="same:1") == first
    with pytest.raises(errors.IdempotencyMismatch) as found:
        stripe.change("customers", params={"name": "another"}, key="same:1")
    assert found.value.message.startswith("Keys for idempotent requests can only be used with the same parameters")
    assert found.value.request_id
    assert found.value.request_id.startswith("req_")


def test_payment_methods(stripe: Stripe, customer: Snapshot) -> None:
    [method] = stripe.listed("customers", customer["id"], "payment_methods")
    assert (method["card"]["last4"], method["customer"]) == ("4242", customer["id"])
    assert customer["invoice_settings"]["default_payment_method"] == method["id"]


def test_products_and_prices(stripe: Stripe) -> None:
    product = stripe.change("products", params={"name": "Overage: api_calls"}, key="catalog:product")
    params = {"product": product["id"], "currency": "usd", "unit_amount_decimal": "0.0125"}
    price = stripe.change("prices", params=params, key="catalog:price")
    found = stripe.fetch("price", price["id"])
    assert (found["unit_amount_decimal"], found["unit_amount"]) == ("0.0125", None)
    assert [one["id"] for one in stripe.listed("prices", product=product["id"])] == [price["id"]]


def test_an_invoice_is_made_finalised_and_paid(stripe: Stripe, customer: Snapshot) -> None:
    invoice = draft(stripe, customer, "paid", 1250, 300)
    assert stripe.fetch("invoice", invoice["id"])["status"] == "draft"
    assert {one["amount"] for one in stripe.listed("invoiceitems", customer=customer["id"])} == {1250, 300}
    assert stripe.change("invoices", invoice["id"], "finalize", params={}, key="paid:finalize")["status"] == "open"
    paid = stripe.change("invoices", invoice["id"], "pay", params={}, key="paid:pay")
    assert (paid["status"], paid["amount_paid"], paid["livemode"]) == ("paid", 1550, False)
    assert stripe.change("invoices", invoice["id"], "pay", params={}, key="paid:pay") == paid
    assert [one["id"] for one in stripe.listed("invoices", customer=customer["id"], status="paid")] == [invoice["id"]]
    payments = stripe.listed("events", type="payment_intent.succeeded", created={"gte": invoice["created"]})
    [mine] = [one for one in payments if one["data"]["object"]["customer"] == customer["id"]]
    assert stripe.fetch("payment_intent", mine["data"]["object"]["id"])["amount_received"] == 1550
    assert stripe.retrieve("events", mine["id"])["id"] == mine["id"]


def test_an_invoice_with_many_lines_comes_whole(stripe: Stripe, customer: Snapshot) -> None:
    amounts = [100 + number for number in range(25)]
    invoice = draft(stripe, customer, "many", *amounts)
    lines = stripe.fetch("invoice", invoice["id"])["lines"]
    assert sorted(line["amount"] for line in lines["data"]) == amounts
    assert lines["has_more"] is False


def test_an_invoice_is_voided_or_deleted(stripe: Stripe, customer: Snapshot) -> None:
    invoice = draft(stripe, customer, "void", 500)
    stripe.change("invoices", invoice["id"], "finalize", params={}, key="void:finalize")
    assert stripe.change("invoices", invoice["id"], "void", params={}, key="void:void")["status"] == "void"
    unwanted = draft(stripe, customer, "unwanted", 500)
    assert stripe.remove("invoices", unwanted["id"], params={}, key="unwanted:delete")["deleted"] is True
    with pytest.raises(NotFound, match=f"^No such invoice: {unwanted['id']}$"):
        stripe.fetch("invoice", unwanted["id"])
    with pytest.raises(errors.WrongState) as found:
        stripe.remove("invoices", invoice["id"], params={}, key="void:delete")
    assert found.value.code == "invoice_not_editable"


def test_webhook_endpoints(stripe: Stripe) -> None:
    params = {"url": "https://example.com/webhooks/stripe", "enabled_events": ["invoice.paid"]}
    made = stripe.change("webhook_endpoints", params=params, key="endpoint:create")
    assert made["secret"].startswith("whsec_")
    [listed] = [one for one in stripe.listed("webhook_endpoints") if one["id"] == made["id"]]
    assert "secret" not in listed
    changed = stripe.change("webhook_endpoints", made["id"], params={"disabled": True}, key="endpoint:disable")
    assert changed["status"] == "disabled"
    assert stripe.remove("webhook_endpoints", made["id"], params={}, key="endpoint:delete")["deleted"] is True
    assert made["id"] not in [one["id"] for one in stripe.listed("webhook_endpoints")]


MISSING: list[tuple[Callable[[Stripe], Snapshot], str]] = [
    (lambda stripe: stripe.fetch("customer", "cus_123"), "No such customer: cus_123"),
    (lambda stripe: stripe.fetch("price", "price_123"), "No such price: price_123"),
    (lambda stripe: stripe.fetch("invoice", "in_123"), "No such invoice: in_123"),
    (lambda stripe: stripe.fetch("payment_intent", "pi_123"), "No such payment intent: pi_123"),
    (lambda stripe: stripe.fetch("subscription", "sub_123"), "No such subscription: sub_123"),
    (lambda stripe: stripe.retrieve("events", "evt_123"), "No such event: evt_123"),
    (
        lambda stripe: stripe.change("invoices", params={"customer": "cus_123"}, key="missing:1"),
        "No such customer: cus_123",
    ),
]


@pytest.mark.parametrize(("call", "message"), MISSING)
def test_what_is_missing_is_told_in_the_guides_words(
    stripe: Stripe, call: Callable[[Stripe], Snapshot], message: str
) -> None:
    with pytest.raises(errors.NoSuchObject) as found:
        call(stripe)
    told = (found.value.message, found.value.code, found.value.outcome_unknown)
    assert told == (message, "resource_missing", False)


def test_a_card_that_cannot_be_attached(stripe: Stripe) -> None:
    customer = stripe.change("customers", params={}, key="unfunded:customer")
    card = "pm_card_visa_chargeDeclinedInsufficientFunds"
    with pytest.raises(errors.CardDeclined) as found:
        stripe.change("payment_methods", card, "attach", params={"customer": customer["id"]}, key="unfunded:method")
    told = (found.value.message, found.value.code, found.value.decline_code)
    assert told == ("Your card has insufficient funds.", "card_declined", "insufficient_funds")


def test_a_card_that_is_declined_later(stripe: Stripe) -> None:
    customer = stripe.change("customers", params={}, key="later:customer")
    method = stripe.change(
        "payment_methods",
        "pm_card_chargeCustomerFail",
        "attach",
        params={"customer": customer["id"]},
        key="later:method",
    )
    default = {"invoice_settings": {"default_payment_method": method["id"]}}
    stripe.change("customers", customer["id"], params=default, key="later:default")
    invoice = draft(stripe, customer, "later", 500)
    stripe.change("invoices", invoice["id"], "finalize", params={}, key="later:finalize")
    for _ in range(2):  # the answer is kept under its key like any other
        with pytest.raises(errors.CardDeclined, match=r"^Your card was declined\.$") as found:
            stripe.change("invoices", invoice["id"], "pay", params={}, key="later:pay")
        assert (found.value.outcome_unknown, found.value.status, found.value.code) == (False, 402, "card_declined")
        assert found.value.payment_intent
        assert stripe.fetch("payment_intent", found.value.payment_intent)["status"] == "requires_payment_method"


def test_a_wrong_parameter_is_named(stripe: Stripe) -> None:
    with pytest.raises(errors.Refused) as found:
        stripe.change("customers", params={"balance": "abc"}, key="wrong:1")
    assert (found.value.code, found.value.param) == ("parameter_invalid_integer", "balance")
    assert found.value.message == "Invalid integer: abc"
    with pytest.raises(errors.Refused, match="unknown parameter") as found:
        stripe.change("customers", params={"nmae": "x"}, key="wrong:2")
    assert found.value.code == "parameter_unknown"
