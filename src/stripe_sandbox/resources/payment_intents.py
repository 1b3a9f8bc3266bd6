"""Payment intents: one payment through all its attempts."""

from typing import Any

from stripe_sandbox import payments
from stripe_sandbox.call import Call
from stripe_sandbox.collection import payment_failed, settle
from stripe_sandbox.errors import StripeError, card_error, unsupported
from stripe_sandbox.params import (
    Boolean,
    Choice,
    Clearable,
    Currency,
    Integer,
    Items,
    Metadata,
    Shape,
    Text,
)
from stripe_sandbox.resource import CREATED, Params, Resource, listable, matches, operation, register, retrievable
from stripe_sandbox.resources.payment_methods import resolve
from stripe_sandbox.resources.shapes import SHIPPING
from stripe_sandbox.store import Object

PAYMENT_INTENT = register(
    Resource(
        kind="payment_intent",
        prefix="pi",
        path="/v1/payment_intents",
        item="intent",
        id_param="intent",
        fields={
            "amount": 0,
            "amount_capturable": 0,
            "amount_details": {"tip": {}},
            "amount_received": 0,
            "application": None,
            "application_fee_amount": None,
            "automatic_payment_methods": None,
            "canceled_at": None,
            "cancellation_reason": None,
            "capture_method": "automatic",
            "client_secret": "",
            "confirmation_method": "automatic",
            "currency": "",
            "customer": None,
            "customer_account": None,
            "description": None,
            "excluded_payment_method_types": None,
            "last_payment_error": None,
            "latest_charge": None,
            "metadata": {},
            "next_action": None,
            "on_behalf_of": None,
            "payment_method": None,
            "payment_method_configuration_details": None,
            "payment_method_options": {"card": {"installments": None, "mandate_options": None, "network": None,
                                                "request_three_d_secure": "automatic"}},
            "payment_method_types": ["card"],
            "processing": None,
            "receipt_email": None,
            "review": None,
            "setup_future_usage": None,
            "shipping": None,
            "statement_descriptor": None,
            "statement_descriptor_suffix": None,
            "status": "requires_payment_method",
            "transfer_data": None,
            "transfer_group": None,
            "_invoice": None,
        },
        references={
            "application": "application",
            "customer": "customer",
            "latest_charge": "charge",
            "on_behalf_of": "account",
            "payment_method": "payment_method",
            "review": "review",
        },
    )
)  # fmt: skip

_CONFIRMING = {
    "error_on_requires_action": Boolean(),
    "off_session": Boolean(),
    "payment_method": Text(),
    "receipt_email": Clearable(Text()),
    "return_url": Text(),
}
_LAID_ON = {
    "capture_method": Choice("automatic", "automatic_async", "manual"),
    "setup_future_usage": Choice("off_session", "on_session"),
    "shipping": SHIPPING,
    "statement_descriptor": Text(22),
    "statement_descriptor_suffix": Text(22),
}
AUTOMATIC = Shape(
    {"enabled": Boolean(), "allow_redirects": Choice("always", "never")},
    required=("enabled",),
    defaults={"allow_redirects": "always"},
)


@operation(
    "POST",
    PAYMENT_INTENT.path,
    Shape(
        {
            **_CONFIRMING,
            "amount": Integer(1),
            "automatic_payment_methods": AUTOMATIC,
            "confirm": Boolean(),
            "currency": Currency(),
            "customer": Text(),
            "description": Text(1000),
            "metadata": Metadata(),
            "payment_method_types": Items(Text()),
            **_LAID_ON,
        },
        required=("amount", "currency"),
    ),
)
def create(call: Call, params: Params) -> Object:
    payments.check_amount(params["amount"], params["currency"])
    if any(one != "card" for one in params.get("payment_method_types", [])):
        raise unsupported("payment methods other than cards")
    if "customer" in params:
        call.require("customer", params["customer"], param="customer")
    method = usable_method(call, params, params.get("customer"))
    kept = ("amount", "currency", "customer", "description", "metadata", "receipt_email", *_LAID_ON)
    fields: dict[str, Any] = {name: params[name] for name in kept if name in params}
    fields["automatic_payment_methods"] = automatic(params)
    _check_setup(params)
    if method is not None:
        fields |= {"payment_method": method["id"], "status": "requires_confirmation"}
    intent = payments.new_intent(call, fields)
    return _confirm(call, intent, method, params) if params.get("confirm") else intent


def _check_setup(params: Params) -> None:
    if params.get("off_session") and "setup_future_usage" in params:
        raise StripeError(
            "You cannot use `setup_future_usage` while the customer is off session.", param="setup_future_usage"
        )
    if params.get("off_session") and not params.get("confirm"):
        raise StripeError("`off_session` needs `confirm=true`.", param="off_session")


def automatic(params: Params) -> dict[str, Any] | None:
    """On by default, unless the caller lists the types."""
    if "payment_method_types" in params:
        return None
    return params.get("automatic_payment_methods", {"enabled": True, "allow_redirects": "always"})


def usable_method(call: Call, params: Params, customer: str | None) -> Object | None:
    if "payment_method" not in params:
        return None
    method = resolve(call, params["payment_method"], param="payment_method")
    if method["customer"] is not None and method["customer"] != customer:
        raise StripeError(
            "The provided PaymentMethod cannot be attached. To reuse a PaymentMethod, you must attach it to a"
            " Customer first."
            if customer is None
            else f"The customer does not have a payment method with the ID {method['id']}. The payment method must be"
            " attached to the customer.",
            param="payment_method",
        )
    return method


@operation("POST", f"{PAYMENT_INTENT.item_path}/confirm", Shape(_CONFIRMING))
def confirm(call: Call, params: Params) -> Object:
    intent = call.addressed("payment_intent")
    if intent["status"] not in ("requires_payment_method", "requires_confirmation", "requires_action"):
        raise _wrong_state(intent, "confirm")
    method = usable_method(call, params, intent["customer"])
    if method is None and intent["payment_method"] is not None:
        method = call.load("payment_method", intent["payment_method"])
    return _confirm(call, intent, method, params)


def _confirm(call: Call, intent: Object, method: Object | None, params: Params) -> Object:
    if method is None:
        raise StripeError(
            "You cannot confirm this PaymentIntent because it's missing a payment method. You can either update the"
            " PaymentIntent with a payment method and then confirm it again, or confirm it again directly with a"
            " payment method or ConfirmationToken.",
            code="payment_intent_unexpected_state",
            payment_intent=call.show(intent),
        )
    check_return_url(intent, params)
    off_session = params.get("off_session", False)
    back = params.get("return_url")
    outcome = payments.attempt(call, intent, method, may_ask=not off_session, off_session=off_session, return_url=back)
    if outcome.status == "requires_action" and params.get("error_on_requires_action"):
        payments.fail_authentication(call, intent)
        raise card_error(
            "This payment required an authentication action to complete, but `error_on_requires_action` was set."
            " When you're ready, you can upgrade your integration to handle actions at"
            " https://stripe.com/docs/payments/payment-intents/upgrade-to-handle-actions.",
            "authentication_required",
            payment_intent=call.show(intent),
        )
    if outcome.status == "succeeded":
        if intent["status"] == "succeeded":
            settle(call, intent)
    elif intent["_invoice"] is not None:
        payment_failed(call, intent, outcome)
    if outcome.error is not None:
        raise outcome.error
    return intent


def check_return_url(intent: Object, params: Params) -> None:
    automatic = intent["automatic_payment_methods"]
    redirects = automatic is not None and automatic["enabled"] and automatic["allow_redirects"] == "always"
    absent = "return_url" not in params and not params.get("off_session") and intent.get("_invoice") is None
    if redirects and absent:
        raise StripeError(
            "This PaymentIntent is configured to accept payment methods enabled in your Dashboard. Because some of"
            " these payment methods might redirect your customer off of your page, you must provide a"
            " `return_url`. If you don't want to accept redirect-based payment methods, set"
            " `automatic_payment_methods[enabled]` to `true` and `automatic_payment_methods[allow_redirects]` to"
            " `never` when creating Setup Intents and Payment Intents."
        )


@operation(
    "POST",
    f"{PAYMENT_INTENT.item_path}/cancel",
    Shape({"cancellation_reason": Choice("abandoned", "duplicate", "fraudulent", "requested_by_customer")}),
)
def cancel(call: Call, params: Params) -> Object:
    intent = call.addressed("payment_intent")
    if intent["_invoice"] is not None:
        raise StripeError(
            "You cannot cancel this PaymentIntent because it belongs to an invoice. Void the invoice instead.",
            code="payment_intent_unexpected_state",
        )
    if intent["status"] in ("succeeded", "canceled"):
        raise _wrong_state(intent, "cancel")
    if intent["status"] == "requires_capture":
        payments.release(call, intent)
    payments.cancel(call, intent, params.get("cancellation_reason"))
    return intent


_CHANGEABLE = ("requires_payment_method", "requires_confirmation", "requires_action")


@operation(
    "POST",
    PAYMENT_INTENT.item_path,
    Shape(
        {
            **_LAID_ON,
            "amount": Integer(1),
            "currency": Currency(),
            "customer": Text(),
            "description": Text(1000),
            "metadata": Metadata(),
            "payment_method": Text(),
            "receipt_email": Clearable(Text()),
            "setup_future_usage": Clearable(_LAID_ON["setup_future_usage"]),
            "shipping": Clearable(SHIPPING),
        }
    ),
)
def update(call: Call, params: Params) -> Object:
    """Money and method change until it is confirmed; what belongs to an invoice follows the invoice."""
    intent = call.addressed("payment_intent")
    still = {"description", "metadata", "receipt_email", "shipping"}
    if set(params) - still and (intent["status"] not in _CHANGEABLE or intent["_invoice"] is not None):
        raise _wrong_state(intent, "update")
    fields = dict(params)
    payments.check_amount(params.get("amount", intent["amount"]), params.get("currency", intent["currency"]))
    if "customer" in params:
        if intent["customer"] not in (None, params["customer"]):
            raise StripeError("The customer of a PaymentIntent cannot be changed.", param="customer")
        call.require("customer", params["customer"], param="customer")
    method = usable_method(call, params, params.get("customer", intent["customer"]))
    if method is not None:
        fields |= {"payment_method": method["id"], "next_action": None, "status": "requires_confirmation"}
    call.change(intent, fields)
    return intent


@operation(
    "POST", f"{PAYMENT_INTENT.item_path}/capture", Shape({"amount_to_capture": Integer(1), "metadata": Metadata()})
)
def capture(call: Call, params: Params) -> Object:
    intent = call.addressed("payment_intent")
    if intent["status"] != "requires_capture":
        raise _wrong_state(intent, "capture")
    amount = params.get("amount_to_capture", intent["amount_capturable"])
    if amount > intent["amount_capturable"]:
        raise StripeError(
            f"The amount you are trying to capture ({amount}) is greater than what can be captured"
            f" ({intent['amount_capturable']}).",
            code="amount_too_large",
            param="amount_to_capture",
        )
    if "metadata" in params:
        call.change(intent, {"metadata": params["metadata"]})
    payments.capture(call, intent, amount)
    return intent


def _wrong_state(intent: Object, action: str) -> StripeError:
    return StripeError(
        f"You cannot {action} this PaymentIntent because it has a status of {intent['status']}.",
        code="payment_intent_unexpected_state",
    )


retrievable(PAYMENT_INTENT)
listable(PAYMENT_INTENT, {**CREATED, "customer": matches("customer")})
