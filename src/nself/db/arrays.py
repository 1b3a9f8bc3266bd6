"""Lists as PostgreSQL's array literals, as a whole: element by element they cost more than the statement."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from psycopg.abc import Buffer, DumperKey
from psycopg.adapt import PyFormat
from psycopg.types.array import ListDumper

NONE = type(None)


def _texts(values: list[Any]) -> str:
    joined = '","'.join(values)
    if "\\" in joined or joined.count('"') != 2 * (len(values) - 1):
        joined = '","'.join([one.replace("\\", "\\\\").replace('"', '\\"') for one in values])
    return f'{{"{joined}"}}'


def _numbers(values: list[Any]) -> str:
    return f"{{{','.join(map(str, values))}}}"


def _numbers_or_nothing(values: list[Any]) -> str:
    return f"{{{','.join(['NULL' if one is None else str(one) for one in values])}}}"


def _instants(values: list[Any]) -> str:
    known = {one: "NULL" if one is None else f'"{one.isoformat()}"' for one in set(values)}
    return f"{{{','.join([known[one] for one in values])}}}"


WAYS: dict[frozenset[type], Callable[[list[Any]], str]] = {
    frozenset({str}): _texts,
    frozenset({int}): _numbers,
    frozenset({int, NONE}): _numbers_or_nothing,
    frozenset({datetime}): _instants,
    frozenset({datetime, NONE}): _instants,
}


class ArrayDumper(ListDumper):
    """Of no type of its own: each statement says which one is meant. What is no plain list goes psycopg's way."""

    def get_key(self, obj: list[Any], format: PyFormat) -> DumperKey:
        return self.cls if frozenset(map(type, obj)) in WAYS else super().get_key(obj, format)

    def upgrade(self, obj: list[Any], format: PyFormat) -> Any:
        return self if frozenset(map(type, obj)) in WAYS else super().upgrade(obj, format)

    def dump(self, obj: list[Any]) -> Buffer | None:
        way = WAYS.get(frozenset(map(type, obj)))
        return way(obj).encode() if way else super().dump(obj)
