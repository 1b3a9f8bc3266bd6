"""Invoices, discounts, taxes, refunds and credit notes: numbers worked by hand."""

import pytest
import stripe as official

from sandbox.conftest import Sdk, drafted, paying_customer, refusal


def test_discount_and_taxes(api: Sdk) -> None:
    """1000 + 500 less 20 % (200 and 100) are 1200; 10 % tax on top (80 and 40) makes 1320."""
    coupon = api.coupons.create({"percent_off": 20, "duration": "once"})
    tax = api.tax_rates.create({"display_name": "VAT", "percentage": 10, "inclusive": False})
    customer = paying_customer(api)
    invoice = drafted(
        api, customer.id, 1000, 500, discounts=[{"coupon": coupon.id}], default_tax_rates=[tax.id]
    )  # fmt: skip
    opened = api.invoices.finalize_invoice(invoice.id, {"auto_advance": False})
    assert (opened.subtotal, opened.total, opened.amount_due) == (1500, 1320, 1320)
    assert sum(one.amount for one in opened.total_discount_amounts) == 300
    assert [(one.amount, one.tax_behavior) for one in opened.total_taxes] == [(120, "exclusive")]
    assert sorted(line.discount_amounts[0].amount for line in opened.lines.data) == [100, 200]


def test_the_customers_balance_pays_first(api: Sdk) -> None:
    """400 of credit and 600 from the card."""
    customer = paying_customer(api, balance=-400)
    paid = api.invoices.pay(drafted(api, customer.id, 1000).id)
    assert (paid.status, paid.total, paid.amount_paid) == ("paid", 1000, 600)
    assert (paid.starting_balance, paid.ending_balance, api.customers.retrieve(customer.id).balance) == (-400, 0, 0)


def test_below_the_minimum_charge(api: Sdk) -> None:
    """30 cents cannot be charged: the invoice is paid, and they are owed."""
    customer = paying_customer(api)
    small = api.invoices.finalize_invoice(drafted(api, customer.id, 30).id)
    assert (small.status, small.amount_due, small.ending_balance) == ("paid", 0, 30)
    assert api.customers.retrieve(customer.id).balance == 30


def test_refunds(api: Sdk) -> None:
    """300 of 1000, then no more than the remaining 700."""
    paid = api.payment_intents.create(
        {"amount": 1000, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True,
         "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"}}
    )  # fmt: skip
    first = api.refunds.create({"payment_intent": paid.id, "amount": 300, "reason": "requested_by_customer"})
    assert (first.amount, first.status, first.charge) == (300, "succeeded", paid.latest_charge)
    error = refusal(official.InvalidRequestError, api.refunds.create, {"payment_intent": paid.id, "amount": 701})
    assert error.http_status == 400
    assert api.refunds.create({"charge": paid.latest_charge}).amount == 700
    charge = api.charges.retrieve(paid.latest_charge)
    assert (charge.amount_refunded, charge.refunded) == (1000, True)
    again = refusal(official.InvalidRequestError, api.refunds.create, {"charge": paid.latest_charge})
    assert again.code == "charge_already_refunded"


def test_a_credit_note_before_payment(api: Sdk) -> None:
    """1000 asked, 300 credited: the card pays 700."""
    invoice = api.invoices.finalize_invoice(drafted(api, paying_customer(api).id, 1000).id, {"auto_advance": False})
    note = api.credit_notes.create({"invoice": invoice.id, "amount": 300, "reason": "order_change"})
    assert (note.type, note.pre_payment_amount, note.post_payment_amount) == ("pre_payment", 300, 0)
    settled = api.invoices.pay(invoice.id)
    assert (settled.amount_paid, settled.total, settled.pre_payment_credit_notes_amount) == (700, 1000, 300)


def test_a_credit_note_after_payment(api: Sdk) -> None:
    """600 of 1000 come back: 300 to the card, 200 as credit, 100 by other means; 401 are more than is left."""
    customer = paying_customer(api)
    invoice = api.invoices.pay(drafted(api, customer.id, 1000).id)
    parts = {"refund_amount": 300, "credit_amount": 200, "out_of_band_amount": 100}
    note = api.credit_notes.create({"invoice": invoice.id, "amount": 600, **parts})
    assert (note.type, note.post_payment_amount, note.out_of_band_amount) == ("post_payment", 600, 100)
    assert api.customers.retrieve(customer.id).balance == -200
    more = {"invoice": invoice.id, "amount": 401, "out_of_band_amount": 401}
    refusal(official.InvalidRequestError, api.credit_notes.create, more)


@pytest.mark.parametrize(
    ("card", "code"),
    [
        ("pm_card_chargeDeclined", "generic_decline"),
        ("pm_card_visa_chargeDeclinedInsufficientFunds", "insufficient_funds"),
    ],
)
def test_declined_cards(api: Sdk, card: str, code: str) -> None:
    params = {"amount": 500, "currency": "usd", "payment_method": card, "confirm": True}
    methods = {"automatic_payment_methods": {"enabled": True, "allow_redirects": "never"}}
    error = refusal(official.CardError, api.payment_intents.create, {**params, **methods})
    assert (error.http_status, error.code) == (402, "card_declined")
    assert error.json_body["error"]["decline_code"] == code
    assert error.json_body["error"]["payment_intent"]["status"] == "requires_payment_method"
