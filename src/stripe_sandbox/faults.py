"""Faults on demand: what the next calls or deliveries suffer."""

import re
from typing import Any, Literal

import msgspec

from stripe_sandbox import ids
from stripe_sandbox.store import Store

_STATUSES = (401, 403, 429, 500, 503)


class RequestFault(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="request", tag_field="on"
):
    """The next `times` calls whose method and path match fail, hang, or lose their connection."""

    times: int = 1
    method: str = ".*"
    path: str = ".*"
    status: Literal[401, 403, 429, 500, 503] | None = None
    code: Literal["rate_limit", "lock_timeout"] = "rate_limit"  # of a 429
    drop: bool = False
    delay: float = 0.0
    after: bool = False  # the work is done and committed first

    def __post_init__(self) -> None:
        if self.times < 1 or self.delay < 0:
            raise ValueError("times must be at least 1 and delay at least 0")
        if self.drop and self.status is not None:
            raise ValueError("status and drop exclude each other")
        if self.code != "rate_limit" and self.status != 429:
            raise ValueError("code: only a 429 can be a lock_timeout")
        if not (self.drop or self.status or self.delay):
            raise ValueError("one of status, drop and delay is needed")
        if self.after and self.status not in (None, 500):
            raise ValueError("after: only 500 and drop can follow finished work")
        _compiles(self.method, self.path)

    def hits(self, method: str, path: str) -> bool:
        return bool(re.fullmatch(self.method, method) and re.search(self.path, path))


class DeliveryFault(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="delivery", tag_field="on"
):
    """What happens to the next `times` deliveries of events whose type matches."""

    action: Literal["lose", "double", "delay", "reorder", "badly_sign"]
    times: int = 1
    events: str = ".*"
    seconds: float = 0.0

    def __post_init__(self) -> None:
        if self.times < 1 or self.seconds < 0:
            raise ValueError("times must be at least 1 and seconds at least 0")
        _compiles(self.events)

    def hits(self, event_type: str) -> bool:
        return bool(re.fullmatch(self.events, event_type))


class Outage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="outage", tag_field="on"):
    """Every call that matches fails between two instants of the sandbox's clock, the second not included."""

    since: int
    until: int
    method: str = ".*"
    path: str = ".*"
    drop: bool = False  # no answer at all, where the answer is 503 otherwise

    def __post_init__(self) -> None:
        if self.since >= self.until:
            raise ValueError("until must be later than since")
        _compiles(self.method, self.path)

    @property
    def times(self) -> int:
        return 1  # it ends by time alone

    def strikes(self, method: str, path: str, now: float) -> RequestFault | None:
        hit = self.since <= now < self.until and re.fullmatch(self.method, method) and re.search(self.path, path)
        return RequestFault(drop=self.drop, status=None if self.drop else 503) if hit else None


Fault = RequestFault | DeliveryFault | Outage


def _compiles(*patterns: str) -> None:
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"not a regular expression: {pattern}") from error


def add(store: Store, fault: Fault) -> dict[str, Any]:
    identifier = ids.new_id("fault")
    store.run(
        "INSERT INTO faults SELECT ?, 1 + coalesce(max(n), 0), ?, ? FROM faults",
        identifier, fault.times, msgspec.json.encode(fault).decode(),
    )  # fmt: skip
    return {"id": identifier, **msgspec.to_builtins(fault), "remaining": fault.times}


def listed(store: Store) -> list[dict[str, Any]]:
    rows = store.rows("SELECT id, remaining, data FROM faults WHERE remaining > 0 ORDER BY n")
    return [{"id": one, **msgspec.json.decode(data), "remaining": left} for one, left, data in rows]


def clear(store: Store, identifier: str | None) -> int:
    if identifier is None:
        return store.run("DELETE FROM faults")
    return store.run("DELETE FROM faults WHERE id = ?", identifier)


def take_for_request(store: Store, method: str, path: str, now: float) -> RequestFault | None:
    """The first matching fault, with one of its times used up."""
    for identifier, fault in _standing(store):
        if isinstance(fault, Outage) and (struck := fault.strikes(method, path, now)):
            return struck
        if isinstance(fault, RequestFault) and fault.hits(method, path):
            _use(store, identifier)
            return fault
    return None


def take_for_delivery(store: Store, event_type: str) -> tuple[str, DeliveryFault, int] | None:
    """The fault's id, the fault, and how many times it still has."""
    for identifier, fault in _standing(store):
        if isinstance(fault, DeliveryFault) and fault.hits(event_type):
            return identifier, fault, _use(store, identifier)
    return None


def _standing(store: Store) -> list[tuple[str, Fault]]:
    rows = store.rows("SELECT id, data FROM faults WHERE remaining > 0 ORDER BY n")
    return [(identifier, msgspec.json.decode(data, type=Fault)) for identifier, data in rows]


def _use(store: Store, identifier: str) -> int:
    store.run("UPDATE faults SET remaining = remaining - 1 WHERE id = ?", identifier)
    row = store.row("SELECT remaining FROM faults WHERE id = ?", identifier)
    return row[0] if row else 0
