"""A slow, obvious model of metrics: a list of events, looked through anew for each question."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

METRICS = """\
metrics:
  total: {unit: request, aggregation: sum, group_by: [region], filter: {region: {one_of: [eu, us]}}}
  number: {unit: call, aggregation: count, group_by: [region], validation: {max: 8, allowed: {region: [eu, us]}}}
  people: {unit: person, aggregation: unique, field: who, group_by: [region], filter: {status: {below: 300}}}
  held: {unit: byte, aggregation: time-weighted, group_by: [region]}
  peak:
    - {from: 2000-01-01, unit: byte, aggregation: max}
    - {from: 2026-04-01, unit: seat, aggregation: last, group_by: [region], validation: {required: [region]}}
  turned:
    - {from: 2026-02-10, unit: byte, aggregation: time_weighted}
    - {from: 2026-04-01, unit: person, aggregation: unique, field: who}
    - {from: 2026-10-02, unit: piece, aggregation: sum, filter: {who: {exists: true}}}
"""


class Version(NamedTuple):
    aggregation: str
    fate: Callable[[int, dict[str, Any]], str] = lambda value, properties: "counted"
    since: date = date(1, 1, 1)


def total(value: int, properties: dict[str, Any]) -> str:
    return "counted" if properties.get("region") in ("eu", "us") else "filtered"


def number(value: int, properties: dict[str, Any]) -> str:
    if value > 8:
        return "value_not_allowed"
    return "counted" if properties.get("region") in (None, "eu", "us") else "property_invalid"


def people(value: int, properties: dict[str, Any]) -> str:
    status = properties.get("status")
    if not isinstance(status, int) or status >= 300:
        return "filtered"
    return who(value, properties)


def who(value: int, properties: dict[str, Any]) -> str:
    return "counted" if "who" in properties else "property_missing"


def last(value: int, properties: dict[str, Any]) -> str:
    return "counted" if "region" in properties else "property_missing"


def turned(value: int, properties: dict[str, Any]) -> str:
    return "counted" if "who" in properties else "filtered"


VERSIONS = {
    "total": [Version("sum", total)],
    "number": [Version("count", number)],
    "people": [Version("unique", people)],
    "held": [Version("time_weighted")],
    "peak": [Version("max"), Version("last", last, date(2026, 4, 1))],
    "turned": [
        Version("time_weighted", since=date(2026, 2, 10)),
        Version("unique", who, date(2026, 4, 1)),
        Version("sum", turned, date(2026, 10, 2)),
    ],
}
GROUPED = {"total", "number", "people", "held"}


class Event(NamedTuple):
    user: str
    metric: str
    value: int
    at: datetime
    key: str
    properties: tuple[tuple[str, Any], ...] = ()


def version(metric: str, at: datetime, zone: ZoneInfo) -> Version | None:
    first = at.astimezone(zone).date().replace(day=1)
    found = [one for one in VERSIONS[metric] if one.since <= first]
    return found[-1] if found else None


def second(at: datetime) -> datetime:
    return at.replace(microsecond=0)


def midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


class Model:
    def __init__(self, zone: ZoneInfo) -> None:
        self.zone = zone
        self.counted: list[Event] = []
        self.contents: dict[tuple[str, str], Event] = {}

    def tell(self, event: Event) -> str:
        found = version(event.metric, event.at, self.zone)
        if found is None:
            return "metric_not_in_force"
        fate = found.fate(event.value, dict(event.properties))
        if fate != "counted":
            return fate
        known = self.contents.get((event.user, event.key))
        if known:
            return "duplicate" if known == event else "idempotency_error"
        self.contents[event.user, event.key] = event
        self.counted.append(event)
        return "counted"

    def month(self, year: int, number: int) -> tuple[datetime, datetime]:
        first = date(year, number, 1)
        return midnight(first, self.zone), midnight((first + timedelta(days=31)).replace(day=1), self.zone)

    def figure(self, user: str, metric: str, start: datetime, end: datetime, now: datetime, of: datetime) -> int:
        """By the formula of the month of `of`."""
        found = version(metric, of, self.zone)
        mine = sorted(
            (one for one in self.counted if (one.user, one.metric) == (user, metric)),
            key=lambda one: (one.at, one.value, one.key),
        )
        inside = [one for one in mine if start <= one.at < end]
        aggregation = found.aggregation if found else "sum"
        if aggregation == "time_weighted":
            return sum(self.held(mine, start, min(end, now)).values())
        return simple(aggregation, inside)

    def held(self, mine: list[Event], start: datetime, end: datetime) -> dict[Any, int]:
        """region -> value x seconds: between two moments at which something changes the latest value holds."""
        if end <= start:
            return {}
        moments = sorted({second(start), second(end), *(second(one.at) for one in mine if start <= one.at < end)})
        found: dict[Any, int] = {}
        for begin, after in pairwise(moments):
            before = [one for one in mine if second(one.at) <= begin]
            if before:
                region = dict(before[-1].properties).get("region")
                found[region] = found.get(region, 0) + before[-1].value * int((after - begin).total_seconds())
        return found

    def groups(self, user: str, metric: str, start: datetime, end: datetime, now: datetime) -> dict[Any, int]:
        mine = sorted(
            (one for one in self.counted if (one.user, one.metric) == (user, metric)),
            key=lambda one: (one.at, one.value, one.key),
        )
        aggregation = VERSIONS[metric][0].aggregation
        if aggregation == "time_weighted":
            return {region: area for region, area in self.held(mine, start, min(end, now)).items() if area}
        found: dict[Any, list[Event]] = {}
        for one in mine:
            if start <= one.at < end:
                found.setdefault(dict(one.properties).get("region"), []).append(one)
        return {region: value for region, events in found.items() if (value := simple(aggregation, events))}


def simple(aggregation: str, events: Iterable[Event]) -> int:
    found = list(events)
    values = [one.value for one in found]
    if not found:
        return 0
    return {
        "sum": sum(values),
        "count": len(values),
        "max": max(values),
        "last": values[-1],
        "unique": len({dict(one.properties).get("who") for one in found} - {None}),
    }[aggregation]
