"""What the use cases of invoices take."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta


class GenerateInvoices(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    period: Annotated[str, Meta(description="The month, 2026-01.")]
    user: Annotated[str | None, Meta(description="Only this user.")] = None


class ShowInvoice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    invoice: Annotated[
        str | None, Meta(description="Stripe's id.", extra={"positional": True, "metavar": "INVOICE"})
    ] = None
    user: Annotated[str | None, Meta(description="Instead of an id: this user's newest invoice.")] = None
    show_overage: Annotated[bool, Meta(description="Also the overage behind the lines, with its rated parts.")] = False


class ListInvoices(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    status: Annotated[
        Literal["draft", "open", "paid", "void", "uncollectible"] | None, Meta(description="Only these.")
    ] = None
    user: Annotated[str | None, Meta(description="Only this user's.")] = None
    limit: Annotated[int, Meta(description="Most rows.", ge=1, le=1000)] = 100
    offset: Annotated[int, Meta(description="Rows to skip.", ge=0)] = 0


class ExplainInvoice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    invoice: Annotated[str, Meta(description="Stripe's id.", extra={"positional": True, "metavar": "INVOICE"})]
    line: Annotated[int, Meta(description="Only the line of this number, from 1.", ge=1)] | None = None
    events: Annotated[int, Meta(description="Most events to show of a line.", ge=0, le=1000)] = 5
