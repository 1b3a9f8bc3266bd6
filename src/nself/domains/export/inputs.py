"""What exports take."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta


class Export(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    since: Annotated[str, Meta(description='Created since then: 24h, 2026-01-30, "2026-01-30 00:00:00".')]
    until: Annotated[str | None, Meta(description="Created before then; a bare date means through its end.")] = None
    user: Annotated[str | None, Meta(description="Only of this user.")] = None
    format: Annotated[Literal["csv", "json"], Meta(description="Of the file.")] = "csv"
    output: Annotated[
        str | None,
        Meta(
            description="The file; else nself_billing_TYPE_YYYYMMDD_HHMMSS.csv or .json here.",
            extra={"metavar": "FILE"},
        ),
    ] = None
