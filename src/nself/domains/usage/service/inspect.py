"""Looking at metering: how figures come about, whether they agree, and what they are made of. Changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from nself.app import App
from nself.core import period
from nself.core.errors import InvalidParameter
from nself.core.period import Period
from nself.domains.catalog import rating
from nself.domains.catalog import rules as catalog_rules
from nself.domains.catalog import service as catalog
from nself.domains.catalog.model import Metric
from nself.domains.customer import service as customer
from nself.domains.job import service as job
from nself.domains.job.model import Schedule
from nself.domains.usage import rules, store
from nself.domains.usage.inputs import AuditUsage, CompareUsage, ListRejected, ShowAggregation, ShowFormula
from nself.domains.usage.model import Aggregation, AuditedEvent, Compared, Formula, Lag, RejectedEvent, Sum
from nself.domains.usage.service import collector, show

AGGREGATION = "aggregation"
FORMULAS = {
    "sum": "the sum of all values of the period",
    "count": "the number of events of the period, whatever their values",
    "max": "the largest value of the period",
    "last": "the value of the latest event of the period; of two at the same instant the larger",
}
ROUNDING = "none: values are whole; money is rounded once an invoice line, half up"


def aggregation_status(app: App, given: ShowAggregation) -> Aggregation:
    """The last fold, what waits for the next, and when that is."""
    schedule = job.schedule(app, AGGREGATION)
    with app.db.reading() as tx:
        found = store.unfolded(tx)
    return Aggregation(**msgspec.structs.asdict(found), next_run_at=schedule.next_at, last_result=schedule.last_result)


def show_lag(app: App, given: ShowAggregation) -> Lag:
    """How far rollups are behind; answers and invoices are not, they count what is pending."""
    with app.db.reading() as tx:
        found = store.unfolded(tx)
    buffered = collector.waiting(app).events
    waited = (app.clock() - found.last_fold_at).total_seconds() if found.pending_events and found.last_fold_at else 0
    return Lag(
        lag_seconds=max(0, round(waited)),
        pending_events=found.pending_events,
        buffered_events=buffered,
        last_fold_at=found.last_fold_at,
        note="usage on disk waits for the database" if buffered else "totals and invoices count what is pending",
    )


def show_schedule(app: App, given: ShowAggregation) -> Schedule:
    """When aggregation runs: every USAGE_AGGREGATION_INTERVAL."""
    return job.schedule(app, AGGREGATION)


def show_formula(app: App, given: ShowFormula) -> Formula:
    """Raises NoSuchMetric."""
    file = catalog.metric_file(app)
    catalog_rules.require(file, given.metric)
    metric = file.metrics[given.metric]
    version = catalog.prices_at(app, app.clock()).get(given.metric)
    return Formula(
        metric=given.metric,
        aggregation=metric.aggregation,
        formula=FORMULAS[metric.aggregation],
        unit=metric.unit,
        conversion=f"none: events bring whole numbers of {metric.unit}",
        rounding=ROUNDING,
        price=rating.price_text(version),
        price_source="services/billing/config/overage-tiers.yml" if version else "none",
    )


def compare(app: App, given: CompareUsage) -> list[Compared]:
    """Raw events beside what is answered, a row a metric. Raises NoSuchUser, NoSuchMetric, InvalidParameter."""
    metrics = require(app, given.user, given.metric)
    asked = given_span(app, given.start, given.end)
    with app.db.snapshot() as tx:
        raw = figures(metrics, show.raw(tx, given.user, given.metric, asked))
        kept = figures(metrics, show.totals(tx, [given.user], given.metric, asked))
        archived = show.archived(tx, given.user, asked)
    differs = (
        f"raw events of {', '.join(f'{month:%Y-%m}' for month in archived)} are archived" if archived else "differs"
    )
    return [_compared(given.user, name, metrics[name], raw.get(name), kept.get(name), differs) for name in metrics]


def require(app: App, user: str, metric: str | None) -> dict[str, Metric]:
    """The metrics that were asked for. Raises NoSuchUser, NoSuchMetric."""
    file = catalog.metric_file(app)
    if metric is not None:
        catalog_rules.require(file, metric)
    customer.require_user(app, user)
    return {name: one for name, one in file.metrics.items() if metric in (None, name)}


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
    return asked


def figures(metrics: Mapping[str, Metric], sums: Sequence[Sum]) -> dict[str, tuple[int, int]]:
    """Events and figure by metric; raw events come a part each UTC year."""
    parts: dict[str, list[Sum]] = {}
    for one in sums:
        if one.metric_type in metrics:
            parts.setdefault(one.metric_type, []).append(one)
    return {name: rules.joined(metrics[name].aggregation, found) for name, found in parts.items()}


def _compared(
    user: str, name: str, metric: Metric, raw: tuple[int, int] | None, kept: tuple[int, int] | None, differs: str
) -> Compared:
    raw_events, raw_figure = raw or (0, 0)
    events, figure = kept or (0, 0)
    agrees = (raw_events, raw_figure) == (events, figure)
    return Compared(
        user=user,
        metric=name,
        unit=metric.unit,
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


def list_rejected(app: App, given: ListRejected) -> list[RejectedEvent]:
    """Newest first."""
    with app.db.reading() as tx:
        return store.rejected(tx, given.code, given.limit)
