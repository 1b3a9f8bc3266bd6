"""The lines of an invoice, and how invoice items become lines."""

from typing import Any

from stripe_sandbox.call import Call
from stripe_sandbox.resource import ABSENT, Resource, register
from stripe_sandbox.store import Condition, Object, equals

LINE_ITEM = register(
    Resource(
        kind="line_item",
        prefix="il",
        path="/v1/invoices/{invoice}/lines",
        item="line_item_id",
        title="line item",
        fields={
            "created": ABSENT,
            "amount": 0,
            "currency": "",
            "description": None,
            "discount_amounts": [],
            "discountable": True,
            "discounts": [],
            "invoice": None,
            "metadata": {},
            "parent": None,
            "period": {},
            "pretax_credit_amounts": [],
            "pricing": None,
            "quantity": 1,
            "quantity_decimal": "1",
            "subscription": None,
            "subtotal": 0,
            "taxes": [],
            "_item": None,
            "_tax_behavior": None,
            "_tax_rates": [],
            "_usage": None,  # of what is metered: the price and the customer that it was counted for
        },
        references={
            "discount_amounts.discount": "discount",
            "discounts": "discount",
            "pricing.price_details.price": "price",
            "subscription": "subscription",
            "taxes.tax_rate_details.tax_rate": "tax_rate",
        },
        oldest_first=True,
    )
)


def put_on(call: Call, item: Object, invoice: Object, *, pending_first: bool = False) -> None:
    call.change(item, {"invoice": invoice["id"], "_pending_first": pending_first})
    call.create(LINE_ITEM, {**line_fields(item), "invoice": invoice["id"], "_item": item["id"]})


def line_fields(item: Object) -> dict[str, Any]:
    shared = ("amount", "currency", "description", "discountable", "discounts", "metadata", "period", "pricing", "quantity",
              "quantity_decimal", "_tax_behavior", "_tax_rates")  # fmt: skip
    return {
        **{name: item[name] for name in shared},
        "parent": _parent(item),
        "subscription": item["_subscription"],
        "subtotal": item["amount"],
    }


def _parent(item: Object) -> dict[str, Any]:
    """A proration of a subscription's item, or an item that somebody made."""
    parent: Object = item["parent"] or {}
    details: Object = parent.get("subscription_details") or {}
    if "subscription_item" not in details:
        made = {
            "invoice_item": item["id"],
            "proration": False,
            "proration_details": {"credited_items": None},
            "subscription": details.get("subscription"),
        }
        return {"invoice_item_details": made, "subscription_item_details": None, "type": "invoice_item_details"}
    prorated: Object = item.get("proration_details") or {}
    credited: Object | None = prorated.get("credited_items")
    lines: Object | None = credited["invoice_line_item_details"] if credited else None
    owed = {
        "invoice_item": item["id"],
        "proration": item["proration"],
        "proration_details": {"credited_items": lines},
        "subscription": details["subscription"],
        "subscription_item": details["subscription_item"],
    }
    return {"invoice_item_details": None, "subscription_item_details": owed, "type": "subscription_item_details"}


def take_pending(call: Call, invoice: Object, *, own_only: bool = False) -> None:
    """Pending items in the invoice's currency go on it, newest first.

    The invoice of a subscription never takes those of another one; an invoice of none takes them all.
    """
    subscription = invoice["_subscription"]
    pending = Condition("data ->> '$.invoice' IS NULL")
    wanted = [equals("customer", invoice["customer"]), pending, equals("currency", invoice["currency"])]
    for item in call.store.select("invoiceitem", wanted):
        if item["_subscription"] == subscription or (not own_only and None in (item["_subscription"], subscription)):
            put_on(call, item, invoice, pending_first=True)


def give_back(call: Call, invoice: Object) -> None:
    """A deleted draft frees the items that were pending before; those made for it are deleted with it."""
    for item in call.find("invoiceitem", invoice=invoice["id"]):
        if item["_pending_first"]:
            call.change(item, {"invoice": None, "_pending_first": False})
        else:
            call.delete(item, "invoiceitem.deleted")
