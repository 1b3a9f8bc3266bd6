"""The book of deliveries: which event must still reach which endpoint, and what was tried.

A delivery is `pending` until an attempt got a 2xx (`delivered`), three days have passed (`failed`), or its
endpoint is gone (`canceled`). Faults make it `held` (waiting to be reordered) or `lost`.
Deliveries of one lane go one after the other; lanes are independent. A lane is one object at one endpoint.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stripe_sandbox import faults, ids
from stripe_sandbox.store import Object, Store

if TYPE_CHECKING:
    from stripe_sandbox.call import Call

_GIVE_UP_AFTER = 3 * 24 * 3600


@dataclass(frozen=True)
class Delivery:
    id: str
    event: str
    endpoint: str
    lane: str
    tampering: str | None
    created_at: float
    attempts: int


def schedule(call: "Call", event: Object, only: str | None = None) -> list[str]:
    """One delivery for each enabled endpoint that wants this type of event."""
    endpoints = call.store.select("webhook_endpoint", oldest_first=True)
    return [
        _enqueue(call, event, endpoint["id"])
        for endpoint in endpoints
        if endpoint["status"] == "enabled"
        and ("*" in endpoint["enabled_events"] or event["type"] in endpoint["enabled_events"])
        and only in (None, endpoint["id"])
    ]


def wanted(store: Store, event_type: str) -> bool:
    """Whether any enabled endpoint wants this type of event."""
    return any(
        endpoint["status"] == "enabled"
        and ("*" in endpoint["enabled_events"] or event_type in endpoint["enabled_events"])
        for endpoint in store.select("webhook_endpoint")
    )


def undelivered(store: Store, event: str) -> bool:
    """Whether an endpoint that still exists has not taken the event."""
    sql = "SELECT 1 FROM deliveries WHERE event = ? AND state NOT IN ('delivered', 'canceled') LIMIT 1"
    return store.row(sql, event) is not None


def _enqueue(call: "Call", event: Object, endpoint: str) -> str:
    store, now = call.store, call.clock.time()
    lane = f"{endpoint} {event['data']['object'].get('id')}"
    state, tampering, due_at, complete = "pending", None, now, None
    taken = faults.take_for_delivery(store, event["type"])
    if taken is not None:
        fault_id, fault, left = taken
        if fault.action == "lose":
            state = "lost"
        elif fault.action == "delay":
            due_at = now + fault.seconds
        elif fault.action == "reorder":
            state, lane = "held", _held_lane(fault_id)
            complete = fault_id if left == 0 else None
        else:
            tampering = fault.action
    identifier = ids.new_id("whd")
    store.run(
        "INSERT INTO deliveries (id, event, endpoint, lane, rank, state, tampering, due_at, created_at)"
        " SELECT ?, ?, ?, ?, 1 + coalesce(max(n), 0), ?, ?, ?, ? FROM deliveries",
        identifier, event["id"], endpoint, lane, state, tampering, due_at, now,
    )  # fmt: skip
    if complete is not None:
        release_held(store, now, complete)
    return identifier


def _held_lane(fault_id: str) -> str:
    return f"reordered {fault_id}"


def release_held(store: Store, now: float, fault_id: str | None = None) -> None:
    """Held deliveries go out, the last one first."""
    store.run(
        "UPDATE deliveries SET state = 'pending', rank = -n, due_at = ?"
        " WHERE state = 'held' AND (?2 IS NULL OR lane = ?2)",
        now,
        _held_lane(fault_id) if fault_id else None,
    )


def pending_of(store: Store, event: str) -> int:
    row = store.row("SELECT count(*) FROM deliveries WHERE event = ? AND state <> 'delivered'", event)
    return row[0] if row else 0


def due(store: Store, now: float, busy: set[str], limit: int) -> list[Delivery]:
    rows = store.rows(
        "SELECT id, event, endpoint, lane, tampering, created_at,"
        " (SELECT count(*) FROM attempts WHERE delivery = deliveries.id)"
        " FROM deliveries WHERE state = 'pending' AND due_at <= ? ORDER BY due_at, rank LIMIT 500",
        now,
    )
    chosen: list[Delivery] = []
    taken = set(busy)
    for row in rows:
        delivery = Delivery(*row)
        if delivery.lane not in taken and len(chosen) < limit:
            taken.add(delivery.lane)
            chosen.append(delivery)
    return chosen


def next_due(store: Store) -> float | None:
    row = store.row("SELECT min(due_at) FROM deliveries WHERE state = 'pending'")
    return row[0] if row else None


def close(store: Store, delivery: Delivery, state: str) -> None:
    store.run("UPDATE deliveries SET state = ? WHERE id = ?", state, delivery.id)


def record(
    store: Store, delivery: Delivery, *, at: float, seconds: float, status: int | None, error: str | None,
    retry_delay: float,
) -> None:  # fmt: skip
    """The attempt, and with it what becomes of the delivery: in one transaction."""
    with store.transaction():
        store.run(
            "INSERT INTO attempts (delivery, at, seconds, status, error) SELECT ?, ?, ?, ?, ?"
            " WHERE EXISTS (SELECT 1 FROM deliveries WHERE id = ?1)",
            delivery.id, at, seconds, status, error,
        )  # fmt: skip
        if status is not None and 200 <= status < 300:
            close(store, delivery, "delivered")
            return
        due_at = at + seconds + retry_delay * 2.0**delivery.attempts
        if due_at - delivery.created_at > _GIVE_UP_AFTER:
            close(store, delivery, "failed")
            return
        # A badly signed delivery is signed well when it is tried again.
        store.run("UPDATE deliveries SET due_at = ?, tampering = NULL WHERE id = ?", due_at, delivery.id)


def listed(store: Store, *, event: str | None, state: str | None, limit: int) -> list[dict[str, Any]]:
    """Newest first, each with its attempts."""
    rows = store.rows(
        "SELECT d.id, d.event, o.data ->> '$.type', d.endpoint, d.state, d.due_at, d.created_at"
        " FROM deliveries d LEFT JOIN objects o ON o.kind = 'event' AND o.id = d.event"
        " WHERE (?1 IS NULL OR d.event = ?1) AND (?2 IS NULL OR d.state = ?2) ORDER BY d.n DESC LIMIT ?3",
        event, state, limit,
    )  # fmt: skip
    names = ("id", "event", "type", "endpoint", "state", "due_at", "created_at")
    return [{**dict(zip(names, row, strict=True)), "attempts": _attempts(store, row[0])} for row in rows]


def _attempts(store: Store, delivery: str) -> list[dict[str, Any]]:
    rows = store.rows("SELECT at, seconds, status, error FROM attempts WHERE delivery = ? ORDER BY n", delivery)
    return [dict(zip(("at", "seconds", "status", "error"), row, strict=True)) for row in rows]


def attempted(store: Store, *, after: int, endpoint: str | None, limit: int) -> list[dict[str, Any]]:
    """Attempts that came after the one numbered `after`, oldest first."""
    rows = store.rows(
        "SELECT a.n, a.at, d.event, o.data ->> '$.type', d.endpoint, a.status, a.error"
        " FROM attempts a JOIN deliveries d ON d.id = a.delivery LEFT JOIN objects o ON o.kind = 'event' AND o.id = d.event"
        " WHERE a.n > ?1 AND (?2 IS NULL OR d.endpoint = ?2) ORDER BY a.n LIMIT ?3",
        after, endpoint, limit,
    )  # fmt: skip
    names = ("n", "at", "event", "type", "endpoint", "status", "error")
    return [dict(zip(names, row, strict=True)) for row in rows]


def last_attempt(store: Store) -> int:
    row = store.row("SELECT coalesce(max(n), 0) FROM attempts")
    return row[0] if row else 0
