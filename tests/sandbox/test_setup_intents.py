"""Setup intents, payments while the cardholder is away, and capture by hand."""

import pytest
import stripe

from sandbox.conftest import Sandbox, Sdk, drafted, event_types, refusal

CARDS_ONLY = {"payment_method_types": ["card"]}
ASKS_ONCE = "pm_card_authenticationRequiredOnSetup"


def off_session(api: Sdk, customer: str, method: str) -> dict[str, object]:
    return {"amount": 900, "currency": "usd", "customer": customer, "payment_method": method, "confirm": True,
            "off_session": True, **CARDS_ONLY}  # fmt: skip


def test_a_card_is_set_up_and_attached(api: Sdk) -> None:
    customer = api.customers.create()
    made = api.setup_intents.create({"customer": customer.id, "metadata": {"a": "b"}, **CARDS_ONLY})
    assert (made.status, made.usage) == ("requires_payment_method", "off_session")
    assert made.client_secret.startswith(f"{made.id}_secret_")
    refusal(stripe.InvalidRequestError, api.setup_intents.confirm, made.id)
    done = api.setup_intents.confirm(made.id, {"payment_method": "pm_card_visa"})
    assert done.status == "succeeded"
    assert api.payment_methods.retrieve(done.payment_method).customer == customer.id
    assert event_types(api)[-3:] == ["setup_intent.created", "payment_method.attached", "setup_intent.succeeded"]
    refusal(stripe.InvalidRequestError, api.setup_intents.cancel, made.id)
    assert [one.id for one in api.setup_intents.list({"customer": customer.id}).data] == [made.id]


def test_setting_up_spares_the_question_when_the_cardholder_is_away(api: Sdk, sandbox: Sandbox) -> None:
    customer = api.customers.create()
    before = api.payment_methods.attach(ASKS_ONCE, {"customer": customer.id})
    error = refusal(stripe.CardError, api.payment_intents.create, off_session(api, customer.id, before.id))
    assert error.code == "authentication_required"
    made = api.setup_intents.create(
        {"customer": customer.id, "payment_method": before.id, "confirm": True, **CARDS_ONLY}
    )
    assert (made.status, made.next_action.type) == ("requires_action", "use_stripe_sdk")
    sandbox.admin("POST", f"setup_intents/{made.id}/authenticate", {"outcome": "succeed"})
    assert api.setup_intents.retrieve(made.id).status == "succeeded"
    assert sandbox.admin("POST", f"setup_intents/{made.id}/authenticate", {}) == 409
    assert api.payment_intents.create(off_session(api, customer.id, before.id)).status == "succeeded"
    # On session this card always asks.
    asked = {**off_session(api, customer.id, before.id), "off_session": False}
    assert api.payment_intents.create(asked).status == "requires_action"
    # An invoice is paid while the cardholder is away.
    api.customers.update(customer.id, {"invoice_settings": {"default_payment_method": before.id}})
    assert api.invoices.pay(drafted(api, customer.id, 900).id).status == "paid"


def test_some_cards_always_ask(api: Sdk, sandbox: Sandbox) -> None:
    customer = api.customers.create()
    made = api.setup_intents.create(
        {"customer": customer.id, "payment_method": "pm_card_authenticationRequired", "confirm": True,
         "return_url": "https://example.com"}
    )  # fmt: skip
    assert made.next_action.redirect_to_url.return_url == "https://example.com"
    sandbox.admin("POST", f"setup_intents/{made.id}/authenticate", {})
    error = refusal(stripe.CardError, api.payment_intents.create, off_session(api, customer.id, made.payment_method))
    assert error.code == "authentication_required"


def test_setups_fail(api: Sdk, sandbox: Sandbox) -> None:
    customer = api.customers.create()
    wanted = {"customer": customer.id, "payment_method": "pm_card_chargeDeclined", "confirm": True, **CARDS_ONLY}
    error = refusal(stripe.CardError, api.setup_intents.create, wanted)
    failed = api.setup_intents.list().data[0]
    assert (error.code, failed.status, failed.last_setup_error.code) == (
        "card_declined", "requires_payment_method", "card_declined",
    )  # fmt: skip
    asked = api.setup_intents.confirm(failed.id, {"payment_method": ASKS_ONCE})
    sandbox.admin("POST", f"setup_intents/{asked.id}/authenticate", {"outcome": "fail"})
    assert api.setup_intents.retrieve(asked.id).last_setup_error.code == "setup_intent_authentication_failure"
    assert api.setup_intents.update(asked.id, {"description": "x", "payment_method": "pm_card_visa"}).description == "x"
    assert api.setup_intents.cancel(asked.id, {"cancellation_reason": "abandoned"}).status == "canceled"
    assert event_types(api)[-2:] == ["setup_intent.setup_failed", "setup_intent.canceled"]
    wrong = {"payment_method_types": ["sepa_debit"]}
    assert refusal(stripe.APIError, api.setup_intents.create, wrong).code == "sandbox_unsupported"


def test_a_payment_sets_a_card_up_too(api: Sdk, sandbox: Sandbox) -> None:
    customer = api.customers.create()
    first = api.payment_intents.create(
        {"amount": 500, "currency": "usd", "customer": customer.id, "payment_method": ASKS_ONCE, "confirm": True,
         "setup_future_usage": "off_session", **CARDS_ONLY}
    )  # fmt: skip
    sandbox.admin("POST", f"payment_intents/{first.id}/authenticate", {})
    method = api.payment_intents.retrieve(first.id).payment_method
    assert api.payment_methods.retrieve(method).customer == customer.id
    assert api.payment_intents.create(off_session(api, customer.id, method)).status == "succeeded"


@pytest.mark.parametrize(("captured", "pending"), [(None, 1000), (400, 400)])
def test_capture_by_hand(api: Sdk, captured: int | None, pending: int) -> None:
    """1000 held; all of it or 400 is taken. Only that can be refunded and only that is on the balance."""
    held = api.payment_intents.create(
        {"amount": 1000, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True,
         "capture_method": "manual", **CARDS_ONLY}
    )  # fmt: skip
    assert (held.status, held.amount_capturable, held.amount_received) == ("requires_capture", 1000, 0)
    refusal(stripe.InvalidRequestError, api.refunds.create, {"payment_intent": held.id})
    refusal(stripe.InvalidRequestError, api.payment_intents.capture, held.id, {"amount_to_capture": 1001})
    done = api.payment_intents.capture(held.id, {"amount_to_capture": captured} if captured else {})
    assert (done.status, done.amount_capturable, done.amount_received) == ("succeeded", 0, pending)
    assert api.balance.retrieve().pending[0].amount == pending
    refusal(stripe.InvalidRequestError, api.refunds.create, {"payment_intent": held.id, "amount": pending + 1})
    assert api.refunds.create({"payment_intent": held.id}).amount == pending
    assert "charge.captured" in event_types(api)
    refusal(stripe.InvalidRequestError, api.payment_intents.capture, held.id)


def test_what_is_held_can_be_let_go(api: Sdk) -> None:
    held = api.payment_intents.create(
        {"amount": 1000, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True,
         "capture_method": "manual", **CARDS_ONLY}
    )  # fmt: skip
    gone = api.payment_intents.cancel(held.id)
    assert (gone.status, gone.amount_capturable) == ("canceled", 0)
    assert api.charges.retrieve(held.latest_charge).refunded
    assert api.balance_transactions.list().data == []


def test_updating_a_payment(api: Sdk) -> None:
    customer = api.customers.create()
    made = api.payment_intents.create({"amount": 500, "currency": "usd", **CARDS_ONLY})
    changed = api.payment_intents.update(
        made.id, {"amount": 700, "customer": customer.id, "payment_method": "pm_card_visa", "metadata": {"a": "b"}}
    )
    assert (changed.amount, changed.status, changed.customer) == (700, "requires_confirmation", customer.id)
    refusal(stripe.InvalidRequestError, api.payment_intents.update, made.id, {"amount": 1})
    assert api.payment_intents.confirm(made.id).amount_received == 700
    refusal(stripe.InvalidRequestError, api.payment_intents.update, made.id, {"amount": 800})
    assert api.payment_intents.update(made.id, {"description": "x"}).description == "x"
