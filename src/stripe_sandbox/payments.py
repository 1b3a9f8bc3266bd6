"""Trying to pay a payment intent with a card: the charge, the intent's new state, and their events."""

from dataclasses import dataclass
from typing import Any, Literal

from stripe_sandbox import ids
from stripe_sandbox.call import Call
from stripe_sandbox.cards import Card, Decline
from stripe_sandbox.currencies import LARGEST_AMOUNT, display, minimum_charge
from stripe_sandbox.errors import StripeError, card_error
from stripe_sandbox.resource import RESOURCES
from stripe_sandbox.resources.balance_transactions import book
from stripe_sandbox.resources.disputes import dispute
from stripe_sandbox.resources.payment_methods import card_of
from stripe_sandbox.store import Object

_AUTHENTICATION_REQUIRED = Decline(
    "authentication_required",
    "authentication_required",
    "Your card was declined. This transaction requires authentication.",
)
AUTHENTICATION_FAILED = (
    "The provided PaymentMethod has failed authentication. You can provide payment_method_data or a new"
    " PaymentMethod to attempt to fulfill this PaymentIntent again."
)


@dataclass(frozen=True)
class Outcome:
    status: Literal["succeeded", "requires_action", "declined"]
    error: StripeError | None = None


def check_amount(amount: int, currency: str) -> None:
    if amount < minimum_charge(currency):
        raise StripeError(
            f"Amount must be at least {display(minimum_charge(currency), currency)}",
            code="amount_too_small",
            param="amount",
        )
    if amount > LARGEST_AMOUNT:
        raise StripeError(
            f"Amount must be no more than {display(LARGEST_AMOUNT, currency)}",
            code="amount_too_large",
            param="amount",
        )


def attempt(
    call: Call, intent: Object, method: Object, *, may_ask: bool = True, off_session: bool = False,
    return_url: str | None = None,
) -> Outcome:  # fmt: skip
    """One try. `may_ask`: the cardholder can be asked, now or later. `off_session`: the cardholder is away."""
    card = card_of(method)
    asks = card.authentication and not (off_session and card.setup_helps and method["_set_up"])
    if asks and may_ask:
        changed = {
            "status": "requires_action",
            "payment_method": method["id"],
            "last_payment_error": None,
            "next_action": next_action(intent, return_url),
        }
        call.change(intent, changed)
        call.emit("payment_intent.requires_action", intent)
        return Outcome("requires_action")
    decline = _AUTHENTICATION_REQUIRED if asks else card.decline
    if decline is not None:
        return _declined(call, intent, method, card, decline)
    succeed(call, intent, method)
    return Outcome("succeeded")


def succeed(call: Call, intent: Object, method: Object) -> None:
    """The card says yes: the money is taken, or held until it is captured."""
    charge = _charge(call, intent, method, card_of(method), None)
    changed = {
        "payment_method": method["id"],
        "latest_charge": charge["id"],
        "last_payment_error": None,
        "next_action": None,
    }
    if intent["capture_method"] == "manual":
        call.change(charge, {"amount_captured": 0, "captured": False})
        call.emit("charge.succeeded", charge)
        call.change(intent, {**changed, "amount_capturable": intent["amount"], "status": "requires_capture"})
        call.emit("payment_intent.amount_capturable_updated", intent)
        return
    _take(call, charge, charge["amount"])
    call.emit("charge.succeeded", charge)
    call.change(intent, {**changed, "amount_received": intent["amount"], "status": "succeeded"})
    call.emit("payment_intent.succeeded", intent)
    save_method(call, intent, method)
    _dispute(call, charge, method)


def _dispute(call: Call, charge: Object, method: Object) -> None:
    reason = card_of(method).disputed
    if reason is not None:
        dispute(call, charge, reason)


def _take(call: Call, charge: Object, amount: int) -> None:
    entry = book(call, "charge", charge["id"], amount, charge["currency"])
    call.change(charge, {"amount_captured": amount, "balance_transaction": entry, "captured": True})


def capture(call: Call, intent: Object, amount: int) -> None:
    """What was held is taken, or a part of it; the rest is free again."""
    charge = call.load("charge", intent["latest_charge"])
    _take(call, charge, amount)
    call.emit("charge.captured", charge)
    call.change(intent, {"amount_capturable": 0, "amount_received": amount, "status": "succeeded"})
    call.emit("payment_intent.succeeded", intent)
    method = call.load("payment_method", intent["payment_method"])
    save_method(call, intent, method)
    _dispute(call, charge, method)


def release(call: Call, intent: Object) -> None:
    """What was held is free again: nothing was ever taken, so nothing is booked."""
    charge = call.load("charge", intent["latest_charge"])
    previous = call.change(charge, {"amount_refunded": charge["amount"], "refunded": True})
    call.emit("charge.refunded", charge, previous)
    call.change(intent, {"amount_capturable": 0})


def save_method(call: Call, intent: Object, method: Object) -> None:
    """`setup_future_usage`: the customer keeps the card; set up off session it does not ask when they are away."""
    usage = intent["setup_future_usage"]
    if usage is None or intent["customer"] is None:
        return
    keep(call, method, intent["customer"], off_session=usage == "off_session")


def keep(call: Call, method: Object, customer: str, *, off_session: bool) -> None:
    attached = method["customer"] is None
    call.change(method, {"customer": customer, "_set_up": method["_set_up"] or off_session})
    if attached:
        call.emit("payment_method.attached", method)


def fail_authentication(call: Call, intent: Object) -> None:
    """The cardholder was asked and did not confirm: no charge is made."""
    method = call.load("payment_method", intent["payment_method"])
    error = {
        "code": "payment_intent_authentication_failure",
        "doc_url": "https://stripe.com/docs/error-codes/payment-intent-authentication-failure",
        "message": AUTHENTICATION_FAILED,
        "payment_method": call.show(method),
        "type": "invalid_request_error",
    }
    changed = {
        "status": "requires_payment_method",
        "payment_method": None,
        "last_payment_error": error,
        "next_action": None,
    }
    call.change(intent, changed)
    call.emit("payment_intent.payment_failed", intent)


def cancel(call: Call, intent: Object, reason: str | None) -> None:
    changed = {
        "status": "canceled",
        "canceled_at": call.now,
        "cancellation_reason": reason,
        "next_action": None,
    }
    call.change(intent, changed)
    call.emit("payment_intent.canceled", intent)


def _declined(call: Call, intent: Object, method: Object, card: Card, decline: Decline) -> Outcome:
    charge = _charge(call, intent, method, card, decline)
    call.emit("charge.failed", charge)
    error = card_error(decline.message, decline.code, decline.decline_code, charge=charge["id"])
    described = {
        "charge": charge["id"],
        "code": decline.code,
        "decline_code": decline.decline_code,
        "doc_url": f"https://stripe.com/docs/error-codes/{decline.code.replace('_', '-')}",
        "message": decline.message,
        "payment_method": call.show(method),
        "type": "card_error",
    }
    changed = {
        "status": "requires_payment_method",
        "payment_method": None,
        "latest_charge": charge["id"],
        "last_payment_error": described,
        "next_action": None,
    }
    call.change(intent, changed)
    call.emit("payment_intent.payment_failed", intent)
    error.details["payment_intent"] = call.show(intent)
    error.details["payment_method"] = described["payment_method"]
    return Outcome("declined", error)


def _charge(call: Call, intent: Object, method: Object, card: Card, decline: Decline | None) -> Object:
    paid = decline is None
    return call.create(
        RESOURCES["charge"],
        {
            "amount": intent["amount"],
            "amount_captured": intent["amount"] if paid else 0,
            "billing_details": method["billing_details"],
            "captured": paid,
            "currency": intent["currency"],
            "customer": intent["customer"],
            "description": intent["description"],
            "failure_code": decline.code if decline else None,
            "failure_message": decline.message if decline else None,
            "metadata": intent["metadata"],
            "outcome": _outcome(decline),
            "paid": paid,
            "payment_intent": intent["id"],
            "payment_method": method["id"],
            "payment_method_details": {"card": _card_details(method, intent["amount"], paid), "type": "card"},
            "receipt_email": intent["receipt_email"],
            "status": "succeeded" if paid else "failed",
        },
    )


def captured_card(method: Object, amount: int) -> dict[str, Any]:
    """A charge's fields after a card paid."""
    return {
        "amount_captured": amount,
        "billing_details": method["billing_details"],
        "captured": True,
        "outcome": _outcome(None),
        "paid": True,
        "payment_method_details": {"card": _card_details(method, amount, True), "type": "card"},
    }


def _outcome(decline: Decline | None) -> dict[str, Any]:
    return {
        "advice_code": None,
        "network_advice_code": None,
        "network_decline_code": None,
        "network_status": "approved_by_network" if decline is None else "declined_by_network",
        "reason": None if decline is None else decline.decline_code,
        "risk_level": "normal",
        "seller_message": "Payment complete." if decline is None else "The bank did not complete this payment.",
        "type": "authorized" if decline is None else "issuer_declined",
    }


def _card_details(method: Object, amount: int, paid: bool) -> dict[str, Any]:
    card = method["card"]
    shared = ("brand", "checks", "country", "exp_month", "exp_year", "fingerprint", "funding", "last4",
              "regulated_status", "wallet")  # fmt: skip
    return {
        **{name: card[name] for name in shared},
        "amount_authorized": amount if paid else None,
        "installments": None,
        "mandate": None,
        "network": card["brand"],
        "three_d_secure": None,
    }


def next_action(intent: Object, return_url: str | None) -> dict[str, Any]:
    if return_url is None:
        return {"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure_redirect"}}
    url = f"https://hooks.stripe.com/redirect/authenticate/{intent['id']}?client_secret={intent['client_secret']}"
    return {"type": "redirect_to_url", "redirect_to_url": {"return_url": return_url, "url": url}}


def new_intent(call: Call, fields: dict[str, Any]) -> Object:
    identifier = ids.new_id("pi")
    made = {"client_secret": ids.client_secret(identifier), **fields}
    intent = call.create(RESOURCES["payment_intent"], made, identifier=identifier)
    call.emit("payment_intent.created", intent)
    return intent
