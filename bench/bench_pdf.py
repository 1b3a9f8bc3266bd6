"""Invoices rendered to PDF with their e-invoice inside, by two renderers, and from the queue to the stored file.

    bench_pdf.py [--invoices N]

Limit: typst alone, kept in one process, compiling the same template with the same data, to PDF/A: no XML, no metadata, no pipe.
Goal: 40 a second on two cores, so 50 ms of processor time each. Each invoice differs. Processor time has the start of the
renderers in it, half a second each. Peak memory is that of a renderer's process.
"""

from __future__ import annotations

import argparse
import json
import resource
import threading
import time
from contextlib import closing
from pathlib import Path

import psycopg
from common import project, report

from nself.app import App
from nself.config import find_project
from nself.domains.document.model import Order, Template
from nself.domains.document.service import einvoice, layout, produce, show, templates
from nself.domains.document.service.child import Renderer as Compiler
from nself.domains.document.service.renderer import Renderer, font_folders
from nself.domains.document.service.words import Speech, locale
from nself.registry import Registry

LINES = (1, 25)
COMPANY = (
    "BILLING_COMPANY_NAME=Example",
    "BILLING_COMPANY_COUNTRY=DE",
    "BILLING_COMPANY_TAX_ID=DE123456788",
    "BILLING_LOG_LEVEL=warning",
)


def orders(count: int, lines: int) -> list[Order]:
    """Of invoices that differ in their number, their customer and each line's text."""
    import msgspec

    bill, speech, made = show.sample(), Speech(locale(["en"])), list[Order]()
    for at in range(count):
        items = [msgspec.structs.replace(bill.lines[0], text=f"Plan {at} line {line}") for line in range(lines)]
        buyer = msgspec.structs.replace(bill.buyer, name=f"Customer {at} 株式会社")
        taxes = [msgspec.structs.replace(bill.taxes[0], amount_minor=1710 * lines, base_minor=9000 * lines)]
        one = msgspec.structs.replace(
            bill, number=f"N-{at}", buyer=buyer, lines=items, taxes=taxes, subtotal_minor=10000 * lines,
            discount_minor=1000 * lines, total_minor=10710 * lines, due_minor=10710 * lines, balance_minor=0,
        )  # fmt: skip
        terms = einvoice.terms(one, speech)
        made.append(Order(invoice=f"in_{at}", data=layout.data(one, speech), invoice_xml=terms, issued_at=at))
    return made


def limit(app: App, given: list[Order], template: Template) -> float:
    """PDFs a second of typst alone."""
    compiler = Compiler(template.folder, font_folders(app)).compiler
    inputs = [{"data": json.dumps({**one.data, "fonts": ["Libertinus Serif", "Noto Sans CJK JP"]})} for one in given]
    compiler.compile(input=template.text, format="pdf", sys_inputs=inputs[0], pdf_standards=["a-3b"], timestamp=0)
    began = time.perf_counter()
    for at, one in enumerate(inputs[1:]):
        compiler.compile(input=template.text, format="pdf", sys_inputs=one, pdf_standards=["a-3b"], timestamp=at)
    return (len(inputs) - 1) / (time.perf_counter() - began)


def processor() -> float:
    """Seconds that this process and its ended children took of the processors."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def rendered(app: App, given: list[Order], template: Template, workers: int) -> tuple[float, int, float]:
    """PDFs a second of `workers` renderers, the peak of one's memory in MB, and milliseconds of processor time a PDF."""
    before = processor()
    renderers = [Renderer(app) for _ in range(workers)]
    for one in renderers:
        one.render(given[0], template)

    def work(at: int) -> None:
        for order in given[at::workers]:
            assert renderers[at].render(order, template).xml

    threads = [threading.Thread(target=work, args=(at,)) for at in range(workers)]
    began = time.perf_counter()
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    rate = len(given) / (time.perf_counter() - began)
    peak = max(_peak(one.child.pid) for one in renderers if one.child)
    for one in renderers:
        one.close()
    return rate, peak, (processor() - before) / len(given) * 1000


def _peak(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) // 1024


def through_the_queue(app: App, count: int) -> tuple[float, float]:
    """From rows of the queue to stored files, by two threads as the pdf-generator has them."""
    with psycopg.connect(app.db.conninfo, autocommit=True, options="-c search_path=billing,public") as link:
        link.execute("truncate billing_documents, billing_document_files")
        link.execute(
            """insert into billing_invoices (invoice_id, livemode, snapshot, snapshot_number, source, created_at, synced_at)
            select 'in_' || n, false, jsonb_build_object(
                'id', 'in_' || n, 'object', 'invoice', 'status', 'open', 'currency', 'eur', 'number', 'N-' || n, 'created', 1770000000 + n,
                'customer', 'cus_' || n, 'customer_name', 'Customer ' || n, 'customer_address', '{"country": "FR"}'::jsonb,
                'total', 5000, 'amount_due', 5000, 'collection_method', 'charge_automatically', 'lines', jsonb_build_object('data',
                    jsonb_build_array(jsonb_build_object('amount', 5000, 'currency', 'eur', 'description', 'Plan ' || n)))
            ), 1, 'bench', now(), now() from generate_series(1, %s) n on conflict do nothing""",
            (count,),
        )
        link.execute("insert into billing_documents (invoice_id, state, requested_at, due_at) select invoice_id, 'queued', now(), now() from billing_invoices")  # fmt: skip

        def work() -> None:
            with closing(Renderer(app)) as renderer:
                while produce.work_due(app, renderer):
                    pass

        threads = [threading.Thread(target=work) for _ in range(2)]
        began, before = time.perf_counter(), processor()
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        took, used = time.perf_counter() - began, processor() - before
        done = link.execute("select count(*) from billing_documents join billing_document_files using (invoice_id, version) where state = 'done'")  # fmt: skip
        assert done.fetchone() == (count,)
    return count / took, used / count * 1000


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--invoices", type=int, default=300)
    given = parser.parse_args()
    rows: list[tuple[str, str, str]] = []
    with project(*COMPANY) as made:
        made.nself("stop", "billing")
        app = App(find_project(str(made.folder), {}, made.folder), Registry(), environ={})
        template = templates.template(app)
        for lines in LINES:
            some = orders(given.invoices, lines)
            most = limit(app, some, template)
            what = f"{lines} line{'s' if lines > 1 else ''}"
            rows.append((f"typst alone, one process, {what}", f"{most:.0f} PDFs/s", "the limit of this run"))
            for workers in (1, 2):
                rate, peak, used = rendered(app, some, template, workers)
                name = f"PDF/A-3 with EN 16931 inside, {workers} renderer{'s' if workers > 1 else ''}, {what}"
                told = f"{rate / most:.2f} x the limit; {used:.0f} ms of processor time each; peak memory {peak} MB"
                rows.append((name, f"{rate:.0f} PDFs/s", told))
        rate, used = through_the_queue(app, given.invoices)
        told = f"{used:.0f} ms of processor time each, without the database's"
        rows.append(("queue to stored file, 2 renderers, 1 line", f"{rate:.0f} PDFs/s", told))
        app.close()
    report("Invoices as PDF", rows)


if __name__ == "__main__":
    main()
