"""A slow and obvious model of the mirror: what the record of changes may say, and what must follow from it."""

from __future__ import annotations

from typing import Any

Key = tuple[str, str]


def same(stripe: dict[str, Any], event: dict[str, Any]) -> bool:
    """Whether an object is still as its event showed it. Events show no tiers, and no more than ten of a list: then, who knows."""
    left_out = ("tiers", "livemode")
    return {name: value for name, value in stripe.items() if name not in left_out} == {
        name: value for name, value in event.items() if name not in left_out
    }


def at(snapshot: Any, path: str) -> Any:
    """The value of a field: a list of objects is asked by their ids."""
    for name in path.split("."):
        if isinstance(snapshot, dict) and snapshot.get("object") == "list":
            snapshot = snapshot["data"]
        if isinstance(snapshot, list):
            snapshot = {part["id"]: part for part in snapshot}
        snapshot = (snapshot or {}).get(name)
    return snapshot


def check_changes(rows: list[tuple[str, str, str, str, list[dict[str, Any]]]], mirrored: dict[Key, Any]) -> None:
    """Each object is created once, first, and deleted once, last; each field goes on from where it was, and ends as it is."""
    known: dict[Key, dict[str, Any]] = {}
    ended = set[Key]()
    for kind, id, what, source, changes in rows:
        key = (kind, id)
        assert source.split()[0] in ("webhook", "sync", "intent"), source
        assert key not in ended, f"{key} was {what} after its deletion"
        assert (what == "updated") <= (key in known), f"{key} was changed before it was known"
        assert (what == "created") <= (key not in known), f"{key} was created twice"
        fields = known.setdefault(key, {})
        for change in changes:
            name, before, after = change["field"], change["before"], change["after"]
            if name in fields:
                assert fields[name] == before, f"{key}.{name} was {fields[name]!r} and was changed from {before!r}"
            if name == "metadata.deed":
                assert int(before or 0) < int(after or 0), f"{key} went back from {before} to {after}"
            fields[name] = after
        if what == "deleted":
            ended.add(key)
    assert known.keys() == mirrored.keys()
    for key, snapshot in mirrored.items():
        assert (snapshot is None) == (key in ended), key
        for name, value in known[key].items():
            assert snapshot is None or (at(snapshot, name) or None) == (value or None), f"{key}.{name}"
