"""What the use cases about the database's speed take."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

MaybeTable = Annotated[
    str | None,
    Meta(description="One table; else all of the product's.", extra={"positional": True, "metavar": "[TABLE]"}),
]


class ListSlowStatements(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which statements."""

    limit: Annotated[int, Meta(description="Most statements, those that took the most time first.", ge=1, le=1000)] = 10
    min_time: Annotated[
        str | None,
        Meta(description="Only statements of which one call took so long, and what runs for longer, like 1s."),
    ] = None
    reset: Annotated[bool, Meta(description="Begin to count anew after this list.")] = False


class FindMissingIndexes(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How large a table must be."""

    min_rows: Annotated[int, Meta(description="Tables with fewer rows are read in full with good reason.", ge=1)] = 1000


class ExplainStatement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One statement."""

    sql: Annotated[str, Meta(description="One statement.", extra={"positional": True, "metavar": "SQL"})]
    analyze: Annotated[bool, Meta(description="Run it and measure; only what the server lets read.")] = False


class AddIndex(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An index to be."""

    table: Annotated[str, Meta(description="The table.", extra={"positional": True, "metavar": "TABLE"})]
    columns: Annotated[str, Meta(description="Its columns in order, comma separated.", extra={"metavar": "A,B"})]
    name: Annotated[
        str | None, Meta(description="The index's name; else made of table and columns.", extra={"metavar": "NAME"})
    ] = None


class DropIndex(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An index that nobody needs."""

    name: Annotated[str, Meta(description="The index.", extra={"positional": True, "metavar": "NAME"})]


class VacuumTables(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which tables."""

    table: MaybeTable = None


class AnalyzeTables(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which tables."""

    table: MaybeTable = None
