"""Nouns of metering."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

import msgspec


class Row(msgspec.Struct, frozen=True, gc=False):
    """A checked event, ready to be stored.

    `at` is UTC as `datetime.isoformat` writes it, so that texts sort as the instants do; `properties` is JSON text,
    `dimensions` what is counted and grouped by of them. User, metric and key are printable.
    """

    user: str
    metric: str
    value: int
    at: str
    key: str
    digest: bytes
    properties: str | None = None
    dimensions: str | None = None


class Delta(msgspec.Struct, kw_only=True, gc=False):
    """What one commit adds for a user, metric and hour; instants as in Row."""

    user: str
    metric: str
    hour: str
    events: int
    total: int
    largest: int
    last_value: int
    last_at: str


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """Why the event at `index` of a request was not counted."""

    index: int
    code: str
    message: str


class Intake(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a request's events: `accepted` counted now, `duplicate` counted before.

    `buffered` is there while the database is away: as many are on disk, and will be counted once when it is back.
    """

    accepted: int
    duplicate: int
    rejected: list[Refused]
    buffered: int | msgspec.UnsetType = msgspec.UNSET


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `usage record`."""

    user: str
    metric: str
    value: int
    key: str
    result: str

    def remarks(self) -> list[str]:
        if self.result != "buffered":
            return []
        return ["the database is away; the event is on disk and waits for it: nself billing usage collector-status"]


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """Result of an import: all figures are of this run; `position` is in unpacked bytes."""

    file: str
    source: str
    format: str
    lines: int
    events: int
    accepted: int
    duplicate: int
    rejected: int
    users_created: int
    position: int
    left: str | None = None


class Progress(msgspec.Struct, frozen=True):
    """Where an import stands; `digest` is of all bytes before `position`, `path` where they were read first."""

    position: int
    digest: bytes
    path: str


class Tally(NamedTuple):
    """What a run of an import did so far."""

    lines: int = 0
    events: int = 0
    accepted: int = 0
    duplicate: int = 0
    rejected: int = 0
    created: int = 0

    def plus(self, other: Tally) -> Tally:
        return Tally(*(a + b for a, b in zip(self, other, strict=True)))


class Total(msgspec.Struct, frozen=True, kw_only=True):
    """One metric of one user over a half-open period.

    `configured` is there where one of those shown is not in usage-metrics.yml any more, and false for that one: `value` is
    what its events add up to, unless it was invoiced and has a formula for that.
    """

    user: str
    metric: str
    value: int
    unit: str
    events: int
    period_start: datetime
    period_end: datetime
    last_at: datetime | None
    configured: bool | msgspec.UnsetType = msgspec.UNSET


class CountedEvent(msgspec.Struct, frozen=True):
    """A stored event: when it happened and when it was recorded."""

    at: datetime
    value: int
    key: str
    source: str
    recorded_at: datetime


class Sum(msgspec.Struct, frozen=True):
    """What a query adds up for one user and metric (and bucket, and a dimension's value as JSON)."""

    user_id: str
    metric_type: str
    events: int
    total: Decimal
    largest: int
    last_value: int
    last_at: datetime
    bucket: datetime | None = None
    dimension: str | None = None
    uniques: int = 0


class Pending(NamedTuple):
    """A rollup that has unfolded deltas: how many, and the shard of its user."""

    user_id: str
    metric_type: str
    hour: datetime
    deltas: int
    shard: int


class Reason(msgspec.Struct, frozen=True):
    """How many events were rejected with `code`."""

    code: str
    events: int
    example: str


UNBALANCED = (
    "the law does not hold: rollups or raw events were changed by another hand. Whose: nself billing usage compare "
    "--user USER; what mends it: nself billing usage recalculate --user USER, or nself billing usage restore --user USER"
)


class Conservation(msgspec.Struct, frozen=True, kw_only=True):
    """The law of metering. `pending` is stored and counted in every answer, but not yet folded into rollups.

    `buffered` of them are on disk and not yet in the database: they are in no answer but this one; `archived` raw events are
    away. Of the duplicate, `deduplicated` were stored and taken out later; of the rejected, `voided`.
    """

    accepted: int
    counted: int
    duplicate: int
    rejected: int
    pending: int
    buffered: int
    balanced: bool
    raw_events: int
    deduplicated: int
    voided: int
    archived: int
    last_recorded_at: datetime | None
    last_fold_at: datetime | None
    rejected_by_reason: list[Reason]

    def remarks(self) -> list[str]:
        return [] if self.balanced else [UNBALANCED]


class Recounted(msgspec.Struct, frozen=True):
    """Raw events that were recorded before a time, when all were counted last; none and None where that is unknown."""

    before: datetime | None
    events: int


class Counts(msgspec.Struct, frozen=True):
    """The independent counts behind Conservation."""

    received: int
    duplicate: int
    rejected: int
    deduplicated: int
    voided: int
    rolled_up: int
    pending: int
    raw_events: int
    last_recorded_at: datetime | None
    last_fold_at: datetime | None


class Drained(msgspec.Struct, frozen=True, kw_only=True):
    """What became of events that were on disk."""

    events: int = 0
    counted: int = 0
    duplicate: int = 0
    rejected: int = 0


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong now, why, and the command that mends it."""

    code: str
    cause: str
    mend: str


class CollectorStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The usage-collector and its buffer. The figures of the last drain and error are what the collector told last.

    `buffered_*` is exact where `database` is "answers"; else what was drained of the oldest segment counts too.
    """

    collector: str
    pid: int | None
    since: datetime | None
    buffer: str
    buffered_events: int
    buffered_bytes: int
    capacity: int
    oldest_at: datetime | None
    oldest_age_seconds: int | None
    database: str
    last_drain_at: datetime | None
    last_drained: int | None
    last_aggregation_at: datetime | None
    last_error: str | None
    last_error_at: datetime | None
    last_error_mend: str | None
    problems: list[Problem]
    unmet: list[Unmet]


class Skipped(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes of the buffer that cannot be read; `events` where their number is known."""

    segment: int
    offset: int
    cause: str
    events: int | None
    kept_in: str | None
    result: str


class Folded(msgspec.Struct, frozen=True, kw_only=True):
    """Result of a fold."""

    deltas: int
    seconds: float
    workers: int
    pending: int
    note: str


class Unfolded(msgspec.Struct, frozen=True, kw_only=True):
    """The last fold, and what waits for the next; every answer counts `pending_events` already."""

    pending_events: int
    pending_deltas: int
    oldest_pending_hour: datetime | None
    hourly_rollups: int
    last_fold_at: datetime | None
    last_fold_deltas: int | None
    last_fold_seconds: float | None
    last_fold_workers: int | None


class Aggregation(Unfolded, frozen=True, kw_only=True):
    """Result of `aggregation-status`; `state` is stuck where the lease of a run has ended: the next look takes it over."""

    workers: int
    state: str
    run_by: str | None
    next_run_at: datetime | None
    last_result: str | None
    note: str


class Lag(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `show-lag`: nothing is older than `lag_seconds` that no rollup holds yet."""

    lag_seconds: int
    pending_events: int
    buffered_events: int
    last_fold_at: datetime | None
    note: str


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """Raw events against what is answered from rollups and deltas, for one metric; `difference` = aggregated - raw."""

    user: str
    metric: str
    unit: str
    raw_events: int
    raw: int
    aggregated_events: int
    aggregated: int
    difference: int
    verdict: str


class AuditedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A stored event: when it happened, what came with it, from where and when it was recorded; `same` like it.

    `counted` is what it counts now, None where it was taken out.
    """

    at: datetime
    metric: str
    value: int
    counted: int | None
    key: str
    source: str
    recorded_at: datetime
    properties: str | None
    same: int


class RejectedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event that was not counted, as it came, and why."""

    id: int
    code: str
    message: str
    event: str
    source: str
    rejected_at: datetime


class Unmet(msgspec.Struct, frozen=True, kw_only=True):
    """Usage that comes for somebody or something that is not there: it is rejected until that is."""

    code: str
    name: str
    events: int
    last_at: datetime
    source: str
    mend: str
