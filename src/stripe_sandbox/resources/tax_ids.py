"""Tax ids of customers and of the account, and what the authority said about them.

Declared values decide that, as in Stripe's test mode (https://docs.stripe.com/billing/customer/tax-ids#test): of
`eu_vat`, `gb_vat` and `au_abn` a number that ends in 000000000 is verified, 111111111 unverified, any other one
stays pending. Other types are not verified by anyone: `unavailable`.
"""

import re
from typing import Any

from stripe_sandbox.call import Call
from stripe_sandbox.errors import StripeError, no_such
from stripe_sandbox.params import Choice, Shape, Text
from stripe_sandbox.resource import (
    PAGE,
    Params,
    Resource,
    operation,
    page,
    register,
)
from stripe_sandbox.store import Condition, Object, equals

TAX_ID = register(
    Resource(
        kind="tax_id",
        prefix="txi",
        path="/v1/tax_ids",
        item="id",
        title="tax id",
        fields={
            "country": None,
            "customer": None,
            "customer_account": None,
            "owner": None,
            "type": "",
            "value": "",
            "verification": None,
        },
        references={"customer": "customer", "owner.customer": "customer"},
    )
)

_MOST = 5
_VERIFIED = ("eu_vat", "gb_vat", "au_abn")
_PATTERNS = {
    "eu_vat": r"(AT|BE|BG|CY|CZ|DE|DK|EE|EL|ES|FI|FR|HR|HU|IE|IT|LT|LU|LV|MT|NL|PL|PT|RO|SE|SI|SK|XI)?[0-9A-Z+*]{2,12}",
    "gb_vat": r"(GB)?(\d{9}|\d{12})",
    "us_ein": r"\d{2}-?\d{7}",
    "au_abn": r"\d{9}|\d{11}",
    "ch_vat": r"CHE-?[\d.]{9,11} ?(MWST|TVA|IVA)",
    "no_vat": r"\d{9}MVA",
    "in_gst": r"[0-9A-Z]{15}",
    "ca_gst_hst": r"\d{9}RT\d{4}",
    "jp_trn": r"T?\d{13}",
}
_VALUE = {"type": Choice(*_PATTERNS), "value": Text(50)}
_REQUIRED = ("type", "value")
TAX_ID_DATA = Shape(_VALUE, required=_REQUIRED)


def make(call: Call, type_: str, value: str, customer: Object | None) -> Object:
    if not re.fullmatch(_PATTERNS[type_], value):
        raise StripeError(f"Invalid value for {type_}.", code="tax_id_invalid", param="value")
    if customer is not None and len(call.find("tax_id", customer=customer["id"])) >= _MOST:
        raise StripeError(f"A customer can have at most {_MOST} tax ids.", param="customer")
    owner = {"type": "self"} if customer is None else {"customer": customer["id"], "type": "customer"}
    fields: dict[str, Any] = {
        "country": _country(type_, value),
        "customer": customer["id"] if customer else None,
        "owner": owner,
        "type": type_,
        "value": value,
        "verification": {"status": _status(type_, value), "verified_address": None, "verified_name": None},
    }
    made = call.create(TAX_ID, fields)
    call.emit("customer.tax_id.created", made)
    return made


def _status(type_: str, value: str) -> str:
    if type_ not in _VERIFIED:
        return "unavailable"
    return {"000000000": "verified", "111111111": "unverified"}.get(value[-9:], "pending")


def _country(type_: str, value: str) -> str | None:
    if type_ != "eu_vat":
        return type_[:2].upper()
    return {"EL": "GR"}.get(value[:2], value[:2]) if value[:2].isalpha() else None


def of_customer(call: Call, customer_id: str) -> list[Object]:
    """As an invoice shows them."""
    return [{"type": one["type"], "value": one["value"]} for one in call.find("tax_id", customer=customer_id)][::-1]


@operation("POST", "/v1/customers/{customer}/tax_ids", Shape(_VALUE, required=_REQUIRED))
def create_of_customer(call: Call, params: Params) -> Object:
    return make(call, params["type"], params["value"], call.addressed("customer"))


_OWNER = Shape({"type": Choice("customer", "self"), "customer": Text()}, required=("type",))


@operation("POST", TAX_ID.path, Shape({**_VALUE, "owner": _OWNER}, required=_REQUIRED))
def create(call: Call, params: Params) -> Object:
    return make(call, params["type"], params["value"], _owner(call, params))


def _owner(call: Call, params: Params) -> Object | None:
    owner = params.get("owner", {"type": "self"})
    if (owner["type"] == "customer") != ("customer" in owner):
        raise StripeError(
            "owner[customer] goes with owner[type]=customer.", code="parameter_missing", param="owner[customer]"
        )
    if owner["type"] == "self":
        return None
    return call.require("customer", owner["customer"], param="owner[customer]")


@operation("GET", TAX_ID.item_path)
def retrieve(call: Call, params: Params) -> Object:
    return call.addressed("tax_id")


@operation("DELETE", TAX_ID.item_path)
def delete(call: Call, params: Params) -> Object:
    return call.delete(call.addressed("tax_id"), "customer.tax_id.deleted")


def _of_customer(call: Call) -> Object:
    customer = call.addressed("customer")
    found = call.addressed("tax_id")
    if found["customer"] != customer["id"]:
        raise no_such("tax id", found["id"], "id", status=404)
    return found


@operation("GET", "/v1/customers/{customer}/tax_ids/{id}")
def retrieve_of_customer(call: Call, params: Params) -> Object:
    return _of_customer(call)


@operation("DELETE", "/v1/customers/{customer}/tax_ids/{id}")
def delete_of_customer(call: Call, params: Params) -> Object:
    return call.delete(_of_customer(call), "customer.tax_id.deleted")


@operation("GET", "/v1/customers/{customer}/tax_ids", Shape(PAGE))
def list_of_customer(call: Call, params: Params) -> Object:
    customer = call.addressed("customer")
    return page(call, TAX_ID, params, [equals("customer", customer["id"])], f"/v1/customers/{customer['id']}/tax_ids")


@operation("GET", TAX_ID.path, Shape({**PAGE, "owner": _OWNER}))
def list_all(call: Call, params: Params) -> Object:
    owner = _owner(call, params)
    condition = Condition("data ->> '$.customer' IS NULL") if owner is None else equals("customer", owner["id"])
    return page(call, TAX_ID, params, [condition], TAX_ID.path)
