"""Customers: who pays, their balance and their default payment method."""

from typing import Any

from stripe_sandbox import ids
from stripe_sandbox.call import Call
from stripe_sandbox.collection import NO_TAX_LOCATION, drafts_follow
from stripe_sandbox.errors import StripeError
from stripe_sandbox.ledger import note_balance
from stripe_sandbox.params import Choice, Clearable, Integer, Items, Metadata, Shape, Text
from stripe_sandbox.resource import (
    CREATED,
    Filter,
    Params,
    Resource,
    by_test_clock,
    list_of,
    listable,
    matches,
    not_here,
    operation,
    register,
    retrievable,
)
from stripe_sandbox.resources.payment_methods import attach_to, resolve_attached
from stripe_sandbox.resources.shapes import ADDRESS, SHIPPING
from stripe_sandbox.resources.subscriptions import cancel_now
from stripe_sandbox.resources.tax_ids import TAX_ID_DATA
from stripe_sandbox.resources.tax_ids import make as make_tax_id
from stripe_sandbox.store import Object, equals
from stripe_sandbox.tax_table import located, place_of


def _subscriptions(call: Call, customer: Object) -> Object:
    running = [
        one
        for one in call.store.select("subscription", [equals("customer", customer["id"])])
        if one["status"] != "canceled"
    ]
    return list_of(running[:10], f"/v1/customers/{customer['id']}/subscriptions", has_more=len(running) > 10)


def _discount(call: Call, customer: Object) -> Object | None:
    return call.show(call.load("discount", customer["_discount"])) if customer["_discount"] else None


def _tax(call: Call, customer: Object) -> Object:
    """What automatic tax knows of the customer's place."""
    address = customer["address"]
    known = located(address)
    place = {"country": address["country"], "source": "billing_address", "state": address["state"]} if known else None
    standing = ("supported" if place_of(address) else "not_collecting") if known else "unrecognized_location"
    return {"automatic_tax": standing, "ip_address": None, "location": place, "provider": "stripe"}


def _tax_ids(call: Call, customer: Object) -> Object:
    made = call.find("tax_id", customer=customer["id"])
    return list_of(made, f"/v1/customers/{customer['id']}/tax_ids")


CUSTOMER = register(
    Resource(
        kind="customer",
        prefix="cus",
        path="/v1/customers",
        item="customer",
        fields={
            "address": None,
            "balance": 0,
            "currency": None,
            "customer_account": None,
            "default_source": None,
            "delinquent": False,
            "description": None,
            "email": None,
            "invoice_prefix": None,
            "invoice_settings": {
                "custom_fields": None,
                "default_payment_method": None,
                "footer": None,
                "rendering_options": None,
            },
            "metadata": {},
            "name": None,
            "next_invoice_sequence": 1,
            "phone": None,
            "preferred_locales": [],
            "shipping": None,
            "tax_exempt": "none",
            "test_clock": None,
            "_discount": None,
        },
        references={
            "default_source": "card",
            "invoice_settings.default_payment_method": "payment_method",
            "test_clock": "test_helpers.test_clock",
        },
        embedded={"discount": _discount},
        included={
            "subscriptions": _subscriptions,
            "sources": not_here("sources"),
            "tax": _tax,
            "tax_ids": _tax_ids,
            "cash_balance": not_here("cash_balance"),
        },
        deleted_is_shown=True,
    )
)

_FIELDS = {
    "address": Clearable(ADDRESS),
    "balance": Integer(),
    "description": Clearable(Text()),
    "email": Clearable(Text(512)),
    "invoice_prefix": Text(12),
    "invoice_settings": Shape({"default_payment_method": Clearable(Text()), "footer": Clearable(Text())}),
    "metadata": Metadata(),
    "name": Clearable(Text(256)),
    "next_invoice_sequence": Integer(1),
    "phone": Clearable(Text(20)),
    "preferred_locales": Items(Text()),
    "shipping": Clearable(SHIPPING),
    "tax": Shape({"validate_location": Choice("deferred", "immediately")}),
    "tax_exempt": Clearable(Choice("exempt", "none", "reverse")),
}


def _laid_out(call: Call, params: Params, customer: Object) -> dict[str, Any]:
    """The parameters as fields of the customer: nested ones merged, references resolved."""
    fields = dict(params)
    fields.pop("payment_method", None)
    fields.pop("tax_id_data", None)
    _check_tax(call, customer, fields)
    settings: dict[str, Any] | None = fields.get("invoice_settings")
    if settings is not None:
        if settings.get("default_payment_method"):
            settings["default_payment_method"] = resolve_attached(
                call, settings["default_payment_method"], customer,
                param="invoice_settings[default_payment_method]",
            )["id"]  # fmt: skip
        fields["invoice_settings"] = {**customer["invoice_settings"], **settings}
    if "tax_exempt" in fields:
        fields["tax_exempt"] = fields["tax_exempt"] or "none"
    if "invoice_prefix" in fields:
        _check_prefix(fields["invoice_prefix"])
    return fields


def _check_tax(call: Call, customer: Object, fields: dict[str, Any]) -> None:
    """`tax[validate_location]=immediately` refuses an address that automatic tax cannot use."""
    wanted = fields.pop("tax", {}).get("validate_location")
    if wanted == "immediately" and not located(fields.get("address", customer["address"])):
        raise StripeError(NO_TAX_LOCATION, code="customer_tax_location_invalid", param="address")


def _check_prefix(prefix: str) -> None:
    if not (3 <= len(prefix) <= 12 and prefix.isascii() and prefix.isalnum() and prefix == prefix.upper()):
        raise StripeError("Invoice prefixes must be 3-12 uppercase letters or numbers.", param="invoice_prefix")


_CREATED = {"payment_method": Text(), "tax_id_data": Items(TAX_ID_DATA, 5), "test_clock": Text()}


@operation("POST", CUSTOMER.path, Shape({**_FIELDS, **_CREATED}))
def create(call: Call, params: Params) -> Object:
    if "test_clock" in params:
        call.require("test_helpers.test_clock", params["test_clock"], param="test_clock")
    customer = call.create(CUSTOMER, {"invoice_prefix": ids.invoice_prefix()})
    method = attach_to(call, params["payment_method"], customer) if "payment_method" in params else None
    settings = params.get("invoice_settings", {})
    if method is not None and settings.get("default_payment_method") == params["payment_method"]:
        settings["default_payment_method"] = method["id"]
    call.change(customer, _laid_out(call, params, customer))
    note_balance(call, customer, 0)
    call.emit("customer.created", customer)
    for given in params.get("tax_id_data", []):
        make_tax_id(call, given["type"], given["value"], customer)
    if method is not None:
        call.emit("payment_method.attached", method)
    return customer


@operation("POST", CUSTOMER.item_path, Shape(_FIELDS))
def update(call: Call, params: Params) -> Object:
    customer = call.addressed("customer")
    before = customer["balance"]
    call.update(customer, _laid_out(call, params, customer), "customer.updated")
    note_balance(call, customer, before)
    drafts_follow(call, customer)
    return customer


@operation("DELETE", CUSTOMER.item_path)
def delete(call: Call, params: Params) -> Object:
    """Cancels the customer's subscriptions first; invoices and payments stay as they are."""
    customer = call.addressed("customer")
    for subscription in call.store.select("subscription", [equals("customer", customer["id"])]):
        if subscription["status"] not in ("canceled", "incomplete_expired"):
            cancel_now(call, subscription)
    return call.delete(customer, "customer.deleted")


retrievable(CUSTOMER)
# Customers of test clocks are only listed when their clock is named.
listable(
    CUSTOMER,
    {**CREATED, "email": matches("email", Text(512)), "test_clock": Filter(Text(), by_test_clock)},
    defaults={"test_clock": None},
)
