"""How the PDF of an invoice stands, the PDF as a file, and the template."""

from __future__ import annotations

from contextlib import closing
from datetime import date
from decimal import Decimal
from pathlib import Path

from nself import files
from nself.app import App
from nself.core.errors import BillingError
from nself.domains.document import store
from nself.domains.document.inputs import DownloadPdf, PdfStatus, ShowTemplate
from nself.domains.document.model import (
    Bill,
    BillLine,
    Document,
    Downloaded,
    Order,
    Party,
    Percent,
    Prepared,
    ShownStatus,
    ShownTemplate,
    Tax,
    Work,
)
from nself.domains.document.service import layout, produce, templates
from nself.domains.document.service.prepare import prepare
from nself.domains.document.service.renderer import Renderer, font_folders
from nself.domains.document.service.words import Speech, dictionary, locale
from nself.domains.invoice.inputs import ShowInvoice
from nself.domains.invoice.service import show as invoices
from nself.domains.stack import service as stack
from nself.domains.stack.inputs import ShowStatus

SERVICE = "pdf-generator"
RESTART = f"nself restart {SERVICE}"


def status(app: App, given: PdfStatus) -> ShownStatus:
    """Raises NoSuchInvoice. What keeps the PDF from being made is told, not raised."""
    invoice = invoices.show(app, ShowInvoice(invoice=given.invoice))
    prepared, error = _prepared(app, given.invoice)
    with app.db.reading() as tx:
        work = store.work(tx, given.invoice)
        version = prepared.version if prepared else work and work.version
        made = store.file(tx, given.invoice, version) if version else None
    generator = stack.states(app, ShowStatus(services=[SERVICE]))[0].state
    state = _state(work, made, prepared)
    failed = error or (work if work and work.error and state != "done" else None)
    return ShownStatus(
        invoice=given.invoice,
        invoice_status=invoice.status,
        state=state,
        version=version,
        bytes=len(made.content) if made else None,
        pages=made.pages if made else None,
        sha256=made.sha256 if made else None,
        language=made.language if made else None,
        standard=made.standard if made else None,
        einvoice=made.einvoice if made else None,
        template=templates.template(app).path,
        attempts=work.attempts if work else 0,
        error_code=(failed.code if isinstance(failed, BillingError) else failed.error_code) if failed else None,
        error=(failed.message if isinstance(failed, BillingError) else failed.error) if failed else None,
        requested_at=work.requested_at if work else None,
        made_at=made.made_at if made else None,
        took_ms=made.took_ms if made else None,
        pdf_generator=generator,
        warnings=made.warnings if made else [],
        hint=_hints(given.invoice, state, generator, made, failed),
    )


def _prepared(app: App, invoice: str) -> tuple[Prepared | None, BillingError | None]:
    try:
        return prepare(app, invoice), None
    except BillingError as error:
        return None, error


def _state(work: Work | None, made: Document | None, prepared: Prepared | None) -> str:
    if made:
        return "done"
    if work is None:
        return "none" if prepared else "failed"
    return "outdated" if work.state == "done" else work.state


def _hints(
    invoice: str, state: str, generator: str, made: Document | None, failed: BillingError | Work | None
) -> list[str]:  # fmt: skip
    found = list(failed.hint) if failed else []
    if state in ("queued", "running") and generator != "running":
        found.append(RESTART)
    if state in ("none", "outdated", "failed"):
        found.append(f"nself billing invoice generate-pdf {invoice}")
    if made and made.standard != "PDF/A-3b":
        found.append("nself env set PDF_FONT_PATH=/usr/share/fonts")
    return list(dict.fromkeys(found))


def save(app: App, given: DownloadPdf) -> Downloaded:
    """Write the PDF to a file, which is replaced as a whole. Raises FileNotWritten, and what making it raises."""
    prepared, made = prepare(app, given.invoice), produce.document(app, given.invoice)
    path = Path(given.output or produce.file_name(prepared))
    if path.is_dir():
        path /= produce.file_name(prepared)
    with files.private(path) as file:
        file.buffer.write(made.content)
    return Downloaded(
        invoice=given.invoice,
        file=str(path.absolute()),
        bytes=len(made.content),
        sha256=made.sha256,
        standard=made.standard,
        einvoice=made.einvoice,
    )


def show_template(app: App, given: ShowTemplate) -> ShownTemplate:
    """The template in use, and what it makes of a sample invoice. Raises TemplateExists, UnreadableTemplate."""
    if given.copy:
        templates.copy(app)
    found, check, warnings = templates.template(app), "renders a sample invoice", list[str]()
    bill = sample()
    order = Order(invoice=bill.id, data=layout.data(bill, Speech(locale(["en"]))), invoice_xml=None, issued_at=0)
    try:
        with closing(Renderer(app)) as renderer:
            rendered = renderer.render(order, found)
            warnings = rendered.warnings
            check += f": {rendered.pages} page, {len(rendered.content)} bytes, {rendered.standard}"
    except BillingError as error:
        check = error.message
    return ShownTemplate(
        template=found.path,
        own=found.own,
        check=check,
        warnings=warnings,
        languages=sorted(dictionary()),
        fonts=["embedded in typst", *font_folders(app)],
        text=found.text.decode("utf-8", "replace"),
    )


def sample() -> Bill:
    """An invoice with everything on it that a template has to show."""
    tax = Tax(
        id="txr_sample", rate=Percent("VAT", Decimal(19)), inclusive=False, amount_minor=1710, base_minor=9000,
        reason="standard_rated",
    )  # fmt: skip
    line = BillLine(
        text="Plan Pro", first=date(2026, 1, 1), last=date(2026, 1, 31), quantity=Decimal(2), unit_price=Decimal(50),
        amount_minor=10000, discount_minor=1000, taxes=[tax],
    )  # fmt: skip
    seller = Party(
        name="Example Ltd", street=["1 High Street"], postal_code="10115", city="Berlin", region="", country="DE",
        email="billing@example.com", tax_ids=[("own", "DE123456788")], registration="HRB 1",
    )  # fmt: skip
    buyer = Party(
        name="株式会社サンプル", street=["1-1 Chiyoda"], postal_code="100-0001", city="東京都", region="", country="JP",
        email="user@example.com", tax_ids=[],
    )  # fmt: skip
    return Bill(
        id="in_sample", number="SAMPLE-0001", status="open", currency="eur", issued_on=date(2026, 2, 1), issued_at=0,
        due_on=date(2026, 2, 8), automatic=False, seller=seller, buyer=buyer, exempt="none", lines=[line],
        subtotal_minor=10000, discount_minor=1000, taxes=[tax], shipping_minor=0, total_minor=10710, balance_minor=-710,
        credited_minor=0, due_minor=10000, description="", footer="Thank you.", fields=[],
    )  # fmt: skip
