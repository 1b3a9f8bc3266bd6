"""Reading invoices from the mirror."""

from __future__ import annotations

import msgspec

from nself.app import App
from nself.domains.connection.model import Snapshot
from nself.domains.connection.rules import items
from nself.domains.invoice import store
from nself.domains.invoice.inputs import ListInvoices, ShowInvoice
from nself.domains.invoice.model import Invoice, InvoiceLine, NoSuchInvoice, ShownInvoice


def show(app: App, given: ShowInvoice) -> ShownInvoice:
    """Raises NoSuchInvoice."""
    with app.db.reading() as tx:
        found = store.by_id(tx, given.invoice)
        snapshot = store.snapshot(tx, given.invoice) if found else {}
    if found is None:
        raise NoSuchInvoice(invoice=given.invoice)
    return ShownInvoice(**msgspec.structs.asdict(found), lines=_lines(snapshot))


def _lines(snapshot: Snapshot) -> list[InvoiceLine]:
    return [
        InvoiceLine(description=line.get("description"), amount_minor=line["amount"], currency=line["currency"])
        for line in items(snapshot, "lines")
    ]


def list_invoices(app: App, given: ListInvoices) -> list[Invoice]:
    """Newest first."""
    with app.db.reading() as tx:
        return store.list_invoices(tx, given.status, given.user, app.settings.live, given.limit, given.offset)
