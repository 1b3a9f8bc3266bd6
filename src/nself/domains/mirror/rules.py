"""Pure: how two snapshots of an object differ."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from nself.domains.mirror.model import FieldChange, Snapshot


def differences(before: Snapshot, after: Snapshot) -> list[FieldChange]:
    """Field by field, in the order of their paths. What is null and what is left out are the same to Stripe."""
    if before == after:
        return []
    return [FieldChange(path, one, other) for path, one, other in sorted(_differing("", before, after), key=_path)]


def _path(found: tuple[str, Any, Any]) -> str:
    return found[0]


def _differing(path: str, before: Any, after: Any) -> Iterator[tuple[str, Any, Any]]:
    one, other = _members(before), _members(after)
    if one is None or other is None:
        if _plain(before) != _plain(after):
            yield path, before, after
        return
    for name in one.keys() | other.keys():
        yield from _differing(f"{path}.{name}" if path else name, one.get(name), other.get(name))


def _members(value: Any) -> dict[str, Any] | None:
    """The parts that have names: those of an object, those of a list of objects with ids; of a nested list its data alone."""
    if isinstance(value, dict):
        found = cast("dict[str, Any]", value)
        return _members(found["data"]) if found.get("object") == "list" and "data" in found else found
    if isinstance(value, list):
        rows = cast("list[Any]", value)
        parts = [cast("dict[str, Any]", row) for row in rows if isinstance(row, dict) and "id" in row]
        if len(parts) == len(rows):
            return {part["id"]: part for part in parts}
    return None


def _plain(value: Any) -> Any:
    """Empty lists and objects are as good as nothing only to an object that names its parts."""
    return None if value in ({}, []) else value
