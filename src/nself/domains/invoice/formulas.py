"""What is asked of Stripe about an invoice: steps, items, and what is in a draft's way. Pure; invoices are Stripe's objects."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

from nself.domains.connection.model import Snapshot
from nself.domains.connection.rules import MARK, items, part
from nself.domains.invoice import rating

CHAIN, LOOK = "invoice.chain", "invoice.look"
SELF = "$invoice"
"""Stands for the id of the invoice that the first step of a chain makes."""
TOP_UP, REVISION_OF, REVISED_BY = "nself_minimum", "nself_revision_of", "nself_revised_by"
"""Names in metadata: the line of the minimum charge, and the links between an invoice and the one that replaces it."""
Step = dict[str, Any]


def step(*path: str, params: Snapshot, remove: bool = False) -> Step:
    """One change at Stripe, as `connection.service.change` makes it."""
    return {"kind": CHAIN, "params": {"path": list(path), "params": params, "remove": remove}}


def look(invoice: str, minimum: Snapshot) -> Step:
    """Fetches the draft and puts what the minimum charge asks for around the next step, which finalises it."""
    return {"kind": LOOK, "params": {"invoice": invoice, "minimum": minimum}}


def finalizing(invoice: str, minimum: Snapshot | None) -> list[Step]:
    found = [step("invoices", invoice, "finalize", params={})]
    return [look(invoice, minimum), *found] if minimum else found


def following(steps: list[Step], invoice: str | None) -> tuple[Step, list[Step]]:
    """The first step, with the invoice's id in it, and the rest."""
    first, rest = steps[0], steps[1:]
    return (_replaced(first, invoice) if invoice else first), rest


def _replaced(value: Any, invoice: str) -> Any:
    if isinstance(value, dict):
        return {name: _replaced(one, invoice) for name, one in cast("Snapshot", value).items()}
    if isinstance(value, list):
        return [_replaced(one, invoice) for one in cast("list[Any]", value)]
    return invoice if value == SELF else value


def net(line: Snapshot) -> int:
    """What a line adds to its invoice's total."""
    return (
        line["amount"]
        - sum(one["amount"] for one in cast("list[Snapshot]", line.get("discount_amounts") or []))
        + sum(tax["amount"] for tax in taxes(line) if tax["tax_behavior"] == "exclusive")
    )


def taxes(of: Snapshot) -> list[Snapshot]:
    """Of a line or, as `total_taxes`, of a whole invoice."""
    return cast("list[Snapshot]", of.get("taxes") or of.get("total_taxes") or [])


def item_of(line: Snapshot) -> str | None:
    """The invoice item behind a line; None where it follows from a subscription."""
    parent = part(line, "parent")
    return part(parent, "invoice_item_details").get("invoice_item") or part(parent, "subscription_item_details").get(
        "invoice_item"
    )


class Problem(NamedTuple):
    """Why a draft cannot be finalised as it is, or what is to be known first. `fatal`: it is not finalised."""

    code: str
    text: str
    command: str
    fatal: bool


def problems(invoice: Snapshot) -> list[Problem]:
    """What is in a draft's way, and what is odd about it."""
    id, found = invoice["id"], list[Problem]()
    show = f"nself billing invoice show {id} --show-lines"
    tax = part(invoice, "automatic_tax")
    if not items(invoice, "lines"):
        command = f"nself billing invoice add-item {id} --price price_123 --quantity 1"
        found.append(Problem("invoice_no_items", "it has no items", command, True))
    elif invoice["total"] == 0:
        found.append(
            Problem("invoice_zero_amount", "its amount is zero: it is paid as soon as it is final", show, False)
        )
    elif invoice["total"] < 0:
        found.append(Problem("invoice_credit", "it is a credit: it goes to the customer's balance", show, False))
    if tax.get("enabled") and tax.get("status") in ("requires_location_inputs", "failed"):
        text = "tax cannot be calculated: the customer's address is missing or not recognised"
        command = (
            f"nself billing customer update {invoice['customer']} --address-postal-code 94102 --address-country US"
        )
        found.append(Problem("customer_tax_location_invalid", text, command, True))
    if not invoice.get("customer_email"):
        command = f"nself billing customer update {invoice['customer']} --email user@example.com"
        found.append(Problem("customer_email_missing", "the customer has no email address", command, True))
    return found


def interval(price: Snapshot) -> str:
    """`month`, `3 months`."""
    recurring = part(price, "recurring")
    count = recurring["interval_count"]
    return recurring["interval"] if count == 1 else f"{count} {recurring['interval']}s"


def new_item(
    customer: str, invoice: str, currency: str, price: Snapshot | None, quantity: int, amount: int, description: str | None
) -> Snapshot:  # fmt: skip
    """Parameters of an invoice item. Stripe takes one-time prices alone: of one that recurs a single period is billed."""
    params: Snapshot = {"customer": customer, "invoice": invoice}
    if description:
        params["description"] = description
    if price is None:
        return {**params, "amount": amount, "currency": currency}
    if price["type"] == "one_time":
        return {**params, "pricing": {"price": price["id"]}, "quantity": quantity}
    return {
        **params,
        "amount": rating.amount(price, quantity),
        "currency": price["currency"],
        "metadata": {"nself_price": price["id"], "nself_quantity": str(quantity)},
        **taxed(price.get("tax_behavior")),
    }


def taxed(behavior: str | None) -> Snapshot:
    """The parameter that says whether an amount has its automatic tax in it, where anybody said so."""
    return {"tax_behavior": behavior} if behavior in ("inclusive", "exclusive") else {}


def priced(line: Snapshot) -> str | None:
    """The price that a line is of, also where one period of it was billed as an amount."""
    found = part(part(line, "pricing"), "price_details").get("price")
    return found or part(line, "metadata").get("nself_price")


def copied(line: Snapshot, shared: list[str] | None, coupons: list[str]) -> Snapshot:
    """Parameters of an item like that of a line: the same cents, with what says where they are from.

    `shared` are the ids of the invoice's tax rates (None: Stripe finds them), `coupons` those of the line's own discounts.
    """
    price = part(part(line, "pricing"), "price_details").get("price")
    metadata = {name: value for name, value in part(line, "metadata").items() if name != MARK}
    if price and "nself_price" not in metadata:
        metadata |= {"nself_price": price, "nself_quantity": str(line.get("quantity_decimal") or line.get("quantity"))}
    found: Snapshot = {
        "amount": line["amount"],
        "currency": line["currency"],
        "description": line.get("description") or "",
        "discountable": bool(line.get("discountable")),
        "metadata": metadata,
        "period": {name: line["period"][name] for name in ("start", "end")},
    }
    own = [tax["tax_rate_details"]["tax_rate"] for tax in taxes(line) if tax.get("tax_rate_details")]
    if own and shared is not None and own != shared:
        found["tax_rates"] = own
    if coupons:
        found["discounts"] = [{"coupon": one} for one in coupons]
    return found


def metric(line: Snapshot) -> str | None:
    """Whose usage a line bills that was metered here."""
    return part(line, "metadata").get("nself_metric")


def rate_of(tax: Snapshot) -> str:
    return str(part(tax, "tax_rate_details").get("tax_rate"))


def kind(line: Snapshot) -> str:
    """Where a line is from: usage metered here, the minimum charge, a subscription, a proration of one, an item."""
    parent, metadata = part(line, "parent"), part(line, "metadata")
    detail = part(parent, "subscription_item_details") or part(parent, "invoice_item_details")
    if metric(line):
        return "usage"
    if metadata.get(TOP_UP):
        return "minimum"
    if detail.get("proration"):
        return "proration"
    return "subscription" if part(parent, "subscription_item_details") else "item"
