"""Making invoices' PDFs: by the pdf-generator under a lease, by a command at once, for a mail when it is sent.

A version names all that the bytes depend on, so that two who make the same one at once make the same bytes: a lease only spares
work, and whoever is killed leaves nothing that another has to undo.
"""

from __future__ import annotations

import hashlib
from contextlib import closing
from datetime import timedelta
from functools import partial

from nself import log
from nself.app import App
from nself.core import acting
from nself.core.clock import monotonic
from nself.core.errors import BillingError, Conflict, NotFound
from nself.db.connect import Tx, unavailable
from nself.domains.document import rules, store
from nself.domains.document.errors import NeedsMoreMemory, TookTooLong
from nself.domains.document.inputs import GeneratePdf, RegeneratePdf
from nself.domains.document.model import Claimed, Document, MadePdf, Prepared, Rendered
from nself.domains.document.service.prepare import prepare
from nself.domains.document.service.renderer import Renderer
from nself.measure import measures

SPARE = timedelta(seconds=60)
"""Added to PDF_TIMEOUT for a lease: reading, a new child, storing."""
FINAL_FAILURES = (Conflict, NotFound, NeedsMoreMemory, TookTooLong)
"""Trying again helps nothing until somebody changes something."""


def generate(app: App, given: GeneratePdf) -> MadePdf:
    """The PDF of an invoice as it is now; of a draft one that is marked as such. Raises what making it raises."""
    with closing(Renderer(app)) as renderer:
        if given.test:
            prepared = prepare(app, given.invoice)
            return _told("test, nothing is kept", _test(app, renderer, prepared))
        prepared, known = kept(app, given.invoice)
        if known:
            return _told("was made before", known)
        return _told("made", _work(app, renderer, given.invoice, prepared))


def _test(app: App, renderer: Renderer, prepared: Prepared) -> Document:
    """The log tells of it all the same."""
    try:
        made = _render(app, renderer, prepared)
    except BillingError as error:
        log.warning("pdf_generation", invoice=prepared.invoice, state="test", code=error.code, error=error.message)
        raise
    log.info("pdf_generation", invoice=prepared.invoice, state="test", bytes=len(made.content), took_ms=made.took_ms)
    return made


def regenerate(app: App, given: RegeneratePdf) -> MadePdf:
    """Make it anew, whatever is kept. Raises what making it raises."""
    prepared, known = kept(app, given.invoice)
    with closing(Renderer(app)) as renderer:
        made = _work(app, renderer, given.invoice, prepared)
    same = known is not None and known.sha256 == made.sha256
    return _told("made anew, the same bytes as before" if same else "made anew", made)


def document(app: App, invoice: str) -> Document:
    """The kept PDF of an invoice as it is now, made where there is none. Raises what making it raises."""
    prepared, known = kept(app, invoice)
    if known:
        return known
    with closing(Renderer(app)) as renderer:
        return _work(app, renderer, invoice, prepared)


def file_name(prepared: Prepared) -> str:
    name = "".join(char if char.isalnum() or char in "-_." else "-" for char in prepared.number or prepared.invoice)
    return f"{name.lstrip('.') or prepared.invoice}.pdf"


def kept(app: App, invoice: str) -> tuple[Prepared, Document | None]:
    """An invoice as it is now, and its PDF where there is one."""
    prepared = prepare(app, invoice)
    with app.db.reading() as tx:
        return prepared, store.file(tx, invoice, prepared.version)


def _lease(app: App) -> timedelta:
    return timedelta(seconds=app.settings.seconds("PDF_TIMEOUT")) + SPARE


def _work(app: App, renderer: Renderer, invoice: str, prepared: Prepared) -> Document:
    """By a command: it takes the work over, and its failure is told by the command and by `pdf-status`."""
    now = app.clock()
    claimed = app.db.transact(lambda tx: store.begin(tx, invoice, now, now + _lease(app)))
    try:
        made = _render(app, renderer, prepared)
    except BillingError as error:
        _fail(app, claimed, error, final=True)
        raise
    _keep(app, claimed, made)
    return made


def work_due(app: App, renderer: Renderer) -> int:
    """Make one PDF that is due; number of those claimed."""
    now = app.clock()
    with app.db.transaction() as tx:
        claimed = store.claim(tx, now, now + _lease(app), 1)
    for one in claimed:
        with acting.on(acting.new_task(one.invoice)):
            _make(app, renderer, one)
    return len(claimed)


def _make(app: App, renderer: Renderer, one: Claimed) -> None:
    try:
        prepared = prepare(app, one.invoice)
        with app.db.reading() as tx:
            made = store.file(tx, one.invoice, prepared.version)
        _keep(app, one, made or _render(app, renderer, prepared))
    except BillingError as error:
        if unavailable(error):
            raise  # the lease ends, and another takes it
        _fail(app, one, error, final=isinstance(error, FINAL_FAILURES) or one.attempts >= rules.MAX_ATTEMPTS)
    except Exception as error:
        log.failure("pdf_generation_failed", invoice=one.invoice)
        told = BillingError(detail=f"{type(error).__name__}: {error}")
        _fail(app, one, told, final=one.attempts >= rules.MAX_ATTEMPTS)


def revive(app: App) -> int:
    """What failed is tried once more when the pdf-generator starts: a restart follows a mend."""
    return app.db.transact(lambda tx: store.revive(tx, app.clock()))


def _render(app: App, renderer: Renderer, prepared: Prepared) -> Document:
    began = monotonic()
    try:
        rendered = renderer.render(prepared.order, prepared.template)
    except BillingError as error:
        measures.observe("pdf", (error.code,), monotonic() - began)
        raise
    measures.observe("pdf", ("ok",), monotonic() - began)
    return Document(
        invoice=prepared.invoice,
        version=prepared.version,
        content=rendered.content,
        sha256=hashlib.sha256(rendered.content).hexdigest(),
        pages=rendered.pages,
        language=prepared.language,
        standard=rendered.standard,
        einvoice=_einvoice(prepared, rendered),
        template=prepared.template.path,
        warnings=rendered.warnings,
        took_ms=int((monotonic() - began) * 1000),
        made_at=app.clock(),
    )


def _einvoice(prepared: Prepared, rendered: Rendered) -> str:
    if rendered.xml:
        return "EN 16931 (Factur-X)"
    return f"none: {prepared.without_xml or 'it is not PDF/A'}"


def _keep(app: App, one: Claimed, made: Document) -> None:
    """The PDF and the end of the work are one transaction; the PDF is kept also where another has taken the work over."""
    now = app.clock()

    def work(tx: Tx) -> None:
        store.keep(tx, made)
        store.finish(tx, one, "done", now, now, version=made.version)

    app.db.transact(work)
    log.info(
        "pdf_generation", invoice=one.invoice, state="done", version=made.version, bytes=len(made.content), took_ms=made.took_ms,
        standard=made.standard, einvoice=made.einvoice, warnings=made.warnings,
    )  # fmt: skip


def _fail(app: App, one: Claimed, error: BillingError, *, final: bool) -> None:
    now = app.clock()
    state, due = ("failed", now) if final else ("queued", now + rules.pause(one.attempts))
    app.db.transact(
        partial(
            store.finish, one=one, state=state, now=now, due=due, code=error.code, error=error.message, hint=error.hint
        )
    )
    log.warning(
        "pdf_generation", invoice=one.invoice, state=state, attempts=one.attempts, code=error.code, error=error.message
    )


def _told(result: str, made: Document) -> MadePdf:
    return MadePdf(
        invoice=made.invoice,
        result=result,
        version=made.version,
        bytes=len(made.content),
        pages=made.pages,
        sha256=made.sha256,
        language=made.language,
        standard=made.standard,
        einvoice=made.einvoice,
        template=made.template,
        took_ms=made.took_ms,
        warnings=made.warnings,
    )
