"""Reading invoices from the mirror."""

from __future__ import annotations

import msgspec

from nself.app import App
from nself.core.errors import MissingParameter
from nself.db.connect import Tx
from nself.domains.catalog.rating import rate
from nself.domains.connection.model import Snapshot
from nself.domains.connection.rules import items
from nself.domains.customer import service as customer
from nself.domains.invoice import store
from nself.domains.invoice.inputs import ListInvoices, ShowInvoice
from nself.domains.invoice.model import (
    ExplainedLine,
    Invoice,
    InvoicedOverage,
    InvoiceLine,
    InvoiceWithOverage,
    NoInvoiceYet,
    NoSuchInvoice,
    ShownInvoice,
)
from nself.domains.invoice.service.assess import month


def show(app: App, given: ShowInvoice) -> ShownInvoice:
    """Raises NoSuchInvoice, NoSuchUser, NoInvoiceYet, MissingParameter."""
    if given.user is not None:
        customer.require_user(app, given.user)
    with app.db.reading() as tx:
        id = given.invoice or _newest(app, tx, given.user)
        found = store.by_id(tx, id)
        if found is None:
            raise NoSuchInvoice(invoice=id)
        lines = lines_of(store.snapshot(tx, id))
        explained = store.explained_lines(tx, id) if given.show_overage else []
    fields = msgspec.structs.asdict(found)
    if not given.show_overage:
        return ShownInvoice(**fields, lines=lines)
    return InvoiceWithOverage(**fields, lines=lines, overage=[_overage(app, one) for one in explained])


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
        return store.list_invoices(tx, given.status, given.user, app.settings.live, given.limit, given.offset)
