"""What audits take."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta


class AuditCustomers(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    check_fraud: Annotated[bool, Meta(description="Also shared cards, tried cards, disputes, foreign cards.")] = False
    days: Annotated[int, Meta(description="How far back charges and disputes count.", ge=1, le=3650)] = 90
    limit: Annotated[int, Meta(description="Most rows of each rule.", ge=1, le=10_000)] = 100


SINCE = 'Since then: 24h, 7d, 2026-01-30, "2026-01-30 00:00:00" or 2026-01-30T00:00:00Z.'
UNTIL = "Before then; a bare date means through its end."


class AuditCharges(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    since: Annotated[str, Meta(description=SINCE)]
    until: Annotated[str | None, Meta(description=UNTIL)] = None
    status: Annotated[
        Literal["suspicious", "review", "refunded", "disputed"] | None,
        Meta(description="suspicious: too much for certain; review: for a person to decide; else all of them."),
    ] = None
    format: Annotated[Literal["table", "csv", "json"], Meta(description="Of what is printed, or of the file.")] = (
        "table"
    )
    output: Annotated[
        str | None, Meta(description="A file for its owner alone; CSV unless --format json.", extra={"metavar": "FILE"})
    ] = None
    limit: Annotated[int, Meta(description="Most rows that are printed; a file has them all.", ge=1, le=10_000)] = 1000


class AuditTransactions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    since: Annotated[str, Meta(description=SINCE)]
    until: Annotated[str | None, Meta(description=UNTIL)] = None
    format: Annotated[Literal["csv", "json"], Meta(description="Of the file.")] = "csv"
    output: Annotated[
        str | None, Meta(description="All movements, in a file for its owner alone.", extra={"metavar": "FILE"})
    ] = None
