"""Files of what there is, as it was in one instant: read by a cursor and written as it comes, whatever its size."""

from __future__ import annotations

from collections.abc import Callable, Generator
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from nself import files, log
from nself.app import App
from nself.core import period
from nself.db.connect import Tx
from nself.domains.export import store
from nself.domains.export.inputs import Export
from nself.domains.export.model import Charge, Exported, Invoice, Payment, Refund, Subscription, Usage

SKEW = timedelta(days=1)
"""Stripe's clock may be ahead of ours: what was made a moment ago counts."""
Read = Callable[[Tx, datetime, datetime, str | None, bool], Generator[msgspec.Struct]]


def export_charges(app: App, given: Export) -> Exported:
    """Charges, failed ones too, with the invoices that they paid. Raises InvalidParameter, FileNotWritten."""
    return _export(app, given, "charges", Charge, store.charges)


def export_invoices(app: App, given: Export) -> Exported:
    """Invoices, drafts too. Raises InvalidParameter, FileNotWritten."""
    return _export(app, given, "invoices", Invoice, store.invoices)


def export_subscriptions(app: App, given: Export) -> Exported:
    """Subscriptions, ended ones too. Raises InvalidParameter, FileNotWritten."""
    return _export(app, given, "subscriptions", Subscription, store.subscriptions)


def export_payments(app: App, given: Export) -> Exported:
    """Payment intents, with what went wrong. Raises InvalidParameter, FileNotWritten."""
    return _export(app, given, "payments", Payment, store.payments)


def export_refunds(app: App, given: Export) -> Exported:
    """Refunds, failed ones too. Raises InvalidParameter, FileNotWritten."""
    return _export(app, given, "refunds", Refund, store.refunds)


def export_usage(app: App, given: Export) -> Exported:
    """Usage as it counts, by the time of its events. Raises InvalidParameter, FileNotWritten."""
    return _export(app, given, "usage", Usage, store.usage)


def _export(app: App, given: Export, kind: str, row: type[msgspec.Struct], read: Read) -> Exported:
    """Raises InvalidParameter, FileNotWritten."""
    now = app.clock()
    since = period.since(given.since, now, app.timezone)
    until = period.instant(given.until, app.timezone, "until", end=True) if given.until else now + SKEW
    path = Path(given.output or f"nself_billing_{kind}_{now.astimezone(app.timezone):%Y%m%d_%H%M%S}.{given.format}")
    with files.private(path) as file, app.db.snapshot() as tx:
        rows = files.write(file, given.format, row, read(tx, since, until, given.user, app.settings.live))
    log.info("exported", kind=kind, rows=rows, file=str(path))
    return Exported(output=str(path), rows=rows, format=given.format, since=since, until=until)
