"""Nouns and errors of repair."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from shlex import quote
from typing import Literal, NamedTuple

import msgspec

from nself.core.errors import Conflict, NotFound

Kind = Literal["void", "duplicate", "correct"]
NOTHING_DONE = "nothing was changed; --execute does it"


class StoredEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event as it was recorded, and what it counts now: `counted` is None where it does not."""

    user: str
    metric: str
    at: datetime
    value: int
    counted: int | None
    key: str
    source: str
    recorded_at: datetime
    properties: str | None


class Adjustment(msgspec.Struct, frozen=True, kw_only=True):
    """A decision about one event: from now on it counts `value`, or not at all where that is None."""

    event: StoredEvent
    kind: Kind
    value: int | None
    duplicate_of: str | None = None


class Adjusted(msgspec.Struct, frozen=True, kw_only=True):
    """A decision that was made, as `usage explain` tells it; `value` None: the event does not count."""

    kind: Kind
    before: int
    value: int | None
    duplicate_of: str | None
    reason: str | None
    actor: str
    adjusted_at: datetime


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of one metric's figure of a month; `invoiced`: something was billed for the month already."""

    period: str
    metric: str
    unit: str
    before: int
    after: int
    difference: int
    invoiced: bool


class Alike(msgspec.Struct, frozen=True, kw_only=True):
    """An event that says what another one said, whose key is `kept`."""

    metric: str
    at: datetime
    value: int
    key: str
    kept: str
    source: str
    recorded_at: datetime


class Hour(NamedTuple):
    """A rollup's key."""

    user_id: str
    metric_type: str
    hour: datetime


class HourTotal(msgspec.Struct, frozen=True):
    """What is counted in an hour, of which `pending` events are not folded."""

    events: int
    total: Decimal
    pending: int


class WrongHour(msgspec.Struct, frozen=True, kw_only=True):
    """An hour whose rollup is not what its events say."""

    hour: datetime
    metric: str
    events: int
    total: Decimal
    events_after: int
    total_after: Decimal


LESS = "{period} was invoiced: nothing of it is credited before an operator says so: nself billing overage audit --user {user}"


def _uncredited(user: str, changes: Sequence[Change]) -> list[str]:
    """Invoiced months of which less counts now."""
    months = sorted({one.period for one in changes if one.invoiced and one.difference < 0})
    return [LESS.format(period=", ".join(months), user=quote(user))] if months else []


class Deduplicated(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `deduplicate`. `with_own_keys` are alike too, but their senders told them apart by their keys."""

    user: str
    executed: bool
    duplicates: list[Alike]
    with_own_keys: int
    changes: list[Change]

    def remarks(self) -> list[str]:
        told = [NOTHING_DONE] if self.duplicates and not self.executed else []
        told += _uncredited(self.user, self.changes)
        if self.with_own_keys:
            told.append(
                f"{self.with_own_keys} more are alike under keys that their senders gave: --own-keys takes them too"
            )
        return told


FEWER = (
    "{fewer} events fewer are stored than were counted, and count no longer then: where rows were lost, first "
    "nself billing usage restore --user {user} --date {day}"
)


class Recalculated(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `recalculate`; quota counters are built anew as well. Months in the archive cannot be."""

    user: str
    executed: bool
    hours: list[WrongHour]
    changes: list[Change]
    archived: list[str]

    def remarks(self) -> list[str]:
        left = [f"left as it is, its events are in the archive: {', '.join(self.archived)}"] if self.archived else []
        if not self.hours:
            return [*left, "every rollup is what its events say"]
        if fewer := sum(max(0, one.events - one.events_after) for one in self.hours):
            left.append(FEWER.format(fewer=fewer, user=self.user, day=f"{self.hours[0].hour:%Y-%m-%d}"))
        left += _uncredited(self.user, self.changes)
        return left if self.executed else [*left, NOTHING_DONE]


class AdjustedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `void` and `correct`; None: the event does not count."""

    user: str
    metric: str
    at: datetime
    key: str
    recorded: int
    before: int | None
    after: int | None
    executed: bool
    changes: list[Change]

    def remarks(self) -> list[str]:
        told = _uncredited(self.user, self.changes)
        return told if self.executed else [*told, NOTHING_DONE]


class BilledLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line that bills the metric and month in which the event counts."""

    invoice: str | None
    status: str
    period: str
    used: int
    limit: int
    amount_minor: int
    currency: str


class RejectedAs(msgspec.Struct, frozen=True, kw_only=True):
    """Why an event was not counted."""

    id: int
    code: str
    message: str
    event: str
    source: str
    rejected_at: datetime
    mend: str


class Explained(msgspec.Struct, frozen=True, kw_only=True):
    """Where one event went. `hour` is its rollup, of which `pending` events still lie beside it."""

    result: str
    user: str | None = None
    metric: str | None = None
    at: datetime | None = None
    value: int | None = None
    counted: int | None = None
    unit: str | None = None
    key: str | None = None
    source: str | None = None
    recorded_at: datetime | None = None
    hour: datetime | None = None
    hour_events: int | None = None
    hour_total: int | None = None
    pending: int | None = None
    adjustments: list[Adjusted] = []
    billed: list[BilledLine] = []
    rejected: list[RejectedAs] = []


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a rejected event: `counted`, `duplicate`, or the code for which it is still refused."""

    id: int
    rejected_as: str
    user: str | None
    metric: str | None
    value: int | None
    result: str
    detail: str | None


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `rejected replay`."""

    executed: bool
    counted: int
    duplicate: int
    still_rejected: int
    events: list[Replayed]

    def remarks(self) -> list[str]:
        return [NOTHING_DONE] if self.events and not self.executed else []


class NoSuchEvent(NotFound):
    code, guide, param = "no_such_event", "2.3", "key"
    text = "No such usage event: {key}"
    hints = ("nself billing usage audit --user USER", "nself billing usage rejected list")


class NoSuchRejected(NotFound):
    code, guide, param = "no_such_rejected_event", "2.1", "event"
    text = "No such rejected event: {event}"
    hints = ("nself billing usage rejected list",)


class SeveralUsers(Conflict):
    code, guide, param = "several_users", "2.3", "user"
    text = "{count} users have an event with the key {key}: {users}"
    hints = ("nself billing usage explain --key {key} --user {first}",)


class PeriodInvoiced(Conflict):
    code, guide, param = "period_invoiced", "2.3", "invoiced"
    text = "{period} of {user} is invoiced already; nothing was changed. With --invoiced the next invoice bills what is more; what is less now is credited once an operator says so"
    hints = ("nself billing overage audit --user {user}",)


class Resent(msgspec.Struct, frozen=True):
    """Events of a user that say what earlier ones say of the same instants; `recorded_at` is when the last came."""

    user: str
    events: int
    first_at: datetime
    last_at: datetime
    recorded_at: datetime
    metric: str


class CrookedHour(msgspec.Struct, frozen=True):
    """An hour of a user as its rollup has it, and as its events say."""

    user: str
    metric: str
    hour: datetime
    events: int
    total: Decimal
    events_after: int
    total_after: Decimal
