"""Looking at metering: how figures come about, whether they agree, and what they are made of. Changes nothing."""

from __future__ import annotations

from datetime import datetime

import msgspec

from nself.app import App
from nself.core import period
from nself.core.errors import InvalidParameter
from nself.core.period import Period
from nself.db.connect import Tx
from nself.domains.catalog import formulas, rating
from nself.domains.catalog import rules as catalog_rules
from nself.domains.catalog import service as catalog
from nself.domains.catalog.model import Metric
from nself.domains.customer import service as customer
from nself.domains.job import service as job
from nself.domains.job.model import Schedule
from nself.domains.usage import figures, rules, store
from nself.domains.usage.figures import Figure, Formula, FormulaVersion
from nself.domains.usage.inputs import AuditUsage, CompareUsage, ListRejected, ShowAggregation, ShowFormula
from nself.domains.usage.model import Aggregation, AuditedEvent, Compared, Lag, RejectedEvent
from nself.domains.usage.service import aggregate, collector, lag, measure, show, terms

EXACT = 100_000
"""Rollups that are counted; more are estimated."""
ESTIMATED = f"hourly_rollups is an estimate: there are more than {EXACT:,}"
BUFFERED = "usage on disk waits for the usage-collector: nself billing usage collector-status"


def aggregation_status(app: App, given: ShowAggregation) -> Aggregation:
    """The last fold, what waits for the next, and when that is."""
    schedule = job.schedule(app, lag.AGGREGATION)
    with app.db.reading() as tx:
        found = store.unfolded(tx, EXACT)
    estimated = ESTIMATED if found.hourly_rollups > EXACT else ""
    return Aggregation(
        **msgspec.structs.asdict(found),
        workers=aggregate.workers(app),
        state=schedule.state,
        run_by=schedule.worker,
        next_run_at=schedule.next_at,
        last_result=schedule.last_result,
        note="; ".join(one for one in (schedule.note, *lag.troubles(app), estimated) if one),
    )


def show_lag(app: App, given: ShowAggregation) -> Lag:
    """How far rollups are behind; answers and invoices are not, they count what is pending."""
    schedule = job.schedule(app, lag.AGGREGATION)
    with app.db.reading() as tx:
        pending, folded_at = store.pending_events(tx), store.last_fold_at(tx)
    buffered = collector.waiting(app).events
    waited = (app.clock() - folded_at).total_seconds() if pending and folded_at else 0
    return Lag(
        lag_seconds=max(0, round(waited)),
        pending_events=pending,
        buffered_events=buffered,
        last_fold_at=folded_at,
        note=schedule.note or (BUFFERED if buffered else "totals and invoices count what is pending"),
    )


def show_schedule(app: App, given: ShowAggregation) -> Schedule:
    """When aggregation runs: every USAGE_AGGREGATION_INTERVAL."""
    return job.schedule(app, lag.AGGREGATION)


def show_formula(app: App, given: ShowFormula) -> Formula:
    """As the file has it for a month, with all its versions. Raises NoSuchMetric."""
    name = given.metric
    catalog_rules.require(catalog.metric_file(app), name)
    span = show.given_period(app, given.period)
    metric, price = catalog.metrics_at(app, span.start)[name], catalog.prices_at(app, span.start).get(name)
    with app.db.reading() as tx:
        pinned = catalog.pins(tx, name)
    return Formula(
        metric=name,
        period=_month(app, span.start),
        start=metric.start,
        aggregation=metric.aggregation,
        formula=figures.FORMULAS[metric.aggregation].format(field=metric.field),
        field=metric.field,
        unit=metric.unit,
        figure_unit=figures.unit_of(metric),
        filter=formulas.filter_text(metric),
        group_by=metric.group_by,
        validation=formulas.validation_text(metric),
        conversion=f"none: events bring whole numbers of {metric.unit}",
        rounding=figures.SECONDS if metric.aggregation == "time_weighted" else figures.ROUNDING,
        price=rating.price_text(price),
        price_source="services/billing/config/overage-tiers.yml" if price else "none",
        versions=[_version(one, one == metric) for one in catalog.metered(app)[name].versions],
        kept=[
            f"{_month(app, start)}: {figures.brief(one)}"
            for start, one in pinned
            if figures.brief(one) != figures.brief(catalog.metrics_at(app, start)[name])
        ],
        changed=terms.told(app, name),
    )


def _month(app: App, start: datetime) -> str:
    return f"{start.astimezone(app.timezone):%Y-%m}"


def _version(one: Metric, in_force: bool) -> FormulaVersion:
    return FormulaVersion(
        start=one.start,
        aggregation=one.aggregation,
        unit=one.unit,
        field=one.field,
        filter=formulas.filter_text(one),
        group_by=one.group_by,
        validation=formulas.validation_text(one),
        in_force=in_force,
    )


def compare(app: App, given: CompareUsage) -> list[Compared]:
    """Raw events beside what is answered, a row a metric. Raises NoSuchUser, NoSuchMetric, InvalidParameter."""
    require(app, given.user, given.metric)
    asked, until = given_span(app, given.start, given.end), app.clock()
    with app.db.snapshot() as tx:
        metrics = measure.metrics_of(app, tx, asked, given.metric)
        raw = {one.metric: one for one in measure.recount(tx, [given.user], asked, metrics, until)}
        kept = {one.metric: one for one in measure.measure(tx, [given.user], asked, metrics, until)}
        archived = show.archived(tx, given.user, asked)
    differs = (
        f"raw events of {', '.join(f'{month:%Y-%m}' for month in archived)} are archived" if archived else "differs"
    )
    return [_compared(given.user, name, metrics[name], raw.get(name), kept.get(name), differs) for name in metrics]


def require(app: App, user: str, metric: str | None) -> None:
    """Raises NoSuchUser, NoSuchMetric."""
    if metric is not None:
        catalog_rules.require(catalog.metric_file(app), metric)
    customer.require_user(app, user)


def given_span(app: App, start: str | None, end: str | None) -> Period:
    """What a command asks for: `end` as a date is a whole day. Without `start` it is this month's; without `end` it is now."""
    now, tz = app.clock(), app.timezone
    month = period.containing(now, "month", tz)
    asked = Period(
        period.instant(start, tz, "start") if start else month.start,
        period.instant(end, tz, "end", end=True) if end else max(month.end, now),
    )
    if asked.start >= asked.end:
        raise InvalidParameter("--start must be before --end", "start")
    if asked.end <= rules.EARLIEST:
        raise InvalidParameter(f"There is no usage before {rules.EARLIEST:%Y-%m-%d}", "end")
    return Period(max(asked.start, rules.EARLIEST), asked.end)


def _compared(user: str, name: str, metric: Metric, raw: Figure | None, kept: Figure | None, differs: str) -> Compared:
    raw_events, raw_figure = (raw.events, raw.value) if raw else (0, 0)
    events, figure = (kept.events, kept.value) if kept else (0, 0)
    agrees = (raw_events, raw_figure) == (events, figure)
    return Compared(
        user=user,
        metric=name,
        unit=figures.unit_of(metric),
        raw_events=raw_events,
        raw=raw_figure,
        aggregated_events=events,
        aggregated=figure,
        difference=figure - raw_figure,
        verdict="equal" if agrees else differs,
    )


def audit(app: App, given: AuditUsage) -> list[AuditedEvent]:
    """Stored events of a day or this month, oldest first. Raises NoSuchUser, NoSuchMetric, InvalidParameter."""
    require(app, given.user, given.metric)
    asked = given_span(app, given.date, given.date)
    with app.db.reading() as tx:
        return store.audit(tx, given.user, given.metric, asked, given.check_duplicates, given.limit)


ALIKE = 1_000
"""Events that are looked at."""


def doubled(tx: Tx, user: str, metric: str, span: Period) -> int:
    """Step: what events of `span` add that say the same as another at the same instant, and were given no key of their own."""
    alike = store.audit(tx, user, metric, span, True, ALIKE)
    first = set[tuple[datetime, int, str]]()
    extra = 0
    for one in sorted(alike, key=lambda one: (rules.drawn(one.key), one.recorded_at, one.key)):
        said = (one.at, one.value, one.properties or "")
        if one.counted is not None and said in first and rules.drawn(one.key):
            extra += one.counted
        if one.counted is not None:
            first.add(said)
    return extra


def list_rejected(app: App, given: ListRejected) -> list[RejectedEvent]:
    """Newest first."""
    with app.db.reading() as tx:
        return store.rejected(tx, given.code, given.limit)


def last_recorded_at(tx: Tx) -> datetime | None:
    """When usage last came in; what waits on disk is not counted."""
    return store.last_recorded_at(tx)
