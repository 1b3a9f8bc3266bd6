"""Disputes, and discounts of customers."""

from typing import Any

import pytest
import stripe

from sandbox.conftest import Sandbox, Sdk, drafted, event_types, paying_customer, refusal


def disputed(api: Sdk, card: str = "pm_card_createDispute") -> Any:
    api.payment_intents.create(
        {"amount": 1000, "currency": "usd", "payment_method": card, "confirm": True, "payment_method_types": ["card"]}
    )
    return api.disputes.list().data[0]


def test_a_disputed_payment_is_withdrawn(api: Sdk) -> None:
    """1000 in, 1000 out: nothing is left, and nothing can be refunded."""
    found = disputed(api)
    assert (found.status, found.reason, found.amount) == ("needs_response", "fraudulent", 1000)
    assert found.balance_transactions[0].net == -1000
    assert (found.evidence_details.submission_count, found.evidence_details.has_evidence) == (0, False)
    assert event_types(api)[-2:] == ["charge.dispute.created", "charge.dispute.funds_withdrawn"]
    assert api.charges.retrieve(found.charge).disputed
    assert api.balance.retrieve().pending[0].amount == 0
    error = refusal(stripe.InvalidRequestError, api.refunds.create, {"charge": found.charge})
    assert error.code == "charge_disputed"
    assert api.disputes.retrieve(found.id, {"expand": ["charge"]}).charge.id == found.charge


@pytest.mark.parametrize(
    ("text", "status", "left", "last"),
    [
        ("winning_evidence", "won", 1000, "charge.dispute.funds_reinstated"),
        ("losing_evidence", "lost", 0, "charge.dispute.closed"),
        ("it was delivered", "under_review", 0, "charge.dispute.updated"),
    ],
)
def test_evidence_decides(api: Sdk, text: str, status: str, left: int, last: str) -> None:
    found = disputed(api, "pm_card_createDisputeProductNotReceived")
    staged = api.disputes.update(found.id, {"evidence": {"customer_name": "Ann"}, "submit": False})
    assert (staged.status, staged.evidence_details.has_evidence) == ("needs_response", True)
    answered = api.disputes.update(found.id, {"evidence": {"uncategorized_text": text}})
    assert (answered.status, answered.evidence.customer_name) == (status, "Ann")
    assert answered.evidence_details.submission_count == 1
    assert api.balance.retrieve().pending[0].amount == left
    assert event_types(api)[-1] == last


def test_giving_in(api: Sdk) -> None:
    found = disputed(api)
    assert api.disputes.close(found.id).status == "lost"
    refusal(stripe.InvalidRequestError, api.disputes.close, found.id)
    refusal(stripe.InvalidRequestError, api.disputes.update, found.id, {"evidence": {"customer_name": "x"}})
    assert api.disputes.update(found.id, {"metadata": {"a": "b"}}).metadata.a == "b"


def test_a_customers_discount_is_on_the_invoices_that_have_none(api: Sdk, sandbox: Sandbox) -> None:
    """10 % for good: 1000 - 100 = 900; an invoice with none of its own wishes 0 off."""
    customer = paying_customer(api)
    coupon = api.coupons.create({"percent_off": "10", "duration": "forever"})
    given = sandbox.admin("POST", f"customers/{customer.id}/discount", {"coupon": coupon.id})
    assert given["discount"]["source"]["coupon"] == coupon.id
    first, second = (api.invoices.retrieve(drafted(api, customer.id, 1000).id) for _ in range(2))
    assert (first.total, second.total) == (900, 900)
    assert api.invoices.retrieve(drafted(api, customer.id, 1000, discounts="").id).total == 1000
    again = sandbox.admin("POST", f"customers/{customer.id}/discount", {"coupon": coupon.id})
    assert again["discount"]["id"] != given["discount"]["id"]
    assert api.customers.delete_discount(customer.id).deleted
    assert api.customers.retrieve(customer.id).discount is None
    assert api.invoices.retrieve(drafted(api, customer.id, 1000).id).total == 1000
    assert sandbox.admin("POST", f"customers/{customer.id}/discount", {"coupon": "none"}) == 400
