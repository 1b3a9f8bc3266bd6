"""What the database's use cases take."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class ShowStatus(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing."""


class Ping(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing."""


class TryConnection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing."""


class Query(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """SQL and how far it may go."""

    sql: Annotated[
        str,
        Meta(description="One statement, or several with `;`.", extra={"positional": True, "metavar": "SQL"}),
    ]
    write: Annotated[bool, Meta(description="Let it change data.")] = False
    confirm: Annotated[bool, Meta(description="Needed with --write in live mode.")] = False
    reason: Annotated[
        str | None,
        Meta(description="Why, for the log: needed with --write in live mode.", extra={"metavar": "TEXT"}),
    ] = None
    limit: Annotated[int, Meta(description="Most rows to print.", ge=1, le=100_000)] = 1000
