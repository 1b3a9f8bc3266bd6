"""Nouns and errors of quotas."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, NamedTuple

import msgspec

from nself.core.errors import Conflict, Invalid, NotFound

Mode = Literal["hard", "soft", "overage"]
Window = Literal["hour", "day", "week", "month", "year", "billing"]
"""`billing` is the period of the user's subscription; the calendar month until there are subscriptions."""
WINDOWS: dict[str, Window] = {
    "hour": "hour", "hourly": "hour", "day": "day", "daily": "day", "week": "week", "weekly": "week",
    "month": "month", "monthly": "month", "year": "year", "yearly": "year", "billing": "billing",
}  # fmt: skip
PLANS = ("free", "starter", "pro", "enterprise")
UNLIMITED = -1
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


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """A threshold, in percent, that was passed for the first time in a window."""

    user: str
    metric: str
    threshold: int
    used: int
    limit: int


class Ask(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One request of a group. `look` is a check of which nothing is noted; commit and release know their metric by `id`."""

    kind: Literal["look", "check", "reserve", "commit", "release"]
    user: str
    metric: str = ""
    value: int | None = None
    id: str = ""


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


class NoSuchPlan(NotFound):
    code, param = "no_such_plan", "plan"
    text = "No such plan: {plan} (free, starter, pro or enterprise)"


class WhoseQuota(Invalid):
    code, guide = "parameter_missing", "5.1"
    text = "Give either --user or --plan"
    hints = ("nself billing quota set --user user123 --metric api_calls --limit 1000 --period month",)


class NoSuchReservation(NotFound):
    code, param = "no_such_reservation", "reservation"
    text = "No such reservation: {reservation}"


class ReservationSettled(Conflict):
    code, param = "reservation_settled", "reservation"
    text = "{reservation} was {state} already{detail}"
