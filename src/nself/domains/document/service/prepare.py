"""What a document is made of, read and named: everything that its bytes depend on is in its version."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.metadata import version
from pathlib import Path

import msgspec

from nself.app import App
from nself.db.connect import Tx
from nself.domains.document import rules
from nself.domains.document.model import Order, Percent, Prepared, Template
from nself.domains.document.service import einvoice, layout, templates
from nself.domains.document.service.renderer import font_folders
from nself.domains.document.service.seller import seller
from nself.domains.document.service.words import Speech, locale
from nself.domains.invoice.model import NoSuchInvoice
from nself.domains.mirror import service as mirror
from nself.domains.mirror.model import Snapshot

SOURCE = "document"
PROGRAMS = ("nself-billing", "typst", "factur-x", "pikepdf", "Babel")


def prepare(app: App, invoice: str) -> Prepared:
    """Raises NoSuchInvoice, AddsNotUp, UnreadableTemplate; the gateway's errors where a tax rate is not known here yet."""
    with app.db.reading() as tx:
        snapshot, locales = _read(app, tx, invoice)
    rates = _rates(app, rules.rate_ids(snapshot))
    made = rules.bill(snapshot, rates, seller(app, snapshot), app.timezone, app.clock().astimezone(app.timezone).date())
    speech = Speech(locale([*locales, app.settings.text("BILLING_LOCALE")]))
    without_xml, terms = "", None
    try:
        terms = einvoice.terms(made, speech)
    except einvoice.Impossible as why:
        without_xml = str(why)
    order = Order(invoice=invoice, data=layout.data(made, speech), invoice_xml=terms, issued_at=made.issued_at)
    template = templates.template(app)
    return Prepared(
        invoice=invoice,
        number=made.number,
        final=made.final,
        language=speech.tag,
        version=_version(order, template, _fonts(tuple(font_folders(app)))),
        template=template,
        order=order,
        without_xml=without_xml,
    )


def _read(app: App, tx: Tx, invoice: str) -> tuple[Snapshot, list[str]]:
    """The invoice, and the languages that its customer prefers."""
    found = mirror.stored(tx, "invoice", [invoice]).get(invoice)
    if found is None or found.deleted or found.livemode != app.settings.live:
        raise NoSuchInvoice(invoice=invoice[:100])
    customer = str(found.snapshot.get("customer"))
    known = mirror.stored(tx, "customer", [customer]).get(customer)
    return found.snapshot, list((known.snapshot.get("preferred_locales") if known else None) or [])


def _rates(app: App, ids: list[str]) -> dict[str, Percent]:
    """The tax rates, which never change their percentage; one that is not mirrored is fetched."""
    if not ids:
        return {}
    with app.db.reading() as tx:
        known = mirror.stored(tx, "tax_rate", ids)
    for id in set(ids) - known.keys():
        mirror.refresh(app, "tax_rate", id, SOURCE)
    if len(known) < len(ids):
        with app.db.reading() as tx:
            known = mirror.stored(tx, "tax_rate", ids)
    return rules.percents({id: one.snapshot for id, one in known.items()})


def _version(order: Order, template: Template, fonts: str) -> str:
    """Twenty digits that change with anything that the document shows or how."""
    digest = hashlib.sha256(msgspec.json.encode(order, order="sorted"))
    for part in (template.text, fonts.encode(), _programs().encode()):
        digest.update(hashlib.sha256(part).digest())
    for path in templates.neighbours(template):
        digest.update(f"{path}{path.stat().st_size}{path.stat().st_mtime_ns}".encode())
    return digest.hexdigest()[:20]


@cache
def _programs() -> str:
    return " ".join(f"{name} {version(name)}" for name in PROGRAMS)


@cache
def _fonts(folders: tuple[str, ...]) -> str:
    """The font files by name and size; looked at once a process."""
    files = [
        path
        for folder in folders
        for path in sorted(Path(folder).rglob("*"))
        if path.suffix[1:4].lower() in ("otf", "ttf", "ttc", "otc")
    ]
    return " ".join(f"{path.name}:{path.stat().st_size}" for path in files)
