"""Nouns of documents: what an invoice says, and how making its PDF stands."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal, NamedTuple

import msgspec

State = Literal["queued", "running", "done", "failed"]
Words = dict[str, str]


class Percent(msgspec.Struct, frozen=True):
    """A tax rate as Stripe has it; `percentage` like 19 or 8.875."""

    name: str
    percentage: Decimal


class Tax(msgspec.Struct, frozen=True, kw_only=True):
    """A tax on a line or an invoice. `rate` is None where Stripe names none; `base_minor` None where it is not told."""

    id: str
    rate: Percent | None
    inclusive: bool
    amount_minor: int
    base_minor: int | None
    reason: str


class BillLine(msgspec.Struct, frozen=True, kw_only=True):
    """`first` and `last` are the days of its period, `unit_price` is in units of the currency: where it explains the amount."""

    text: str
    first: date | None
    last: date | None
    quantity: Decimal | None
    unit_price: Decimal | None
    amount_minor: int
    discount_minor: int
    taxes: list[Tax]


class Party(msgspec.Struct, frozen=True, kw_only=True):
    """Who sells or buys. `country` has two letters; `tax_ids` are type and value, as Stripe's."""

    name: str
    street: list[str]
    postal_code: str
    city: str
    region: str
    country: str
    email: str
    tax_ids: list[tuple[str, str]]
    registration: str = ""


class Bill(msgspec.Struct, frozen=True, kw_only=True):
    """What an invoice says, as it was issued: payments after that are no part of it.

    `balance_minor` is what the customer's balance added to the total (below 0: a credit that was used up), `credited_minor`
    what credit notes took off before payment. total = lines - discounts + taxes that are not included + shipping, and
    due = total + balance - credited: checked before there is a Bill.
    """

    id: str
    number: str
    status: str
    currency: str
    issued_on: date
    issued_at: int
    due_on: date | None
    automatic: bool
    seller: Party
    buyer: Party
    exempt: str
    lines: list[BillLine]
    subtotal_minor: int
    discount_minor: int
    taxes: list[Tax]
    shipping_minor: int
    total_minor: int
    balance_minor: int
    credited_minor: int
    due_minor: int
    description: str
    footer: str
    fields: list[tuple[str, str]]

    @property
    def final(self) -> bool:
        return self.status != "draft"

    @property
    def net_minor(self) -> int:
        return self.total_minor - sum(tax.amount_minor for tax in self.taxes)


class Template(NamedTuple):
    """`folder` is all of the disk that it may read; `own`: the user's."""

    path: str
    folder: str
    text: bytes
    own: bool


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What the renderer gets for one document. `invoice_xml` holds the fields of EN 16931 by their numbers (BT-1, …)."""

    invoice: str
    data: dict[str, Any]
    invoice_xml: dict[str, Any] | None
    issued_at: int


class Rendered(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it. `standard` like `PDF/A-3b`; `xml`: whether the e-invoice is inside; `warnings` are typst's and ours."""

    content: bytes
    pages: int
    standard: str
    xml: bool
    warnings: list[str]


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """A document about to be made. `version` names everything it depends on; `without_xml` says why it is no e-invoice."""

    invoice: str
    number: str
    final: bool
    language: str
    version: str
    template: Template
    order: Order
    without_xml: str


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """A PDF that was made. `einvoice` is `EN 16931`, or why there is none."""

    invoice: str
    version: str
    content: bytes
    sha256: str
    pages: int
    language: str
    standard: str
    einvoice: str
    template: str
    warnings: list[str]
    took_ms: int
    made_at: datetime


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the queue. `version` is the newest that was made."""

    invoice: str
    state: State
    attempts: int
    token: int
    version: str | None
    error_code: str | None
    error: str | None
    hint: list[str]
    requested_at: datetime
    due_at: datetime
    finished_at: datetime | None


class Undone(msgspec.Struct, frozen=True):
    """A PDF that could not be made, and why."""

    invoice: str
    code: str
    error: str | None


class Warned(msgspec.Struct, frozen=True):
    invoice: str
    warnings: list[str]


class DocumentCounts(msgspec.Struct, frozen=True):
    """PDFs that are to be made, and those that could not be."""

    waiting: int
    failed: int


class Claimed(msgspec.Struct, frozen=True):
    """Work under a lease; `token` shuts others out."""

    invoice: str
    token: int
    attempts: int


class MadePdf(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `generate-pdf` and `regenerate-pdf`; `result` says whether it was made, was there, or was a test."""

    invoice: str
    result: str
    version: str
    bytes: int
    pages: int
    sha256: str
    language: str
    standard: str
    einvoice: str
    template: str
    took_ms: int
    warnings: list[str]

    def remarks(self) -> list[str]:
        return self.warnings


class ShownStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `pdf-status`. `state` is also `none` (nobody asked for it) and `outdated` (invoice or template has changed)."""

    invoice: str
    invoice_status: str
    state: str
    version: str | None
    bytes: int | None
    pages: int | None
    sha256: str | None
    language: str | None
    standard: str | None
    einvoice: str | None
    template: str
    attempts: int
    error_code: str | None
    error: str | None
    requested_at: datetime | None
    made_at: datetime | None
    took_ms: int | None
    pdf_generator: str
    warnings: list[str]
    hint: list[str]

    def remarks(self) -> list[str]:
        return self.hint


class Downloaded(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `download`."""

    invoice: str
    file: str
    bytes: int
    sha256: str
    standard: str
    einvoice: str


class ShownTemplate(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `show-template`; `check` is what rendering a sample invoice with it said."""

    template: str
    own: bool
    check: str
    warnings: list[str]
    languages: list[str]
    fonts: list[str]
    text: str

    def plain(self) -> str:
        origin = "your own" if self.own else "the product's; nself billing invoice show-template --copy makes it yours"
        head = [
            f"template   {self.template} ({origin})",
            f"check      {self.check}",
            *(f"warning    {one}" for one in self.warnings),
            f"languages  {', '.join(self.languages)}",
            f"fonts      {', '.join(self.fonts)}",
        ]
        return "\n".join([*head, "", self.text.rstrip()])
