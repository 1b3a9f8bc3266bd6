"""Nouns of scheduled work."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from nself.core.errors import NotFound


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of work; `status` is `stuck` where it runs and its lease has ended."""

    id: int
    type: str
    status: str
    due_at: datetime
    attempts: int
    worker: str | None
    started_at: datetime | None
    lease_until: datetime | None
    finished_at: datetime | None
    result: str | None
    last_error: str | None


class Claimed(msgspec.Struct, frozen=True):
    """A job that is this worker's as long as nobody has drawn a higher token."""

    id: int
    type: str
    token: int
    attempts: int


class Cleared(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `jobs clear`: `requeued` will run at once, `left` still beat."""

    status: str
    type: str
    cleared: int
    requeued: int
    note: str


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """When a kind of work runs, `every_seconds` between two runs; `state` queued, running (by `worker`), stuck or "not scheduled".

    `note` says where nobody does it, or when it does not come when it should.
    """

    type: str
    state: str
    worker: str | None
    every_seconds: int
    next_at: datetime | None
    last_at: datetime | None
    last_result: str | None
    note: str


class Asked(msgspec.Struct, frozen=True):
    """Long work that was asked for: `use(app, input(given))`."""

    id: int
    use: str
    input: str
    given: dict[str, Any]


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `jobs operations`: long work, who asked for it and what came of it."""

    id: int
    operation: str
    asked: dict[str, Any]
    state: str
    attempts: int
    actor: str
    asked_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    result: Any
    error: str | None


class PutOff(msgspec.Struct, frozen=True, kw_only=True):
    """Result of a long command that goes on in the worker."""

    operation: int
    state: str
    note: str


class NoSuchJob(NotFound):
    code, param = "no_such_job", "type"
    text = "No such kind of work: {type}. There are: {known}"
    hints = ("nself billing jobs list",)
