"""What a credit note is worth, worked out before anything changes. All amounts are minor units.

A credited part of an invoice's line takes its share of the line's discounts and taxes with it. Shares are those of
all that was credited of the line so far, less what went before, so that a line credited in pieces comes to exactly
the same as at once. https://docs.stripe.com/invoicing/integration/programmatic-credit-notes
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from stripe_sandbox import ids
from stripe_sandbox.call import Call
from stripe_sandbox.currencies import display, plain, round_minor
from stripe_sandbox.errors import StripeError
from stripe_sandbox.resource import Params
from stripe_sandbox.store import Object


@dataclass(frozen=True)
class Plan:
    lines: list[Object]
    total: int
    pre_payment: int  # lowers what an open invoice asks for
    post_payment: int  # goes back: as a refund, as credit, or outside of Stripe


def plan(call: Call, invoice: Object, params: Params) -> Plan:
    if invoice["status"] not in ("open", "paid"):
        raise StripeError(
            f"You can only create credit notes for open or paid invoices. This invoice is {invoice['status']}.",
            param="invoice",
        )
    notes = issued(call, invoice)
    lines = _lines(call, invoice, params, notes)
    total = sum(line["amount"] - line["discount_amount"] + exclusive(line["taxes"]) for line in lines)
    if total != params.get("amount", total):
        raise StripeError(f"The lines come to {display(total, invoice['currency'])}, not to `amount`.", param="amount")
    left = invoice["total"] - sum(note["total"] for note in notes)
    if total < 1 or total > left:
        raise StripeError(
            f"The credit note's amount ({display(total, invoice['currency'])}) must be positive and at most what is"
            f" left to credit of the invoice ({display(max(left, 0), invoice['currency'])}).",
            param="amount",
        )
    pre_payment = min(total, invoice["amount_remaining"]) if invoice["status"] == "open" else 0
    found = Plan(lines, total, pre_payment, total - pre_payment)
    _check_parts(invoice, params, found)
    return found


def issued(call: Call, invoice: Object) -> list[Object]:
    return [note for note in call.find("credit_note", invoice=invoice["id"]) if note["status"] == "issued"]


def linked(params: Params) -> int:
    return sum(one["amount_refunded"] for one in params.get("refunds", []))


def _check_parts(invoice: Object, params: Params, found: Plan) -> None:
    parts = [params.get(name, 0) for name in ("credit_amount", "out_of_band_amount", "refund_amount")]
    given = sum(parts) + linked(params)
    if given != found.post_payment:
        currency = invoice["currency"]
        raise StripeError(
            f"The sum of credit amount, refund amount and out of band amount ({display(given, currency)}) must equal"
            f" the post payment amount of the credit note ({display(found.post_payment, currency)}).",
            param="refund_amount" if "refund_amount" in params else "credit_amount",
        )


def exclusive(taxes: Sequence[Object]) -> int:
    return sum(tax["amount"] for tax in taxes if tax["tax_behavior"] == "exclusive")


def _lines(call: Call, invoice: Object, params: Params, notes: Sequence[Object]) -> list[Object]:
    if "lines" not in params:
        if "amount" not in params:
            raise StripeError("You must provide one of `amount` and `lines`.", code="parameter_missing", param="amount")
        return [_custom({"unit_amount": params["amount"]}, "lines[0]")]
    made: list[Object] = []
    for at, given in enumerate(params["lines"]):
        here = f"lines[{at}]"
        if given["type"] == "custom_line_item":
            if "description" not in given or "invoice_line_item" in given or "amount" in given:
                raise StripeError("A custom line needs a description, a unit amount and a quantity.", param=here)
            made.append(_custom(given, here))
        else:
            before = [line for note in notes for line in note["_lines"]] + made
            made.append(_of_line(call, invoice, given, before, here))
    return made


def _custom(given: Params, at: str) -> Object:
    quantity = given.get("quantity", 1)
    if ("unit_amount" in given) == ("unit_amount_decimal" in given):
        raise StripeError(
            "You must provide exactly one of unit_amount and unit_amount_decimal.", param=f"{at}[unit_amount]"
        )
    unit = Decimal(given["unit_amount"] if "unit_amount" in given else given["unit_amount_decimal"])
    priced = {
        "quantity": quantity,
        "type": "custom_line_item",
        "unit_amount": int(unit) if unit == unit.to_integral_value() else None,
        "unit_amount_decimal": plain(unit),
    }
    return _line(round_minor(unit * quantity), given.get("description"), {}, [], priced)


def _of_line(call: Call, invoice: Object, given: Params, before: Sequence[Object], at: str) -> Object:
    if "invoice_line_item" not in given or ("amount" in given) == ("quantity" in given):
        raise StripeError(
            "A line of the invoice needs `invoice_line_item` and exactly one of `amount` and `quantity`.", param=at
        )
    line = call.require("line_item", given["invoice_line_item"], param=f"{at}[invoice_line_item]")
    if line["invoice"] != invoice["id"]:
        raise StripeError("The line does not belong to the invoice.", param=f"{at}[invoice_line_item]")
    earlier = [one for one in before if one.get("invoice_line_item") == line["id"]]
    credited: int = sum(one["amount"] for one in earlier)
    amount = given["amount"] if "amount" in given else _by_quantity(line, given["quantity"], at)
    if not 0 < amount <= line["amount"] - credited:
        left = display(line["amount"] - credited, invoice["currency"])
        raise StripeError(f"At most {left} can be credited of this line.", param=f"{at}[amount]")
    so_far = credited + amount
    discounts = {
        one["discount"]: _part(one["amount"], so_far, line) - _part(one["amount"], credited, line)
        for one in line["discount_amounts"]
    }
    taxes = [
        {**tax, **{name: _part(tax[name], so_far, line) - _part(tax[name], credited, line)
                   for name in ("amount", "taxable_amount")}}
        for tax in line["taxes"]
    ]  # fmt: skip
    kept = {
        "invoice_line_item": line["id"],
        "quantity": given.get("quantity"),
        "type": "invoice_line_item",
        "unit_amount": None,
        "unit_amount_decimal": None,
    }
    return _line(amount, given.get("description") or line["description"], discounts, taxes, kept)


def _by_quantity(line: Object, quantity: int, at: str) -> int:
    if not line["quantity"] or quantity > line["quantity"]:
        raise StripeError("There are not so many in this line.", param=f"{at}[quantity]")
    return round_minor(Decimal(line["amount"]) * quantity / line["quantity"])


def _part(whole: int, credited: int, line: Object) -> int:
    return round_minor(Decimal(whole) * credited / line["amount"])


def _line(
    amount: int, description: str | None, discounts: dict[str, int], taxes: list[Object], also: dict[str, Any]
) -> Object:
    return {
        "id": ids.new_id("cnli"),
        "object": "credit_note_line_item",
        "amount": amount,
        "description": description,
        "discount_amount": sum(discounts.values()),
        "discount_amounts": [{"amount": part, "discount": one} for one, part in discounts.items()],
        "livemode": False,
        "metadata": {},
        "pretax_credit_amounts": [],
        "tax_rates": [],
        "taxes": taxes,
        **also,
    }
