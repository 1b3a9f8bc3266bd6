"""Credit notes: before payment, after it, by lines with their discounts and taxes, previewed and voided."""

import random
from typing import Any

import pytest
import stripe

from sandbox.conftest import Sdk, drafted, event_types, paying_customer, refusal


def opened(api: Sdk, *amounts: int, **fields: Any) -> Any:
    customer = fields.pop("customer", None) or paying_customer(api).id
    return api.invoices.finalize_invoice(drafted(api, customer, *amounts, **fields).id)


def paid(api: Sdk, *amounts: int, **fields: Any) -> Any:
    return api.invoices.pay(opened(api, *amounts, **fields).id)


def test_before_payment_less_is_asked(api: Sdk) -> None:
    """1000 asked, 300 credited: 700 asked, and 700 is what the card pays."""
    invoice = opened(api, 1000)
    note = api.credit_notes.create({"invoice": invoice.id, "amount": 300, "reason": "order_change", "memo": "sorry"})
    assert (note.type, note.pre_payment_amount, note.post_payment_amount) == ("pre_payment", 300, 0)
    assert (note.number, note.status, note.total, note.lines.data[0].amount) == (
        f"{invoice.number}-CN-01",
        "issued",
        300,
        300,
    )
    after = api.invoices.retrieve(invoice.id, {"expand": ["payments.data.payment.payment_intent"]})
    assert (after.amount_due, after.amount_remaining, after.pre_payment_credit_notes_amount) == (700, 700, 300)
    assert after.payments.data[0].payment.payment_intent.amount == 700
    assert event_types(api)[-2:] == ["invoice.updated", "credit_note.created"]
    settled = api.invoices.pay(invoice.id)
    assert (settled.amount_paid, settled.total) == (700, 1000)


def test_crediting_all_that_is_asked_closes_the_invoice(api: Sdk) -> None:
    invoice = opened(api, 1000)
    api.credit_notes.create({"invoice": invoice.id, "amount": 1000})
    closed = api.invoices.retrieve(invoice.id)
    assert (closed.status, closed.amount_due, closed.amount_paid) == ("paid", 0, 0)
    assert api.payment_intents.list().data[0].status == "canceled"
    assert api.charges.list().data == []


def test_a_void_before_payment_asks_for_all_of_it_again(api: Sdk) -> None:
    invoice = opened(api, 1000)
    note = api.credit_notes.create({"invoice": invoice.id, "amount": 400})
    assert api.credit_notes.void_credit_note(note.id).status == "void"
    again = api.invoices.retrieve(invoice.id)
    assert (again.amount_due, again.pre_payment_credit_notes_amount) == (1000, 0)
    assert event_types(api)[-1] == "credit_note.voided"
    refusal(stripe.InvalidRequestError, api.credit_notes.void_credit_note, note.id)


def test_after_payment_it_goes_back_three_ways(api: Sdk) -> None:
    """600 of 1000: 300 to the card, 200 as credit, 100 by other means."""
    invoice = paid(api, 1000)
    note = api.credit_notes.create(
        {"invoice": invoice.id, "amount": 600, "refund_amount": 300, "credit_amount": 200, "out_of_band_amount": 100}
    )
    assert (note.type, note.post_payment_amount, note.out_of_band_amount) == ("post_payment", 600, 100)
    made = api.refunds.retrieve(note.refunds[0].refund)
    assert (made.amount, note.refunds[0].amount_refunded) == (300, 300)
    entry = api.customers.balance_transactions.retrieve(invoice.customer, note.customer_balance_transaction)
    assert (entry.type, entry.amount, entry.credit_note, entry.invoice) == ("credit_note", -200, note.id, invoice.id)
    assert api.customers.retrieve(invoice.customer).balance == -200
    after = api.invoices.retrieve(invoice.id)
    assert (after.status, after.amount_paid, after.post_payment_credit_notes_amount) == ("paid", 1000, 600)
    refusal(stripe.InvalidRequestError, api.credit_notes.void_credit_note, note.id)
    error = refusal(
        stripe.InvalidRequestError, api.credit_notes.create,
        {"invoice": invoice.id, "amount": 401, "out_of_band_amount": 401},
    )  # fmt: skip
    assert error.param == "amount"
    assert [one.id for one in api.credit_notes.list({"invoice": invoice.id}).data] == [note.id]
    assert api.credit_notes.update(note.id, {"memo": "x", "metadata": {"a": "b"}}).memo == "x"
    assert event_types(api)[-1] == "credit_note.updated"


def test_a_refund_made_before_can_be_explained_once(api: Sdk) -> None:
    invoice = paid(api, 1000)
    made = api.refunds.create({"charge": api.charges.list().data[0].id, "amount": 250})
    wanted = {"invoice": invoice.id, "amount": 250, "refunds": [{"refund": made.id}]}
    assert api.credit_notes.create(wanted).refunds[0].refund == made.id
    refusal(stripe.InvalidRequestError, api.credit_notes.create, wanted)
    assert api.charges.list().data[0].amount_refunded == 250


def test_lines_take_their_discounts_and_taxes_with_them(api: Sdk) -> None:
    """1001 - 10 % (100) = 901, 8.25 % on it 74.33, so 74: 975. Credited 500, then 501.

    500: discount 100 x 500/1001 = 49.95, so 50; tax 74 x 500/1001 = 36.96, so 37: 487.
    501: what is left: discount 50, tax 37: 488. Together 975.
    """
    rate = api.tax_rates.create({"display_name": "T", "percentage": "8.25", "inclusive": False})
    coupon = api.coupons.create({"percent_off": "10"})
    invoice = paid(api, 1001, default_tax_rates=[rate.id], discounts=[{"coupon": coupon.id}])
    assert invoice.total == 975
    line = {"type": "invoice_line_item", "invoice_line_item": invoice.lines.data[0].id}
    notes = [
        api.credit_notes.create({"invoice": invoice.id, "lines": [{**line, "amount": amount}], "refund_amount": back})
        for amount, back in ((500, 487), (501, 488))
    ]
    assert [(one.subtotal, one.discount_amount, one.total_taxes[0].amount, one.total) for one in notes] == [
        (500, 50, 37, 487), (501, 50, 37, 488),
    ]  # fmt: skip
    assert notes[0].total_excluding_tax == 450
    assert api.charges.list().data[0].refunded
    refusal(
        stripe.InvalidRequestError, api.credit_notes.create,
        {"invoice": invoice.id, "lines": [{**line, "amount": 1}], "out_of_band_amount": 1},
    )  # fmt: skip


def test_inclusive_tax_comes_out_of_the_amount(api: Sdk) -> None:
    """Yen: 1100 with 10 % inside is 1000 + 100. Half of it back: 550, of which tax 50."""
    rate = api.tax_rates.create({"display_name": "T", "percentage": "10", "inclusive": True})
    invoice = paid(api, 1100, currency="jpy", default_tax_rates=[rate.id])
    line = {"type": "invoice_line_item", "invoice_line_item": invoice.lines.data[0].id, "amount": 550}
    note = api.credit_notes.create({"invoice": invoice.id, "lines": [line], "credit_amount": 550})
    assert (note.total, note.total_taxes[0].amount, note.subtotal_excluding_tax, note.total_excluding_tax) == (
        550,
        50,
        500,
        500,
    )


def test_a_preview_is_what_comes_and_changes_nothing(api: Sdk) -> None:
    invoice = opened(api, 1000, 500)
    wanted: dict[str, Any] = {
        "invoice": invoice.id,
        "lines": [
            {"type": "invoice_line_item", "invoice_line_item": invoice.lines.data[0].id, "quantity": 1},
            {"type": "custom_line_item", "description": "goodwill", "quantity": 2, "unit_amount": 50},
        ],
    }
    seen = api.credit_notes.preview(wanted)
    assert (seen.total, seen.pre_payment_amount, [one.amount for one in seen.lines.data]) == (1100, 1100, [1000, 100])
    lines = api.credit_notes.preview_lines.list({**wanted, "limit": 1})
    assert ([one.amount for one in lines.data], lines.has_more) == ([1000], True)
    assert (api.credit_notes.list().data, api.invoices.retrieve(invoice.id).amount_due) == ([], 1500)
    made = api.credit_notes.create(wanted)
    assert (made.total, api.credit_notes.retrieve(made.id).total) == (1100, 1100)
    first = api.credit_notes.line_items.list(made.id, {"limit": 1})
    assert [one.amount for one in first.auto_paging_iter()] == [1000, 100]


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({}, "amount"),
        ({"amount": 1001, "credit_amount": 1001}, "amount"),
        ({"amount": 500}, "credit_amount"),
        ({"amount": 500, "credit_amount": 499}, "credit_amount"),
        ({"amount": 500, "refund_amount": 501}, "refund_amount"),
        ({"lines": [{"type": "custom_line_item", "unit_amount": 5}]}, "lines[0]"),
        (
            {"lines": [{"type": "invoice_line_item", "invoice_line_item": "il_none", "amount": 5}]},
            "lines[0][invoice_line_item]",
        ),
        ({"refunds": [{"refund": "re_none"}], "amount": 5}, "refunds[0][refund]"),
    ],
)
def test_wrong_credit_notes(api: Sdk, params: dict[str, Any], param: str) -> None:
    invoice = paid(api, 1000)
    wanted = {"invoice": invoice.id, **params}
    assert refusal(stripe.InvalidRequestError, api.credit_notes.create, wanted).param == param
    assert (api.credit_notes.list().data, api.refunds.list().data) == ([], [])
    draft = drafted(api, invoice.customer, 100)
    refusal(stripe.InvalidRequestError, api.credit_notes.create, {"invoice": draft.id, "amount": 1})


def test_what_balance_paid_can_be_credited_too(api: Sdk) -> None:
    """1000, of which credit of 300 paid a part. Credited whole: 700 to the card, 300 as credit again."""
    customer = paying_customer(api, balance=-300)
    invoice = paid(api, 1000, customer=customer.id)
    assert invoice.amount_paid == 700
    refusal(
        stripe.InvalidRequestError, api.credit_notes.create,
        {"invoice": invoice.id, "amount": 1000, "refund_amount": 1000},
    )  # fmt: skip
    api.credit_notes.create({"invoice": invoice.id, "amount": 1000, "refund_amount": 700, "credit_amount": 300})
    assert api.customers.retrieve(customer.id).balance == -300


@pytest.mark.parametrize("seed", range(4))
def test_credits_and_refunds_never_exceed_what_was_paid(api: Sdk, seed: int) -> None:
    """Any sequence of notes and refunds: the card gets back at most what it paid, the notes come to at most the total."""
    chance = random.Random(seed)
    customer = paying_customer(api, balance=-chance.randrange(0, 500))
    invoice = opened(api, *(chance.randrange(100, 3000) for _ in range(3)), customer=customer.id)
    if chance.random() < 0.5:
        api.credit_notes.create({"invoice": invoice.id, "amount": chance.randrange(1, 200)})
    invoice = api.invoices.pay(invoice.id)
    charge = api.charges.list().data[0]
    for _ in range(10):
        amount = chance.randrange(1, invoice.total)
        back = chance.randrange(0, amount + 1)
        try:
            if chance.random() < 0.3:
                api.refunds.create({"charge": charge.id, "amount": amount})
            else:
                parts = {"refund_amount": back, "credit_amount": amount - back}
                api.credit_notes.create({"invoice": invoice.id, "amount": amount, **parts}, {"idempotency_key": str(_)})
        except stripe.InvalidRequestError:
            pass
        charge = api.charges.retrieve(charge.id)
        notes = api.credit_notes.list({"invoice": invoice.id}).data
        now = api.invoices.retrieve(invoice.id)
        assert charge.amount_refunded <= charge.amount == now.amount_paid
        assert sum(note.total for note in notes) <= invoice.total
        assert now.post_payment_credit_notes_amount == sum(note.post_payment_amount for note in notes)
        assert now.pre_payment_credit_notes_amount == sum(note.pre_payment_amount for note in notes)
        due = now.total + now.starting_balance - now.ending_balance - now.pre_payment_credit_notes_amount
        assert (now.amount_due, now.amount_paid) == (due, due)
        assert sum(one.amount for one in api.refunds.list({"limit": 100}).data) == charge.amount_refunded
