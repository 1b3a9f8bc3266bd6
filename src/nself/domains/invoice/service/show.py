"""Reading invoices from the mirror."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

import msgspec

from nself.app import App
from nself.core.errors import MissingParameter
from nself.db.connect import Tx
from nself.domains.catalog.rating import rate
from nself.domains.connection.model import Snapshot
from nself.domains.connection.rules import items, part
from nself.domains.customer import service as customer
from nself.domains.invoice import formulas, store
from nself.domains.invoice.errors import NoInvoiceYet, NoSuchInvoice
from nself.domains.invoice.inputs import ListInvoices, ReadInvoice, ShowInvoice
from nself.domains.invoice.model import (
    Adjusted,
    DetailedLine,
    ExplainedLine,
    Invoice,
    InvoicedOverage,
    InvoiceLine,
    InvoiceWithOverage,
    LineTax,
    ShownInvoice,
)
from nself.domains.invoice.service.assess import month
from nself.domains.mirror import service as mirror

REVERSE = "Reverse charge: the customer accounts for the tax."
MOST_CHANGES = 20


def show(app: App, given: ShowInvoice) -> ShownInvoice:
    """Raises NoSuchInvoice, NoSuchUser, NoInvoiceYet, MissingParameter."""
    if given.user is not None:
        customer.require_user(app, given.user)
    with app.db.reading() as tx:
        id = given.invoice or _newest(app, tx, given.user)
        found = store.by_id(tx, id)
        if found is None:
            raise NoSuchInvoice(invoice=id)
        snapshot = store.snapshot(tx, id)
        overage = given.show_overage or given.verbose
        explained = store.explained_lines(tx, id) if overage else []
    fields: dict[str, Any] = {**msgspec.structs.asdict(found), "lines": lines_of(snapshot)}
    if not (overage or given.show_lines or given.show_tax):
        return ShownInvoice(**fields)
    if overage:
        fields["overage"] = [_overage(app, one) for one in explained]
    if given.show_lines or given.verbose:
        fields |= {"details": details(app, snapshot), **_sums(snapshot)}
    if given.show_tax or given.verbose:
        fields |= {**_sums(snapshot), "taxes": taxes(app, snapshot), **_taxed(snapshot)}
    if given.verbose:
        fields |= _standing(app, snapshot)
    return InvoiceWithOverage(**fields)


def show_lines(app: App, given: ReadInvoice) -> list[DetailedLine]:
    """Raises NoSuchInvoice."""
    return details(app, require(app, given.invoice))


def require(app: App, invoice: str) -> Snapshot:
    """As the mirror has it. Raises NoSuchInvoice."""
    with app.db.reading() as tx:
        if store.by_id(tx, invoice) is None:
            raise NoSuchInvoice(invoice=invoice[:100])
        return store.snapshot(tx, invoice)


def _newest(app: App, tx: Tx, user: str | None) -> str:
    if user is None:
        raise MissingParameter("invoice")
    found = store.newest_of_user(tx, user, app.settings.live)
    if found is None:
        raise NoInvoiceYet(user=user)
    return found


def lines_of(snapshot: Snapshot) -> list[InvoiceLine]:
    return [
        InvoiceLine(description=line.get("description"), amount_minor=line["amount"], currency=line["currency"])
        for line in items(snapshot, "lines")
    ]


def instant(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def details(app: App, snapshot: Snapshot) -> list[DetailedLine]:
    return [_detail(line) for line in items(snapshot, "lines")]


def _detail(line: Snapshot) -> DetailedLine:
    pricing, metadata = part(line, "pricing"), part(line, "metadata")
    counted = bool(pricing) or "nself_quantity" in metadata
    quantity = metadata.get("nself_quantity") or line.get("quantity_decimal") or line.get("quantity")
    return DetailedLine(
        id=line["id"],
        kind=formulas.kind(line),
        description=line.get("description"),
        quantity=str(quantity) if counted else None,
        price=part(pricing, "price_details").get("price") or metadata.get("nself_price"),
        unit_amount=pricing.get("unit_amount_decimal"),
        amount_minor=line["amount"],
        discount_minor=sum(one["amount"] for one in cast("list[Snapshot]", line.get("discount_amounts") or [])),
        tax_minor=sum(tax["amount"] for tax in formulas.taxes(line)),
        currency=line["currency"],
        period_start=instant(line["period"]["start"]),
        period_end=instant(line["period"]["end"]),
    )


def taxes(app: App, snapshot: Snapshot) -> list[LineTax]:
    """Of each line by rate; what is not known here of a rate is left out."""
    ids = {formulas.rate_of(tax) for line in items(snapshot, "lines") for tax in formulas.taxes(line)}
    with app.db.reading() as tx:
        known = {id: one.snapshot for id, one in mirror.stored(tx, "tax_rate", sorted(ids)).items()}
    known |= {one["id"]: one for one in cast("list[Snapshot]", snapshot.get("default_tax_rates") or [])}
    return [
        LineTax(
            line=line["id"],
            rate=formulas.rate_of(tax),
            name=known.get(formulas.rate_of(tax), {}).get("display_name"),
            percentage=_text(known.get(formulas.rate_of(tax), {}).get("percentage")),
            behavior=tax["tax_behavior"],
            taxable_minor=tax["taxable_amount"] or 0,
            amount_minor=tax["amount"],
            currency=snapshot["currency"],
            reason=tax["taxability_reason"],
        )
        for line in items(snapshot, "lines")
        for tax in formulas.taxes(line)
    ]


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _sums(snapshot: Snapshot) -> dict[str, Any]:
    return {
        "subtotal_minor": snapshot["subtotal"],
        "discount_minor": sum(
            one["amount"] for one in cast("list[Snapshot]", snapshot.get("total_discount_amounts") or [])
        ),
        "tax_minor": sum(tax["amount"] for tax in formulas.taxes(snapshot)),
    }


def _taxed(snapshot: Snapshot) -> dict[str, Any]:
    automatic, exempt = part(snapshot, "automatic_tax"), snapshot.get("customer_tax_exempt")
    reverse = (
        any(tax["taxability_reason"] == "reverse_charge" for tax in formulas.taxes(snapshot)) or exempt == "reverse"
    )
    note = REVERSE if reverse else "The customer is exempt from tax." if exempt == "exempt" else ""
    off = "off"
    return {"automatic_tax": automatic.get("status") or "on" if automatic.get("enabled") else off, "tax_note": note}


def _standing(app: App, snapshot: Snapshot) -> dict[str, Any]:
    with app.db.reading() as tx:
        changes = mirror.changes(tx, snapshot["id"], MOST_CHANGES)
    due = snapshot.get("due_date")
    return {
        "starting_balance_minor": snapshot["starting_balance"],
        "amount_remaining_minor": snapshot["amount_remaining"],
        "attempts": snapshot["attempt_count"],
        "due_at": instant(due) if due else None,
        "metadata": part(snapshot, "metadata"),
        "changes": [
            Adjusted(
                at=one.changed_at, what=one.what, source=one.source, fields=[field["field"] for field in one.changes]
            )
            for one in changes
        ],
    }


def _overage(app: App, one: ExplainedLine) -> InvoicedOverage:
    rated = one.rated or rate(one.price, one.overage)
    return InvoicedOverage(
        metric=one.metric,
        period=month(app, one.period_start),
        used=one.used,
        limit=one.limit,
        overage=one.overage,
        model=one.price.model,
        whole_minor=rated.amount_minor,
        billed_before_minor=one.billed_before_minor,
        amount_minor=one.amount_minor,
        currency=rated.currency,
        parts=rated.parts,
    )


def list_invoices(app: App, given: ListInvoices) -> list[Invoice]:
    """Newest first."""
    with app.db.reading() as tx:
        return store.list_invoices(tx, given, app.settings.live, app.clock())
