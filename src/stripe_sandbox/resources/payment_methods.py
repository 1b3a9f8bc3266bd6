"""Payment methods: cards only, and only Stripe's published test cards. No other number is stored."""

import hashlib
from typing import Any

from stripe_sandbox.call import Call
from stripe_sandbox.cards import BY_NUMBER, BY_TOKEN, NOT_A_TEST_CARD, Card, Decline, luhn
from stripe_sandbox.errors import StripeError, card_error, no_such, unsupported
from stripe_sandbox.params import Choice, Integer, Metadata, Shape, Text
from stripe_sandbox.resource import (
    PAGE,
    Params,
    Resource,
    listable,
    matches,
    operation,
    page,
    register,
)
from stripe_sandbox.resources.shapes import BILLING_DETAILS, NO_BILLING_DETAILS
from stripe_sandbox.store import Object, equals

PAYMENT_METHOD = register(
    Resource(
        kind="payment_method",
        prefix="pm",
        path="/v1/payment_methods",
        item="payment_method",
        title="PaymentMethod",
        id_param="payment_method",
        fields={
            "allow_redisplay": "unspecified",
            "billing_details": NO_BILLING_DETAILS,
            "card": {},
            "customer": None,
            "customer_account": None,
            "metadata": {},
            "type": "card",
            "_number": "",  # one of the published test numbers; it decides how payments go
            "_set_up": False,  # authenticated for payments while the cardholder is away
            "_used": False,  # detached once, it may not be attached again
        },
        references={"customer": "customer"},
    )
)

_TYPE = Choice("card")
_EXPIRY_YEARS_AHEAD = 1


def card_fields(call: Call, card: Card, month: int | None = None, year: int | None = None) -> dict[str, Any]:
    this_year = 1970 + call.now // 31_556_952
    digest = hashlib.sha256(card.number.encode()).hexdigest()
    return {
        "brand": card.brand,
        "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "unchecked"},
        "country": card.country,
        "display_brand": card.brand,
        "exp_month": month or 12,
        "exp_year": year or this_year + _EXPIRY_YEARS_AHEAD,
        "fingerprint": digest[:16],
        "funding": card.funding,
        "generated_from": None,
        "last4": card.number[-4:],
        "networks": {"available": [card.brand], "preferred": None},
        "regulated_status": "unregulated",
        "three_d_secure_usage": {"supported": True},
        "wallet": None,
    }


def card_of(method: Object) -> Card:
    return BY_NUMBER[method["_number"]]


def _from_card(call: Call, card: Card, fields: dict[str, Any]) -> Object:
    made = {"card": card_fields(call, card), "_number": card.number, **fields}
    return call.create(PAYMENT_METHOD, made)


def resolve(call: Call, identifier: str, *, param: str, status: int = 400) -> Object:
    """A payment method by its id. A `pm_card_…` token makes a new one each time, as it does at Stripe."""
    if identifier.startswith("pm_card_"):
        card = BY_TOKEN.get(identifier)
        if card is None:
            raise unsupported(f"the test payment method {identifier}")
        return _from_card(call, card, {})
    found = call.store.get("payment_method", identifier)
    if found is None:
        raise no_such("PaymentMethod", identifier, param, status=status)
    return found[0]


def resolve_attached(call: Call, identifier: str, customer: Object, *, param: str) -> Object:
    """A payment method that this customer may use by default."""
    method = resolve(call, identifier, param=param)
    if method["customer"] != customer["id"]:
        raise StripeError(
            f"The customer does not have a payment method with the ID {method['id']}. The payment method must be"
            " attached to the customer.",
            code="resource_missing",
            param=param,
        )
    return method


def attach_to(call: Call, identifier: str, customer: Object, *, status: int = 400) -> Object:
    method = resolve(call, identifier, param="payment_method", status=status)
    card = card_of(method)
    if method["customer"] is not None:
        raise StripeError("The payment method you provided has already been attached to a customer.")
    if method["_used"]:
        raise StripeError(
            "This PaymentMethod was previously used without being attached to a Customer or was detached from a"
            " Customer, and may not be used again."
        )
    if card.decline is not None and not card.attaches:
        raise declined(card.decline)
    checked = {**method["card"]["checks"], "cvc_check": "pass"}
    call.change(method, {"customer": customer["id"], "card": {**method["card"], "checks": checked}})
    return method


def declined(decline: Decline, **details: Any) -> StripeError:
    return card_error(decline.message, decline.code, decline.decline_code, **details)


_NUMBERED = Shape(
    {"number": Text(24), "exp_month": Integer(1, 12), "exp_year": Integer(1970, 2200), "cvc": Text(4)},
    required=("number", "exp_month", "exp_year"),
)


@operation(
    "POST",
    PAYMENT_METHOD.path,
    Shape(
        {
            "allow_redisplay": Choice("always", "limited", "unspecified"),
            "billing_details": BILLING_DETAILS,
            "card": _NUMBERED,
            "metadata": Metadata(),
            "type": _TYPE,
        },
        required=("type",),
    ),
)
def create(call: Call, params: Params) -> Object:
    if "card" not in params:
        raise StripeError("Missing required param: card.", code="parameter_missing", param="card")
    given = params["card"]
    number = "".join(given["number"].split())
    if not (number.isdecimal() and 12 <= len(number) <= 19 and luhn(number)):
        raise card_error("Your card number is incorrect.", "incorrect_number", param="number")
    card = BY_NUMBER.get(number)
    if card is None:
        raise declined(NOT_A_TEST_CARD)
    fields: dict[str, Any] = {
        "card": card_fields(call, card, given["exp_month"], given["exp_year"]),
        "billing_details": {**NO_BILLING_DETAILS, **params.get("billing_details", {})},
        **{name: params[name] for name in ("allow_redisplay", "metadata") if name in params},
    }
    return _from_card(call, card, fields)


@operation("GET", PAYMENT_METHOD.item_path)
def retrieve(call: Call, params: Params) -> Object:
    return resolve(call, call.path["payment_method"], param="payment_method", status=404)


@operation(
    "POST",
    PAYMENT_METHOD.item_path,
    Shape(
        {
            "allow_redisplay": Choice("always", "limited", "unspecified"),
            "billing_details": BILLING_DETAILS,
            "card": Shape({"exp_month": Integer(1, 12), "exp_year": Integer(1970, 2200)}),
            "metadata": Metadata(),
        }
    ),
)
def update(call: Call, params: Params) -> Object:
    method = call.addressed("payment_method")
    if method["customer"] is None:
        raise StripeError("You must save this PaymentMethod to a customer before you can update it.")
    fields = dict(params)
    for name in ("billing_details", "card"):
        if name in params:
            fields[name] = {**method[name], **params[name]}
    call.update(method, fields, "payment_method.updated")
    return method


@operation("POST", f"{PAYMENT_METHOD.item_path}/attach", Shape({"customer": Text()}, required=("customer",)))
def attach(call: Call, params: Params) -> Object:
    customer = call.require("customer", params["customer"], param="customer")
    method = attach_to(call, call.path["payment_method"], customer, status=404)
    call.emit("payment_method.attached", method)
    return method


@operation("POST", f"{PAYMENT_METHOD.item_path}/detach")
def detach(call: Call, params: Params) -> Object:
    """The customer and subscriptions that had it as their default are left without one."""
    method = call.addressed("payment_method")
    owner = method["customer"]
    if owner is None:
        raise StripeError("The payment method you provided is not attached to a customer so detachment is impossible.")
    method["_used"] = True
    previous = call.record(method, {"customer": None})
    call.emit("payment_method.detached", method, previous)
    customer = call.load("customer", owner)
    if not customer.get("deleted") and customer["invoice_settings"]["default_payment_method"] == method["id"]:
        settings = {**customer["invoice_settings"], "default_payment_method": None}
        call.update(customer, {"invoice_settings": settings}, "customer.updated")
    for kind, event in (("subscription", "customer.subscription.updated"), ("invoice", "invoice.updated")):
        for one in call.store.select(kind, [equals("customer", owner)]):
            if one["default_payment_method"] == method["id"]:
                call.update(one, {"default_payment_method": None}, event)
    return method


listable(PAYMENT_METHOD, {"customer": matches("customer"), "type": matches("type", _TYPE)})


@operation("GET", "/v1/customers/{customer}/payment_methods", Shape({**PAGE, "type": _TYPE}))
def list_of_customer(call: Call, params: Params) -> Object:
    customer = call.addressed("customer")
    url = f"/v1/customers/{customer['id']}/payment_methods"
    return page(call, PAYMENT_METHOD, params, [equals("customer", customer["id"])], url)


@operation("GET", "/v1/customers/{customer}/payment_methods/{payment_method}")
def retrieve_of_customer(call: Call, params: Params) -> Object:
    customer = call.addressed("customer")
    method = call.addressed("payment_method")
    if method["customer"] != customer["id"]:
        raise no_such("PaymentMethod", method["id"], "payment_method", status=404)
    return method
