"""Who makes a PDF, when, with which limits, and what is told where it cannot be made."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pikepdf
import pytest
from money_bench import served

from billed import Office, complaints, generate, made, regenerate, text, xml_of
from nself.app import App
from nself.core.entrypoint import Attachment
from nself.domains.api_key import service as api_key
from nself.domains.api_key.inputs import CreateApiKey
from nself.domains.document import store
from nself.domains.document.errors import NeedsMoreMemory, NotFinal, RendererDied, TemplateError, TookTooLong
from nself.domains.document.inputs import DownloadPdf, PdfStatus, ShowTemplate
from nself.domains.document.model import ShownStatus
from nself.domains.document.service import produce, queue, show, templates
from nself.domains.document.service.renderer import Renderer
from nself.domains.invoice.model import NoSuchInvoice
from nself.files import FileNotWritten

PLAN = {"amount": 5000, "description": "Plan"}
LATER = datetime(2027, 3, 1, tzinfo=UTC)
GREEDY = '#let a = ()\n#for i in range(40000000) { a.push(str(i) + "abcdefghijklmnopqrstuvwxyz") }\n#a.len()'
ENDLESS = "#for i in range(9999) { for j in range(9999) { for k in range(999) {} } }"


@pytest.fixture
def invoice(office: Office) -> str:
    app = office.app()
    return str(office.bill(app, office.customer(), PLAN, default_tax_rates=[office.rate()])["id"])


def status(app: App, invoice: str) -> ShownStatus:
    return show.status(app, PdfStatus(invoice=invoice))


def write_template(app: App, source: str) -> Path:
    path = app.project.templates / "invoice.typ"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source)
    return path


def work(app: App) -> int:
    with closing(Renderer(app)) as renderer:
        return produce.work_due(app, renderer)


def test_a_finalised_invoice_gets_its_pdf_by_itself_and_once(office: Office, invoice: str) -> None:
    app = office.app()
    before = status(app, invoice)
    assert (before.state, before.invoice_status, before.bytes) == ("queued", "open", None)
    assert before.pdf_generator == "stopped" and "nself restart pdf-generator" in before.hint
    assert [work(app), work(app)] == [1, 0]
    after = status(app, invoice)
    assert (after.state, after.standard, after.einvoice, after.hint) == ("done", "PDF/A-3b", "EN 16931 (Factur-X)", [])
    assert generate(app, invoice).result == "was made before"
    office.sandbox.post(f"/v1/invoices/{invoice}/pay", paid_out_of_band=True)
    office.look(app, invoice)
    assert (status(app, invoice).state, work(app)) == ("done", 0), "a payment is no part of the document"


def test_a_first_import_makes_no_pdfs_of_the_past(office: Office) -> None:
    app = office.app()
    customer = office.customer()
    old = office.draft(customer, PLAN)
    office.sandbox.post(f"/v1/invoices/{old}/finalize", auto_advance=False)
    office.sandbox.admin("clock", advance=7 * 86_400)
    new = office.draft(customer, PLAN)
    office.bench.sql("update billing_object_changes set changed_at = now() + interval '7 days'")
    office.finalize(office.app(lambda: datetime.now(UTC) + timedelta(days=7)), new)
    office.bench.sql("update billing_object_changes set changed_at = now() + interval '7 days'")
    office.look(app, old)
    assert office.bench.sql("select invoice_id from billing_documents") == [(new,)]
    assert status(app, old).state == "none" and generate(app, old).result == "made"


def test_the_same_bytes_whoever_makes_them(office: Office, invoice: str) -> None:
    app, other = office.app(), office.app(lambda: LATER)
    first, again = generate(app, invoice), regenerate(other, invoice)
    assert again.result == "made anew, the same bytes as before" and again.sha256 == first.sha256
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda one: regenerate(one, invoice).sha256, [office.app() for _ in range(4)]))
    assert set(found) == {first.sha256}
    assert office.bench.sql("select count(*) from billing_document_files") == [(1,)]
    with pikepdf.open(io.BytesIO(made(app, invoice).content)) as pdf:
        assert pdf.check_pdf_syntax() == []
        metadata = pdf.open_metadata()
        facturx = "{urn:factur-x:pdfa:CrossIndustryDocument:invoice:1p0#}"
        assert (metadata["pdfaid:part"], metadata[f"{facturx}ConformanceLevel"]) == ("3", "EN 16931")
        assert pdf.Root.AF[0].AFRelationship == "/Alternative" and "/OutputIntents" in pdf.Root


def test_a_void_invoice_says_so(office: Office, invoice: str) -> None:
    app = office.app()
    first = generate(app, invoice)
    office.sandbox.post(f"/v1/invoices/{invoice}/void")
    office.look(app, invoice)
    assert status(app, invoice).state == "queued" and work(app) == 1
    second = made(app, invoice)
    assert second.version != first.version and "VOID" in text(second.content) and second.einvoice == "none: it is void"


def test_a_draft_is_marked_and_goes_to_nobody(office: Office) -> None:
    app = office.app()
    draft = office.draft(office.customer(), PLAN)
    office.look(app, draft)
    told = generate(app, draft, test=True)
    assert told.result == "test, nothing is kept" and told.einvoice == "none: a draft is no invoice"
    assert office.bench.sql("select count(*) from billing_documents, billing_document_files") == [(0,)]
    assert "DRAFT" in text(made(app, draft).content)
    with pytest.raises(NotFinal):
        queue.attachment(app, draft)
    assert work(app) == 0


def test_unknown_and_deleted_invoices(office: Office) -> None:
    app = office.app()
    with pytest.raises(NoSuchInvoice):
        generate(app, "in_none")
    with pytest.raises(NoSuchInvoice):
        status(app, "in_none")


def test_memory_and_time_have_limits_that_are_told(office: Office, invoice: str) -> None:
    app, hasty = office.app(PDF_MEMORY_LIMIT="128M"), office.app(PDF_TIMEOUT="2s")
    write_template(app, GREEDY)
    with pytest.raises(NeedsMoreMemory) as greedy:
        generate(app, invoice)
    assert greedy.value.hint[0] == "nself env set PDF_MEMORY_LIMIT=256M"
    found = status(app, invoice)
    assert (found.state, found.error_code, found.attempts) == ("failed", "pdf_memory_limit", 1)
    assert "nself env set PDF_MEMORY_LIMIT=256M" in found.hint
    write_template(app, ENDLESS)
    with pytest.raises(TookTooLong):
        generate(hasty, invoice)
    assert status(app, invoice).error_code == "pdf_timeout"
    (app.project.templates / "invoice.typ").unlink()
    assert produce.revive(app) == 1 and work(app) == 1
    assert status(app, invoice).state == "done"


def test_template_errors_are_told_with_their_place(office: Office, invoice: str) -> None:
    app = office.app()
    write_template(app, "#set page(width: 10cm)\n#nonsense(1)")
    assert work(app) == 1
    found = status(app, invoice)
    assert (found.state, found.error_code) == ("failed", "pdf_template_error")
    assert found.error and "unknown variable: nonsense" in found.error and "invoice.typ:2:1" in found.error
    assert "nself billing invoice show-template" in found.hint
    assert "unknown variable" in show.show_template(app, ShowTemplate()).check
    with pytest.raises(TemplateError, match=r"cannot be rendered"):
        generate(app, invoice, test=True)


def test_a_template_reads_neither_the_disk_nor_the_network(office: Office, invoice: str) -> None:
    app = office.app()
    for source in ('#read("/../../../etc/passwd")', '#read("../../../.env")', '#import "@preview/cetz:0.3.1"'):
        write_template(app, source)
        with pytest.raises(TemplateError):
            generate(app, invoice, test=True)


def test_ones_own_template_and_its_fonts_are_told_by_name(office: Office, invoice: str) -> None:
    app = office.app()
    shown = show.show_template(app, ShowTemplate(copy=True))
    assert shown.own and shown.check.startswith("renders a sample invoice: 1 page") and shown.warnings == []
    before = generate(app, invoice)
    path = write_template(
        app, templates.OURS.read_text().replace("font: data.fonts", 'font: ("Corporate Sans", ..data.fonts)')
    )
    assert status(app, invoice).state == "outdated"
    after = generate(app, invoice)
    assert after.warnings == ["unknown font family: corporate sans"] and after.version != before.version
    assert after.template == str(path) and text(made(app, invoice).content) == text(
        office_bytes(office, before.version)
    )


def office_bytes(office: Office, version: str) -> bytes:
    ((content,),) = office.bench.sql("select content from billing_document_files where version = %s", version)
    return bytes(content)


def test_a_sign_that_no_font_has_costs_the_standard_and_not_the_document(office: Office) -> None:
    app = office.app()
    invoice = office.bill(app, office.customer(name="ᚠᚢᚦ GmbH 🚀"), PLAN)["id"]
    told = generate(app, invoice)
    assert told.standard == "PDF 1.7" and told.einvoice == "none: it is not PDF/A" and "🚀" in told.warnings[0]
    assert any("PDF_FONT_PATH" in one for one in status(app, invoice).hint)


def test_where_en_16931_is_impossible_the_reason_is_told(office: Office) -> None:
    app = office.app(BILLING_COMPANY_COUNTRY="")
    invoice = office.bill(app, office.customer(), PLAN)["id"]
    assert generate(app, invoice).einvoice == "none: BILLING_COMPANY_COUNTRY is not set"
    app = office.app()
    two = [office.rate("5", display_name="GST"), office.rate("9.975", display_name="QST")]
    cases: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
        ("the customer's address has no country", {"address": ""}, {}),
        ("a line has more than one tax", {}, {"default_tax_rates": two}),
        ("the customer owes the tax and has no VAT number", {"tax_exempt": "reverse"}, {"default_tax_rates": two[:1]}),
    ]
    for why, customer, fields in cases:
        invoice = office.bill(app, office.customer(**customer), PLAN, **fields)["id"]
        told = generate(app, invoice)
        assert (told.einvoice, told.standard) == (f"none: {why}", "PDF/A-3b")
    foreign = office.app(BILLING_COMPANY_TAX_ID="12-3456789", BILLING_COMPANY_COUNTRY="US")
    invoice = office.bill(foreign, office.customer(), PLAN, default_tax_rates=two[:1])["id"]
    assert complaints(xml_of(made(foreign, invoice).content)) == []


def test_work_of_a_killed_generator_is_taken_over(office: Office, invoice: str) -> None:
    clock = [datetime.now(UTC)]
    app = office.app(lambda: clock[0])
    with app.db.transaction() as tx:
        (dead,) = store.claim(tx, clock[0], clock[0] + timedelta(seconds=90), 1)
    assert work(app) == 0
    clock[0] += timedelta(seconds=91)
    assert work(app) == 1 and status(app, invoice).state == "done"
    with app.db.transaction() as tx:
        assert not store.finish(tx, dead, "failed", clock[0], clock[0], code="late")
    assert status(app, invoice).state == "done"


def test_a_renderer_that_is_killed_is_told_and_replaced(office: Office, invoice: str) -> None:
    app = office.app()
    with closing(Renderer(app)) as renderer:
        prepared = produce.kept(app, invoice)[0]
        first = renderer.render(prepared.order, prepared.template)
        assert renderer.child
        os.kill(renderer.child.pid, signal.SIGKILL)
        with pytest.raises(RendererDied, match="SIGKILL"):
            renderer.render(prepared.order, prepared.template)
        assert renderer.render(prepared.order, prepared.template).content == first.content


def test_the_child_gets_no_secret(office: Office, invoice: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIPE_SECRET_KEY", "sk_test_hidden")
    app = office.app()
    with closing(Renderer(app)) as renderer:
        prepared = produce.kept(app, invoice)[0]
        renderer.render(prepared.order, prepared.template)
        assert renderer.child
        assert b"sk_test" not in Path(f"/proc/{renderer.child.pid}/environ").read_bytes()


def test_download_attachment_and_http_give_the_same_file(office: Office, invoice: str, tmp_path: Path) -> None:
    app = office.app()
    saved = show.save(app, DownloadPdf(invoice=invoice, output=str(tmp_path)))
    content = Path(saved.file).read_bytes()
    number = office.sandbox.get(f"/v1/invoices/{invoice}")["number"]
    assert Path(saved.file).name == f"{number}.pdf" and list(tmp_path.glob(".*")) == []
    with pytest.raises(FileNotWritten, match="No such file"):
        show.save(app, DownloadPdf(invoice=invoice, output=str(tmp_path / "none" / "x.pdf")))
    (row,) = app.registry.rows(Attachment)
    attached = app.registry.resolve(row.use)(app, invoice)  # type: ignore[operator]
    assert (row.kind, attached.name, attached.mime, attached.content) == (
        "invoice_pdf",
        f"{number}.pdf",
        "application/pdf",
        content,
    )
    key = api_key.create(app, CreateApiKey(name="t", scopes="invoice:read")).key
    with served(app) as address:
        request = urllib.request.Request(
            f"{address}/api/v1/invoices/{invoice}/pdf", headers={"Authorization": f"Bearer {key}"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert answer.read() == content
            assert (
                answer.headers["Content-Type"] == "application/pdf"
                and f"{number}.pdf" in answer.headers["Content-Disposition"]
            )
        with urllib.request.urlopen(f"{address}/openapi.json", timeout=30) as answer:
            operation = json.load(answer)["paths"]["/api/v1/invoices/{invoice}/pdf"]["get"]
    assert operation["parameters"][0]["in"] == "path" and "application/pdf" in operation["responses"]["200"]["content"]


def test_other_commands_load_nothing_of_it() -> None:
    code = (
        "import sys; from nself.registry import Registry, resolve; Registry();"
        "resolve('document.service.queue:queue'); from nself.core.entrypoint import Reaction;"
        "[resolve(row.use) for row in Registry().rows(Reaction)];"
        "print([one for one in ('typst', 'babel', 'pikepdf', 'facturx', 'lxml') if one in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
