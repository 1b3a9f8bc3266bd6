"""A slow and obvious model of the mirror: what the record of changes may say, and what must follow from it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from nself.gateway.kinds import KINDS

Key = tuple[str, str]


def kept(one: dict[str, Any]) -> dict[str, Any]:
    """What is mirrored of an object: all but what would let a customer pay."""
    return {"livemode": False} | {name: value for name, value in one.items() if name != "client_secret"}


def same(stripe: dict[str, Any], event: dict[str, Any]) -> bool:
    """Whether an object is still as its event showed it. Events show nothing expanded, and no more than ten of a list: then, who
    knows.
    """
    left_out = (*KINDS[stripe["object"]].expand, "livemode", "client_secret")
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


def told(snapshot: dict[str, Any]) -> str | None:
    """The name under which a state of an object is told, once: what docs/decisions/0022 says."""
    id, status = snapshot["id"], snapshot.get("status")
    match snapshot["object"]:
        case "invoice" if status == "paid":
            return f"{id} paid"
        case "invoice" if status == "open" and snapshot["attempt_count"]:
            return f"{id} payment_failed {snapshot['attempt_count']}"
        case "charge" if snapshot["amount_refunded"]:
            return f"{id} refunded {snapshot['amount_refunded']}"
        case "dispute":
            return f"{id} created"
        case "subscription" if status == "canceled":
            return f"{id} canceled"
        case "subscription" if status in ("active", "past_due", "unpaid", "paused"):
            return f"{id} {status} {snapshot['latest_invoice']}"
        case _:
            return None


def came_about(snapshot: dict[str, Any]) -> int:
    """When the state began, as far as Stripe says."""
    at = snapshot.get("ended_at") or (snapshot.get("status_transitions") or {}).get("paid_at")
    return int(at or snapshot["created"])


def check_effects(
    names: list[str], now: Iterable[dict[str, Any]], ever: Iterable[dict[str, Any]], since: float
) -> None:
    """Nothing twice, nothing that never was so, and everything that is so now and came about `since` somebody watched.

    A subscription that is active may have become so at an earlier invoice; one that is gone has ended.
    """
    assert len(names) == len(set(names)), "told twice"
    now, ever = list(now), list(ever)
    gone = {one["id"] for one in ever if one["object"] == "subscription"} - {one["id"] for one in now}
    possible = {told(one) for one in [*ever, *now]} | {f"{id} canceled" for id in gone}
    assert set(names) <= possible, f"told what never was: {set(names) - possible}"
    for one in now:
        name = told(one)
        if name is None or came_about(one) < since:
            continue
        if one["object"] == "subscription" and one["status"] != "canceled":
            begun = f"{one['id']} {one['status']} "
            assert any(given.startswith(begun) for given in names), f"{begun} was never told"
        else:
            assert name in names, f"{name} was never told"
