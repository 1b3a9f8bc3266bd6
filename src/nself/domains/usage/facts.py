"""What shows root causes of metering, as it is read."""

from __future__ import annotations

from datetime import date, datetime
from typing import NamedTuple

import msgspec


class RejectedLately(NamedTuple):
    """An event that was rejected a short time ago."""

    code: str
    event: str
    message: str
    source: str
    rejected_at: datetime


class Holding(msgspec.Struct, frozen=True):
    """A session that keeps what folds need for `seconds`; `waits` sessions wait for it."""

    pid: int
    application: str
    state: str
    seconds: int
    what: str
    waits: int


class LastFold(msgspec.Struct, frozen=True):
    deltas: int
    seconds: float
    folded_at: datetime


class Terms(msgspec.Struct, frozen=True):
    """By what figures of a UTC month were counted when it began; `formulas` is JSON, metric -> Metric."""

    month: date
    zone: str
    formulas: str
    noted_at: datetime
