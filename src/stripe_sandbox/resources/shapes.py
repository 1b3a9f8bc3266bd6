"""Shapes that several of Stripe's resources share."""

from typing import Any

from stripe_sandbox.params import Boolean, Choice, Clearable, Shape, Text

_ADDRESS = {
    "city": Clearable(Text()),
    "country": Clearable(Text()),
    "line1": Clearable(Text()),
    "line2": Clearable(Text()),
    "postal_code": Clearable(Text()),
    "state": Clearable(Text()),
}
_NO_ADDRESS = dict.fromkeys(_ADDRESS)

ADDRESS = Shape(_ADDRESS, defaults=_NO_ADDRESS)
SHIPPING = Shape(
    {"address": ADDRESS, "name": Text(), "phone": Clearable(Text())},
    required=("address", "name"),
    defaults={"phone": None},
)
BILLING_DETAILS = Shape(
    {
        "address": Clearable(ADDRESS),
        "email": Clearable(Text()),
        "name": Clearable(Text()),
        "phone": Clearable(Text()),
        "tax_id": Text(),
    }
)
NO_BILLING_DETAILS: dict[str, Any] = {
    "address": _NO_ADDRESS,
    "email": None,
    "name": None,
    "phone": None,
    "tax_id": None,
}
NO_AUTOMATIC_TAX: dict[str, Any] = {
    "disabled_reason": None,
    "enabled": False,
    "liability": None,
    "provider": None,
    "status": None,
}
AUTOMATIC_TAX = Shape(
    {"enabled": Boolean(), "liability": Shape({"type": Choice("self")}, required=("type",))}, required=("enabled",)
)
