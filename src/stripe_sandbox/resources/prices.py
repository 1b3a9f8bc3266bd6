"""Prices: per unit, once or at intervals. An amount may have twelve decimal places of a minor unit."""

from decimal import Decimal
from typing import Any

from stripe_sandbox.call import Call
from stripe_sandbox.currencies import plain, round_minor
from stripe_sandbox.errors import StripeError, unsupported
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
        },
        references={"product": "product"},
        included={"tiers": not_here("tiers"), "currency_options": not_here("currency_options")},
    )
)

_LONGEST_INTERVAL = {"day": 1095, "week": 156, "month": 36, "year": 3}
_TAX_BEHAVIOR = Choice("exclusive", "inclusive", "unspecified")
_RECURRING = Shape(
    {
        "interval": Choice("day", "week", "month", "year"),
        "interval_count": Integer(1),
        "usage_type": Choice("licensed", "metered"),
    },
    required=("interval",),
    defaults={"interval_count": 1, "usage_type": "licensed", "meter": None},
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
            "billing_scheme": Choice("per_unit"),
            "currency": Currency(),
            "product": Text(),
            "product_data": Shape({"name": Text(), "metadata": Metadata(), "active": Boolean()}, required=("name",)),
            "recurring": _RECURRING,
            "unit_amount": Integer(0),
            "unit_amount_decimal": Number(Decimal(0)),
        },
        required=("currency",),
    ),
)
def create(call: Call, params: Params) -> Object:
    fields: dict[str, Any] = {**params, **_amounts(params)}
    fields["product"] = _product(call, fields.pop("product_data", None), params.get("product"))
    if "recurring" in params:
        _check_recurring(params["recurring"])
        fields["type"] = "recurring"
    _check_lookup_key(call, params.get("lookup_key"))
    price = call.create(PRICE, fields)
    call.emit("price.created", price)
    return price


def _amounts(params: Params) -> dict[str, Any]:
    """`unit_amount` is null when the exact amount is no whole number of minor units."""
    given = [Decimal(params[name]) for name in ("unit_amount", "unit_amount_decimal") if name in params]
    if len(given) != 1:
        raise StripeError(
            "You must specify exactly one of `unit_amount` and `unit_amount_decimal`.",
            code="parameters_exclusive" if given else "parameter_missing",
            param="unit_amount",
        )
    amount = given[0]
    return {
        "unit_amount": int(amount) if amount == amount.to_integral_value() else None,
        "unit_amount_decimal": plain(amount),
    }


def _check_recurring(recurring: dict[str, Any]) -> None:
    if recurring["usage_type"] == "metered":
        raise unsupported("metered prices")
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


def amount_for(price: Object, quantity: int) -> int:
    """Rounded once, after the multiplication."""
    return round_minor(Decimal(price["unit_amount_decimal"]) * quantity)


def description(price: Object, product: Object, quantity: int) -> str:
    recurring = price["recurring"]
    every = recurring["interval"] if recurring["interval_count"] == 1 else (
        f"{recurring['interval_count']} {recurring['interval']}s"
    )  # fmt: skip
    return f"{quantity} × {product.get('name', product['id'])} (at {price['unit_amount_decimal']} {price['currency']} / {every})"


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
