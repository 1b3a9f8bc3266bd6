"""A bill in the terms of EN 16931, by their numbers (BT-1, …); the factur-x library writes the XML of it.

Where a bill cannot be said in them there is none, and the reason is told. EN 16931 counts net of tax, with two digits at most,
and knows one tax a line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

from nself.core.money import exponent
from nself.domains.document.model import Bill, BillLine, Party, Tax
from nself.domains.document.service import layout
from nself.domains.document.service.words import Speech

COMMERCIAL_INVOICE = "380"
PIECE = "C62"
"""UN/ECE recommendation 20: one."""
VAT_NUMBER = re.compile(r"[A-Z]{2}[0-9A-Z+*.\-]{2,}")
REGISTERED = ("eu_vat", "gb_vat", "ch_vat", "no_vat", "eu_oss_vat")
"""Stripe's types of tax ids that are VAT numbers with their country in front."""
EXEMPTED = (
    "customer_exempt",
    "product_exempt",
    "product_exempt_holiday",
    "portion_product_exempt",
    "portion_standard_rated",
)
OUTSIDE = ("not_subject_to_tax", "not_supported", "not_collecting")
CODES = {"AE": "VATEX-EU-AE", "O": "VATEX-EU-O"}
Terms = dict[str, Any]


class Impossible(Exception):
    """Why a bill is no e-invoice."""


class Category(NamedTuple):
    """Of VAT: S standard, Z zero, E exempt, AE reverse charge, O out of scope."""

    code: str
    percentage: Decimal


class Net(NamedTuple):
    """A line without tax that it includes."""

    line: BillLine
    gross_minor: int
    discount_minor: int
    category: Category

    @property
    def minor(self) -> int:
        return self.gross_minor - self.discount_minor


def terms(bill: Bill, speech: Speech) -> Terms:
    """Raises Impossible."""
    nets = [_net(bill, line) for line in bill.lines]
    _require(bill, nets)
    taxes = list(_breakdown(bill, nets, speech))
    tax_minor = sum(tax.amount_minor for tax in bill.taxes)
    amount = Amounts(bill.currency)
    out_of_scope = any(net.category.code == "O" for net in nets)
    found: Terms = {
        "BT-1": bill.number,
        "BT-2": bill.issued_on.isoformat(),
        "BT-3": COMMERCIAL_INVOICE,
        "BT-5": bill.currency.upper(),
        "BT-72": _delivered(bill).isoformat(),
        "BT-20": layout.payment(bill, speech),
        "BG-1": [{"BT-22": text} for text in (bill.description, bill.footer) if text],
        "BG-4": _seller(bill.seller, out_of_scope),
        "BG-7": _buyer(bill.buyer, out_of_scope),
        "BG-23": taxes,
        "BG-25": [_line(at, net, amount) for at, net in enumerate(nets, 1)],
        "BT-106": amount(bill.net_minor),
        "BT-109": amount(bill.net_minor),
        "BT-110": amount(tax_minor),
        "BT-112": amount(bill.total_minor),
        "BT-115": amount(bill.due_minor),
    }
    if bill.due_on:
        found["BT-9"] = bill.due_on.isoformat()
    if bill.due_minor != bill.total_minor:
        found["BT-113"] = amount(bill.total_minor - bill.due_minor)
    return found


def _delivered(bill: Bill) -> date:
    """When what is billed was delivered: at the end of its periods, unless it is paid for ahead."""
    return min(bill.issued_on, max((line.last for line in bill.lines if line.last), default=bill.issued_on))


class Amounts:
    """Money as EN 16931 writes it: with two digits at most. Raises Impossible where that is not all."""

    def __init__(self, currency: str) -> None:
        self.currency = currency

    def __call__(self, minor: int) -> str:
        exact = Decimal(minor).scaleb(-exponent(self.currency))
        if exact != exact.quantize(Decimal("0.01")):
            raise Impossible(f"{exact} {self.currency.upper()} has more than two digits after the point")
        return f"{exact:.{min(2, exponent(self.currency))}f}"


def _require(bill: Bill, nets: list[Net]) -> None:
    """What EN 16931 cannot do without."""
    codes = {net.category.code for net in nets}
    lacking = [
        (bill.status == "draft", "a draft is no invoice"),
        (bill.status == "void", "it is void"),
        (not bill.number, "it has no number"),
        (not nets, "it has no lines"),
        (not bill.seller.name, "BILLING_COMPANY_NAME is not set"),
        (not re.fullmatch("[A-Z]{2}", bill.seller.country), "BILLING_COMPANY_COUNTRY is not set"),
        (not bill.buyer.country, "the customer's address has no country"),
        (bool(bill.shipping_minor), "it has shipping costs"),
        (codes != {"O"} and not bill.seller.tax_ids, "BILLING_COMPANY_TAX_ID is not set"),
        (codes == {"O"} and not (bill.seller.tax_ids or bill.seller.registration),
         "neither BILLING_COMPANY_TAX_ID nor BILLING_COMPANY_REGISTRATION is set"),
        ("O" in codes and len(codes) > 1, "lines that are not subject to tax stand beside others"),
        ("AE" in codes and not _vat_number(bill.buyer), "the customer owes the tax and has no VAT number"),
        ("AE" in codes and not _own_vat_number(bill.seller), "the customer owes the tax and BILLING_COMPANY_TAX_ID is no VAT number"),
        (sum(net.minor for net in nets) != bill.net_minor, "its lines do not add up to the total excluding tax"),
    ]  # fmt: skip
    for is_lacking, why in lacking:
        if is_lacking:
            raise Impossible(why)


def _net(bill: Bill, line: BillLine) -> Net:
    included = sum(tax.amount_minor for tax in line.taxes if tax.inclusive)
    category = _category(bill, line.taxes)
    if included:  # what is taken off contains tax as well, nobody says how much
        return Net(line, line.amount_minor - line.discount_minor - included, 0, category)
    return Net(line, line.amount_minor, line.discount_minor, category)


def _category(bill: Bill, taxes: list[Tax]) -> Category:
    """A manual rate bears no reason that says anything: what was charged, and the rate, say more."""
    charged = [tax for tax in taxes if tax.amount_minor]
    if len(charged) > 1:
        raise Impossible("a line has more than one tax")
    if charged:
        if charged[0].rate is None:
            raise Impossible("the rate of a tax is not known")
        return Category("S", charged[0].rate.percentage)
    reasons = {tax.reason for tax in taxes}
    if bill.exempt == "reverse" or "reverse_charge" in reasons:
        return Category("AE", Decimal(0))
    if bill.exempt == "exempt" or reasons.intersection(EXEMPTED):
        return Category("E", Decimal(0))
    if not taxes or reasons.intersection(OUTSIDE):
        return Category("O", Decimal(0))
    percentage = max((tax.rate.percentage for tax in taxes if tax.rate), default=Decimal(0))
    return Category("S" if percentage else "Z", percentage)


def _breakdown(bill: Bill, nets: list[Net], speech: Speech) -> Iterator[Terms]:
    """VAT by category and rate."""
    amount, why = Amounts(bill.currency), {"AE": "reverse", "E": "exempt", "O": "untaxed"}
    for category in sorted({net.category for net in nets}):
        mine = [net for net in nets if net.category == category]
        taxes = sum(tax.amount_minor for net in mine for tax in net.line.taxes)
        found = {
            "BT-116": amount(sum(net.minor for net in mine)),
            "BT-117": amount(taxes),
            "BT-118": category.code,
        }
        if category.code != "O":
            found["BT-119"] = _plain(category.percentage)
        if category.code in why:
            found["BT-120"] = speech.words[why[category.code]]
        if category.code in CODES:
            found["BT-121"] = CODES[category.code]
        yield found


def _line(at: int, net: Net, amount: Amounts) -> Terms:
    """Where quantity and unit price explain the amount they are told, else one piece; a credit is less than no pieces."""
    line = net.line
    quantity, price = line.quantity, line.unit_price
    if quantity is None or price is None or price < 0 or net.gross_minor != line.amount_minor:
        quantity = Decimal(-1 if net.gross_minor < 0 else 1)
        price = Decimal(abs(net.gross_minor)).scaleb(-exponent(amount.currency))
    found: Terms = {
        "BT-126": str(at),
        "BT-129": _plain(quantity),
        "BT-130": PIECE,
        "BT-131": amount(net.minor),
        "BT-146": _plain(price),
        "BT-151": net.category.code,
        "BT-153": line.text or "-",
    }
    if net.category.code != "O":
        found["BT-152"] = _plain(net.category.percentage)
    if line.first and line.last:
        found |= {"BT-134": line.first.isoformat(), "BT-135": line.last.isoformat()}
    if net.discount_minor:
        found["BG-27"] = [{"amount": amount(net.discount_minor), "reason_code": "95"}]
    return found


def _plain(value: Decimal) -> str:
    """Without an exponent and without zeros at the end."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _address(party: Party) -> Terms:
    named = {
        "addr_l1": party.street[0] if party.street else "",
        "addr_l2": party.street[1] if len(party.street) > 1 else "",
        "addr_l3": ", ".join(party.street[2:]),
        "postcode": party.postal_code,
        "city": party.city,
        "country_subdivision": party.region,
        "country_code": party.country,
    }
    return {name: value for name, value in named.items() if value}


def _seller(party: Party, out_of_scope: bool) -> Terms:
    """Nothing out of scope of VAT may name the VAT number."""
    found: Terms = {"name": party.name, **_address(party)}
    number = party.tax_ids[0][1] if party.tax_ids else ""
    if number and not out_of_scope:
        found["vat_identifier" if VAT_NUMBER.fullmatch(number) else "tax_identifier"] = number
    if party.registration:
        found["legal_identifier"] = party.registration
    elif number and (out_of_scope or not VAT_NUMBER.fullmatch(number)):
        found["identifiers"] = {"null": number}
    return found


def _buyer(party: Party, out_of_scope: bool) -> Terms:
    found: Terms = {"name": party.name, **_address(party)}
    number = _vat_number(party)
    if number and not out_of_scope:
        found["vat_identifier"] = number
    return found


def _vat_number(party: Party) -> str:
    return next((value for type, value in party.tax_ids if type in REGISTERED and VAT_NUMBER.fullmatch(value)), "")


def _own_vat_number(party: Party) -> str:
    return next((value for _, value in party.tax_ids if VAT_NUMBER.fullmatch(value)), "")
