"""What other parts of the product need of documents; it loads what makes them only where one is asked for."""

from __future__ import annotations

from nself.app import App
from nself.core.entrypoint import Attached
from nself.db.connect import Tx
from nself.domains.document import rules, store
from nself.domains.document.errors import NotFinal
from nself.domains.document.inputs import GetPdf
from nself.domains.mirror.model import Change

MIME = "application/pdf"


def queue(app: App, tx: Tx, change: Change) -> None:
    """Reaction to an invoice: once it is finalised, or void, its PDF is made by the pdf-generator."""
    if change.what != "deleted" and rules.asks_for_pdf(change.before, change.after):
        store.request(tx, change.id, app.clock())


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
