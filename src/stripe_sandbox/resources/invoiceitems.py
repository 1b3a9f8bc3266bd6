"""Invoice items: what a customer owes beside a subscription, waiting for an invoice or put on a draft."""

from decimal import Decimal
from typing import Any

from stripe_sandbox.amounts import amount_for
from stripe_sandbox.call import Call
from stripe_sandbox.collection import lines_changed
from stripe_sandbox.errors import StripeError
from stripe_sandbox.ledger import settle_currency
from stripe_sandbox.params import Boolean, Choice, Clearable, Currency, Integer, Metadata, Shape, Text, Timestamp
from stripe_sandbox.resource import (
    ABSENT,
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
from stripe_sandbox.resources import discounts, tax_rates
from stripe_sandbox.resources.line_items import line_fields, put_on
from stripe_sandbox.store import Condition, Object

_MOST_LINES = 250


INVOICEITEM = register(
    Resource(
        kind="invoiceitem",
        prefix="ii",
        path="/v1/invoiceitems",
        item="invoiceitem",
        id_param="invoiceitem",
        fields={
            "created": ABSENT,
            "amount": 0,
            "currency": "",
            "customer": "",
            "customer_account": None,
            "date": 0,
            "description": None,
            "discountable": True,
            "discounts": [],
            "invoice": None,
            "metadata": {},
            "net_amount": 0,
            "parent": None,
            "period": {},
            "pricing": None,
            "proration": False,
            "quantity": 1,
            "quantity_decimal": "1",
            "test_clock": None,
            "_tax_behavior": None,
            "_tax_rates": [],
            "_subscription": None,
            "_pending_first": False,  # it was pending before an invoice took it
        },
        references={
            "customer": "customer",
            "discounts": "discount",
            "invoice": "invoice",
            "pricing.price_details.price": "price",
            "test_clock": "test_helpers.test_clock",
        },
        embedded={"tax_rates": tax_rates.shown("_tax_rates")},
    )
)

ITEM_FIELDS = {
    "amount": Integer(),
    "description": Clearable(Text()),
    "discountable": Boolean(),
    "discounts": Clearable(discounts.GIVEN),
    "metadata": Metadata(),
    "period": Shape({"start": Timestamp(), "end": Timestamp()}, required=("start", "end")),
    "pricing": Shape({"price": Text()}, required=("price",)),
    "quantity": Integer(0),
    "tax_behavior": Choice("exclusive", "inclusive", "unspecified"),
    "tax_rates": tax_rates.RATES,
}


@operation(
    "POST",
    INVOICEITEM.path,
    Shape(
        {**ITEM_FIELDS, "currency": Currency(), "customer": Text(), "invoice": Text(), "subscription": Text()},
        required=("customer",),
    ),
)
def create(call: Call, params: Params) -> Object:
    return make_item(call, params)


def make_item(call: Call, params: Params, *, tell: bool = True) -> Object:
    """`tell`: the invoice's totals are worked out, and its change announced."""
    customer = call.require("customer", params["customer"], param="customer")
    invoice = _draft(call, params["invoice"], customer) if "invoice" in params else None
    fields = _priced(call, params, 1)
    currency = fields.get("currency") or customer["currency"] or "usd"
    if invoice is not None and invoice["currency"] != currency:
        raise StripeError(
            f"The invoice's currency is {invoice['currency']}, the item's is {currency}.", param="currency"
        )
    settle_currency(call, customer, currency)
    fields["discountable"] = fields["amount"] >= 0
    fields |= _beside(call, params)
    if "subscription" in params:
        fields |= _for_subscription(call, params["subscription"], customer)
    fields |= {
        "currency": currency,
        "customer": customer["id"],
        "date": call.now,
        "period": _period(params.get("period", {"start": call.now, "end": call.now})),
    }
    item = call.create(INVOICEITEM, fields)
    if params.get("discounts"):
        call.change(item, {"discounts": _redeemed(call, item, customer, params["discounts"])})
    if invoice is not None:
        put_on(call, item, invoice)
    call.emit("invoiceitem.created", item)
    if invoice is not None and tell:
        lines_changed(call, invoice)
    return item


def _for_subscription(call: Call, identifier: str, customer: Object) -> dict[str, Any]:
    """It waits for the next invoice of this subscription."""
    subscription = call.require("subscription", identifier, param="subscription")
    if subscription["customer"] != customer["id"]:
        raise StripeError("The subscription does not belong to this customer.", param="subscription")
    parent = {"subscription_details": {"subscription": subscription["id"]}, "type": "subscription_details"}
    return {"parent": parent, "_subscription": subscription["id"]}


def _beside(call: Call, params: Params) -> dict[str, Any]:
    """What does not change the amount before discounts and taxes."""
    kept = ("description", "discountable", "metadata")
    fields: dict[str, Any] = {name: params[name] for name in kept if name in params}
    if "tax_behavior" in params:
        fields["_tax_behavior"] = params["tax_behavior"]
    if "tax_rates" in params:
        fields["_tax_rates"] = tax_rates.check(call, params["tax_rates"], param="tax_rates")
    return fields


def _redeemed(call: Call, item: Object, customer: Object, given: list[Params] | None) -> list[str]:
    return discounts.redeem(call, given or [], customer, item["currency"], {"invoice_item": item["id"]})


def _draft(call: Call, identifier: str, customer: Object) -> Object:
    invoice = call.require("invoice", identifier, param="invoice")
    if invoice["customer"] != customer["id"]:
        raise StripeError("The invoice does not belong to this customer.", param="invoice")
    check_editable(invoice)
    if len(call.find("line_item", invoice=identifier)) >= _MOST_LINES:
        raise StripeError(f"An invoice can have at most {_MOST_LINES} invoice items.", param="invoice")
    return invoice


def check_editable(invoice: Object) -> None:
    if invoice["status"] != "draft":
        raise StripeError("This invoice is no longer editable", code="invoice_not_editable", param="invoice")


def _period(period: dict[str, int]) -> dict[str, int]:
    if period["end"] < period["start"]:
        raise StripeError("The period's end must not be before its start.", param="period[end]")
    return period


def _priced(call: Call, params: Params, quantity: int) -> dict[str, Any]:
    """Either an amount, or a one-time price times a quantity."""
    if ("amount" in params) == ("pricing" in params):
        raise StripeError(
            "You must specify exactly one of `amount` and `pricing`.",
            code="parameter_missing" if "amount" not in params else "parameters_exclusive",
            param="amount",
        )
    fields: dict[str, Any] = {"currency": params["currency"]} if "currency" in params else {}
    if "amount" in params:
        if "quantity" in params:
            raise StripeError(
                "You may only specify one of these parameters: amount, quantity.",
                code="parameters_exclusive",
                param="quantity",
            )
        return {**fields, "amount": params["amount"], "net_amount": params["amount"], "pricing": None}
    price = call.require("price", params["pricing"]["price"], param="pricing[price]")
    if price["type"] != "one_time":
        raise StripeError(
            "The price specified is set to `type=recurring` but this field only accepts prices with `type=one_time`.",
            param="pricing[price]",
        )
    if not price["active"]:
        raise StripeError(
            "The price specified is inactive. This field only accepts active prices.", param="pricing[price]"
        )
    if fields.get("currency", price["currency"]) != price["currency"]:
        raise StripeError(
            f"The price specified only supports `{price['currency']}`. This doesn't match the expected currency:"
            f" `{fields['currency']}`.",
            param="pricing[price]",
        )
    return {"currency": price["currency"], **_times(price, params.get("quantity", quantity))}


def _times(price: Object, quantity: int) -> dict[str, Any]:
    amount = amount_for(price, quantity)
    return {
        "amount": amount,
        "net_amount": amount,
        "pricing": {
            "price_details": {"price": price["id"], "product": price["product"]},
            "type": "price_details",
            "unit_amount_decimal": price["unit_amount_decimal"],
        },
        "quantity": quantity,
        "quantity_decimal": str(Decimal(quantity)),
    }


@operation("POST", INVOICEITEM.item_path, Shape(ITEM_FIELDS))
def update(call: Call, params: Params) -> Object:
    return change_item(call, call.addressed("invoiceitem"), params)


def change_item(call: Call, item: Object, params: Params, *, tell: bool = True) -> Object:
    invoice = call.load("invoice", item["invoice"]) if item["invoice"] else None
    if invoice is not None and set(params) - {"metadata"}:
        check_editable(invoice)
    fields = _beside(call, params)
    if "period" in params:
        fields["period"] = _period(params["period"])
    if "discounts" in params:
        customer = call.load("customer", item["customer"])
        fields["discounts"] = _redeemed(call, item, customer, params["discounts"])
    if "amount" in params or "pricing" in params:
        fields |= _priced(call, {**params, "currency": item["currency"]}, item["quantity"])
    elif "quantity" in params:
        if item["pricing"] is None:
            raise StripeError("An item with an amount has no quantity to change.", param="quantity")
        price = call.load("price", item["pricing"]["price_details"]["price"])
        fields |= _times(price, params["quantity"])
    call.change(item, fields)
    if invoice is not None:
        for line in call.find("line_item", invoice=invoice["id"], _item=item["id"]):
            call.change(line, line_fields(item))
        if tell:
            lines_changed(call, invoice)
    return item


@operation("DELETE", INVOICEITEM.item_path)
def delete(call: Call, params: Params) -> Object:
    return remove_item(call, call.addressed("invoiceitem"))


def remove_item(call: Call, item: Object, *, tell: bool = True) -> Object:
    invoice = call.load("invoice", item["invoice"]) if item["invoice"] else None
    if invoice is not None:
        check_editable(invoice)
        for line in call.find("line_item", invoice=invoice["id"], _item=item["id"]):
            call.delete(line, None)
    gone = call.delete(item, "invoiceitem.deleted")
    if invoice is not None and tell:
        lines_changed(call, invoice)
    return gone


def _pending(call: Call, wanted: bool) -> Condition:
    return Condition(f"data ->> '$.invoice' IS {'' if wanted else 'NOT '}NULL")


retrievable(INVOICEITEM)
listable(
    INVOICEITEM,
    {
        **CREATED,
        "customer": matches("customer"),
        "invoice": matches("invoice"),
        "pending": Filter(Boolean(), _pending),
    },
)
