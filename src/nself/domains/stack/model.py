"""What the services' use cases answer, and how they fail."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

import msgspec

from nself.core.errors import Invalid, NotFound


class NoLog(NotFound):
    code, text = "no_log", "{name} has not written a log yet"
    hints = ("nself start {name}", "nself status")


class NoSuchLog(NotFound):
    code, text = "no_such_log", "No such log: {name}. There are: {known}"
    hints = ("nself status",)


class WrongPattern(Invalid):
    code, param = "invalid_pattern", "grep"
    text = "{pattern!r} is not a regular expression: {detail}"


class WrongTime(Invalid):
    code, param = "invalid_time", "since"
    text = "{given!r} is not a time: a date, a time or a duration is needed, like 2026-01-31, 2026-01-31T10:00 or 2h"


class ServiceStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `status`. `settings` is the hash of what the process was started with; `changed`: not that of now."""

    service: str
    group: str
    state: str
    pid: int | None
    uptime: str | None
    port: int | None
    memory: str | None
    settings: str
    changed: bool
    note: str


class Started(NamedTuple):
    """What a service left behind when it started."""

    pid: int
    settings: str
    port: int | None


class Line(NamedTuple):
    """One line of a log. `level` is empty and `time` inherited where a foreign program wrote it."""

    time: datetime
    level: str
    text: str
