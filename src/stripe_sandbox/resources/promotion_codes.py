"""Promotion codes: what a customer types to get a coupon, with restrictions of its own."""

from typing import Any

from stripe_sandbox import ids
from stripe_sandbox.call import Call
from stripe_sandbox.errors import StripeError
from stripe_sandbox.params import Boolean, Choice, Integer, Metadata, Shape, Text, Timestamp
from stripe_sandbox.resource import (
    CREATED,
    Filter,
    Params,
    Resource,
    listable,
    matches,
    operation,
    register,
    retrievable,
)
from stripe_sandbox.resources.coupons import is_valid, require_valid
from stripe_sandbox.store import Condition, Object, equals


def _active(call: Call, code: Object) -> bool:
    """Switched on, not used up, not past its date, and its coupon still valid."""
    most, until = code["max_redemptions"], code["expires_at"]
    found = call.store.get("coupon", code["promotion"]["coupon"])
    return (
        code["_active"]
        and (most is None or code["times_redeemed"] < most)
        and (until is None or call.now <= until)
        and found is not None
        and not found[1]
        and is_valid(call, found[0])
    )


PROMOTION_CODE = register(
    Resource(
        kind="promotion_code",
        prefix="promo",
        path="/v1/promotion_codes",
        item="promotion_code",
        title="promotion code",
        id_param="promotion_code",
        fields={
            "code": "",
            "customer": None,
            "customer_account": None,
            "expires_at": None,
            "max_redemptions": None,
            "metadata": {},
            "promotion": {},
            "restrictions": {
                "first_time_transaction": False,
                "minimum_amount": None,
                "minimum_amount_currency": None,
            },
            "times_redeemed": 0,
            "_active": True,
        },
        references={"customer": "customer", "promotion.coupon": "coupon"},
        embedded={"active": _active},
    )
)


@operation(
    "POST",
    PROMOTION_CODE.path,
    Shape(
        {
            "active": Boolean(),
            "code": Text(500),
            "customer": Text(),
            "expires_at": Timestamp(),
            "max_redemptions": Integer(1),
            "metadata": Metadata(),
            "promotion": Shape({"type": Choice("coupon"), "coupon": Text()}, required=("type", "coupon")),
            "restrictions": Shape({"first_time_transaction": Boolean()}),
        },
        required=("promotion",),
    ),
)
def create(call: Call, params: Params) -> Object:
    require_valid(call, params["promotion"]["coupon"], param="promotion[coupon]")
    if "customer" in params:
        call.require("customer", params["customer"], param="customer")
    if "expires_at" in params and params["expires_at"] < call.now:
        raise StripeError("expires_at must be a time in the future.", param="expires_at")
    fields: dict[str, Any] = {name: value for name, value in params.items() if name not in ("active", "restrictions")}
    fields["_active"] = params.get("active", True)
    fields["code"] = params.get("code") or ids.promotion_code()
    _check_code(call, fields["code"], params.get("customer"))
    code = call.create(PROMOTION_CODE, fields)
    call.change(code, {"restrictions": {**code["restrictions"], **params.get("restrictions", {})}})
    call.emit("promotion_code.created", code)
    return code


def _check_code(call: Call, text: str, customer: str | None) -> None:
    """Codes are told apart without regard to case; an active one must be unique for those who may use it."""
    for other in call.find("promotion_code"):
        same = other["code"].casefold() == text.casefold()
        if same and other["customer"] in (None, customer) and _active(call, other):
            raise StripeError(
                "An active promotion code with that code already exists.", code="resource_already_exists", param="code"
            )


@operation("POST", PROMOTION_CODE.item_path, Shape({"active": Boolean(), "metadata": Metadata()}))
def update(call: Call, params: Params) -> Object:
    code = call.addressed("promotion_code")
    fields = dict(params)
    if "active" in fields:
        fields["_active"] = fields.pop("active")
    call.update(code, fields, "promotion_code.updated")
    return code


def redeemable(call: Call, identifier: str, customer: Object, *, param: str) -> Object:
    """The code, if this customer may use it now."""
    code = call.require("promotion_code", identifier, param=param)
    if not _active(call, code):
        raise StripeError(f"This promotion code ({identifier}) is not active.", param=param)
    if code["customer"] not in (None, customer["id"]):
        raise StripeError("This promotion code cannot be redeemed by this customer.", param=param)
    if code["restrictions"]["first_time_transaction"] and _has_paid(call, customer):
        raise StripeError(
            "This promotion code cannot be redeemed because the associated customer has prior transactions.",
            param=param,
        )
    return code


def _has_paid(call: Call, customer: Object) -> bool:
    paid = call.store.select(
        "payment_intent", [equals("customer", customer["id"]), equals("status", "succeeded")], limit=1
    )
    return bool(paid)


_ACTIVE = (
    "(data ->> '$._active' AND coalesce(data ->> '$.times_redeemed' < data ->> '$.max_redemptions', TRUE)"
    " AND coalesce(data ->> '$.expires_at' >= ?1, TRUE)"
    " AND EXISTS (SELECT 1 FROM objects c WHERE c.kind = 'coupon' AND c.id = objects.data ->> '$.promotion.coupon'"
    " AND NOT c.deleted AND coalesce(c.data ->> '$.times_redeemed' < c.data ->> '$.max_redemptions', TRUE)"
    " AND coalesce(c.data ->> '$.redeem_by' >= ?1, TRUE)))"
)


def _is_active(call: Call, wanted: bool) -> Condition:
    return Condition(f"{'' if wanted else 'NOT '}{_ACTIVE.replace('?1', str(call.now))}")


retrievable(PROMOTION_CODE)
listable(
    PROMOTION_CODE,
    {
        **CREATED,
        "active": Filter(Boolean(), _is_active),
        "code": matches("code"),
        "coupon": matches("promotion.coupon"),
        "customer": matches("customer"),
    },
)
