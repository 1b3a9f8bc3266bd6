"""Lists as PostgreSQL's array literals, as a whole: element by element they cost more than the statement."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from psycopg import DataError
from psycopg.abc import Buffer, DumperKey
from psycopg.adapt import PyFormat
from psycopg.types.array import ListDumper

NONE = type(None)
QUOTES = '""'


def _texts(values: list[Any]) -> str:
    """All are escaped at once, between NULs, which no text holds that PostgreSQL takes."""
    try:
        joined = "\0".join(values)
    except TypeError:
        return f"{{{','.join(['NULL' if one is None else _escaped(one).join(QUOTES) for one in values])}}}"
    if joined.count("\0") >= len(values):
        raise DataError("a text holds a NUL")
    inner = _escaped(joined).replace("\0", '","')
    return f'{{"{inner}"}}'


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _numbers(values: list[Any]) -> str:
    return f"{{{repr(values)[1:-1]}}}"


def _numbers_or_nothing(values: list[Any]) -> str:
    return f"{{{','.join(['NULL' if one is None else str(one) for one in values])}}}"


def _instants(values: list[Any]) -> str:
    known = {one: "NULL" if one is None else f'"{one.isoformat()}"' for one in set(values)}
    return f"{{{','.join([known[one] for one in values])}}}"


WAYS: dict[frozenset[type], Callable[[list[Any]], str]] = {
    frozenset({str}): _texts,
    frozenset({str, NONE}): _texts,
    frozenset({int}): _numbers,
    frozenset({int, NONE}): _numbers_or_nothing,
    frozenset({datetime}): _instants,
    frozenset({datetime, NONE}): _instants,
}


def _way(values: list[Any]) -> Callable[[list[Any]], str] | None:
    """That of texts finds out by itself what else is among them: to look at each one's type costs twice as much."""
    if values and type(values[0]) is str:
        return _texts
    return WAYS.get(frozenset(map(type, values)))


class ArrayDumper(ListDumper):
    """Of no type of its own: each statement says which one is meant. What is no plain list goes psycopg's way."""

    def get_key(self, obj: list[Any], format: PyFormat) -> DumperKey:
        return self.cls if _way(obj) else super().get_key(obj, format)

    def upgrade(self, obj: list[Any], format: PyFormat) -> Any:
        return self if _way(obj) else super().upgrade(obj, format)

    def dump(self, obj: list[Any]) -> Buffer | None:
        way = _way(obj)
        return way(obj).encode() if way else super().dump(obj)
