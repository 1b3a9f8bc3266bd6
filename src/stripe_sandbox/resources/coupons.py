"""Coupons: so much off, in percent or as an amount, once, for some months, or for good."""

from decimal import Decimal

from stripe_sandbox import ids
from stripe_sandbox.call import Call
from stripe_sandbox.errors import StripeError
from stripe_sandbox.params import Choice, Clearable, Currency, Integer, Items, Metadata, Percent, Shape, Text, Timestamp
from stripe_sandbox.resource import CREATED, Params, Resource, listable, not_here, operation, register, retrievable
from stripe_sandbox.store import Object


def is_valid(call: Call, coupon: Object) -> bool:
    most, until = coupon["max_redemptions"], coupon["redeem_by"]
    return (most is None or coupon["times_redeemed"] < most) and (until is None or call.now <= until)


def _percent_off(call: Call, coupon: Object) -> float | int | None:
    return None if coupon["_percent_off"] is None else number(coupon["_percent_off"])


def number(decimal: str) -> float | int:
    """Only for showing: Stripe shows percentages as JSON numbers."""
    value = Decimal(decimal)
    return int(value) if value == value.to_integral_value() else float(value)


def _applies_to(call: Call, coupon: Object) -> Object:
    return {"products": coupon["_products"] or []}


COUPON = register(
    Resource(
        kind="coupon",
        prefix="",
        path="/v1/coupons",
        item="coupon",
        id_param="coupon",
        fields={
            "amount_off": None,
            "currency": None,
            "duration": "once",
            "duration_in_months": None,
            "max_redemptions": None,
            "metadata": {},
            "name": None,
            "redeem_by": None,
            "times_redeemed": 0,
            "_percent_off": None,
            "_products": None,
        },
        embedded={"percent_off": _percent_off, "valid": is_valid},
        included={"applies_to": _applies_to, "currency_options": not_here("currency_options")},
    )
)


@operation(
    "POST",
    COUPON.path,
    Shape(
        {
            "amount_off": Integer(1),
            "applies_to": Shape({"products": Items(Text())}),
            "currency": Currency(),
            "duration": Choice("forever", "once", "repeating"),
            "duration_in_months": Integer(1),
            "id": Text(),
            "max_redemptions": Integer(1),
            "metadata": Metadata(),
            "name": Text(40),
            "percent_off": Percent(),
            "redeem_by": Timestamp(),
        },
        defaults={"duration": "once"},
    ),
)
def create(call: Call, params: Params) -> Object:
    fields = dict(params)
    _check(call, params)
    identifier = fields.pop("id", None) or ids.coupon_id()
    if call.store.get("coupon", identifier) is not None:
        raise StripeError("Coupon already exists.", code="resource_already_exists", param="id")
    if "percent_off" in fields:
        fields["_percent_off"] = str(fields.pop("percent_off"))
    fields["_products"] = fields.pop("applies_to", {}).get("products")
    coupon = call.create(COUPON, fields, identifier=identifier)
    call.emit("coupon.created", coupon)
    return coupon


def _check(call: Call, params: Params) -> None:
    if ("percent_off" in params) == ("amount_off" in params):
        raise StripeError("Must provide exactly one of percent_off or amount_off.", param="percent_off")
    if params.get("percent_off") == 0:
        raise StripeError("percent_off must be greater than 0.", param="percent_off")
    if "amount_off" in params and "currency" not in params:
        raise StripeError("You must pass currency when passing amount_off", code="parameter_missing", param="currency")
    if (params["duration"] == "repeating") != ("duration_in_months" in params):
        raise StripeError(
            "You must pass duration_in_months when passing duration=repeating, and only then.",
            param="duration_in_months",
        )
    if "redeem_by" in params and params["redeem_by"] < call.now:
        raise StripeError("redeem_by must be a time in the future.", param="redeem_by")
    for at, product in enumerate(params.get("applies_to", {}).get("products", [])):
        call.require("product", product, param=f"applies_to[products][{at}]")


@operation("POST", COUPON.item_path, Shape({"metadata": Metadata(), "name": Clearable(Text(40))}))
def update(call: Call, params: Params) -> Object:
    coupon = call.addressed("coupon")
    call.update(coupon, params, "coupon.updated")
    return coupon


@operation("DELETE", COUPON.item_path)
def delete(call: Call, params: Params) -> Object:
    """Whoever has the discount keeps it."""
    return call.delete(call.addressed("coupon"), "coupon.deleted")


def coupon_of(call: Call, discount: Object) -> Object:
    """Also a coupon that was deleted since."""
    found = call.store.get("coupon", discount["source"]["coupon"])
    assert found is not None
    return found[0]


def require_valid(call: Call, identifier: str, *, param: str) -> Object:
    coupon = call.require("coupon", identifier, param=param)
    if not is_valid(call, coupon):
        raise StripeError(f"Coupon expired: {identifier}", code="coupon_expired", param=param)
    return coupon


retrievable(COUPON)
listable(COUPON, CREATED)
