"""Invoice items and invoices, with numbers worked by hand."""

from typing import Any

import pytest
import stripe

from sandbox.conftest import Sdk, drafted, event_types, paying_customer, refusal


def test_draft_finalise_pay_in_stripes_order(api: Sdk) -> None:
    """1500 + 2 x 12.25 (price 12.25) = 1524.5, rounded once to 1525."""
    customer = paying_customer(api)
    product = api.products.create({"name": "P"})
    price = api.prices.create({"product": product.id, "currency": "usd", "unit_amount_decimal": "12.25"})
    api.invoice_items.create({"customer": customer.id, "amount": 1500, "currency": "usd", "description": "Setup"})
    mark = api.events.list({"limit": 1}).data[0].id
    invoice = api.invoices.create({"customer": customer.id, "pending_invoice_items_behavior": "include"})
    assert (invoice.status, invoice.total, invoice.amount_due, invoice.number) == ("draft", 1500, 1500, None)
    item = api.invoice_items.create(
        {"customer": customer.id, "invoice": invoice.id, "pricing": {"price": price.id}, "quantity": 2}
    )
    assert (item.amount, item.quantity, str(item.pricing.unit_amount_decimal)) == (25, 2, "12.25")
    opened = api.invoices.finalize_invoice(invoice.id)
    assert (opened.status, opened.total, opened.amount_due) == ("open", 1525, 1525)
    assert opened.number == f"{customer.invoice_prefix}-0001"
    assert [line.amount for line in opened.lines.data] == [1500, 25]
    assert opened.lines.data[1].parent.invoice_item_details.invoice_item == item.id
    paid = api.invoices.pay(invoice.id)
    assert (paid.status, paid.amount_paid, paid.amount_remaining, paid.attempt_count) == ("paid", 1525, 0, 1)
    assert event_types(api, ending_before=mark) == [
        "invoice.created",
        "invoiceitem.created",
        "invoice.updated",
        "customer.updated",
        "payment_intent.created",
        "invoice.finalized",
        "charge.succeeded",
        "payment_intent.succeeded",
        "invoice.updated",
        "invoice.paid",
        "invoice.payment_succeeded",
        "invoice_payment.paid",
    ]
    before = api.events.list({"type": "invoice.updated"}).data[0].data.previous_attributes.to_dict()
    assert before == {
        "amount_paid": 0,
        "amount_remaining": 1525,
        "attempt_count": 0,
        "attempted": False,
        "status": "open",
        "status_transitions": {"paid_at": None},
    }


def test_the_payment_behind_an_invoice(api: Sdk) -> None:
    customer = paying_customer(api)
    invoice = api.invoices.finalize_invoice(drafted(api, customer.id, 900).id, {"expand": ["confirmation_secret"]})
    payment = api.invoice_payments.list({"invoice": invoice.id}).data[0]
    assert (payment.status, payment.amount_requested, payment.amount_paid, payment.is_default) == (
        "open", 900, None, True,
    )  # fmt: skip
    intent = api.payment_intents.retrieve(payment.payment.payment_intent)
    assert (intent.status, intent.amount, intent.customer) == ("requires_payment_method", 900, customer.id)
    assert invoice.confirmation_secret.client_secret == intent.client_secret
    api.invoices.pay(invoice.id)
    intent = api.payment_intents.retrieve(intent.id, {"expand": ["latest_charge"]})
    assert (intent.status, intent.amount_received, intent.latest_charge.paid) == ("succeeded", 900, True)
    by_intent = {"payment": {"type": "payment_intent", "payment_intent": intent.id}, "status": "paid"}
    assert [one.id for one in api.invoice_payments.list(by_intent).data] == [payment.id]
    assert api.invoice_payments.retrieve(payment.id).amount_paid == 900


def test_pay_finalises_a_draft(api: Sdk) -> None:
    customer = paying_customer(api)
    assert api.invoices.pay(drafted(api, customer.id, 900).id).status == "paid"


def test_paid_twice(api: Sdk) -> None:
    customer = paying_customer(api)
    invoice = api.invoices.pay(drafted(api, customer.id, 900).id)
    assert refusal(stripe.InvalidRequestError, api.invoices.pay, invoice.id).user_message == "Invoice is already paid"
    assert len(api.charges.list().data) == 1


def test_a_declined_payment(api: Sdk) -> None:
    customer = paying_customer(api, "pm_card_chargeCustomerFail")
    invoice = api.invoices.finalize_invoice(drafted(api, customer.id, 900).id)
    mark = api.events.list({"limit": 1}).data[0].id
    error = refusal(stripe.CardError, api.invoices.pay, invoice.id)
    assert (error.http_status, error.code, error.user_message) == (402, "card_declined", "Your card was declined.")
    assert error.json_body["error"]["decline_code"] == "generic_decline"
    assert event_types(api, ending_before=mark) == [
        "charge.failed",
        "payment_intent.payment_failed",
        "invoice.updated",
        "invoice.payment_failed",
    ]
    now = api.invoices.retrieve(invoice.id)
    assert (now.status, now.attempt_count, now.attempted, now.amount_paid) == ("open", 1, True, 0)
    charge = api.charges.retrieve(error.json_body["error"]["charge"])
    assert (charge.status, charge.failure_code, charge.amount_captured) == ("failed", "card_declined", 0)
    intent = api.payment_intents.retrieve(charge.payment_intent)
    assert (intent.status, intent.last_payment_error.decline_code) == ("requires_payment_method", "generic_decline")
    good = api.payment_methods.attach("pm_card_visa", {"customer": customer.id})
    paid = api.invoices.pay(invoice.id, {"payment_method": good.id})
    assert (paid.status, paid.attempt_count) == ("paid", 1), "only automatic retries count"
    assert [one.status for one in api.charges.list({"payment_intent": intent.id}).data] == ["succeeded", "failed"]


@pytest.mark.parametrize("card", ["pm_card_authenticationRequired", "pm_card_authenticationRequiredOnSetup"])
def test_a_payment_that_needs_the_cardholder(api: Sdk, sandbox: Any, card: str) -> None:
    customer = paying_customer(api, card)
    invoice = drafted(api, customer.id, 900)
    error = refusal(stripe.CardError, api.invoices.pay, invoice.id)
    assert (error.http_status, error.code) == (402, "invoice_payment_intent_requires_action")
    intent = api.payment_intents.list({"customer": customer.id}).data[0]
    assert (intent.status, intent.next_action.type) == ("requires_action", "use_stripe_sdk")
    assert event_types(api)[-4:] == [
        "payment_intent.requires_action",
        "invoice.updated",
        "invoice.payment_failed",
        "invoice.payment_action_required",
    ]
    assert api.charges.list().data == []
    sandbox.admin("POST", f"payment_intents/{intent.id}/authenticate", {"outcome": "succeed"})
    assert api.invoices.retrieve(invoice.id).status == "paid"
    assert api.payment_intents.retrieve(intent.id).next_action is None


def test_no_payment_method(api: Sdk) -> None:
    customer = api.customers.create()
    error = refusal(stripe.InvalidRequestError, api.invoices.pay, drafted(api, customer.id, 900).id)
    assert (error.http_status, error.code) == (400, "resource_missing")
    assert api.invoices.list().data[0].status == "draft"


def test_out_of_band(api: Sdk) -> None:
    customer = api.customers.create()
    paid = api.invoices.pay(drafted(api, customer.id, 900).id, {"paid_out_of_band": True})
    assert (paid.status, paid.amount_paid, paid.amount_paid_off_stripe) == ("paid", 900, 900)
    assert api.invoice_payments.list({"invoice": paid.id}).data[0].status == "canceled"
    assert api.charges.list().data == []
    assert event_types(api)[-1] == "invoice.paid"


def test_nothing_to_pay(api: Sdk) -> None:
    """1000 - 1000 = 0: paid without a payment."""
    customer = api.customers.create()
    paid = api.invoices.finalize_invoice(drafted(api, customer.id, 1000, -1000).id)
    assert (paid.status, paid.amount_due, paid.total, paid.attempted) == ("paid", 0, 0, True)
    assert api.payment_intents.list().data == []
    assert event_types(api)[-2:] == ["invoice.paid", "invoice.payment_succeeded"]


def test_a_negative_total_becomes_credit_for_the_next_invoice(api: Sdk) -> None:
    """-700 leaves the balance at -700. The next 1000 then asks for 300."""
    customer = paying_customer(api)
    first = api.invoices.finalize_invoice(drafted(api, customer.id, -700).id)
    assert (first.status, first.total, first.amount_due, first.ending_balance) == ("paid", -700, 0, -700)
    assert api.customers.retrieve(customer.id).balance == -700
    draft = drafted(api, customer.id, 1000)
    shown = api.invoices.retrieve(draft.id)
    assert (shown.starting_balance, shown.ending_balance, shown.amount_due) == (-700, None, 300)
    second = api.invoices.pay(draft.id)
    assert (second.total, second.amount_paid, second.starting_balance, second.ending_balance) == (1000, 300, -700, 0)
    assert api.customers.retrieve(customer.id).balance == 0


@pytest.mark.parametrize(
    ("currency", "below", "enough"), [("usd", 49, 50), ("gbp", 29, 30), ("jpy", 49, 50), ("huf", 17499, 17500)]
)
def test_below_the_minimum_nothing_is_asked_and_the_balance_owes_it(
    api: Sdk, currency: str, below: int, enough: int
) -> None:
    customer = paying_customer(api)
    small = api.invoices.finalize_invoice(drafted(api, customer.id, below, currency=currency).id)
    assert (small.status, small.amount_due, small.amount_paid, small.ending_balance) == ("paid", 0, 0, below)
    assert api.customers.retrieve(customer.id).balance == below
    assert api.charges.list().data == []
    exact = api.invoices.pay(drafted(api, paying_customer(api).id, enough, currency=currency).id)
    assert (exact.amount_paid, exact.ending_balance) == (enough, 0)
    paid = api.invoices.pay(drafted(api, customer.id, enough, currency=currency).id)
    assert (paid.total, paid.amount_paid, paid.ending_balance) == (enough, enough + below, 0)


def test_void_gives_balance_back(api: Sdk) -> None:
    """Credit of 300 on 1000 asks for 700. Voided, the 300 are there again."""
    customer = api.customers.create({"balance": -300})
    opened = api.invoices.finalize_invoice(drafted(api, customer.id, 1000).id)
    assert (opened.amount_due, api.customers.retrieve(customer.id).balance) == (700, 0)
    voided = api.invoices.void_invoice(opened.id)
    assert voided.status == "void"
    assert voided.status_transitions.voided_at is not None
    assert api.customers.retrieve(customer.id).balance == -300
    intent = api.payment_intents.list().data[0]
    assert (intent.status, intent.cancellation_reason) == ("canceled", "void_invoice")
    refusal(stripe.InvalidRequestError, api.invoices.pay, opened.id)
    refusal(stripe.InvalidRequestError, api.invoices.void_invoice, opened.id)


def test_uncollectible_can_still_be_paid(api: Sdk) -> None:
    customer = paying_customer(api)
    opened = api.invoices.finalize_invoice(drafted(api, customer.id, 1000).id)
    assert api.invoices.mark_uncollectible(opened.id).status == "uncollectible"
    assert api.invoices.pay(opened.id).status == "paid"
    assert "invoice.marked_uncollectible" in event_types(api)


def test_only_drafts_change(api: Sdk) -> None:
    customer = api.customers.create()
    invoice = drafted(api, customer.id, 1000)
    item = api.invoice_items.list({"invoice": invoice.id}).data[0]
    changed = api.invoices.update(invoice.id, {"description": "x", "metadata": {"a": "b"}})
    assert (changed.description, changed.metadata.a) == ("x", "b")
    api.invoice_items.update(item.id, {"amount": 2000})
    assert api.invoices.retrieve(invoice.id).total == 2000
    api.invoices.finalize_invoice(invoice.id)
    for call, arguments in (
        (api.invoices.update, (invoice.id, {"description": "y"})),
        (api.invoice_items.update, (item.id, {"amount": 1})),
        (api.invoice_items.delete, (item.id,)),
        (api.invoices.delete, (invoice.id,)),
        (api.invoice_items.create, ({"customer": customer.id, "invoice": invoice.id, "amount": 1},)),
    ):
        assert refusal(stripe.InvalidRequestError, call, *arguments).code == "invoice_not_editable"
    refusal(stripe.InvalidRequestError, api.invoices.finalize_invoice, invoice.id)
    assert api.invoices.update(invoice.id, {"metadata": {"a": "c"}}).metadata.a == "c"
    assert api.invoices.retrieve(invoice.id).total == 2000


def test_deleting_items_and_drafts(api: Sdk) -> None:
    customer = api.customers.create()
    waiting = api.invoice_items.create({"customer": customer.id, "amount": 100, "currency": "usd"})
    invoice = api.invoices.create({"customer": customer.id, "pending_invoice_items_behavior": "include"})
    own = api.invoice_items.create({"customer": customer.id, "invoice": invoice.id, "amount": 900})
    second = api.invoice_items.create({"customer": customer.id, "invoice": invoice.id, "amount": 70})
    assert api.invoice_items.delete(second.id).deleted
    assert api.invoices.retrieve(invoice.id).total == 1000
    assert api.invoices.delete(invoice.id).deleted
    assert refusal(stripe.InvalidRequestError, api.invoices.retrieve, invoice.id).http_status == 404
    assert [one.id for one in api.invoice_items.list({"pending": True}).data] == [waiting.id]
    assert refusal(stripe.InvalidRequestError, api.invoice_items.retrieve, own.id).http_status == 404


def test_lines_come_as_stripe_orders_them(api: Sdk) -> None:
    """Pending items newest first, then those added to the draft, oldest first; pages of the same order."""
    customer = api.customers.create()
    for amount in (1, 2, 3):
        api.invoice_items.create({"customer": customer.id, "amount": amount, "currency": "usd"})
    invoice = api.invoices.create({"customer": customer.id, "pending_invoice_items_behavior": "include"})
    for amount in range(4, 13):
        api.invoice_items.create({"customer": customer.id, "invoice": invoice.id, "amount": amount})
    expected = [3, 2, 1, *range(4, 13)]
    shown = api.invoices.retrieve(invoice.id).lines
    assert ([line.amount for line in shown.data], shown.has_more) == (expected[:10], True)
    lines = api.invoices.line_items.list(invoice.id, {"limit": 5})
    assert [line.amount for line in lines.data] == expected[:5]
    assert [line.amount for line in lines.auto_paging_iter()] == expected
    back = api.invoices.line_items.list(invoice.id, {"limit": 2, "ending_before": lines.data[4].id})
    assert [line.amount for line in back.data] == expected[2:4]


def test_send_invoice(api: Sdk) -> None:
    customer = api.customers.create()
    missing = refusal(
        stripe.InvalidRequestError, api.invoices.create, {"customer": customer.id, "collection_method": "send_invoice"}
    )
    assert missing.param == "days_until_due"
    invoice = drafted(api, customer.id, 900, collection_method="send_invoice", days_until_due=7)
    assert invoice.due_date == invoice.created + 7 * 86400
    refusal(stripe.InvalidRequestError, api.invoices.create, {"customer": customer.id, "days_until_due": 7})
    due = {"due_date": {"gte": invoice.due_date, "lt": invoice.due_date + 1}}
    assert [one.id for one in api.invoices.list(due).data] == [invoice.id]


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({}, "amount"),
        ({"amount": 1, "pricing": {"price": "price_1"}}, "amount"),
        ({"amount": 1, "quantity": 2}, "quantity"),
        ({"pricing": {"price": "price_none"}}, "pricing[price]"),
        ({"amount": 1, "invoice": "in_none"}, "invoice"),
        ({"amount": 1, "customer": "cus_none"}, "customer"),
        ({"amount": 1, "period": {"start": 2, "end": 1}}, "period[end]"),
        ({"amount": 1, "currency": "eur"}, "currency"),
    ],
)
def test_wrong_invoice_items(api: Sdk, params: dict[str, Any], param: str) -> None:
    customer = api.customers.create()
    api.invoice_items.create({"customer": customer.id, "amount": 1, "currency": "usd"})
    wrong = {"customer": customer.id, "currency": "usd", **params}
    assert refusal(stripe.InvalidRequestError, api.invoice_items.create, wrong).param == param
    assert len(api.invoice_items.list({"customer": customer.id}).data) == 1


def test_changing_a_priced_item(api: Sdk) -> None:
    """3 x 0.5 = 1.5 rounds to 2, 5 x 0.5 = 2.5 rounds to 3: half away from zero."""
    customer = api.customers.create()
    price = api.prices.create({"product_data": {"name": "P"}, "currency": "usd", "unit_amount_decimal": "0.5"})
    item = api.invoice_items.create({"customer": customer.id, "pricing": {"price": price.id}, "quantity": 3})
    assert item.amount == 2
    assert api.invoice_items.update(item.id, {"quantity": 5}).amount == 3
    assert api.invoice_items.update(item.id, {"amount": 10, "description": "flat"}).pricing is None
