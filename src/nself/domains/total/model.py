"""Nouns of the usage of all users."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

MOST = 1_000
"""Users or values of a property that are kept of a month and metric."""


class Grown(msgspec.Struct, frozen=True):
    """What an hour of a metric has more than before, by users of a shard; `late` of its events came after it was counted."""

    metric_type: str
    hour: datetime
    shard: int
    events: int
    total: Decimal
    late: int = 0
    deltas: int = 0
    """That were folded."""


class Sum(NamedTuple):
    """What all events of a metric add up to, of an hour or day where asked for."""

    metric: str
    bucket: datetime | None
    events: int
    total: Decimal
    late: int


class MonthEvents(NamedTuple):
    month: datetime
    metric: str
    events: int


class Share(NamedTuple):
    """Of a user, or of a property's value as JSON; `value` None where it does not add up to one."""

    name: str | None
    value: Decimal | None
    events: int


class ShareCount(NamedTuple):
    """A month's shares by a property, or by user for an empty one, were counted at `counted_at`, out of `events`."""

    month: datetime
    metric: str
    dimension: str
    events: int
    counted_at: datetime


class UsageTotal(msgspec.Struct, frozen=True, kw_only=True):
    """A metric of all users over a half-open period. `value` is None where the figures of users do not add up to one.

    By time it is exact to the last event, and `late` of the events came after their hour was over and counted. By `user`, and
    by the value `group` of the property `dimension` (None where events have none), it is as it was at `counted_at`; None is now.
    """

    metric: str
    user: str | msgspec.UnsetType = msgspec.UNSET
    dimension: str | msgspec.UnsetType = msgspec.UNSET
    group: Any = msgspec.UNSET
    value: int | None
    unit: str
    events: int
    late: int | msgspec.UnsetType = msgspec.UNSET
    period_start: datetime
    period_end: datetime
    counted_at: datetime | msgspec.UnsetType | None = msgspec.UNSET
