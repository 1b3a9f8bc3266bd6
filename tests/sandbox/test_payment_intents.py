"""Payment intents of their own, without an invoice."""

from typing import Any

import pytest
import stripe

from sandbox.conftest import Sandbox, Sdk, event_types, refusal

CARDS_ONLY: dict[str, Any] = {"amount": 1000, "currency": "usd", "payment_method_types": ["card"]}


def test_created_then_confirmed(api: Sdk) -> None:
    intent = api.payment_intents.create({**CARDS_ONLY, "metadata": {"order": "1"}, "description": "x"})
    assert (intent.status, intent.automatic_payment_methods) == ("requires_payment_method", None)
    assert intent.client_secret.startswith(f"{intent.id}_secret_")
    done = api.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa"})
    assert (done.status, done.amount_received) == ("succeeded", 1000)
    charge = api.charges.retrieve(done.latest_charge)
    assert (charge.metadata.order, charge.description, charge.paid) == ("1", "x", True)
    assert event_types(api) == ["payment_intent.created", "charge.succeeded", "payment_intent.succeeded"]
    error = refusal(stripe.InvalidRequestError, api.payment_intents.confirm, intent.id)
    assert error.code == "payment_intent_unexpected_state"


def test_a_decline_leaves_its_traces(api: Sdk) -> None:
    params = {**CARDS_ONLY, "confirm": True, "payment_method": "pm_card_visa_chargeDeclinedInsufficientFunds"}
    error = refusal(stripe.CardError, api.payment_intents.create, params)
    described = error.json_body["error"]
    assert (error.code, described["decline_code"]) == ("card_declined", "insufficient_funds")
    assert described["payment_intent"]["status"] == "requires_payment_method"
    assert api.charges.list().data[0].id == described["charge"]
    assert event_types(api) == ["payment_intent.created", "charge.failed", "payment_intent.payment_failed"]


@pytest.mark.parametrize(("outcome", "status"), [("succeed", "succeeded"), ("fail", "requires_payment_method")])
def test_authentication(api: Sdk, sandbox: Sandbox, outcome: str, status: str) -> None:
    params = {
        "amount": 1000,
        "currency": "usd",
        "confirm": True,
        "payment_method": "pm_card_authenticationRequired",
        "return_url": "https://example.com/back",
    }
    intent = api.payment_intents.create(params)
    assert (intent.status, intent.next_action.type) == ("requires_action", "redirect_to_url")
    assert intent.next_action.redirect_to_url.return_url == "https://example.com/back"
    sandbox.admin("POST", f"payment_intents/{intent.id}/authenticate", {"outcome": outcome})
    assert api.payment_intents.retrieve(intent.id).status == status
    assert len(api.charges.list().data) == (1 if outcome == "succeed" else 0)
    assert sandbox.admin("POST", f"payment_intents/{intent.id}/authenticate") == 409


def test_off_session_authentication_is_a_decline(api: Sdk) -> None:
    params = {**CARDS_ONLY, "confirm": True, "off_session": True, "payment_method": "pm_card_authenticationRequired"}
    error = refusal(stripe.CardError, api.payment_intents.create, params)
    assert (error.http_status, error.code) == (402, "authentication_required")


def test_error_on_requires_action(api: Sdk) -> None:
    params = {**CARDS_ONLY, "confirm": True, "payment_method": "pm_card_authenticationRequired"}
    error = refusal(stripe.CardError, api.payment_intents.create, {**params, "error_on_requires_action": True})
    assert error.code == "authentication_required"
    assert api.payment_intents.list().data[0].status == "requires_payment_method"


def test_redirects_need_a_return_url(api: Sdk) -> None:
    params = {"amount": 1000, "currency": "usd", "confirm": True, "payment_method": "pm_card_visa"}
    assert "return_url" in refusal(stripe.InvalidRequestError, api.payment_intents.create, params).user_message
    never = {"enabled": True, "allow_redirects": "never"}
    assert api.payment_intents.create({**params, "automatic_payment_methods": never}).status == "succeeded"


@pytest.mark.parametrize(
    ("params", "code", "message"),
    [
        ({"amount": 49}, "amount_too_small", "Amount must be at least $0.50 usd"),
        ({"amount": 100_000_000}, "amount_too_large", "Amount must be no more than $999,999.99 usd"),
        ({"amount": 49, "currency": "jpy"}, "amount_too_small", "Amount must be at least ¥50 jpy"),
        ({"amount": 0}, "parameter_invalid_integer", None),
        ({"amount": "10.00"}, "parameter_invalid_integer", "Invalid integer: 10.00"),
        ({"customer": "cus_none"}, "resource_missing", "No such customer: 'cus_none'"),
        ({"payment_method": "pm_none"}, "resource_missing", "No such PaymentMethod: 'pm_none'"),
    ],
)
def test_wrong_intents(api: Sdk, params: dict[str, Any], code: str, message: str | None) -> None:
    error = refusal(stripe.InvalidRequestError, api.payment_intents.create, {**CARDS_ONLY, **params})
    assert error.code == code
    assert message in (None, error.user_message)
    assert event_types(api) == []


def test_cancel(api: Sdk) -> None:
    intent = api.payment_intents.create(CARDS_ONLY)
    canceled = api.payment_intents.cancel(intent.id, {"cancellation_reason": "duplicate"})
    assert (canceled.status, canceled.cancellation_reason) == ("canceled", "duplicate")
    error = refusal(stripe.InvalidRequestError, api.payment_intents.cancel, intent.id)
    assert error.code == "payment_intent_unexpected_state"


def test_another_customers_card(api: Sdk) -> None:
    owner, other = api.customers.create(), api.customers.create()
    method = api.payment_methods.attach("pm_card_visa", {"customer": owner.id})
    for customer in ({}, {"customer": other.id}):
        error = refusal(
            stripe.InvalidRequestError,
            api.payment_intents.create,
            {**CARDS_ONLY, **customer, "payment_method": method.id},
        )
        assert error.param == "payment_method"
    mine = {**CARDS_ONLY, "customer": owner.id, "payment_method": method.id}
    assert api.payment_intents.create(mine).status == "requires_confirmation"
