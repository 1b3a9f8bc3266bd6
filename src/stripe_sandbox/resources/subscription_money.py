"""What a subscription and its items say about discounts and taxes; their invoices take it over in `begin`."""

from collections.abc import Mapping
from typing import Any

from stripe_sandbox.call import Call
from stripe_sandbox.errors import StripeError
from stripe_sandbox.invoice_totals import automatic_tax
from stripe_sandbox.params import Clearable, Kind
from stripe_sandbox.resource import Params
from stripe_sandbox.resources import discounts, tax_rates
from stripe_sandbox.resources.shapes import AUTOMATIC_TAX
from stripe_sandbox.store import Object
from stripe_sandbox.tax_table import located

NO_TAX_LOCATION = (
    "The customer's location isn't recognized. Set a valid customer address in order to automatically calculate tax."
)
FIELDS: Mapping[str, Kind] = {
    "automatic_tax": AUTOMATIC_TAX,
    "default_tax_rates": Clearable(tax_rates.RATES),
    "discounts": Clearable(discounts.GIVEN),
}
ITEM_FIELDS: Mapping[str, Kind] = {
    "discounts": Clearable(discounts.GIVEN),
    "tax_rates": Clearable(tax_rates.RATES),
}


def fields(call: Call, params: Params, customer: Object) -> dict[str, Any]:
    """Of a subscription, without its discounts: those need its id."""
    found: dict[str, Any] = {}
    if "automatic_tax" in params:
        enabled = params["automatic_tax"]["enabled"]
        if enabled and not located(customer["address"]):
            raise StripeError(NO_TAX_LOCATION, code="customer_tax_location_invalid", param="automatic_tax[enabled]")
        kept = ("disabled_reason", "enabled", "liability")
        found["automatic_tax"] = {name: automatic_tax(enabled)[name] for name in kept}
    if "default_tax_rates" in params:
        rates = params["default_tax_rates"]
        found["_default_tax_rates"] = tax_rates.check(call, rates, param="default_tax_rates")
    return found


def item_fields(call: Call, params: Params, at: str) -> dict[str, Any]:
    if "tax_rates" not in params:
        return {}
    return {"_tax_rates": tax_rates.check(call, params["tax_rates"], param=f"{at}[tax_rates]")}


def give_discounts(call: Call, owner: Object, params: Params, customer: Object, currency: str) -> None:
    """To a subscription or to an item of one, once it is there; those it had and that are not named end."""
    if "discounts" not in params:
        return
    name = owner["object"]
    before = list(owner["discounts"])
    given = discounts.redeem(call, params["discounts"] or [], customer, currency, {name: owner["id"]})
    call.change(owner, {"discounts": given})
    for gone in (call.load("discount", one) for one in before if one not in given):
        call.emit("customer.discount.deleted", gone)


def line_fields(call: Call, item: Object) -> dict[str, Any]:
    """What a line for a subscription's item takes over from it."""
    return {"discounts": discounts.running(call, item["discounts"]), "_tax_rates": item["_tax_rates"]}
