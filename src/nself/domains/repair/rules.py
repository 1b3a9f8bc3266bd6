"""Pure decisions of repair."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta

from nself.core.period import Period
from nself.domains.repair.model import StoredEvent

DRAWN = re.compile(r"[0-9a-f]{32}(:\d+)?|rejected:\d+:0")
"""Keys that were drawn here, for events that came without one."""


def drawn(key: str) -> bool:
    """Whether the sender did not say by a key of its own that this event is another."""
    return DRAWN.fullmatch(key) is not None


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
