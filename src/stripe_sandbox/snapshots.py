"""The whole sandbox, saved under a name and brought back: objects, events, deliveries, faults, keys, and its time."""

from typing import Any

import msgspec

from stripe_sandbox.clock import Clock
from stripe_sandbox.store import TABLES, Store


class Snapshot(msgspec.Struct, frozen=True):
    at: float  # the sandbox's clock when it was saved
    tables: dict[str, list[list[Any]]]


def save(store: Store, clock: Clock, name: str) -> int:
    """An earlier one of this name is replaced. Gives how many rows it holds."""
    tables = {table: [list(row) for row in store.rows(f"SELECT * FROM {table}")] for table in TABLES}  # noqa: S608
    packed = msgspec.msgpack.encode(Snapshot(clock.time(), tables))
    store.run("INSERT OR REPLACE INTO snapshots (name, at, data) VALUES (?, ?, ?)", name, clock.now(), packed)
    return sum(len(rows) for rows in tables.values())


def restore(store: Store, clock: Clock, name: str) -> bool:
    """Everything as it was, the clock too: it goes on from the instant of the saving."""
    row = store.row("SELECT data FROM snapshots WHERE name = ?", name)
    if row is None:
        return False
    snapshot = msgspec.msgpack.decode(row[0], type=Snapshot)
    with store.transaction():
        for table, rows in snapshot.tables.items():
            store.run(f"DELETE FROM {table}")  # noqa: S608 names of our own
            for one in rows:
                store.run(f"INSERT INTO {table} VALUES ({', '.join('?' * len(one))})", *one)  # noqa: S608
    clock.hold(snapshot.at)
    clock.release()
    return True


def forget(store: Store, name: str) -> bool:
    return bool(store.run("DELETE FROM snapshots WHERE name = ?", name))


def listed(store: Store) -> list[dict[str, Any]]:
    rows = store.rows("SELECT name, at, length(data) FROM snapshots ORDER BY name")
    return [dict(zip(("name", "at", "bytes"), row, strict=True)) for row in rows]
