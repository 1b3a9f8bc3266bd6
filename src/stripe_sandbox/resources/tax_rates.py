"""Tax rates: made by hand, or by automatic tax from its table. A percentage never changes once it was made."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from stripe_sandbox import totals
from stripe_sandbox.call import Call
from stripe_sandbox.currencies import plain
from stripe_sandbox.errors import StripeError
from stripe_sandbox.params import Boolean, Choice, Clearable, Items, Metadata, Percent, Shape, Text
from stripe_sandbox.resource import CREATED, Params, Resource, listable, matches, operation, register, retrievable
from stripe_sandbox.resources.coupons import number
from stripe_sandbox.store import Object
from stripe_sandbox.tax_table import DISPLAY_NAMES, EUROPEAN_UNION, Place, located, place_of


def _percentage(call: Call, rate: Object) -> float | int:
    return number(rate["_percentage"])


def _effective(call: Call, rate: Object) -> float | int | None:
    return number(rate["_percentage"]) if rate["_automatic"] else None


TAX_RATE = register(
    Resource(
        kind="tax_rate",
        prefix="txr",
        path="/v1/tax_rates",
        item="tax_rate",
        title="tax rate",
        id_param="tax_rate",
        fields={
            "active": True,
            "country": None,
            "description": None,
            "display_name": "",
            "flat_amount": None,
            "inclusive": False,
            "jurisdiction": None,
            "jurisdiction_level": None,
            "metadata": {},
            "rate_type": "percentage",
            "state": None,
            "tax_type": None,
            "_automatic": None,  # of automatic tax: which place and behaviour
            "_percentage": "0",
        },
        embedded={"percentage": _percentage, "effective_percentage": _effective},
    )
)

_TYPES = Choice(
    "amusement_tax", "communications_tax", "gst", "hst", "igst", "jct", "lease_tax", "pst", "qst",
    "retail_delivery_fee", "rst", "sales_tax", "service_tax", "vat",
)  # fmt: skip
_FIELDS = {
    "active": Boolean(),
    "country": Text(2),
    "description": Clearable(Text()),
    "display_name": Text(50),
    "jurisdiction": Clearable(Text(50)),
    "metadata": Metadata(),
    "state": Text(3),
    "tax_type": _TYPES,
}
RATES = Items(Text(), 5)


@operation(
    "POST",
    TAX_RATE.path,
    Shape(
        {**_FIELDS, "inclusive": Boolean(), "percentage": Percent()},
        required=("display_name", "inclusive", "percentage"),
    ),
)
def create(call: Call, params: Params) -> Object:
    fields = dict(params)
    fields["_percentage"] = plain(fields.pop("percentage"))
    rate = call.create(TAX_RATE, fields)
    call.emit("tax_rate.created", rate)
    return rate


@operation("POST", TAX_RATE.item_path, Shape(_FIELDS))
def update(call: Call, params: Params) -> Object:
    rate = call.addressed("tax_rate")
    call.update(rate, params, "tax_rate.updated")
    return rate


def check(call: Call, identifiers: Sequence[str] | None, *, param: str) -> list[str]:
    """The rates that a parameter names: they exist and are active."""
    for at, identifier in enumerate(identifiers or ()):
        rate = call.require("tax_rate", identifier, param=f"{param}[{at}]")
        if not rate["active"]:
            raise StripeError(
                f"The tax rate {identifier} is archived and cannot be applied.", param=f"{param}[{at}]"
            )  # fmt: skip
    return list(identifiers or ())


def shown(field: str) -> Any:
    """An embedded part: the whole tax rates whose ids a private field holds."""

    def part(call: Call, obj: Object) -> list[Object]:
        return [call.show(call.load("tax_rate", one)) for one in obj[field] or ()]

    return part


def for_totals(call: Call, identifiers: Sequence[str], exempt: str) -> tuple[totals.Rate, ...]:
    """`exempt`: the customer's `tax_exempt`."""
    found = (call.load("tax_rate", identifier) for identifier in identifiers)
    return tuple(
        totals.Rate(rate["id"], Decimal(rate["_percentage"]), rate["inclusive"], *_standing(exempt)) for rate in found
    )


def _standing(exempt: str, normal: str = "not_available") -> tuple[str, bool]:
    if exempt == "none":
        return normal, True
    return ("customer_exempt" if exempt == "exempt" else "reverse_charge"), False


def automatic(call: Call, customer: Object, behavior: str) -> tuple[totals.Rate, ...]:
    """The rate of the customer's place. `behavior`: the price's; one that is unspecified is taken as exclusive."""
    address = customer["address"]
    place = place_of(address) if located(address) else None
    if place is None:
        return ()
    rate = _of_place(call, place, inclusive=behavior == "inclusive")
    exempt = customer["tax_exempt"]
    if exempt == "none" and place.country in EUROPEAN_UNION and _is_european_business(call, customer):
        exempt = "reverse"
    reason, applies = _standing(exempt, "standard_rated")
    return (totals.Rate(rate["id"], place.percentage, rate["inclusive"], reason, applies),)


def _is_european_business(call: Call, customer: Object) -> bool:
    """The account is in the US, so the customer accounts for the tax of a service itself."""
    found = call.find("tax_id", customer=customer["id"], type="eu_vat")
    return any(one["verification"]["status"] != "unverified" for one in found)


def _of_place(call: Call, place: Place, *, inclusive: bool) -> Object:
    key = f"{place.country} {place.state} {'inclusive' if inclusive else 'exclusive'}"
    found = call.find("tax_rate", _automatic=key)
    if found:
        return found[0]
    fields: dict[str, Any] = {
        "country": place.country,
        "display_name": DISPLAY_NAMES[place.tax_type],
        "inclusive": inclusive,
        "jurisdiction": place.name,
        "jurisdiction_level": "state" if place.state else "country",
        "state": place.state,
        "tax_type": place.tax_type,
        "_automatic": key,
        "_percentage": plain(place.percentage),
    }
    return call.create(TAX_RATE, fields)


retrievable(TAX_RATE)
listable(
    TAX_RATE,
    {**CREATED, "active": matches("active", Boolean()), "inclusive": matches("inclusive", Boolean())},
)
