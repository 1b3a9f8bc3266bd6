"""What shows that quotas do not do what they should. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from nself.domains.quota.model import Window


class Contrary(NamedTuple):
    """A user's own limit beside that of a plan."""

    user: str
    metric: str
    limit: int
    period: Window
    plan: str
    plan_limit: int
    plan_period: Window


class Exceeded(NamedTuple):
    """A hard limit that more was used of; `set_at` None where it is a plan's."""

    user: str
    metric: str
    used: int
    limit: int
    counted_from: datetime
    window_end: datetime
    exceeded_at: datetime
    set_at: datetime | None


class Limited(NamedTuple):
    """A metric with limits; `user` has one of them, empty where only plans have."""

    metric: str
    limits: int
    user: str


class Subscriber(NamedTuple):
    subscription: str
    user: str


class Left(NamedTuple):
    """A counter that contradicts what it was made from, and in what."""

    user: str
    metric: str
    text: str


class Locked(NamedTuple):
    """A session that holds a strong lock on a table of quotas."""

    pid: int
    application: str
    state: str
    seconds: int
    table: str
    mode: str


class CountedAfterEnd(NamedTuple):
    """A counter in use of a user of whom a subscription ended; `shut`: it refuses for want of one."""

    user: str
    metric: str
    source: str
    shut: bool


class KeptPlan(NamedTuple):
    """A counter that still grants what the plan of a subscription granted that is over."""

    user: str
    metric: str
    plan: str
    subscription: str
