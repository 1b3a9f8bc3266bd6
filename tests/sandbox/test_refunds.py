"""Refunds, the account's balance, and the customer's balance with its transactions."""

import random
from typing import Any

import pytest
import stripe

from sandbox.conftest import Sdk, drafted, event_types, paying_customer, refusal

NO_REDIRECTS = {"enabled": True, "allow_redirects": "never"}


def payment(api: Sdk, amount: int, currency: str = "usd", **fields: Any) -> Any:
    return api.payment_intents.create(
        {"amount": amount, "currency": currency, "payment_method": "pm_card_visa", "confirm": True,
         "automatic_payment_methods": NO_REDIRECTS, **fields}
    )  # fmt: skip


def test_partial_refunds_then_the_rest(api: Sdk) -> None:
    """1000 paid: 300 back, then the remaining 700; a third finds nothing."""
    paid = payment(api, 1000)
    first = api.refunds.create(
        {"payment_intent": paid.id, "amount": 300, "reason": "requested_by_customer", "metadata": {"a": "b"}}
    )
    assert (first.amount, first.status, first.reason, first.metadata.a) == (
        300,
        "succeeded",
        "requested_by_customer",
        "b",
    )
    assert (first.charge, first.payment_intent, first.currency) == (paid.latest_charge, paid.id, "usd")
    charge = api.charges.retrieve(paid.latest_charge, {"expand": ["refunds", "balance_transaction"]})
    assert (charge.amount_refunded, charge.refunded, [one.id for one in charge.refunds.data]) == (
        300,
        False,
        [first.id],
    )
    assert (charge.balance_transaction.net, charge.balance_transaction.type) == (1000, "charge")
    second = api.refunds.create({"charge": paid.latest_charge}, {"idempotency_key": "once"})
    assert api.refunds.create({"charge": paid.latest_charge}, {"idempotency_key": "once"}).id == second.id
    assert second.amount == 700
    assert api.charges.retrieve(paid.latest_charge).refunded
    assert event_types(api)[-4:] == ["refund.created", "charge.refunded"] * 2
    again = refusal(stripe.InvalidRequestError, api.refunds.create, {"charge": paid.latest_charge})
    assert again.code == "charge_already_refunded"
    assert api.payment_intents.retrieve(paid.id).status == "succeeded"


def test_over_refund_is_refused(api: Sdk) -> None:
    paid = payment(api, 1000)
    error = refusal(stripe.InvalidRequestError, api.refunds.create, {"payment_intent": paid.id, "amount": 1001})
    assert (error.http_status, error.param) == (400, "amount")
    assert error.user_message == "Refund amount ($10.01 usd) is greater than charge amount ($10.00 usd)"
    api.refunds.create({"payment_intent": paid.id, "amount": 600})
    error = refusal(stripe.InvalidRequestError, api.refunds.create, {"payment_intent": paid.id, "amount": 401})
    assert "unrefunded amount" in error.user_message
    assert api.charges.retrieve(paid.latest_charge).amount_refunded == 600


@pytest.mark.parametrize(
    "params", [{}, {"charge": "ch_none"}, {"payment_intent": "pi_none"}, {"amount": 0}, {"reason": "billing_error"}]
)
def test_wrong_refunds(api: Sdk, params: dict[str, Any]) -> None:
    refusal(stripe.InvalidRequestError, api.refunds.create, params)
    unpaid = api.payment_intents.create({"amount": 100, "currency": "usd"})
    refusal(stripe.InvalidRequestError, api.refunds.create, {"payment_intent": unpaid.id})
    assert api.refunds.list().data == []


def test_a_failed_charge_has_nothing_to_refund(api: Sdk) -> None:
    with pytest.raises(stripe.CardError):
        payment(api, 500, payment_method="pm_card_chargeDeclined")
    failed = api.charges.list().data[0]
    refusal(stripe.InvalidRequestError, api.refunds.create, {"charge": failed.id})
    assert api.balance_transactions.list().data == []


def test_refunds_are_found_changed_and_not_cancelled(api: Sdk) -> None:
    paid, other = payment(api, 1000), payment(api, 1000)
    made = [api.refunds.create({"payment_intent": one.id, "amount": 10}) for one in (paid, other)]
    assert [one.id for one in api.refunds.list({"charge": paid.latest_charge}).data] == [made[0].id]
    assert [one.id for one in api.refunds.list({"payment_intent": other.id}).data] == [made[1].id]
    assert api.refunds.update(made[0].id, {"metadata": {"reason": "billing_error"}}).metadata.reason == "billing_error"
    assert event_types(api)[-1] == "refund.updated"
    refusal(stripe.InvalidRequestError, api.refunds.cancel, made[0].id)
    api.refunds.create({"payment_intent": paid.id, "reason": "fraudulent"})
    assert api.charges.retrieve(paid.latest_charge).fraud_details.user_report == "fraudulent"
    assert api.charges.update(paid.latest_charge, {"description": "x"}).description == "x"


def test_the_accounts_balance_is_the_sum_of_its_transactions(api: Sdk) -> None:
    """usd: 1000 - 250 = 750. jpy: 900. All pending for two days."""
    paid = payment(api, 1000)
    made = api.refunds.create({"payment_intent": paid.id, "amount": 250})
    payment(api, 900, "jpy")
    balance = api.balance.retrieve()
    assert {one.currency: one.amount for one in balance.pending} == {"usd": 750, "jpy": 900}
    assert {one.currency: one.amount for one in balance.available} == {"usd": 0, "jpy": 0}
    of_refund = api.balance_transactions.list({"source": made.id, "expand": ["data.source"]}).data[0]
    assert (of_refund.net, of_refund.type, of_refund.source.id, of_refund.status) == (
        -250,
        "refund",
        made.id,
        "pending",
    )
    assert [one.amount for one in api.balance_transactions.list({"currency": "usd"}).data] == [-250, 1000]
    assert api.balance_transactions.retrieve(of_refund.id).available_on == of_refund.created + 2 * 86400


@pytest.mark.parametrize("seed", range(3))
def test_refunds_never_exceed_what_was_paid(api: Sdk, seed: int) -> None:
    """Any sequence of amounts: those that fit succeed, the others change nothing."""
    chance = random.Random(seed)
    paid = payment(api, total := chance.randrange(50, 5000))
    back = 0
    for amount in (chance.randrange(1, total) for _ in range(12)):
        if back + amount <= total:
            back += api.refunds.create({"payment_intent": paid.id, "amount": amount}).amount
        else:
            refusal(stripe.InvalidRequestError, api.refunds.create, {"payment_intent": paid.id, "amount": amount})
        charge = api.charges.retrieve(paid.latest_charge)
        assert (charge.amount_refunded, charge.refunded) == (back, back == total)
    assert sum(one.net for one in api.balance_transactions.list().data) == total - back


def moves(api: Sdk, customer: str) -> list[tuple[str, int, int]]:
    """Oldest first."""
    found = api.customers.balance_transactions.list(customer).data
    return [(one.type, one.amount, one.ending_balance) for one in found][::-1]


def test_credit_is_applied_and_comes_back_with_a_void(api: Sdk) -> None:
    """Credit 300 on 1000: applied +300. Voided: -300 again."""
    customer = api.customers.create()
    given = api.customers.balance_transactions.create(
        customer.id, {"amount": -300, "currency": "usd", "description": "sorry", "metadata": {"a": "b"}}
    )
    assert (given.type, given.ending_balance, given.description, given.metadata.a) == ("adjustment", -300, "sorry", "b")
    opened = api.invoices.finalize_invoice(drafted(api, customer.id, 1000).id)
    assert (opened.amount_due, opened.starting_balance, opened.ending_balance) == (700, -300, 0)
    api.invoices.void_invoice(opened.id)
    assert moves(api, customer.id) == [
        ("adjustment", -300, -300), ("applied_to_invoice", 300, 0), ("unapplied_from_invoice", -300, -300),
    ]  # fmt: skip
    of_invoice = api.customers.balance_transactions.list(customer.id, {"invoice": opened.id})
    assert [one.type for one in of_invoice.data] == ["unapplied_from_invoice", "applied_to_invoice"]
    changed = api.customers.balance_transactions.update(customer.id, given.id, {"description": "x"})
    assert api.customers.balance_transactions.retrieve(customer.id, given.id).description == changed.description == "x"


@pytest.mark.parametrize(
    ("currency", "balance", "total", "due", "expected"),
    [
        # 40 is below 50: owed.
        ("usd", 0, 40, 0, [("invoice_too_small", 40, 40)]),
        # 330 - 300 = 30, below 50: the credit goes, 30 is owed.
        ("usd", -300, 330, 0, [("applied_to_invoice", 300, 0), ("invoice_too_small", 30, 30)]),
        # What was owed is asked for now: 100 + 20 = 120.
        ("usd", 20, 100, 120, [("applied_to_invoice", -20, 0)]),
        # 20 + 20 = 40 stays owed.
        ("usd", 20, 20, 0, [("invoice_too_small", 20, 40)]),
        # A negative invoice is credit.
        ("usd", 0, -700, 0, [("applied_to_invoice", -700, -700)]),
        # More credit than the invoice: 1000 - 400 stay.
        ("usd", -1000, 400, 0, [("applied_to_invoice", 400, -600)]),
        # Yen have no decimals and the same minimum, 50.
        ("jpy", -100, 149, 0, [("applied_to_invoice", 100, 0), ("invoice_too_small", 49, 49)]),
        ("jpy", -100, 150, 50, [("applied_to_invoice", 100, 0)]),
        # Stripe publishes no minimum for dinars: one fils is asked for. 1.001 - 1.000 = 0.001.
        ("kwd", -1000, 1001, 1, [("applied_to_invoice", 1000, 0)]),
    ],
)
def test_balance_and_minimum(
    api: Sdk, currency: str, balance: int, total: int, due: int, expected: list[tuple[str, int, int]]
) -> None:
    customer = api.customers.create()
    if balance:
        api.customers.balance_transactions.create(customer.id, {"amount": balance, "currency": currency})
    invoice = api.invoices.finalize_invoice(drafted(api, customer.id, total, currency=currency).id)
    assert (invoice.total, invoice.amount_due) == (total, due)
    assert invoice.amount_due == max(0, invoice.total + invoice.starting_balance - invoice.ending_balance)
    found = moves(api, customer.id)
    assert found[1 if balance else 0 :] == expected
    assert api.customers.retrieve(customer.id).balance == invoice.ending_balance == expected[-1][2]


def test_a_balance_set_by_hand_is_an_adjustment(api: Sdk) -> None:
    customer = api.customers.create({"balance": -50})
    api.customers.update(customer.id, {"balance": 30})
    assert moves(api, customer.id) == [("adjustment", -50, -50), ("adjustment", 80, 30)]
    other = paying_customer(api)
    refusal(
        stripe.InvalidRequestError, api.customers.balance_transactions.retrieve, other.id,
        api.customers.balance_transactions.list(customer.id).data[0].id,
    )  # fmt: skip
