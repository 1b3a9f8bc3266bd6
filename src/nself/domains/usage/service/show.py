"""Reading usage: exact totals, and the law that they obey."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime

import msgspec

from nself.app import App
from nself.core import period
from nself.core.errors import InvalidParameter
from nself.core.period import Period
from nself.db.connect import Tx
from nself.domains.catalog import service as catalog
from nself.domains.catalog.model import Metric, NoSuchMetric
from nself.domains.customer import service as customer
from nself.domains.usage import figures, rules, store
from nself.domains.usage.errors import EventsArchived
from nself.domains.usage.figures import Figure, GroupTotal
from nself.domains.usage.inputs import ShowUsage, UsageStatus
from nself.domains.usage.model import Conservation, CountedEvent, Recounted, Total
from nself.domains.usage.service import collector, measure

NOT_CONFIGURED = Metric(unit="unknown")
"""How usage of a metric is shown that was taken out of usage-metrics.yml: what its events add up to."""


def show(app: App, given: ShowUsage) -> list[Total]:
    """Totals of a user by metric (and hour or day, and a property), also of metrics that the file has no more.

    Raises NoSuchUser, NoSuchMetric, InvalidParameter.
    """
    span = given_period(app, given.period, given.month)
    configured = catalog.metric_file(app).metrics.keys()
    if given.metric in (None, *configured):  # else of a wrong user and a wrong metric the metric is told
        customer.require_user(app, given.user)
    with app.db.reading() as tx:
        gone = _used(tx, given, span) - configured
        metrics = dict.fromkeys(gone, NOT_CONFIGURED) | measure.metrics_of(app, tx, span, given.metric)
        if given.metric is not None and given.metric not in metrics:
            raise NoSuchMetric(metric=given.metric)
        if given.by or given.group_by:
            metrics = _grouped(metrics, given.metric, given.group_by)
            away = archived(tx, given.user, span) if given.group_by else []
            if away:
                raise EventsArchived(month=f"{away[0]:%Y-%m}", user=given.user)
            found = measure.break_down(
                tx, given.user, span, metrics, app.clock(), app.timezone, given.by, given.group_by
            )
        else:
            found = measure.measure(tx, [given.user], span, metrics, app.clock())
    if not (found or given.by or given.group_by):
        found = [Figure(user=given.user, metric=name, value=0, events=0, bucket=span.start) for name in metrics]
    totals = [_total(app, metrics[one.metric], one, span, given) for one in found]
    return [msgspec.structs.replace(one, configured=one.metric not in gone) for one in totals] if gone else totals


def _used(tx: Tx, given: ShowUsage, span: Period) -> set[str]:
    """Those metrics that `given` asks for and the user has usage of."""
    return {one.metric_type for one in store.totals(tx, [given.user], given.metric, rules.aligned(*span), *span)}


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


def always(app: App) -> Period:
    """All the time of which there can be usage."""
    return Period(rules.EARLIEST, app.clock() + rules.AHEAD)


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
    """Step: the figures of `user`, counted anew from the raw events; as they stand where those are archived."""
    if archived(tx, user, span):
        return measure.measure(tx, [user], span, metrics, app.clock())
    return measure.recount(tx, [user], span, metrics, app.clock())


def archived(tx: Tx, user: str, span: Period) -> list[date]:
    """Step: UTC months in `span` of which raw events of `user` are in the archive alone."""
    months = store.archived_months(tx, span)
    if not months:
        return []
    counted, stored = counted_and_stored(tx, user, span)
    return months if stored < counted else []


def counted_and_stored(tx: Tx, user: str, span: Period) -> tuple[int, int]:
    """Step: numbers of events of `user` that are counted in `span`, and that are stored."""
    totals = store.totals(tx, [user], None, rules.aligned(*span), *span)
    return sum(one.events for one in totals), sum(one.events for one in store.sums(tx, [user], None, {}, span))


def archived_months(tx: Tx, span: Period) -> list[date]:
    """Step: UTC months in `span` of which raw events of anybody are in the archive alone."""
    return store.archived_months(tx, span)


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
    if not given.recount:
        with app.db.reading() as tx:
            known = store.recounted(tx)
        if known.before and (found := _law(app, known)).balanced:
            return found
    return _law(app, Recounted(None, 0))


def _law(app: App, known: Recounted) -> Conservation:
    """Of raw events those are counted that were recorded after what is `known`."""
    with app.db.snapshot() as tx:
        store.lock_raw(tx)
        counts, reasons, archived = store.counts(tx, known), store.rejected_reasons(tx), store.archived_events(tx)
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
