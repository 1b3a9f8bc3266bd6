"""Lines of drafts, several at a time; sending; payments that are attached."""

import pytest
import stripe

from sandbox.conftest import Sdk, drafted, event_types, paying_customer, refusal


def test_lines_come_change_and_go(api: Sdk) -> None:
    """100 + 2 x 250 + pending 70 = 670; then 150 and 3 x 250 instead: 970; without them and tax 10 % on 70: 77."""
    customer = api.customers.create()
    price = api.prices.create({"product_data": {"name": "P"}, "currency": "usd", "unit_amount": 250})
    pending = api.invoice_items.create({"customer": customer.id, "currency": "usd", "amount": 70})
    invoice = api.invoices.create({"customer": customer.id, "currency": "usd"})
    new = [{"amount": 100, "description": "a"}, {"pricing": {"price": price.id}, "quantity": 2}]
    added = api.invoices.add_lines(
        invoice.id, {"lines": [*new, {"invoice_item": pending.id}], "invoice_metadata": {"k": "v"}}
    )
    assert ([line.amount for line in added.lines.data], added.total, added.metadata.k) == ([100, 500, 70], 670, "v")
    assert event_types(api).count("invoice.updated") == 1
    first, second, third = (line.id for line in added.lines.data)
    changed = api.invoices.update_lines(
        invoice.id, {"lines": [{"id": first, "amount": 150}, {"id": second, "quantity": 3, "description": "b"}]}
    )
    assert ([line.amount for line in changed.lines.data], changed.total) == ([150, 750, 70], 970)
    rate = api.tax_rates.create({"display_name": "T", "percentage": "10", "inclusive": False})
    line = api.invoices.line_items.update(invoice.id, third, {"tax_rates": [rate.id], "description": "c"})
    assert (line.description, line.taxes[0].amount) == ("c", 7)
    left = api.invoices.remove_lines(
        invoice.id, {"lines": [{"id": first, "behavior": "delete"}, {"id": second, "behavior": "unassign"}]}
    )
    assert ([line.amount for line in left.lines.data], left.total) == ([70], 77)
    assert [one.amount for one in api.invoice_items.list({"pending": True}).data] == [750]
    gone = refusal(
        stripe.InvalidRequestError, api.invoices.remove_lines, invoice.id,
        {"lines": [{"id": first, "behavior": "delete"}]},
    )  # fmt: skip
    assert gone.param == "lines[0][id]"
    api.invoices.finalize_invoice(invoice.id)
    for call in (api.invoices.add_lines, api.invoices.update_lines):
        lines = {"lines": [{"id": third, "amount": 1}] if call == api.invoices.update_lines else [{"amount": 1}]}
        assert refusal(stripe.InvalidRequestError, call, invoice.id, lines).code == "invoice_not_editable"


def test_sending(api: Sdk) -> None:
    customer = api.customers.create({"email": "a@b.c"})
    terms = {"collection_method": "send_invoice", "days_until_due": 7}
    sent = api.invoices.send_invoice(drafted(api, customer.id, 900, **terms).id)
    assert (sent.status, sent.customer_email) == ("open", "a@b.c")
    assert event_types(api)[-1] == "invoice.sent"
    nobody = api.customers.create()
    refusal(stripe.InvalidRequestError, api.invoices.send_invoice, drafted(api, nobody.id, 900).id)
    api.invoices.void_invoice(sent.id)
    refusal(stripe.InvalidRequestError, api.invoices.send_invoice, sent.id)


def test_a_payment_made_elsewhere_pays(api: Sdk) -> None:
    customer = paying_customer(api)
    invoice = api.invoices.finalize_invoice(drafted(api, customer.id, 900).id)
    methods = {"payment_method": "pm_card_visa", "confirm": True, "payment_method_types": ["card"]}
    made, less = (
        api.payment_intents.create({"amount": amount, "currency": "usd", "customer": customer.id, **methods})
        for amount in (900, 800)
    )
    error = refusal(stripe.APIError, api.invoices.attach_payment, invoice.id, {"payment_intent": less.id})
    assert error.code == "sandbox_unsupported"
    paid = api.invoices.attach_payment(invoice.id, {"payment_intent": made.id})
    assert (paid.status, paid.amount_paid) == ("paid", 900)
    statuses = {
        one.payment.payment_intent: one.status for one in api.invoice_payments.list({"invoice": invoice.id}).data
    }
    assert statuses[made.id] == "paid"
    assert len(statuses) == 2
    with pytest.raises(stripe.InvalidRequestError):
        api.invoices.attach_payment(invoice.id, {"payment_intent": made.id})
