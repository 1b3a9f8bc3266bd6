"""Nouns and errors of gaps in usage."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

import msgspec

from nself.core.errors import Conflict, Invalid
from nself.core.period import Period


class Minute(NamedTuple):
    """What a metric's stored events of one minute are."""

    metric: str
    at: datetime
    events: int
    first_at: datetime
    last_at: datetime


class Silence(NamedTuple):
    """A time without an event that is too long for the user's rhythm.

    `chance` is that of one so long; `expected` how many events there would have been, on average.
    """

    span: Period
    expected: int
    chance: float


class Cause(NamedTuple):
    """Something known that may have kept usage away."""

    span: Period
    text: str
    mend: str
    sure: bool
    """It says itself that usage was lost, however short it was."""
    lost_by: int | None = None
    """Events that were refused, resends included, where it is known."""


class Rejected(msgspec.Struct, frozen=True):
    """An event that was not counted, as it came."""

    code: str
    event: str
    rejected_at: datetime


class Reread(msgspec.Struct, frozen=True):
    """The logs were read for what is missing of a user in a period."""

    user: str
    period_start: datetime
    period_end: datetime
    reconstructed_at: datetime

    def covers(self, at: datetime, known_at: datetime) -> bool:
        """Whether it looked for what was or came at `at` and is known to be lost since `known_at`."""
        return self.period_start <= at < self.period_end and self.reconstructed_at >= known_at


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `find-gaps`. `expected_about` is an estimate, but for rejected events, which are counted.

    `invoiced`: it lies in a period that is invoiced. `mend` are commands.
    """

    metric: str
    start: datetime
    end: datetime
    length: str
    expected_about: int
    why: str
    causes: list[str]
    invoiced: bool
    mend: list[str]


class Entry(NamedTuple):
    """An event of a log, or a stored one; `second` since 1970."""

    metric: str
    value: int
    key: str
    second: int


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A log that was read; `events` of this user and time."""

    name: str
    kind: str
    events: int
    note: str


class Hour(msgspec.Struct, frozen=True, kw_only=True):
    """An hour and metric: events in the logs, stored, missing, and the sum of the missing ones' values."""

    hour: datetime
    metric: str
    in_log: int
    stored: int
    missing: int
    missing_value: int


class Reconstructed(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `usage reconstruct`. `recorded` is 0 unless it was executed."""

    user: str
    start: datetime
    end: datetime
    in_log: int
    missing: int
    recorded: int
    invoiced: bool
    result: str
    sources: list[Source]
    hours: list[Hour]


class ImportedFile(NamedTuple):
    """A file that was imported before, and how."""

    path: str
    format: str
    count_metric: str
    bytes_metric: str
    origin: str | None


class Reconstruction(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a reconstruction, for the audit."""

    user: str
    period_start: datetime
    period_end: datetime
    sources: str
    in_log: int
    missing: int
    recorded: int
    invoiced: bool
    actor: str
    reason: str | None
    reconstructed_at: datetime


class NoLogGiven(Invalid):
    code, guide, param = "no_log_given", "2.4", "from_logs"
    text = "From which log? --from-logs reads what the project knows, --log FILE another one"
    hints = ("nself billing usage reconstruct --help",)


class EventsGone(Conflict):
    code, guide = "events_not_stored", "2.4"
    text = "{gone} events of {user} in this time are counted but not stored any more; without them nobody can say what is missing"
    hints = ("nself billing usage compare --user {user}",)
