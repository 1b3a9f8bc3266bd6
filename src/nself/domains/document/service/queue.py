"""What other parts of the product need of documents; it loads what makes them only where one is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from nself.app import App
from nself.core.entrypoint import Attached
from nself.db.connect import Tx
from nself.domains.document import rules, store
from nself.domains.document.errors import NotFinal
from nself.domains.document.inputs import GetPdf
from nself.domains.document.model import DocumentCounts
from nself.domains.mirror import service as mirror
from nself.domains.mirror.model import Change

MIME = "application/pdf"
RECENT = timedelta(hours=1)


def queue(app: App, tx: Tx, changes: Sequence[Change]) -> None:
    """Reaction to invoices: once one is finalised, or void, its PDF is made by the pdf-generator.

    Of one that was not known here what happened while we watched counts: a first import makes no PDFs of the past.
    """
    asking = [one for one in changes if one.what != "deleted" and rules.asks_for_pdf(one.before, one.after)]
    since = {
        live: ((mirror.watched_since(tx, live) or app.clock()) - RECENT).timestamp()
        for live in {one.livemode for one in asking if one.before is None}
    }
    due = [one.id for one in asking if one.before is not None or rules.finalized_at(one.after) >= since[one.livemode]]
    if due:
        store.request(tx, due, app.clock())


def counts(tx: Tx) -> DocumentCounts:
    """PDFs that wait, and those that could not be made."""
    return store.counts(tx)


def attachment(app: App, id: str) -> Attached:
    """The PDF of an invoice for a mail, made where it is not yet. Raises NotFinal, and what making it raises."""
    return _attached(app, id, drafts=False)


def download(app: App, given: GetPdf) -> Attached:
    """The PDF for whoever asks over HTTP; that of a draft is marked as such. Raises what making it raises."""
    return _attached(app, given.invoice, drafts=True)


def _attached(app: App, invoice: str, *, drafts: bool) -> Attached:
    from nself.domains.document.service import produce

    prepared, kept = produce.kept(app, invoice)
    if not (prepared.final or drafts):
        raise NotFinal(invoice=invoice)
    made = kept or produce.document(app, invoice)
    return Attached(produce.file_name(prepared), MIME, made.content)
