"""Prints what a use case returned: plain text that grep likes, or json, jsonl, csv."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, Protocol, cast, runtime_checkable

import msgspec

from nself.files import csv_line
from nself.present.values import printable, shown

Format = Literal["table", "json", "jsonl", "csv"]
FORMATS: tuple[Format, ...] = ("table", "json", "jsonl", "csv")


@runtime_checkable
class Spoken(Protocol):
    """A result with a text of its own for people; the other formats show its fields."""

    def plain(self) -> str: ...


@runtime_checkable
class Remarked(Protocol):
    """A result of which something is to be said on stderr."""

    def remarks(self) -> list[str]: ...


def remarks(result: object) -> list[str]:
    return result.remarks() if isinstance(result, Remarked) else []


def text(result: object, format: Format) -> Iterator[str]:
    """Lines without their newline."""
    if isinstance(result, str):
        result = [result]
    if isinstance(result, Iterator):
        yield from _stream(cast("Iterator[object]", result), format)
    elif format == "json":
        yield msgspec.json.format(msgspec.json.encode(result), indent=2).decode()
    elif format == "jsonl":
        yield from (msgspec.json.encode(one).decode() for one in _rows(result))
    elif format == "csv":
        yield from _csv(_rows(result))
    elif isinstance(result, Spoken):
        yield result.plain()
    elif isinstance(result, list):
        yield from _lines_or_table(cast("list[object]", result))
    elif result is not None:
        yield from _card(_fields(result))


def _stream(items: Iterator[object], format: Format) -> Iterator[str]:
    """Lines as they come (logs, progress of long work)."""
    for item in items:
        if format != "table":
            yield msgspec.json.encode(item).decode()
        elif isinstance(item, Spoken):
            yield printable(item.plain())
        else:
            yield item if isinstance(item, str) else msgspec.json.encode(item).decode()


def _rows(result: object) -> list[object]:
    return cast("list[object]", result) if isinstance(result, list) else [result]


def _fields(one: object) -> dict[str, Any]:
    if not isinstance(one, msgspec.Struct):
        return cast("dict[str, Any]", one)
    found = {name: getattr(one, name) for name in one.__struct_fields__}
    return {name: value for name, value in found.items() if value is not msgspec.UNSET}


def _lines_or_table(items: list[object]) -> Iterator[str]:
    if not items:
        yield "none"
    elif isinstance(items[0], str):
        yield from cast("list[str]", items)
    else:
        yield from _table([_fields(one) for one in items])


def _table(rows: list[dict[str, Any]]) -> Iterator[str]:
    names = list(rows[0])
    cells = [[shown(name, row[name], row) for name in names] for row in rows]
    widths = [max(len(name), *(len(line[at]) for line in cells)) for at, name in enumerate(names)]
    right = [all(isinstance(row[name], int) and not isinstance(row[name], bool) for row in rows) for name in names]
    for line in ([*names], *cells):
        parts = [cell.rjust(widths[at]) if right[at] else cell.ljust(widths[at]) for at, cell in enumerate(line)]
        yield "  ".join(parts).rstrip()


def _card(fields: dict[str, Any], indent: str = "") -> Iterator[str]:
    for name, value in fields.items():
        if isinstance(value, list) and value and isinstance(value[0], msgspec.Struct):
            yield f"{indent}{name}:"
            yield from (f"{indent}  {line}" for line in _table([_fields(one) for one in cast("list[object]", value)]))
        elif isinstance(value, msgspec.Struct):
            yield f"{indent}{name}:"
            yield from _card(_fields(value), indent + "  ")
        else:
            yield f"{indent}{name}: {shown(name, cast('object', value), fields)}".rstrip()


def _csv(rows: list[object]) -> Iterator[str]:
    for at, row in enumerate(rows):
        fields = _fields(row) if not isinstance(row, str) else {"line": row}
        if not at:
            yield csv_line(fields)
        yield csv_line(fields.values())
