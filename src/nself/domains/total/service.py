"""The usage of all users. Hours are exact; who used most and by which dimension is counted behind them where there is much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from nself.app import App
from nself.core import period
from nself.core.errors import InvalidParameter
from nself.core.period import Period
from nself.db.connect import Tx
from nself.domains.catalog import service as catalog
from nself.domains.catalog.model import Metric, NoSuchMetric
from nself.domains.total import store
from nself.domains.total.errors import NotCounted
from nself.domains.total.inputs import ShowTotals
from nself.domains.total.model import MOST, Grown, MonthEvents, Share, ShareCount, Sum, UsageTotal

EXACT = 100_000
"""Rollups and raw events up to which shares are counted when they are asked for."""
NOT_CONFIGURED = Metric(unit="unknown")
"""As `usage show` has it: a metric that the file has no more."""


def add(tx: Tx, grown: Sequence[Grown]) -> None:
    """Step: rollups have become this much more (or less), in this transaction, which holds their shards' locks."""
    if grown:
        store.add(tx, sorted(grown, key=lambda one: (one.metric_type, one.hour, one.shard)))


def repair(tx: Tx, grown: Sequence[Grown]) -> None:
    """Step: the same where events were taken out or corrected: shares are counted anew, though as many events may count."""
    add(tx, grown)
    if grown:
        store.doubt_shares(tx, [one.metric_type for one in grown], [one.hour for one in grown])


def show(app: App, given: ShowTotals) -> list[UsageTotal]:
    """By metric, and by hour, day, user or dimension. Raises NoSuchMetric, InvalidParameter, NotCounted."""
    span = _asked(app, given)
    by = "dimension" if given.group_by else given.by
    if given.late and by not in ("hour", "day"):
        raise InvalidParameter("--late goes with --by hour or --by day", "late")
    if given.group_by and given.by not in (None, "dimension"):
        raise InvalidParameter("--group-by goes with --by dimension", "group_by")
    with app.db.reading() as tx:
        unit = by if by in ("hour", "day") else None
        sums = store.sums(tx, span, given.metric, unit, "UTC" if by == "hour" else app.timezone.key, given.late)
        metrics = {one.metric: NOT_CONFIGURED for one in sums} | catalog.metrics_of(app, tx, span.start)
        if given.metric is not None and given.metric not in metrics:
            raise NoSuchMetric(metric=given.metric)
        if by == "user":
            return _users(app, tx, span, given, metrics, sums)
        if by == "dimension":
            return _dimensions(app, tx, span, given, metrics, sums)
    return [_of_time(app, one, metrics[one.metric], span, by) for one in sums]


def _asked(app: App, given: ShowTotals) -> Period:
    if given.period and given.month and given.period != given.month:
        raise InvalidParameter("--period and --month are the same; give one", "period")
    text = given.period or given.month
    return period.month(text, app.timezone) if text else period.containing(app.clock(), "month", app.timezone)


def _of_time(app: App, one: Sum, metric: Metric, span: Period, by: str | None) -> UsageTotal:
    start, end = span
    if one.bucket is not None:
        start = max(one.bucket, start)
        end = min(period.containing(start, "hour" if by == "hour" else "day", app.timezone).end, end)
    figure = {"sum": int(one.total), "count": one.events}.get(metric.aggregation)
    return UsageTotal(
        metric=one.metric,
        value=figure,
        unit=metric.unit,
        events=one.events,
        late=one.late,
        period_start=start,
        period_end=end,
    )


def _users(
    app: App, tx: Tx, span: Period, given: ShowTotals, metrics: Mapping[str, Metric], sums: Sequence[Sum]
) -> list[UsageTotal]:
    many, counts, found = store.many(tx, EXACT), _counts(tx, span), list[UsageTotal]()
    for one in sums:
        metric = metrics[one.metric]
        if many:
            counted_at = _counted(app, counts, span, one.metric, "").counted_at
            shares = store.shares(tx, span.start, one.metric, "", given.limit)
        else:
            counted_at, shares = None, store.users(tx, one.metric, metric.aggregation, span, given.limit)
        for share in shares:
            fields = _fields(one.metric, metric, share, span)
            found.append(UsageTotal(**fields, user=share.name or "", counted_at=counted_at))
    return found


def _dimensions(
    app: App, tx: Tx, span: Period, given: ShowTotals, metrics: Mapping[str, Metric], sums: Sequence[Sum]
) -> list[UsageTotal]:
    grouped = {name: one.group_by for name, one in metrics.items() if given.metric in (None, name)}
    known = sorted({name for group in grouped.values() for name in group})
    if given.group_by and given.group_by not in known:
        raise InvalidParameter(
            f"{given.metric or 'usage'} is grouped by {', '.join(known) or 'nothing'} in this period, not by {given.group_by!r}: group_by in usage-metrics.yml",
            "group_by",
        )
    many, counts, found = store.many(tx, EXACT), _counts(tx, span), list[UsageTotal]()
    for metric, name in ((one.metric, name) for one in sums for name in grouped[one.metric]):
        if given.group_by not in (None, name):
            continue
        if many:
            counted_at = _counted(app, counts, span, metric, name).counted_at
            shares = store.shares(tx, span.start, metric, name, given.limit)
        else:
            counted_at, shares = None, store.groups(tx, metric, metrics[metric].aggregation, name, span, given.limit)
        for share in shares:
            group = None if share.name is None else msgspec.json.decode(share.name)
            fields = _fields(metric, metrics[metric], share, span)
            found.append(UsageTotal(**fields, dimension=name, group=group, counted_at=counted_at))
    return found


def _fields(name: str, metric: Metric, share: Share, span: Period) -> dict[str, Any]:
    return {
        "metric": name,
        "value": None if share.value is None else int(share.value),
        "unit": metric.unit,
        "events": share.events,
        "period_start": span.start,
        "period_end": span.end,
    }


def _counts(tx: Tx, span: Period) -> dict[tuple[str, str], ShareCount]:
    return {(one.metric, one.dimension): one for one in store.share_counts(tx, span.start)}


def _counted(
    app: App, counts: Mapping[tuple[str, str], ShareCount], span: Period, metric: str, dimension: str
) -> ShareCount:
    found = counts.get((metric, dimension))
    if found is None:
        raise NotCounted(by=dimension or "user", month=f"{span.start.astimezone(app.timezone):%Y-%m}")
    return found


def mend(app: App) -> str:
    """The work of the kind `usage_totals`, in a word: totals follow rollups that another hand changed."""

    def work(tx: Tx) -> int:
        store.patient(tx)
        found = store.drift(tx)
        add(tx, found)
        return len(found)

    found = app.db.transact(work)
    return f"{found} hours put right" if found else ""


def scheduled(app: App) -> str:
    """The work of the kind `usage_shares`, in a word: shares anew of months whose usage is not what it was."""
    with app.db.reading() as tx:
        if not store.many(tx, EXACT):
            return ""
        months = store.months(tx, app.timezone.key)
        known = {(one.month, one.metric, one.dimension): one.events for one in store.share_counts(tx, None)}
        formulas = {one.month: catalog.metrics_of(app, tx, one.month) for one in months}
    done = 0
    for one in months:
        metric = formulas[one.month].get(one.metric, NOT_CONFIGURED)
        for dimension in ("", *metric.group_by):
            if known.get((one.month, one.metric, dimension)) != one.events:
                done += app.db.transact(lambda tx, m=metric, d=dimension, o=one: _count(app, tx, o, m, d))
    return f"{done} shares of usage counted" if done else ""


def _count(app: App, tx: Tx, one: MonthEvents, metric: Metric, dimension: str) -> bool:
    """Step: shares by a property, or by user. What is archived can be counted by property no more, and stays as it is."""
    store.patient(tx)
    span, now = _month(app, one.month), app.clock()
    if dimension and store.archived(tx, span):
        return False
    shares = (
        store.groups(tx, one.metric, metric.aggregation, dimension, span, MOST)
        if dimension
        else store.users(tx, one.metric, metric.aggregation, span, MOST)
    )
    store.keep_shares(tx, one.month, one.metric, dimension, shares, one.events, now)
    return True


def _month(app: App, start: datetime) -> Period:
    return period.containing(start, "month", app.timezone)
