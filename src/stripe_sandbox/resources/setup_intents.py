"""Setup intents: a card made ready for payments while its holder is away."""

from typing import Any

from stripe_sandbox import ids, payments
from stripe_sandbox.call import Call
from stripe_sandbox.collection import settle
from stripe_sandbox.errors import StripeError, card_error, unsupported
from stripe_sandbox.params import Boolean, Choice, Clearable, Items, Metadata, Shape, Text
from stripe_sandbox.resource import CREATED, Params, Resource, listable, matches, operation, register, retrievable
from stripe_sandbox.resources.payment_intents import AUTOMATIC, automatic, check_return_url, usable_method
from stripe_sandbox.resources.payment_methods import card_of
from stripe_sandbox.store import Object

SETUP_INTENT = register(
    Resource(
        kind="setup_intent",
        prefix="seti",
        path="/v1/setup_intents",
        item="intent",
        title="setupintent",
        id_param="intent",
        fields={
            "application": None,
            "automatic_payment_methods": None,
            "cancellation_reason": None,
            "client_secret": "",
            "customer": None,
            "customer_account": None,
            "description": None,
            "excluded_payment_method_types": None,
            "flow_directions": None,
            "last_setup_error": None,
            "latest_attempt": None,
            "mandate": None,
            "metadata": {},
            "next_action": None,
            "on_behalf_of": None,
            "payment_method": None,
            "payment_method_configuration_details": None,
            "payment_method_options": {
                "card": {"mandate_options": None, "network": None, "request_three_d_secure": "automatic"}
            },
            "payment_method_types": ["card"],
            "single_use_mandate": None,
            "status": "requires_payment_method",
            "usage": "off_session",
        },
        references={
            "application": "application",
            "customer": "customer",
            "latest_attempt": "setup_attempt",
            "mandate": "mandate",
            "on_behalf_of": "account",
            "payment_method": "payment_method",
            "single_use_mandate": "mandate",
        },
    )
)

_OPEN = ("requires_payment_method", "requires_confirmation", "requires_action")
_CONFIRMING = {"payment_method": Text(), "return_url": Text()}
_FIELDS = {"customer": Text(), "description": Clearable(Text(1000)), "metadata": Metadata()}


@operation(
    "POST",
    SETUP_INTENT.path,
    Shape(
        {
            **_FIELDS,
            **_CONFIRMING,
            "automatic_payment_methods": AUTOMATIC,
            "confirm": Boolean(),
            "payment_method_types": Items(Text()),
            "usage": Choice("off_session", "on_session"),
        }
    ),
)
def create(call: Call, params: Params) -> Object:
    if any(one != "card" for one in params.get("payment_method_types", [])):
        raise unsupported("payment methods other than cards")
    if "customer" in params:
        call.require("customer", params["customer"], param="customer")
    method = usable_method(call, params, params.get("customer"))
    identifier = ids.new_id(SETUP_INTENT.prefix)
    fields: dict[str, Any] = {name: params[name] for name in (*_FIELDS, "usage") if name in params}
    fields |= {"automatic_payment_methods": automatic(params), "client_secret": ids.client_secret(identifier)}
    if method is not None:
        fields |= {"payment_method": method["id"], "status": "requires_confirmation"}
    intent = call.create(SETUP_INTENT, fields, identifier=identifier)
    call.emit("setup_intent.created", intent)
    return _confirm(call, intent, method, params) if params.get("confirm") else intent


@operation("POST", SETUP_INTENT.item_path, Shape({**_FIELDS, "payment_method": Text()}))
def update(call: Call, params: Params) -> Object:
    intent = call.addressed("setup_intent")
    if intent["status"] not in _OPEN and set(params) - {"description", "metadata"}:
        raise _wrong_state(intent, "update")
    if "customer" in params:
        call.require("customer", params["customer"], param="customer")
    fields = dict(params)
    method = usable_method(call, params, params.get("customer", intent["customer"]))
    if method is not None:
        fields |= {"payment_method": method["id"], "next_action": None, "status": "requires_confirmation"}
    call.change(intent, fields)
    return intent


@operation("POST", f"{SETUP_INTENT.item_path}/confirm", Shape(_CONFIRMING))
def confirm(call: Call, params: Params) -> Object:
    intent = call.addressed("setup_intent")
    if intent["status"] not in _OPEN:
        raise _wrong_state(intent, "confirm")
    method = usable_method(call, params, intent["customer"])
    if method is None and intent["payment_method"] is not None:
        method = call.load("payment_method", intent["payment_method"])
    return _confirm(call, intent, method, params)


def _confirm(call: Call, intent: Object, method: Object | None, params: Params) -> Object:
    if method is None:
        raise StripeError(
            "You cannot confirm this SetupIntent because it's missing a payment method. Update the SetupIntent with"
            " a payment method and then confirm it again.",
            code="setup_intent_unexpected_state",
            setup_intent=call.show(intent),
        )
    check_return_url(intent, params)
    card = card_of(method)
    if card.decline is not None and not card.attaches:
        error = card_error(card.decline.message, card.decline.code, card.decline.decline_code)
        _failed(call, intent, method, error)
        raise error
    if card.authentication:
        action = payments.next_action(intent, params.get("return_url"))
        changed = {"next_action": action, "payment_method": method["id"], "status": "requires_action"}
        call.change(intent, {**changed, "last_setup_error": None})
        call.emit("setup_intent.requires_action", intent)
        return intent
    _succeed(call, intent, method)
    return intent


def _succeed(call: Call, intent: Object, method: Object) -> None:
    changed = {"last_setup_error": None, "next_action": None, "payment_method": method["id"], "status": "succeeded"}
    call.change(intent, changed)
    if intent["customer"] is not None:
        payments.keep(call, method, intent["customer"], off_session=intent["usage"] == "off_session")
    call.emit("setup_intent.succeeded", intent)


def _failed(call: Call, intent: Object, method: Object, error: StripeError) -> None:
    shown = {name: value for name, value in error.body("")["error"].items() if name != "request_log_url"}
    described = {**shown, "payment_method": call.show(method)}
    changed = {"last_setup_error": described, "next_action": None, "payment_method": None}
    call.change(intent, {**changed, "status": "requires_payment_method"})
    call.emit("setup_intent.setup_failed", intent)
    error.details["setup_intent"] = call.show(intent)


def authenticated(call: Call, intent: Object, *, succeeds: bool) -> None:
    """The cardholder was asked by the bank; the intent, of a payment or of a setup, goes on."""
    method = call.load("payment_method", intent["payment_method"])
    if intent["object"] == "payment_intent":
        if not succeeds:
            payments.fail_authentication(call, intent)
            return
        payments.succeed(call, intent, method)
        if intent["status"] == "succeeded":
            settle(call, intent)
    elif succeeds:
        _succeed(call, intent, method)
    else:
        refused = StripeError(payments.AUTHENTICATION_FAILED, code="setup_intent_authentication_failure")
        _failed(call, intent, method, refused)


@operation(
    "POST",
    f"{SETUP_INTENT.item_path}/cancel",
    Shape({"cancellation_reason": Choice("abandoned", "duplicate", "requested_by_customer")}),
)
def cancel(call: Call, params: Params) -> Object:
    intent = call.addressed("setup_intent")
    if intent["status"] not in _OPEN:
        raise _wrong_state(intent, "cancel")
    reason = params.get("cancellation_reason")
    call.change(intent, {"cancellation_reason": reason, "next_action": None, "status": "canceled"})
    call.emit("setup_intent.canceled", intent)
    return intent


def _wrong_state(intent: Object, action: str) -> StripeError:
    return StripeError(
        f"You cannot {action} this SetupIntent because it has a status of {intent['status']}.",
        code="setup_intent_unexpected_state",
    )


retrievable(SETUP_INTENT)
listable(SETUP_INTENT, {**CREATED, "customer": matches("customer"), "payment_method": matches("payment_method")})
