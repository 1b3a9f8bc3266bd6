"""Names of files and databases, and what a manifest must agree with."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

LONGEST_NAME = 63
NEXT = (
    "nself start",
    "nself billing reconcile",
    "nself billing sync find-orphaned",
    "nself billing usage status",
)
"""What brings a restored database up to what Stripe knows."""


def file_name(at: datetime) -> str:
    return f"nself-{at.astimezone(UTC):%Y%m%dT%H%M%SZ}.dump"


def prefix(database: str) -> str:
    """What names of databases begin with that a restore kept."""
    return f"{database[: LONGEST_NAME - 30]}_before_"


def kept_name(database: str, at: datetime) -> str:
    return f"{prefix(database)}{at.astimezone(UTC):%Y%m%d_%H%M%S_%f}"


def new_name(database: str) -> str:
    return f"{database[: LONGEST_NAME - 30]}_restoring"


def difference(wanted: Mapping[str, int], found: Mapping[str, int]) -> str | None:
    """The first table whose rows are not as many as there were."""
    for table in sorted({*wanted, *found}):
        if wanted.get(table) != found.get(table):
            return f"{table} has {found.get(table, 'no')} rows instead of {wanted.get(table, 'none')}"
    return None
