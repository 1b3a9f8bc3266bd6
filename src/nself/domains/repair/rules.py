"""Pure decisions of repair."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec

from nself.core.period import Period
from nself.domains.repair.model import StoredEvent
from nself.domains.usage.rules import drawn as drawn


def claimed(event: str) -> tuple[str | None, str | None, int | None]:
    """User, metric and value that a rejected event names, as far as they can be read."""
    given = _read(event) or {}
    user, metric, value = given.get("user"), given.get("metric"), given.get("value")
    return (
        user if isinstance(user, str) else None,
        metric if isinstance(metric, str) else None,
        value if type(value) is int else None,
    )


def _read(event: str) -> dict[str, Any] | None:
    try:
        return msgspec.json.decode(event.encode(), type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        return None


def escaped(key: str) -> str:
    """How JSON writes `key` in ASCII alone."""
    return json.dumps(key)[1:-1]


def has_key(event: str, key: str, user: str | None) -> bool:
    """Whether a rejected event, as it came, has this key, and is of `user` where one is given."""
    given = _read(event)
    if given is None:  # cut off, or a line of a log
        return f'"{key}"' in event or f'"{escaped(key)}"' in event
    cloud = "specversion" in given
    owner = given.get("subject" if cloud else "user")
    return given.get("id" if cloud else "key") == key and user in (None, owner)


def duplicates(events: Iterable[StoredEvent], within: timedelta) -> Iterator[tuple[StoredEvent, StoredEvent]]:
    """Each event that repeats another, with the one that is kept.

    Of alike events (metric, value and properties) the earliest is kept with all that lie at most `within` behind it;
    the next one after that is kept again. Of one instant, one with a key of its own is the earliest, then the one that
    was recorded first.
    """
    kept: dict[tuple[str, int, str], StoredEvent] = {}
    for event in sorted(events, key=lambda one: (one.at, drawn(one.key), one.recorded_at, one.key)):
        said = (event.metric, event.value, event.properties or "")
        first = kept.get(said)
        if first is not None and event.at - first.at <= within:
            yield event, first
        else:
            kept[said] = event


def holding(at: datetime, periods: Iterable[Period]) -> Period | None:
    """The first of `periods` in which `at` lies."""
    return next((one for one in periods if one.start <= at < one.end), None)


def hour(at: datetime) -> datetime:
    """The beginning of the rollup that holds an instant in UTC."""
    return at.replace(minute=0, second=0, microsecond=0)


def month(at: datetime) -> date:
    """The first day of the UTC month, as raw events are partitioned and archived."""
    return at.astimezone(UTC).date().replace(day=1)


def whole_hours(start: datetime, end: datetime) -> tuple[datetime, datetime]:
    """`[start, end)` widened to whole UTC hours."""
    last = end.replace(minute=0, second=0, microsecond=0)
    return start.replace(minute=0, second=0, microsecond=0), last if last == end else last + timedelta(hours=1)
