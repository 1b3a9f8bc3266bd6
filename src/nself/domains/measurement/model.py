"""What was measured."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
MINUTES_KEPT = timedelta(days=2)
HOURS_KEPT = timedelta(days=90)


class Total(msgspec.Struct, frozen=True):
    """What occurred `count` times and took `seconds` in all; `counts` by `measure.BOUNDS`, the last one for what took longer."""

    name: str
    labels: list[str]
    count: int
    seconds: float
    counts: list[int]


class Minute(msgspec.Struct, frozen=True):
    """How often in the minute (older than two days: hour) that began at `at`."""

    at: datetime
    labels: list[str]
    count: int
