"""Prices: per unit, in packages or tiers, once or at intervals, licensed or metered.

An amount may have twelve decimal places of a minor unit. What a quantity costs stands in `amounts`.
"""

from decimal import Decimal
from typing import Any

from stripe_sandbox.call import Call
from stripe_sandbox.currencies import plain
from stripe_sandbox.errors import StripeError
from stripe_sandbox.params import (
    Boolean,
    Choice,
    Clearable,
    Currency,
    Integer,
    Items,
    Metadata,
    Number,
    Shape,
    Text,
)
from stripe_sandbox.resource import (
    CREATED,
    Filter,
    Params,
    Resource,
    listable,
    matches,
    not_here,
    operation,
    register,
    retrievable,
)
from stripe_sandbox.resources.products import PRODUCT
from stripe_sandbox.store import Condition, Object


def _tiers(call: Call, price: Object) -> list[Object]:
    return call.load("price", price["id"])["_tiers"] or []


PRICE = register(
    Resource(
        kind="price",
        prefix="price",
        path="/v1/prices",
        item="price",
        id_param="price",
        fields={
            "active": True,
            "billing_scheme": "per_unit",
            "currency": "",
            "custom_unit_amount": None,
            "lookup_key": None,
            "metadata": {},
            "nickname": None,
            "product": "",
            "recurring": None,
            "tax_behavior": "unspecified",
            "tiers_mode": None,
            "transform_quantity": None,
            "type": "one_time",
            "unit_amount": None,
            "unit_amount_decimal": None,
            "_tiers": None,
        },
        references={"product": "product"},
        included={"tiers": _tiers, "currency_options": not_here("currency_options")},
    )
)

_LONGEST_INTERVAL = {"day": 1095, "week": 156, "month": 36, "year": 3}
_TAX_BEHAVIOR = Choice("exclusive", "inclusive", "unspecified")
_RECURRING = Shape(
    {
        "interval": Choice("day", "week", "month", "year"),
        "interval_count": Integer(1),
        "meter": Text(),
        "usage_type": Choice("licensed", "metered"),
    },
    required=("interval",),
    defaults={"interval_count": 1, "usage_type": "licensed", "meter": None},
)
_TIER = Shape(
    {
        "flat_amount": Integer(0),
        "flat_amount_decimal": Number(Decimal(0)),
        "unit_amount": Integer(0),
        "unit_amount_decimal": Number(Decimal(0)),
        "up_to": Text(),
    },
    required=("up_to",),
)
_FIELDS = {
    "active": Boolean(),
    "lookup_key": Text(200),
    "metadata": Metadata(),
    "nickname": Clearable(Text()),
    "tax_behavior": _TAX_BEHAVIOR,
}


@operation(
    "POST",
    PRICE.path,
    Shape(
        {
            **_FIELDS,
            "billing_scheme": Choice("per_unit", "tiered"),
            "currency": Currency(),
            "product": Text(),
            "product_data": Shape({"name": Text(), "metadata": Metadata(), "active": Boolean()}, required=("name",)),
            "recurring": _RECURRING,
            "tiers": Items(_TIER),
            "tiers_mode": Choice("graduated", "volume"),
            "transform_quantity": Shape(
                {"divide_by": Integer(1), "round": Choice("down", "up")}, required=("divide_by", "round")
            ),
            "unit_amount": Integer(0),
            "unit_amount_decimal": Number(Decimal(0)),
        },
        required=("currency",),
    ),
)
def create(call: Call, params: Params) -> Object:
    fields = dict(params)
    fields |= _tiered(fields) if params.get("billing_scheme") == "tiered" else _per_unit(params)
    fields["product"] = _product(call, fields.pop("product_data", None), params.get("product"))
    if "recurring" in params:
        _check_recurring(call, params["recurring"])
        fields["type"] = "recurring"
    _check_lookup_key(call, params.get("lookup_key"))
    price = call.create(PRICE, fields)
    call.emit("price.created", price)
    return price


def _per_unit(params: Params) -> dict[str, Any]:
    for name in ("tiers", "tiers_mode"):
        if name in params:
            raise StripeError(f"`{name}` requires `billing_scheme` to be `tiered`.", param=name)
    found = _amounts(params, "unit_amount")
    if found["unit_amount_decimal"] is None:
        raise StripeError(
            "You must specify exactly one of `unit_amount` and `unit_amount_decimal`.",
            code="parameter_missing",
            param="unit_amount",
        )
    return found


def _amounts(params: Params, name: str, at: str = "") -> dict[str, Any]:
    """Both spellings of an amount; the one in whole minor units is null when the exact one is not whole."""
    given = [Decimal(params[one]) for one in (name, f"{name}_decimal") if one in params]
    if len(given) > 1:
        raise StripeError(
            f"You must specify exactly one of `{name}` and `{name}_decimal`.",
            code="parameters_exclusive",
            param=f"{at}[{name}]" if at else name,
        )
    if not given:
        return {name: None, f"{name}_decimal": None}
    amount = given[0]
    whole = int(amount) if amount == amount.to_integral_value() else None
    return {name: whole, f"{name}_decimal": plain(amount)}


def _tiered(fields: dict[str, Any]) -> dict[str, Any]:
    for name in ("transform_quantity", "unit_amount", "unit_amount_decimal"):
        if name in fields:
            raise StripeError(f"`{name}` cannot be combined with `tiers`.", param=name)
    for name in ("tiers", "tiers_mode", "recurring"):
        if not fields.get(name):
            raise StripeError(f"Missing required param: {name}.", code="parameter_missing", param=name)
    tiers = [_tier(given, f"tiers[{number}]") for number, given in enumerate(fields.pop("tiers"))]
    bounds = [tier["up_to"] for tier in tiers]
    if bounds[-1] is not None:
        raise StripeError("The last tier must have `up_to` set to `inf`.", param="tiers")
    before = 0
    for number, bound in enumerate(bounds[:-1]):
        if bound is None or bound <= before:
            raise StripeError("The tiers' `up_to` must increase.", param=f"tiers[{number}][up_to]")
        before = bound
    return {"_tiers": tiers}


def _tier(given: Params, at: str) -> dict[str, Any]:
    up_to = given["up_to"]
    if up_to != "inf" and not (up_to.isdecimal() and len(up_to) <= 15):
        raise StripeError(f"Invalid integer: {up_to}", code="parameter_invalid_integer", param=f"{at}[up_to]")
    tier = {**_amounts(given, "flat_amount", at), **_amounts(given, "unit_amount", at)}
    if tier["flat_amount_decimal"] is None and tier["unit_amount_decimal"] is None:
        raise StripeError(
            "A tier needs `unit_amount` or `flat_amount`.", code="parameter_missing", param=f"{at}[unit_amount]"
        )
    return {**tier, "up_to": None if up_to == "inf" else int(up_to)}


def _check_recurring(call: Call, recurring: dict[str, Any]) -> None:
    if recurring["usage_type"] == "metered":
        if recurring["meter"] is None:
            raise StripeError(
                "Missing required param: recurring[meter].", code="parameter_missing", param="recurring[meter]"
            )
        meter = call.require("billing.meter", recurring["meter"], param="recurring[meter]")
        if meter["status"] != "active":
            raise StripeError("The meter is inactive.", param="recurring[meter]")
    elif recurring["meter"] is not None:
        raise StripeError("Only a metered price has a meter.", param="recurring[meter]")
    longest = _LONGEST_INTERVAL[recurring["interval"]]
    if recurring["interval_count"] > longest:
        raise StripeError(
            f"Interval too long: at most {longest} {recurring['interval']}s.", param="recurring[interval_count]"
        )


def _check_lookup_key(call: Call, key: str | None) -> None:
    if key is None:
        return
    taken = call.find("price", lookup_key=key)
    if taken:
        raise StripeError(f"A price (`{taken[0]['id']}`) already uses that lookup key.", param="lookup_key")


def _product(call: Call, data: dict[str, Any] | None, identifier: str | None) -> str:
    if (data is None) == (identifier is None):
        raise StripeError(
            "You must specify either `product` or `product_data` when creating a price.",
            code="parameter_missing" if data is None else "parameters_exclusive",
            param="product",
        )
    if identifier is not None:
        return call.require("product", identifier, param="product")["id"]
    made = call.create(PRODUCT, {**(data or {}), "updated": call.now})
    call.emit("product.created", made)
    return made["id"]


@operation("POST", PRICE.item_path, Shape(_FIELDS))
def update(call: Call, params: Params) -> Object:
    price = call.addressed("price")
    fields = dict(params)
    if params.get("lookup_key") != price["lookup_key"]:
        _check_lookup_key(call, params.get("lookup_key"))
    call.update(price, fields, "price.updated")
    return price


def _lookup_keys(call: Call, keys: list[str]) -> Condition:
    return Condition(f"data ->> '$.lookup_key' IN ({', '.join('?' * len(keys))})", tuple(keys))


retrievable(PRICE)
listable(
    PRICE,
    {
        **CREATED,
        "active": matches("active", Boolean()),
        "currency": matches("currency", Currency()),
        "product": matches("product"),
        "type": matches("type", Choice("one_time", "recurring")),
        "lookup_keys": Filter(Items(Text(), 10), _lookup_keys),
    },
)
