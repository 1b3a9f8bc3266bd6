"""Figures of metrics: what rollups can tell from rollups, distinct values and what holds over time from events."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from itertools import product
from zoneinfo import ZoneInfo

from msgspec.structs import replace

from nself.app import App
from nself.core.period import Period
from nself.db.connect import Tx
from nself.domains.catalog import service as catalog
from nself.domains.catalog.model import Metric
from nself.domains.usage import figures, rules, store
from nself.domains.usage.figures import Area, Figure
from nself.domains.usage.model import Sum


def measure(
    tx: Tx, users: list[str] | None, span: Period, metrics: Mapping[str, Metric], until: datetime, folded: bool = False
) -> list[Figure]:
    """Step: exact figures of `metrics` in `span` by user, metric by metric; `users` None is everybody.

    What holds over time is counted up to `until`, the present. A user without an event has a figure where something
    holds from before. `folded`: for a counter that the next fold adds to, so without what that will add.
    """
    only = next(iter(metrics)) if len(metrics) == 1 else None
    sums = store.totals(tx, users, only, rules.aligned(*span), *span, folded=folded)
    uniques = _uniques(tx, users, span, metrics)
    sums = [replace(one, uniques=uniques.get((one.user_id, one.metric_type), 0)) for one in sums] if uniques else sums
    return figures.together(metrics, sums, _areas(tx, users, metrics, [_until(span, until)]), lambda _: span.start)


def recount(
    tx: Tx, users: list[str] | None, span: Period, metrics: Mapping[str, Metric], until: datetime
) -> list[Figure]:
    """Step: the same from raw events alone, but for what holds when `span` begins."""
    sums = store.sums(tx, users, sorted(metrics), _fields(metrics), span)
    return figures.together(metrics, sums, _areas(tx, users, metrics, [_until(span, until)]), lambda _: span.start)


def break_down(
    tx: Tx, user: str, span: Period, metrics: Mapping[str, Metric], until: datetime, tz: ZoneInfo, by: str | None, group: str | None
) -> list[Figure]:  # fmt: skip
    """Step: the figures of one user by hour or day, and by a property."""
    zone = "UTC" if by == "hour" else tz.key
    if by and group is None:
        sums = _days(tx, user, span, metrics, by, zone)
    else:
        sums = store.sums(tx, [user], sorted(metrics), _fields(metrics), span, by, zone, group)
    pieces = list(figures.pieces(span, until, by, tz))
    return figures.together(metrics, sums, _areas(tx, [user], metrics, pieces, group), figures.beginning(span, by, tz))


def _days(tx: Tx, user: str, span: Period, metrics: Mapping[str, Metric], by: str, zone: str) -> list[Sum]:
    """From the rollups, whether raw events are here or archived; distinct values from the events."""
    only, fields = next(iter(metrics)) if len(metrics) == 1 else None, _fields(metrics)
    sums = store.days(tx, user, only, by, zone, rules.aligned(*span), span)
    if not fields:
        return sums
    found = {
        (one.metric_type, one.bucket): one.uniques
        for one in store.sums(tx, [user], sorted(fields), fields, span, by, zone)
    }
    return [replace(one, uniques=found.get((one.metric_type, one.bucket), 0)) for one in sums]


def metrics_of(app: App, tx: Tx, span: Period, metric: str | None) -> dict[str, Metric]:
    """Step: the formulas for `span`, of all metrics or of one: those of the billing period in which it begins."""
    return {name: one for name, one in catalog.metrics_of(app, tx, span.start).items() if metric in (None, name)}


def _until(span: Period, until: datetime) -> Period:
    return Period(span.start, max(span.start, min(span.end, until)))


def _fields(metrics: Mapping[str, Metric]) -> dict[str, str]:
    return {name: one.field for name, one in metrics.items() if one.field}


def _uniques(
    tx: Tx, users: list[str] | None, span: Period, metrics: Mapping[str, Metric]
) -> dict[tuple[str, str], int]:
    fields = _fields(metrics)
    if not fields:
        return {}
    return {(one.user_id, one.metric_type): one.uniques for one in store.sums(tx, users, sorted(fields), fields, span)}


def _areas(
    tx: Tx, users: list[str] | None, metrics: Mapping[str, Metric], pieces: list[Period], group: str | None = None
) -> list[Area]:
    names = sorted(name for name, one in metrics.items() if one.aggregation == "time_weighted")
    if not names or not pieces:
        return []
    holders = store.holders(tx, users, names, pieces[-1].end)
    return store.areas(tx, list(product(holders, pieces)), group) if holders else []
