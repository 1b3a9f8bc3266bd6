"""The lines that a subscription's items put on an invoice: a period in advance, a trial, usage in arrears."""

from decimal import Decimal
from typing import Any

from stripe_sandbox.amounts import amount_for, exact_amount, share_of
from stripe_sandbox.billing import usage
from stripe_sandbox.billing.cycle import Period, full_period, items_of
from stripe_sandbox.call import Call
from stripe_sandbox.currencies import plain
from stripe_sandbox.periods import day
from stripe_sandbox.resource import RESOURCES
from stripe_sandbox.resources import subscription_money as money
from stripe_sandbox.store import Object


def price_of(call: Call, item: Object) -> Object:
    return call.load("price", item["_price"])


def metered(price: Object) -> bool:
    return price["recurring"]["usage_type"] == "metered"


def put_advance(call: Call, subscription: Object, invoice: Object) -> None:
    """The current period of what is billed in advance; each line is remembered as what its item was debited."""
    for item in reversed(items_of(call, subscription)):
        price = price_of(call, item)
        if metered(price):
            _begin_usage(call, subscription, invoice, item, price)
            continue
        period = Period(item["current_period_start"], item["current_period_end"])
        amount = charged(call, subscription, price, item["quantity"], period)
        line = _create(call, item, price, invoice, amount, Decimal(item["quantity"]), period)
        debit = {"amount": amount, "start": period.start, "end": period.end, "line": line["id"]}
        call.change(item, {"_debits": [debit]})


def _begin_usage(call: Call, subscription: Object, invoice: Object, item: Object, price: Object) -> None:
    """Classic billing shows a line of nothing when usage begins; flexible billing leaves it out."""
    if subscription["billing_mode"]["type"] == "classic" and invoice["billing_reason"] == "subscription_create":
        period = Period(item["current_period_start"], item["current_period_end"])
        _create(call, item, price, invoice, 0, Decimal(0), period)


def charged(call: Call, subscription: Object, price: Object, quantity: int, period: Period) -> int:
    """A whole period's amount, or its share of a shorter period, in minor units, rounded once."""
    whole = full_period(subscription, period.start)
    amount = exact_amount(price, Decimal(quantity))
    return share_of(amount, period.end - period.start, whole.end - whole.start)


def put_trial(call: Call, subscription: Object, invoice: Object) -> None:
    for item in reversed(items_of(call, subscription)):
        price = price_of(call, item)
        call.change(item, {"_debits": []})
        if metered(price):
            continue
        period = Period(item["current_period_start"], item["current_period_end"])
        line = _create(call, item, price, invoice, 0, Decimal(item["quantity"]), period)
        call.change(line, {"description": f"Trial period for {_product_name(call, price)}"})


def put_usage(call: Call, subscription: Object, invoice: Object, until: int) -> None:
    """What was used since it was last billed. It is counted again when the invoice is finalised."""
    for item in reversed(items_of(call, subscription)):
        price = price_of(call, item)
        if metered(price):
            period = Period(item["_billed_until"], until)
            used = usage.used(call, price, subscription["customer"], period)
            line = _create(call, item, price, invoice, amount_for(price, used), used, period)
            call.change(line, {"_usage": {"price": price["id"], "customer": subscription["customer"]}})
            call.change(item, {"_billed_until": until})


def recount(call: Call, invoice: Object) -> None:
    """Late events count until the invoice is finalised."""
    for line in call.find("line_item", invoice=invoice["id"]):
        counted = line.get("_usage")
        if counted is not None:
            price = call.load("price", counted["price"])
            period = Period(line["period"]["start"], line["period"]["end"])
            used = usage.used(call, price, counted["customer"], period)
            amount = amount_for(price, used)
            call.change(
                line,
                {
                    "amount": amount,
                    "subtotal": amount,
                    "description": description(call, price, used),
                    **_quantity(used),
                },
            )


def _create(
    call: Call, item: Object, price: Object, invoice: Object, amount: int, quantity: Decimal, period: Period
) -> Object:
    return call.create(
        RESOURCES["line_item"],
        {
            "amount": amount,
            "currency": price["currency"],
            "description": description(call, price, quantity),
            "invoice": invoice["id"],
            "parent": {
                "invoice_item_details": None,
                "subscription_item_details": {
                    "invoice_item": None,
                    "proration": False,
                    "proration_details": {"credited_items": None},
                    "subscription": item["subscription"],
                    "subscription_item": item["id"],
                },
                "type": "subscription_item_details",
            },
            "period": {"end": period.end, "start": period.start},
            "pricing": pricing(price),
            **_quantity(quantity),
            "subscription": item["subscription"],
            "subtotal": amount,
            **money.line_fields(call, item),
        },
    )


def _quantity(quantity: Decimal) -> dict[str, Any]:
    return {"quantity": int(quantity), "quantity_decimal": plain(quantity)}


def pricing(price: Object) -> dict[str, Any]:
    return {
        "price_details": {"price": price["id"], "product": price["product"]},
        "type": "price_details",
        "unit_amount_decimal": price["unit_amount_decimal"],
    }


def _product_name(call: Call, price: Object) -> str:
    product = call.load("product", price["product"])
    return product.get("name", product["id"])


def description(call: Call, price: Object, quantity: Decimal) -> str:
    recurring = price["recurring"]
    every = recurring["interval"] if recurring["interval_count"] == 1 else (
        f"{recurring['interval_count']} {recurring['interval']}s"
    )  # fmt: skip
    rate = "tiered" if price["billing_scheme"] == "tiered" else f"{price['unit_amount_decimal']} {price['currency']}"
    return f"{plain(quantity)} × {_product_name(call, price)} (at {rate} / {every})"


def proration_description(call: Call, price: Object, quantity: int, kind: str, at: int) -> str:
    times = f"{quantity} × " if quantity != 1 else ""
    return f"{kind} time on {times}{_product_name(call, price)} after {day(at)}"
