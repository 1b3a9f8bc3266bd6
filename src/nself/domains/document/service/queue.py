"""What other parts of the product need of documents; it loads what makes them only where one is asked for."""

from __future__ import annotations

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


def queue(app: App, tx: Tx, change: Change) -> None:
    """Reaction to an invoice: once it is finalised, or void, its PDF is made by the pdf-generator.

    Of one that was not known here what happened while we watched counts: a first import makes no PDFs of the past.
    """
    if change.what == "deleted" or not rules.asks_for_pdf(change.before, change.after):
        return
    if change.before is None:
        since = (mirror.watched_since(tx, change.livemode) or app.clock()) - RECENT
        if rules.finalized_at(change.after) < since.timestamp():
            return
    store.request(tx, change.id, app.clock())


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
