"""Nouns of uptime."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

import msgspec

from nself.core.errors import NotFound

BEAT = timedelta(seconds=10)
"""How often a service tells that it lives."""
STALE = 3 * BEAT
"""A service that told nothing for so long is taken for dead."""
MEMORY_KEPT = timedelta(hours=2)
DATABASE = "database"
Ended = Literal["stopped", "restarted", "terminated", "killed", "machine"]
Kind = Literal["database", "frozen"]


class Run(msgspec.Struct, kw_only=True):
    """One process of a service. Where it ended in order, `last_seen_at` is the end."""

    run: str
    service: str
    place: str
    pid: int
    boot: str
    started_at: datetime
    last_seen_at: datetime
    ended: Ended | None = None


class Interruption(msgspec.Struct, kw_only=True):
    """A part of a run in which the database did not answer (`database`), or the process was not run (`frozen`).

    `buffered` is the most events that waited on disk meanwhile.
    """

    run: str
    began_at: datetime
    ended_at: datetime
    kind: Kind
    detail: str
    buffered: int = 0


class Note(msgspec.Struct, kw_only=True):
    """What a process keeps on disk of itself: its run, the interruptions that the database was not told of, and its time zone."""

    run: Run
    interruptions: list[Interruption]
    zone: str = ""


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """The least and the most bytes that a living process had in the minute of `at`.

    `doing` is the longest of what ended in it, with how many `seconds` it took, to the next bound of measurements.
    """

    run: str
    service: str
    pid: int
    at: datetime
    low: int
    high: int
    doing: str
    seconds: float


class Outgrown(msgspec.Struct, frozen=True, kw_only=True):
    """A service was ended `times` times since it had more than it may, `most` bytes at most."""

    service: str
    times: int
    most: int


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Usage that was answered with 503 between two instants. `events` counts resends, and none that was not read."""

    code: str
    began_at: datetime
    ended_at: datetime
    requests: int
    events: int


class Downtime(msgspec.Struct, frozen=True, kw_only=True):
    """A service, or the database, was away. `start` is its last sign of life, up to ten seconds early."""

    service: str
    start: datetime
    end: datetime
    seconds: int
    cause: str
    detail: str


class ServiceUptime(msgspec.Struct, frozen=True, kw_only=True):
    """`since` when it runs, or is down; `recorded_from` when anything is known of it first."""

    service: str
    state: str
    since: datetime
    up: str
    downtimes: int
    down_seconds: int
    recorded_from: datetime


class Uptime(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `billing uptime`."""

    start: datetime
    end: datetime
    services: list[ServiceUptime]
    downtimes: list[Downtime]
    refused: list[Refusal]

    def remarks(self) -> list[str]:
        if not self.services:
            return ["no service has told yet that it runs: nothing is known of this time; nself start"]
        first = min(one.recorded_from for one in self.services)
        if first > self.start:
            return [f"nothing is known of the time before {first:%Y-%m-%dT%H:%M:%SZ}: no service was recorded then"]
        return []


class NoSuchRecord(NotFound):
    code, param = "no_such_service_record", "service"
    text = "No run of {service} is recorded. There are: {known}"
    hints = ("nself billing uptime", "nself status")
