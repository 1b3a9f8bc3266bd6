"""What an invoice would be: a draft as it would be finalised, and the one that comes next."""

from __future__ import annotations

import msgspec

from nself.app import App
from nself.core.errors import MissingParameter
from nself.core.money import Money
from nself.domains.connection.model import Snapshot
from nself.domains.connection.rules import part
from nself.domains.invoice import figures, formulas, rules
from nself.domains.invoice.inputs import ReadInvoice, Upcoming
from nself.domains.invoice.model import DetailedLine, LineTax
from nself.domains.invoice.service import current, show


class InTheWay(msgspec.Struct, frozen=True, kw_only=True):
    code: str
    problem: str
    command: str


class Previewed(msgspec.Struct, frozen=True, kw_only=True):
    """A draft, or an invoice to come, as it would be finalised. `outcome` says what happens then."""

    id: str
    status: str
    customer: str
    subtotal_minor: int
    discount_minor: int
    tax_minor: int
    total_minor: int
    balance_minor: int
    amount_due_minor: int
    currency: str
    outcome: list[str]
    problems: list[InTheWay]
    lines: list[DetailedLine]
    taxes: list[LineTax]


def preview(app: App, given: ReadInvoice) -> Previewed:
    """A draft as it would be finalised now, and what would happen; changes nothing. Raises InvoiceNotEditable."""
    draft = current.draft(app, given.invoice)
    who = current.fetched(app, "customer", draft["customer"])
    weighed = rules.weigh(draft, current.minimum(app, draft["currency"]))
    return _previewed(app, draft, _outcome(draft, who, weighed))


def upcoming(app: App, given: Upcoming) -> Previewed:
    """The next invoice, as Stripe would make it; changes nothing. Raises MissingParameter, `No upcoming invoices …`."""
    if given.customer is None and given.subscription is None:
        raise MissingParameter("customer")
    asked = {"customer": given.customer, "subscription": given.subscription}
    found = app.stripe.preview({name: value for name, value in asked.items() if value})
    when = f"Stripe makes it at {show.instant(found['period_end']):%Y-%m-%dT%H:%M:%SZ}"
    return _previewed(app, found, [when, *_asks(found)])


def _previewed(app: App, invoice: Snapshot, outcome: list[str]) -> Previewed:
    details = show.details(app, invoice)
    return Previewed(
        id=invoice["id"],
        status=invoice["status"],
        customer=invoice["customer"],
        subtotal_minor=invoice["subtotal"],
        discount_minor=sum(one.discount_minor for one in details),
        tax_minor=sum(one["amount"] for one in formulas.taxes(invoice)),
        total_minor=invoice["total"],
        balance_minor=invoice["starting_balance"],
        amount_due_minor=figures.due(invoice["total"], invoice["starting_balance"], invoice["currency"]).asked,
        currency=invoice["currency"],
        outcome=outcome,
        problems=[InTheWay(code=one.code, problem=one.text, command=one.command) for one in formulas.problems(invoice)],
        lines=details,
        taxes=show.taxes(app, invoice),
    )


def _outcome(draft: Snapshot, who: Snapshot, weighed: rules.Weighed) -> list[str]:
    if any(one.code == "invoice_no_items" for one in formulas.problems(draft)):
        return ["it is not finalised: it has no items"]
    if weighed.told:
        return [weighed.told]
    told, settings = _asks(draft), part(who, "invoice_settings")
    if draft["collection_method"] == "send_invoice":
        return [*told, "the customer is asked to pay by the due date"]
    if draft.get("default_payment_method") or settings.get("default_payment_method") or who.get("default_source"):
        return [*told, "the default payment method is charged when it is paid"]
    return [*told, "the customer has no default payment method: it stays open"]


def _asks(invoice: Snapshot) -> list[str]:
    """What is asked for after the customer's balance, in words."""
    total, balance, currency = invoice["total"], invoice["starting_balance"], invoice["currency"]
    found, told = figures.due(total, balance, currency), list[str]()
    if balance:
        word = "credit of the customer is used" if balance < 0 else "is owed from before and added"
        told.append(f"{Money(abs(balance), currency)} {word}")
    if found.asked:
        return [*told, f"it asks for {Money(found.asked, currency)}"]
    if found.left > 0:
        return [*told, f"less than Stripe charges: {Money(found.left, currency)} is owed with the next invoice"]
    return [*told, "it asks for nothing and is paid at once"]
