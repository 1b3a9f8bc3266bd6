"""Steps around the counters that decisions stand on. Whoever changes one holds the lock of its user's shard."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import NamedTuple

from nself.app import App
from nself.core.period import Period
from nself.db.connect import Tx
from nself.domains.catalog import service as catalog
from nself.domains.catalog.model import Metric
from nself.domains.quota import rules, store
from nself.domains.quota.model import UNLIMITED, Circumstance, Counter, Key, Limit
from nself.domains.quota.service.limits import NO_PLAN, UNSUBSCRIBED, effective_limits, plans
from nself.domains.usage.service import aggregate, measure


class Place(NamedTuple):
    """A user's metric at an instant: one counter covers it."""

    key: Key
    at: datetime


def ready(app: App, tx: Tx, places: Collection[Place], built: bool = False) -> dict[Place, Counter]:
    """Step: the counters that can decide as they stand; places of one counter share it.

    What is used of a metric that holds over time grows by itself, so its counter is only good when it was just `built`.
    """
    asked = list(places)
    rows: dict[Key, dict[datetime, Counter]] = defaultdict(dict)
    for counter in store.counters(tx, [place.key for place in asked], [place.at for place in asked]):
        rows[counter.key].setdefault(counter.window_start, counter)
    windows = _Windows(app)
    found: dict[Place, Counter] = {}
    for place in asked:
        for counter in rows[place.key].values():
            span = windows.of(place.at, counter)
            known = windows.aggregation(place.key.metric, counter.window_start) == counter.aggregation
            if (
                known
                and (built or counter.aggregation != "time_weighted")
                and span == (counter.window_start, counter.window_end)
            ):
                found[place] = counter
    return found


class _Windows:
    """Windows of limits, and the formulas of what they count: those of the billing periods in which they begin."""

    def __init__(self, app: App) -> None:
        self.app, self.zone = app, app.timezone
        self.known: dict[tuple[datetime, str], Period] = {}
        self.formulas: dict[datetime, dict[str, Metric]] = {}

    def metrics(self, start: datetime) -> dict[str, Metric]:
        found = self.formulas.get(start)
        if found is None:
            found = self.formulas[start] = catalog.metrics_at(self.app, start)
        return found

    def aggregation(self, metric: str, start: datetime) -> str:
        return self.metrics(start)[metric].aggregation

    def of(self, at: datetime, limit: Limit | Counter) -> Period:
        found = self.known.get((at, limit.period))
        if found is None:
            found = self.known[at, limit.period] = rules.window(at, limit.period, self.zone)
        return found


def prepare(app: App, tx: Tx, places: Collection[Place], now: datetime) -> dict[Place, Counter]:
    """Step: counters for all `places`, with all usage folded and expired holds ended. The caller holds the locks."""
    users = sorted({place.key.user for place in places})
    aggregate.fold_users(tx, users)
    found = ready(app, tx, places)
    if any(counter.expires_next <= now for counter in found.values()):
        end_holds(tx, users, now, {key for key, _ in found})
        found = ready(app, tx, places)
    missing = [place for place in places if place not in found]
    if missing:
        _build(app, tx, missing, now)
        found |= ready(app, tx, missing, built=True)
    return found


def end_holds(tx: Tx, users: Collection[str], now: datetime, keys: Collection[Key] = ()) -> int:
    """Step: holds that expired no longer count; their number. The caller holds the locks."""
    ended = store.expire_holds(tx, sorted(users), now)
    recounted = sorted({*keys, *ended})
    if recounted:
        store.recount_holds(tx, recounted)
    return len(ended)


def _build(app: App, tx: Tx, places: Collection[Place], now: datetime) -> None:
    """Count anew from what is recorded: usage, resets, limits, blocks, overrides, reservations."""
    users = sorted({place.key.user for place in places})
    store.expire_holds(tx, users, now)
    limits = {Key(one.user, one.metric): one for one in effective_limits(app, tx, users)}
    shut = {user for user, one in plans(app, tx, users).items() if one.plan == NO_PLAN}
    windows, spans = _Windows(app), dict[Place, Period]()
    for place in places:
        limit = limits.setdefault(place.key, Limit(*place.key, UNLIMITED, "month", "hard", "none"))
        spans[place] = windows.of(place.at, limit)
    unique = list({(place.key, spans[place]): place for place in places}.values())
    around = {
        (place.key, spans[place]): one
        for place, one in zip(
            unique,
            store.circumstances(tx, [place.key for place in unique], [spans[place].end for place in unique], now),
            strict=True,
        )
    }
    built = [_blank(windows, limits[place.key], spans[place], around[place.key, spans[place]]) for place in unique]
    for counter in built:
        if counter.user in shut:
            counter.blocked_until, counter.block_reason = rules.NEVER, UNSUBSCRIBED
    _count(tx, windows, built, now)
    store.put_counters(tx, built)
    store.retire_counters(tx, built, [place.at for place in unique])
    store.recount_holds(tx, sorted({counter.key for counter in built}))


def _blank(windows: _Windows, limit: Limit, span: Period, around: Circumstance) -> Counter:
    return Counter(
        user=limit.user,
        metric=limit.metric,
        window_start=span.start,
        window_end=span.end,
        counted_from=max(span.start, around.reset_at or span.start),
        aggregation=windows.aggregation(limit.metric, span.start),
        used=0,
        held=0,
        expires_next=rules.NEVER,
        limit=limit.limit,
        period=limit.period,
        mode=limit.mode,
        source=limit.source,
        extra=around.extra or 0,
        extra_until=around.extra_until or rules.LONG_AGO,
        blocked_until=around.blocked_until or rules.LONG_AGO,
        block_reason=around.block_reason or "",
    )


def _count(tx: Tx, windows: _Windows, counters: Collection[Counter], now: datetime) -> None:
    """Fill in what was used: one query for all that count the same span by the same formulas.

    Usage that came in since it was folded is left to the next fold, which adds it to the counters.
    """
    by_span: dict[tuple[Period, datetime], dict[Key, Counter]] = defaultdict(dict)
    for counter in counters:
        by_span[Period(counter.counted_from, counter.window_end), counter.window_start][counter.key] = counter
    for (span, start), wanted in by_span.items():
        names = {key.metric for key in wanted}
        metrics = {name: one for name, one in windows.metrics(start).items() if name in names}
        users = sorted({key.user for key in wanted})
        for one in measure.measure(tx, users, span, metrics, now, folded=True):
            counter = wanted.get(Key(one.user, one.metric))
            if counter:
                counter.used = one.value


def by_key(found: Mapping[Place, Counter]) -> dict[Key, Counter]:
    """Where each key was asked for at one instant."""
    return {place.key: counter for place, counter in found.items()}
