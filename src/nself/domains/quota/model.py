"""Nouns and errors of quotas."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

import msgspec

Mode = Literal["hard", "soft", "overage"]
Window = Literal["hour", "day", "week", "month", "year", "billing"]
"""`billing` is the period of the user's subscription; the calendar month until there are subscriptions."""
WINDOWS: dict[str, Window] = {
    "hour": "hour", "hourly": "hour", "day": "day", "daily": "day", "week": "week", "weekly": "week",
    "month": "month", "monthly": "month", "year": "year", "yearly": "year", "billing": "billing",
}  # fmt: skip
PLANS = ("free", "starter", "pro", "enterprise")
UNLIMITED = -1
CRON: dict[Window, str] = {
    "hour": "0 * * * *", "day": "0 0 * * *", "week": "0 0 * * 1", "month": "0 0 1 * *", "year": "0 0 1 1 *",
}  # fmt: skip
NEVER = datetime(9999, 1, 1, tzinfo=UTC)
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
EVERY = "*"
"""Stands for every metric in resets, blocks and overrides."""


class Limit(msgspec.Struct, frozen=True):
    """A user's effective limit; `source` says whose it is: `user`, `plan free` or `none`."""

    user: str
    metric: str
    limit: int
    period: Window
    mode: Mode
    source: str


class QuotaState(msgspec.Struct, frozen=True, kw_only=True):
    """A limit and what is left of it. `remaining` and `limit` are -1 where unlimited; `held` is reserved, not used."""

    user: str
    metric: str
    allowed: bool
    limit: int
    used: int
    held: int
    remaining: int
    percent: str
    state: str
    mode: Mode
    period: Window
    source: str
    resets_at: datetime
    note: str = ""


class Decision(QuotaState, frozen=True, kw_only=True):
    """Answer to a check, reserve, commit or release; a refused reserve has no `reservation`."""

    reservation: str | None = None


class UserCheck(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `quota check`."""

    user: str
    allowed: bool
    note: str
    quotas: list[QuotaState]


class SetResult(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `quota set`."""

    target: str
    metric: str
    limit: int
    period: Window
    mode: Mode
    note: str = ""


class Key(NamedTuple):
    """Whose counter."""

    user: str
    metric: str


class Counter(msgspec.Struct, kw_only=True):
    """One limit in one window as it is in the database; `used` and `held` move while a group is decided.

    `extra` is on top of the limit until `extra_until`; `expires_next` is before or at the first expiry of a hold.
    """

    user: str
    metric: str
    window_start: datetime
    window_end: datetime
    counted_from: datetime
    aggregation: str
    used: int
    held: int
    expires_next: datetime
    limit: int
    period: Window
    mode: Mode
    source: str
    extra: int = 0
    extra_until: datetime
    blocked_until: datetime
    block_reason: str = ""
    exceeded_at: datetime | None = None
    warned: int = 0

    @property
    def key(self) -> Key:
        return Key(self.user, self.metric)

    def covers(self, at: datetime) -> bool:
        """Whether what happens at `at` counts here."""
        return self.counted_from <= at < self.window_end


class Reservation(msgspec.Struct, frozen=True, kw_only=True):
    """Units that were granted. `amount` is what they take of the limit; `id` is without the user."""

    user: str
    id: str
    metric: str
    value: int
    amount: int
    window_start: datetime
    reserved_at: datetime
    expires_at: datetime
    state: Literal["held", "expired", "committed", "released"] = "held"
    settled_value: int | None = None


class Circumstance(msgspec.Struct, frozen=True, kw_only=True):
    """What bears on a counter besides its limit; None where there is no such thing."""

    user: str
    metric: str
    reset_at: datetime | None
    blocked_until: datetime | None
    block_reason: str | None
    extra: int | None
    extra_until: datetime | None


class Subscribed(msgspec.Struct, frozen=True):
    """A user's subscription that counts, and the plan that its price or product names in `metadata.plan`."""

    user: str
    subscription: str
    status: str
    plan: str | None


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """A threshold, in percent, that was passed for the first time in a window."""

    user: str
    metric: str
    threshold: int
    used: int
    limit: int


class Ask(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """One request of a group. `look` is a check of which nothing is noted; commit and release know their metric by `id`."""

    kind: Literal["look", "check", "reserve", "commit", "release"]
    user: str
    metric: str = ""
    value: int | None = None
    id: str = ""
    properties: dict[str, Any] | None = None
    key: str = ""
    """Of a reserve whose `id` follows from it: the same one may be there already."""


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What settings say about decisions; `grace` and `lease` in seconds, `thresholds` in percent, ascending."""

    enforced: bool
    grace: float
    lease: float
    thresholds: tuple[int, ...]


class Verdict(NamedTuple):
    """`passed`: the limit would be, or is, exceeded."""

    allowed: bool
    passed: bool
    note: str


class QuotaStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `quota status`: `may_go_on` is for one unit more, `exceeded_at` when the limit was first passed, `forecast` at this pace."""

    metric: str
    state: str
    used: int
    held: int
    limit: int
    remaining: int
    percent: str
    forecast: int
    mode: Mode
    period: Window
    resets_at: datetime
    may_go_on: bool
    blocked: str
    exceeded_at: datetime | None
    grace_until: datetime | None
    note: str


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `quota compare`: `counter` and `raw_events` count from `counted_from`, `invoice` its month."""

    metric: str
    period: Window
    counted_from: datetime
    counter: int
    raw_events: int
    difference: int
    invoice: int
    invoice_from: datetime
    why: str


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A line of `quota show-calculation`."""

    metric: str
    figure: str
    value: str
    how: str


class Enforced(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `quota test-enforce`: `enforced` is false where a hard limit would not refuse."""

    metric: str
    mode: Mode
    limit: int
    used: int
    remaining: int
    what_fits: str
    one_more: str
    enforced: bool
    note: str


class Reset(msgspec.Struct, frozen=True, kw_only=True):
    """A reset by hand."""

    metric: str
    reset_at: datetime
    actor: str
    reason: str


class ResetRow(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `quota reset`."""

    user: str
    metric: str
    reset_at: datetime
    reason: str
    no_longer_counted: str
    note: str


class ResetAllResult(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `quota reset-all`."""

    users: int
    done: bool
    reset_at: datetime | None
    note: str


class WindowRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `quota show-resets`: usage counts from `counted_from`, which is the window's start or a reset in it."""

    metric: str
    period: Window
    window_start: datetime
    counted_from: datetime
    resets_at: datetime
    last_reset: datetime
    why: str


class NextWindow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `quota next-reset`."""

    user: str
    metric: str
    period: Window
    next_reset: datetime
    seconds_left: int


class CronRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `quota show-cron`."""

    job: str
    period: Window
    cron: str
    timezone: str
    next_reset: datetime


class Rescheduled(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `quota schedule-reset`."""

    job: str
    due_at: datetime
    note: str


class Blocked(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `quota block`."""

    user: str
    metric: str
    reason: str
    blocked_at: datetime
    expires_at: datetime


class Override(msgspec.Struct, frozen=True, kw_only=True):
    """Room above a limit, for a while."""

    metric: str
    extra: int
    expires_at: datetime


class Unblocked(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `quota unblock`: `allowed` is for one unit more of every metric."""

    user: str
    blocks_cleared: int
    allowed: bool
    note: str
    overrides: list[Override]


class ClearedCache(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `cache clear`: counters of quotas, objects of Stripe."""

    pattern: str
    counters: int
    objects: int = 0
    note: str


class Row(NamedTuple):
    """Which counter: names its row."""

    user: str
    metric: str
    window_start: datetime


class Journaled(msgspec.Struct, frozen=True, kw_only=True):
    """A record of the journal: requests that were let through together, and when."""

    at: datetime
    asks: list[Ask]


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a journal's requests."""

    asks: int = 0
    refused: int = 0


class JournalStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `quota journal`. `waiting_*` is exact where `database` is "answers"; else some are counted that were settled."""

    fail_mode: str
    database: str
    waiting_requests: int
    waiting_bytes: int
    capacity: int
    oldest_at: datetime | None
    oldest_age_seconds: int | None
    last_settled_at: datetime | None
