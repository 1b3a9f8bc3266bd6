"""What a metric's aggregation makes of its events. Pure; all figures are whole numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from nself.core import period
from nself.core.period import Period
from nself.domains.catalog.model import Metric
from nself.domains.usage.model import Sum, Total

FORMULAS = {
    "sum": "the sum of all values of the period",
    "count": "the number of events of the period, whatever their values",
    "max": "the largest value of the period",
    "last": "the value of the latest event of the period; of two at the same instant the larger",
    "unique": "the number of distinct values of the property {field} among the events of the period, whatever their values",
    "time_weighted": "the sum, over the seconds of the period up to now, of the value that holds: that of the latest event at or "
    "before it, also from before the period; of two at the same instant the larger",
}
ROUNDING = "none: values are whole; money is rounded once an invoice line, half up"
SECONDS = "none: values are whole, and instants count in whole seconds, cut off; money is rounded once an invoice line, half up"
ADDS_UP = ("sum", "count", "time_weighted")
"""The figures of groups, days or hours add up to the whole."""


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """A metric's figure of one user; `bucket` is the beginning of its hour or day, `group` a property's value as JSON."""

    user: str
    metric: str
    value: int
    events: int
    last_at: datetime | None = None
    bucket: datetime
    group: str | None = None


class Holder(NamedTuple):
    """Who has usage of a metric."""

    user: str
    metric: str


class Area(msgspec.Struct, frozen=True):
    """Value times whole seconds that it held, of one user and metric from `start` on, in one group."""

    user_id: str
    metric_type: str
    start: datetime
    dimension: str | None
    area: int


class GroupTotal(Total, frozen=True, kw_only=True):
    """The same of the events whose property has the value `group`; None where they have none."""

    group: Any


class FormulaVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a formula; `start` (in the file `from`) None is at all times."""

    start: date | None
    aggregation: str
    unit: str
    field: str | None
    filter: str
    group_by: list[str]
    validation: str
    in_force: bool


class Formula(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `show-formula`: how events become a figure, and the figure money.

    `kept` are the periods that were invoiced by another formula than the file has for them, and stay so; `changed` says
    what is different now from when the month began.
    """

    metric: str
    period: str
    start: date | None
    aggregation: str
    formula: str
    field: str | None
    unit: str
    figure_unit: str
    filter: str
    group_by: list[str]
    validation: str
    conversion: str
    rounding: str
    price: str
    price_source: str
    versions: list[FormulaVersion]
    kept: list[str]
    changed: list[str]


def unit_of(metric: Metric) -> str:
    """What a figure counts: a value times the seconds it held, distinct values, or the unit itself."""
    return f"{metric.unit}-second" if metric.aggregation == "time_weighted" else metric.unit


def brief(metric: Metric) -> str:
    """What a figure depends on, in short."""
    return " ".join(filter(None, (metric.aggregation, metric.field and f"of {metric.field}", f"in {unit_of(metric)}")))


def value_of(aggregation: str, one: Sum, area: int = 0) -> int:
    """The figure that a metric's aggregation picks; `area` is that of `time_weighted`."""
    return {
        "sum": int(one.total),
        "count": one.events,
        "max": one.largest,
        "last": one.last_value,
        "unique": one.uniques,
        "time_weighted": area,
    }[aggregation]


def value_after(aggregation: str, figure: int, value: int) -> int:
    """The most that `figure` can become by an event of `value`; 0 stands for no event.

    Whether an event brings a new distinct value is not known before; a value weighs nothing yet when it begins to hold.
    """
    return {
        "sum": figure + value,
        "count": figure + bool(value),
        "max": max(figure, value),
        "last": value or figure,
        "unique": figure + bool(value),
        "time_weighted": figure,
    }[aggregation]


def beginning(span: Period, by: str | None, tz: ZoneInfo) -> Callable[[datetime | None], datetime]:
    """Where the hour or day of an instant begins, cut at `span`: a month of a zone may begin inside an hour."""
    if by is None:
        return lambda at: span.start
    unit = "hour" if by == "hour" else "day"
    return lambda at: max(period.containing(at or span.start, unit, tz).start, span.start)


def together(
    metrics: Mapping[str, Metric], sums: Iterable[Sum], areas: Iterable[Area], begin: Callable[[datetime | None], datetime]
) -> list[Figure]:  # fmt: skip
    """One figure for each user, metric, bucket and group. What holds from before has a figure without an event."""
    weights = {(one.user_id, one.metric_type, one.start, one.dimension): int(one.area) for one in areas}
    found: list[Figure] = []
    for one in sums:
        if one.metric_type not in metrics:
            continue
        bucket = begin(one.bucket)
        area = weights.pop((one.user_id, one.metric_type, bucket, one.dimension), 0)
        found.append(
            Figure(
                user=one.user_id,
                metric=one.metric_type,
                value=value_of(metrics[one.metric_type].aggregation, one, area),
                events=one.events,
                last_at=one.last_at,
                bucket=bucket,
                group=one.dimension,
            )
        )
    found += [
        Figure(user=user, metric=metric, value=area, events=0, bucket=bucket, group=group)
        for (user, metric, bucket, group), area in weights.items()
        if area
    ]
    return sorted(found, key=lambda one: (one.bucket, one.metric, one.user, one.group or ""))


def pieces(span: Period, until: datetime, by: str | None, tz: ZoneInfo) -> Iterator[Period]:
    """The hours or days of `span` that began before `until`, which ends the last; all of it without `by`."""
    start, end = span.start, min(span.end, until)
    while start < end:
        after = period.containing(start, "hour" if by == "hour" else "day", tz).end if by else end
        yield Period(start, min(after, end))
        start = after
