"""Reading usage: exact totals, and the law that they obey."""

from __future__ import annotations

from datetime import date, datetime

from nself.app import App
from nself.core import period
from nself.core.errors import InvalidParameter
from nself.core.period import Period
from nself.db.connect import Tx
from nself.domains.catalog import rules as catalog_rules
from nself.domains.catalog import service as catalog
from nself.domains.catalog.model import Metric
from nself.domains.customer import service as customer
from nself.domains.usage import rules, store
from nself.domains.usage.inputs import ShowUsage, UsageStatus
from nself.domains.usage.model import Conservation, CountedEvent, Sum, Total
from nself.domains.usage.service import collector


def show(app: App, given: ShowUsage) -> list[Total]:
    """Totals of a user by metric (and hour or day). Raises NoSuchUser, NoSuchMetric."""
    file = catalog.metric_file(app)
    if given.metric is not None:
        catalog_rules.require(file, given.metric)
    span = given_period(app, given.period, given.month)
    customer.require_user(app, given.user)
    with app.db.reading() as tx:
        if given.by:
            zone = "UTC" if given.by == "hour" else app.timezone.key
            sums = store.days(tx, given.user, given.metric, given.by, zone, rules.aligned(*span), span)
        else:
            sums = totals(tx, [given.user], given.metric, span)
    found = [
        _total(app, file.metrics[one.metric_type], one, span, given.by)
        for one in sums
        if one.metric_type in file.metrics
    ]
    if found or given.by:
        return found
    return [
        Total(
            user=given.user,
            metric=name,
            value=0,
            unit=metric.unit,
            events=0,
            period_start=span.start,
            period_end=span.end,
            last_at=None,
        )
        for name, metric in file.metrics.items()
        if given.metric in (None, name)
    ]


def given_period(app: App, text: str | None, month: str | None = None) -> Period:
    """The month that was asked for, else the current one."""
    if text and month and text != month:
        raise InvalidParameter("--period and --month are the same; give one", "period")
    asked = text or month
    return period.month(asked, app.timezone) if asked else period.containing(app.clock(), "month", app.timezone)


def always(app: App) -> Period:
    """All the time of which there can be usage."""
    return Period(rules.EARLIEST, app.clock() + rules.AHEAD)


def totals(tx: Tx, users: list[str] | None, metric: str | None, span: Period) -> list[Sum]:
    """Step: exact sums by user and metric in `span`; `users` None is everybody."""
    return store.totals(tx, users, metric, rules.aligned(*span), *span)


def months_of(app: App, tx: Tx, user: str) -> list[datetime]:
    """Step: beginnings of the months, in BILLING_TIMEZONE, in which `user` has usage."""
    return store.user_months(tx, user, app.timezone.key)


def recount(app: App, tx: Tx, user: str, span: Period) -> list[Sum]:
    """Step: the sums of `user` in a month, counted anew from the raw events; as they stand where those are archived."""
    if archived(tx, user, span):
        return totals(tx, [user], None, span)
    return store.buckets(tx, user, None, "month", app.timezone.key, *span)


def archived(tx: Tx, user: str, span: Period) -> list[date]:
    """Step: UTC months in `span` of which raw events of `user` are in the archive alone."""
    months = store.archived_months(tx, span)
    if not months:
        return []
    here = sum(one.events for one in raw(tx, user, None, span))
    counted = sum(one.events for one in totals(tx, [user], None, span))
    return months if here < counted else []


def archived_months(tx: Tx, span: Period) -> list[date]:
    """Step: UTC months in `span` of which raw events of anybody are in the archive alone."""
    return store.archived_months(tx, span)


def first_events(tx: Tx, user: str, metric: str, span: Period, limit: int) -> list[CountedEvent]:
    """Step: the earliest raw events of `span`."""
    return store.first_events(tx, user, metric, *span, limit)


def raw(tx: Tx, user: str, metric: str | None, span: Period) -> list[Sum]:
    """Step: the same for one user from the raw events alone; one sum a metric and UTC year."""
    return store.buckets(tx, user, metric, "year", "UTC", *span)


def months(app: App) -> list[Period]:
    """The months, in BILLING_TIMEZONE, for which there is usage; oldest first."""
    with app.db.reading() as tx:
        starts = store.months(tx, app.timezone.key)
    return [period.containing(start, "month", app.timezone) for start in starts]


def _total(app: App, metric: Metric, one: Sum, span: Period, by: str | None) -> Total:
    bucket = (
        period.containing(one.bucket, "hour" if by == "hour" else "day", app.timezone) if one.bucket and by else span
    )
    # A month of a zone with half hours begins and ends inside an hour.
    bucket = Period(max(bucket.start, span.start), min(bucket.end, span.end))
    return Total(
        user=one.user_id,
        metric=one.metric_type,
        value=rules.value_of(metric.aggregation, one.events, int(one.total), one.largest, one.last_value),
        unit=metric.unit,
        events=one.events,
        period_start=bucket.start,
        period_end=bucket.end,
        last_at=one.last_at,
    )


def status(app: App, given: UsageStatus) -> Conservation:
    """accepted = counted + duplicate + rejected + pending, from independent counts."""
    with app.db.snapshot() as tx:
        store.lock_raw(tx)
        counts, reasons, archived = store.counts(tx), store.rejected_reasons(tx), store.archived_events(tx)
    buffered = collector.waiting(app).events
    duplicate, rejected = counts.duplicate + counts.deduplicated, counts.rejected + counts.voided
    kept = counts.rolled_up + counts.pending
    return Conservation(
        accepted=counts.received + buffered,
        counted=counts.rolled_up,
        duplicate=duplicate,
        rejected=rejected,
        pending=counts.pending + buffered,
        buffered=buffered,
        balanced=counts.received == kept + duplicate + rejected
        and counts.raw_events + archived == kept + counts.deduplicated + counts.voided,
        raw_events=counts.raw_events,
        deduplicated=counts.deduplicated,
        voided=counts.voided,
        archived=archived,
        last_recorded_at=counts.last_recorded_at,
        last_fold_at=counts.last_fold_at,
        rejected_by_reason=reasons,
    )
