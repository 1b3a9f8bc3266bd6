"""A slow, obvious model of metering: a list of events, added up anew for each question."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

AGGREGATIONS = {"calls": "sum", "logins": "count", "peak": "max", "seats": "last"}
MOST = 10**15


class Event(NamedTuple):
    """What is sent; `at` None is the moment of arrival."""

    user: str
    metric: str
    value: int
    at: datetime | None = None
    key: str | None = None
    properties: tuple[tuple[str, int], ...] = ()


class Counted(NamedTuple):
    user: str
    metric: str
    value: int
    at: datetime


def figure(metric: str, events: Iterable[Counted]) -> int:
    found = sorted(events, key=lambda one: (one.at, one.value))
    values = [one.value for one in found]
    return {"sum": sum(values), "count": len(values), "max": max(values), "last": values[-1]}[AGGREGATIONS[metric]]


def midnight(year: int, month: int, day: int, zone: ZoneInfo) -> datetime:
    return datetime(year, month, day, tzinfo=zone).astimezone(UTC)


class Model:
    """`tell` says what must become of an event, and remembers it."""

    def __init__(self, users: Iterable[str], zone: ZoneInfo) -> None:
        self.users, self.zone = frozenset(users), zone
        self.counted: list[Counted] = []
        self.contents: dict[tuple[str, str], object] = {}
        self.fates = Counter[str]()

    def tell(self, event: Event, now: datetime) -> str:
        fate = self._fate(event, now)
        if fate == "counted":
            self.counted.append(Counted(event.user, event.metric, event.value, event.at or now))
        self.fates[fate if fate in ("counted", "duplicate") else "rejected"] += 1
        return fate

    def _fate(self, event: Event, now: datetime) -> str:
        if event.metric not in AGGREGATIONS:
            return "no_such_metric"
        if not 0 <= event.value <= MOST:
            return "value_out_of_range"
        if event.at and (event.at < datetime(2000, 1, 1, tzinfo=UTC) or event.at > now + timedelta(minutes=5)):
            return "timestamp_out_of_range"
        if event.user not in self.users:
            return "no_such_user"
        if event.key is None:
            return "counted"
        content = (event.metric, event.value, event.at, event.properties)
        known = self.contents.setdefault((event.user, event.key), content)
        if known is content:
            return "counted"
        return "duplicate" if known == content else "idempotency_error"

    def months(self) -> set[tuple[int, int]]:
        days = {one.at.astimezone(self.zone).date() for one in self.counted}
        return {(day.year, day.month) for day in days}

    def month(self, user: str, year: int, month: int) -> dict[str, int]:
        """metric -> figure"""
        return {metric: figure(metric, found) for metric, found in self._by_metric(self._in(user, year, month)).items()}

    def days(self, user: str, year: int, month: int) -> dict[tuple[datetime, datetime, str], int]:
        """(start, end, metric) -> figure, by days of the zone"""
        found: dict[tuple[datetime, datetime, str], list[Counted]] = {}
        for one in self._in(user, year, month):
            day = one.at.astimezone(self.zone).date()
            after = day + timedelta(days=1)
            span = (
                midnight(day.year, day.month, day.day, self.zone),
                midnight(after.year, after.month, after.day, self.zone),
            )
            found.setdefault((*span, one.metric), []).append(one)
        return {key: figure(key[2], events) for key, events in found.items()}

    def hours(self, user: str, year: int, month: int) -> dict[tuple[datetime, str], int]:
        """(UTC hour, metric) -> figure; the month may begin inside its first hour"""
        begin = midnight(year, month, 1, self.zone)
        found: dict[tuple[datetime, str], list[Counted]] = {}
        for one in self._in(user, year, month):
            hour = max(begin, one.at.astimezone(UTC).replace(minute=0, second=0, microsecond=0))
            found.setdefault((hour, one.metric), []).append(one)
        return {key: figure(key[1], events) for key, events in found.items()}

    def _in(self, user: str, year: int, month: int) -> list[Counted]:
        days = [(one, one.at.astimezone(self.zone).date()) for one in self.counted if one.user == user]
        return [one for one, day in days if (day.year, day.month) == (year, month)]

    @staticmethod
    def _by_metric(events: Iterable[Counted]) -> dict[str, list[Counted]]:
        found: dict[str, list[Counted]] = {}
        for one in events:
            found.setdefault(one.metric, []).append(one)
        return found
