"""The values of a result as people read them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, cast

import msgspec

from nself.core.money import Money

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def shown(name: str, value: object, row: dict[str, Any]) -> str:
    """One value for people: money with its currency, instants in UTC to the second."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "true" if value else "false"
    if name.endswith("_minor") and isinstance(value, int) and isinstance(row.get("currency"), str):
        return f"{value} ({Money(value, row['currency'])})"
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, (list, tuple)):
        return ", ".join(shown(name, one, {}) for one in cast("Iterable[object]", value)) or "none"
    if isinstance(value, dict):
        return msgspec.json.encode(value).decode()
    return printable(str(value))


def printable(text: str) -> str:
    """`text` with its control characters written out."""
    return CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)
