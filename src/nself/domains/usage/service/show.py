"""Reading usage: exact totals, and the law that they obey."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

from nself.app import App
from nself.core import period
from nself.core.errors import InvalidParameter
from nself.core.period import Period
from nself.db.connect import Tx
from nself.domains.catalog import rules as catalog_rules
from nself.domains.catalog import service as catalog
from nself.domains.catalog.model import Metric
from nself.domains.customer import service as customer
from nself.domains.usage import figures, store
from nself.domains.usage.figures import Figure, GroupTotal
from nself.domains.usage.inputs import ShowUsage, UsageStatus
from nself.domains.usage.model import Conservation, CountedEvent, Total
from nself.domains.usage.service import collector, measure


def show(app: App, given: ShowUsage) -> list[Total]:
    """Totals of a user by metric (and hour or day, and a property). Raises NoSuchUser, NoSuchMetric, InvalidParameter."""
    file = catalog.metric_file(app)
    if given.metric is not None:
        catalog_rules.require(file, given.metric)
    span = given_period(app, given.period, given.month)
    customer.require_user(app, given.user)
    with app.db.reading() as tx:
        metrics = measure.metrics_of(app, tx, span, given.metric)
        if given.by or given.group_by:
            metrics = _grouped(metrics, given.metric, given.group_by)
            found = measure.break_down(
                tx, given.user, span, metrics, app.clock(), app.timezone, given.by, given.group_by
            )
        else:
            found = measure.measure(tx, [given.user], span, metrics, app.clock())
    if found or given.by or given.group_by:
        return [_total(app, metrics[one.metric], one, span, given) for one in found]
    none = [Figure(user=given.user, metric=name, value=0, events=0, bucket=span.start) for name in metrics]
    return [_total(app, metrics[one.metric], one, span, given) for one in none]


def _grouped(metrics: dict[str, Metric], metric: str | None, group: str | None) -> dict[str, Metric]:
    """Those that keep the property `group`. Raises InvalidParameter where none does."""
    found = {name: one for name, one in metrics.items() if group is None or group in one.group_by}
    if not found:
        known = sorted({name for one in metrics.values() for name in one.group_by})
        of = metric or "usage"
        raise InvalidParameter(
            f"{of} is grouped by {', '.join(known) or 'nothing'} in this period, not by {group!r}: group_by in usage-metrics.yml",
            "group_by",
        )
    return found


def given_period(app: App, text: str | None, month: str | None = None) -> Period:
    """The month that was asked for, else the current one."""
    if text and month and text != month:
        raise InvalidParameter("--period and --month are the same; give one", "period")
    asked = text or month
    return period.month(asked, app.timezone) if asked else period.containing(app.clock(), "month", app.timezone)


def figures_of(app: App, tx: Tx, users: list[str] | None, span: Period, metrics: Mapping[str, Metric]) -> list[Figure]:
    """Step: exact figures by user and metric in `span`, up to now; `users` None is everybody."""
    return measure.measure(tx, users, span, metrics, app.clock())


def months_of(app: App, tx: Tx, user: str) -> list[datetime]:
    """Step: beginnings of the months, in BILLING_TIMEZONE, in which `user` has usage or something holds."""
    found = store.user_months(tx, user, app.timezone.key)
    held = [
        name
        for name, one in catalog.metered(app).items()
        if any(v.aggregation == "time_weighted" for v in one.versions)
    ]
    if not found or not held or not store.holders(tx, [user], held, app.clock()):
        return found
    return [one.start for one in period.months(found[0], app.clock(), app.timezone)]


def recount(app: App, tx: Tx, user: str, span: Period, metrics: Mapping[str, Metric]) -> list[Figure]:
    """Step: the figures of `user`, counted anew from the raw events."""
    return measure.recount(tx, [user], span, metrics, app.clock())


def first_events(tx: Tx, user: str, metric: str, span: Period, limit: int) -> list[CountedEvent]:
    """Step: the earliest raw events of `span`."""
    return store.first_events(tx, user, metric, *span, limit)


def months(app: App) -> list[Period]:
    """The months, in BILLING_TIMEZONE, for which there is usage; oldest first."""
    with app.db.reading() as tx:
        starts = store.months(tx, app.timezone.key)
    return [period.containing(start, "month", app.timezone) for start in starts]


def _total(app: App, metric: Metric, one: Figure, span: Period, given: ShowUsage) -> Total:
    end = span.end
    if given.by:
        end = min(period.containing(one.bucket, "hour" if given.by == "hour" else "day", app.timezone).end, span.end)
    total = Total(
        user=one.user,
        metric=one.metric,
        value=one.value,
        unit=figures.unit_of(metric),
        events=one.events,
        period_start=one.bucket,
        period_end=end,
        last_at=one.last_at,
    )
    if given.group_by is None:
        return total
    return GroupTotal(
        **msgspec.structs.asdict(total), group=None if one.group is None else msgspec.json.decode(one.group)
    )


def status(app: App, given: UsageStatus) -> Conservation:
    """accepted = counted + duplicate + rejected + pending, from independent counts."""
    with app.db.snapshot() as tx:
        counts, reasons = store.counts(tx), store.rejected_reasons(tx)
    buffered = collector.waiting(app).events
    return Conservation(
        accepted=counts.received + buffered,
        counted=counts.rolled_up,
        duplicate=counts.duplicate,
        rejected=counts.rejected,
        pending=counts.pending + buffered,
        buffered=buffered,
        balanced=counts.received == counts.rolled_up + counts.duplicate + counts.rejected + counts.pending
        and counts.raw_events == counts.rolled_up + counts.pending,
        raw_events=counts.raw_events,
        last_recorded_at=counts.last_recorded_at,
        last_fold_at=counts.last_fold_at,
        rejected_by_reason=reasons,
    )
