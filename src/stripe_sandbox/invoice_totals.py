"""An invoice's totals from its stored lines. Everything that makes or changes lines ends here.

The contract, for renewals, prorations, items and previews alike: create each line with its `amount` (before
discounts and exclusive taxes), `discountable`, `pricing`, and where it has its own, `discounts` (ids of discounts)
and `_tax_rates` (ids; none: the invoice's `default_tax_rates`). Then lay what `totals` gives on the invoice. Lines
get their `discount_amounts` and `taxes` here; nobody else writes those.
"""

from collections.abc import Sequence
from typing import Any

from stripe_sandbox import totals as arithmetic
from stripe_sandbox.call import Call
from stripe_sandbox.resources import discounts, tax_rates
from stripe_sandbox.resources.tax_ids import of_customer
from stripe_sandbox.store import Object
from stripe_sandbox.tax_table import located
from stripe_sandbox.totals import Line, Tax, Totals


def totals(call: Call, invoice: Object) -> dict[str, Any]:
    """The invoice's fields that follow from its lines; the lines are written."""
    lines = call.find("line_item", invoice=invoice["id"])
    worked_out = work_out(call, invoice, lines)
    for line, found in zip(lines, worked_out.lines, strict=True):
        fields = {"discount_amounts": _discount_amounts(found.discounts), "taxes": shown_taxes(found.taxes)}
        if any(line[name] != value for name, value in fields.items()):
            call.change(line, fields)
    return {
        "subtotal": worked_out.subtotal,
        "subtotal_excluding_tax": worked_out.subtotal_excluding_tax,
        "total": worked_out.total,
        "total_discount_amounts": _discount_amounts(tuple(worked_out.discounts.items())),
        "total_excluding_tax": worked_out.total_excluding_tax,
        "total_taxes": shown_taxes(worked_out.taxes),
        "automatic_tax": _automatic_tax(call, invoice),
    }


def work_out(call: Call, invoice: Object, lines: Sequence[Object]) -> Totals:
    customer = call.load("customer", invoice["customer"])
    given = [
        Line(
            amount=line["amount"],
            discountable=line["discountable"],
            product=_product(line),
            discounts=discounts.for_totals(call, line["discounts"], invoice["currency"]),
            rates=_rates(call, invoice, line, customer),
        )
        for line in lines
    ]
    return arithmetic.work_out(given, discounts.for_totals(call, invoice["discounts"], invoice["currency"]))


def _product(line: Object) -> str | None:
    pricing = line["pricing"]
    return pricing["price_details"]["product"] if pricing else None


def _rates(call: Call, invoice: Object, line: Object, customer: Object) -> tuple[arithmetic.Rate, ...]:
    if invoice["automatic_tax"]["enabled"]:
        return () if customer.get("deleted") else tax_rates.automatic(call, customer, _behavior(call, line))
    identifiers: list[str] = line["_tax_rates"] or invoice["_default_tax_rates"]
    return tax_rates.for_totals(call, identifiers, customer.get("tax_exempt", "none")) if identifiers else ()


def _behavior(call: Call, line: Object) -> str:
    if line["_tax_behavior"] is not None:
        return line["_tax_behavior"]
    pricing = line["pricing"]
    return call.load("price", pricing["price_details"]["price"])["tax_behavior"] if pricing else "unspecified"


def _automatic_tax(call: Call, invoice: Object) -> Object:
    automatic: Object = invoice["automatic_tax"]
    if not automatic["enabled"]:
        return automatic
    customer = call.load("customer", invoice["customer"])
    return {**automatic, "status": "complete" if located(customer.get("address")) else "requires_location_inputs"}


def automatic_tax(enabled: bool) -> Object:
    """The field, before any total was worked out."""
    return {
        "disabled_reason": None,
        "enabled": enabled,
        "liability": {"type": "self"} if enabled else None,
        "provider": "stripe" if enabled else None,
        "status": None,
    }


def as_customer_is(call: Call, customer: Object) -> dict[str, Any]:
    """What an invoice says about its customer; it follows the customer until it is finalised."""
    known = ("address", "email", "name", "phone", "shipping", "tax_exempt")
    copied = {f"customer_{name}": customer[name] for name in known}
    return {**copied, "customer_tax_ids": of_customer(call, customer["id"])}


def shown_taxes(taxes: Sequence[Tax]) -> list[Object]:
    return [
        {
            "amount": tax.amount,
            "tax_behavior": tax.behavior,
            "tax_rate_details": {"tax_rate": tax.rate},
            "taxability_reason": tax.reason,
            "taxable_amount": tax.taxable_amount,
            "type": "tax_rate_details",
        }
        for tax in taxes
    ]


def _discount_amounts(amounts: Sequence[tuple[str, int]]) -> list[Object]:
    return [{"amount": amount, "discount": discount} for discount, amount in amounts]
