"""A bill as a template gets it: texts alone, in the customer's language. No text is markup to typst: it comes as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nself.domains.document.model import Bill, BillLine, Party, Tax
from nself.domains.document.service.words import Speech

Pair = list[str]


def data(bill: Bill, speech: Speech) -> dict[str, Any]:
    """What `sys.inputs.data` of a template holds. Its shape is told in docs/decisions/0023."""
    words = speech.words
    mark = words["draft"] if not bill.final else words["void"] if bill.status == "void" else ""
    return {
        "language": speech.locale.language,
        "region": speech.locale.territory,
        "fonts": speech.fonts(),
        "title": f"{words['invoice']} {bill.number or bill.id}",
        "heading": words["invoice"],
        "mark": mark,
        "issued": [bill.issued_on.year, bill.issued_on.month, bill.issued_on.day],
        "author": bill.seller.name,
        "seller": {"label": words["from"], "lines": _party(bill.seller, bill.buyer, speech)},
        "buyer": {"label": words["to"], "lines": _party(bill.buyer, bill.seller, speech)},
        "facts": list(_facts(bill, speech)),
        "description": bill.description,
        "columns": [words[name] for name in ("description", "quantity", "unit_price", "tax_rate", "amount")],
        "lines": [_line(one, bill.currency, speech) for one in bill.lines],
        "totals": list(_totals(bill, speech)),
        "due": [words["amount_due"], speech.money(bill.due_minor, bill.currency)],
        "notes": list(_notes(bill, speech)),
        "footer": bill.footer,
        "page": words["page"],
    }


def _party(party: Party, other: Party, speech: Speech) -> list[str]:
    """Name, address, country where it is not the other's, numbers."""
    place = " ".join(part for part in (party.postal_code, party.city) if part)
    abroad = party.country and party.country != other.country
    found = [
        party.name,
        *party.street,
        ", ".join(part for part in (place, party.region) if part),
        speech.country(party.country) if abroad or not other.country else "",
        party.email if party.email != party.name else "",
        *(f"{speech.words['tax_id']}: {value}" for _, value in party.tax_ids),
        f"{speech.words['registration']}: {party.registration}" if party.registration else "",
    ]
    return [line for line in found if line]


def _facts(bill: Bill, speech: Speech) -> Iterator[Pair]:
    words = speech.words
    yield [words["number"], bill.number or bill.id]
    yield [words["date"], speech.day(bill.issued_on)]
    if bill.due_on:
        yield [words["due"], speech.day(bill.due_on)]
    yield from ([name, value] for name, value in bill.fields)


def _line(one: BillLine, currency: str, speech: Speech) -> dict[str, str]:
    rates = dict.fromkeys(speech.percent(tax.rate.percentage) for tax in one.taxes if tax.rate)
    return {
        "text": one.text,
        "period": speech.days(one.first, one.last),
        "quantity": "" if one.quantity is None else speech.number(one.quantity),
        "price": "" if one.unit_price is None else speech.price(one.unit_price, currency),
        "tax": ", ".join(rates),
        "amount": speech.money(one.amount_minor, currency),
    }


def _totals(bill: Bill, speech: Speech) -> Iterator[Pair]:
    """From the sum of the lines to what is owed; the last row, the amount due, is the template's own."""
    words, money = speech.words, speech.money
    yield [words["subtotal"], money(bill.subtotal_minor, bill.currency)]
    if bill.discount_minor:
        yield [words["discount"], money(-bill.discount_minor, bill.currency)]
    if bill.shipping_minor:
        yield [words["shipping"], money(bill.shipping_minor, bill.currency)]
    if bill.taxes:
        yield [words["net"], money(bill.net_minor, bill.currency)]
    for tax in bill.taxes:
        yield [_tax(tax, bill.currency, speech), money(tax.amount_minor, bill.currency)]
    yield [words["total"], money(bill.total_minor, bill.currency)]
    if bill.balance_minor:
        yield [words["balance"], money(bill.balance_minor, bill.currency)]
    if bill.credited_minor:
        yield [words["credited"], money(-bill.credited_minor, bill.currency)]


def _tax(tax: Tax, currency: str, speech: Speech) -> str:
    name = (tax.rate.name if tax.rate else "") or speech.words["tax"]
    percent = speech.percent(tax.rate.percentage) if tax.rate else ""
    base = "" if tax.base_minor is None else speech.money(tax.base_minor, currency)
    text = speech.say("tax_on" if base else "tax_of", name=name, percent=percent, base=base).replace("  ", " ").strip()
    return speech.say("included", tax=text) if tax.inclusive else text


def reversed_charge(bill: Bill) -> bool:
    """Whether the customer owes the tax."""
    taxes = [*bill.taxes, *(tax for line in bill.lines for tax in line.taxes)]
    return bill.exempt == "reverse" or any(tax.reason == "reverse_charge" for tax in taxes)


def _notes(bill: Bill, speech: Speech) -> Iterator[str]:
    if reversed_charge(bill):
        yield speech.words["reverse"]
    elif bill.exempt == "exempt":
        yield speech.words["exempt"]
    if bill.due_minor > 0:
        yield payment(bill, speech)


def payment(bill: Bill, speech: Speech) -> str:
    """How what is owed gets paid."""
    if bill.automatic:
        return speech.words["automatic"]
    return f"{speech.words['due']}: {speech.day(bill.due_on)}" if bill.due_on else speech.words["receipt"]
