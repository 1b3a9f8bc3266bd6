"""What the use cases of documents take."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

Invoice = Annotated[str, Meta(description="Stripe's id.", extra={"positional": True, "metavar": "INVOICE"})]


class GeneratePdf(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    invoice: Invoice
    test: Annotated[bool, Meta(description="Make it and keep nothing.")] = False


class RegeneratePdf(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    invoice: Invoice


class PdfStatus(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    invoice: Invoice


class DownloadPdf(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    invoice: Invoice
    output: Annotated[
        str | None,
        Meta(description="File to write; without it the invoice's number in this folder.", extra={"metavar": "FILE"}),
    ] = None


class GetPdf(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    invoice: Annotated[str, Meta(description="Stripe's id of the invoice.")]


class ShowTemplate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    copy: Annotated[
        bool, Meta(description="Put a copy at services/billing/templates/invoice.typ, which is used from then on.")
    ] = False
