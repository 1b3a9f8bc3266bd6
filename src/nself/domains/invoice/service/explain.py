"""From the cent back to price, tiers, rounding, quota, usage and events."""

from __future__ import annotations

from datetime import UTC, datetime

from nself.app import App
from nself.core.errors import InvalidParameter
from nself.core.period import Period
from nself.db.connect import Tx
from nself.domains.catalog import service as catalog
from nself.domains.catalog.rating import price_text, rate
from nself.domains.connection.model import Snapshot
from nself.domains.connection.rules import items, part
from nself.domains.invoice import store
from nself.domains.invoice.inputs import ExplainInvoice
from nself.domains.invoice.model import ExplainedInvoice, ExplainedLine, Explanation, LineExplained, NoSuchInvoice
from nself.domains.invoice.service.assess import month
from nself.domains.usage.figures import unit_of
from nself.domains.usage.service import show as usage


def explain(app: App, given: ExplainInvoice) -> ExplainedInvoice:
    """Every line, or one of them. Raises NoSuchInvoice, InvalidParameter for a line that is not there."""
    with app.db.reading() as tx:
        found = store.by_id(tx, given.invoice)
        if found is None:
            raise NoSuchInvoice(invoice=given.invoice)
        lines = list(enumerate(items(store.snapshot(tx, given.invoice), "lines"), 1))
        if given.line is not None and given.line > len(lines):
            raise InvalidParameter(f"{given.invoice} has {len(lines)} lines", "line")
        planned = {_place(one.metric, one.period_start): one for one in store.explained_lines(tx, given.invoice)}
        return ExplainedInvoice(
            id=found.id,
            user=found.user,
            status=found.status,
            currency=found.currency,
            total_minor=found.total_minor,
            lines=[
                _line(app, tx, number, line, planned, given.events)
                for number, line in lines
                if given.line in (None, number)
            ],
        )


def _place(metric: str, start: datetime) -> tuple[str, int]:
    return metric, int(start.astimezone(UTC).timestamp())


def _line(
    app: App, tx: Tx, number: int, line: Snapshot, planned: dict[tuple[str, int], ExplainedLine], events: int
) -> LineExplained:
    place = part(line, "metadata").get("nself_metric", ""), part(line, "period").get("start", 0)
    one = planned.get(place)
    return LineExplained(
        line=number,
        description=line.get("description"),
        amount_minor=line["amount"],
        currency=line["currency"],
        overage=_explanation(app, tx, one, events) if one else None,
    )


def _explanation(app: App, tx: Tx, one: ExplainedLine, most: int) -> Explanation:
    rated = one.rated or rate(one.price, one.overage)
    span = Period(one.period_start, one.period_end)
    metrics = {name: found for name, found in catalog.metrics_of(app, tx, span.start).items() if name == one.metric}
    metric = metrics.get(one.metric)
    now = next(iter(usage.figures_of(app, tx, [one.user], span, metrics)), None) if metric else None
    return Explanation(
        metric=one.metric,
        unit=unit_of(metric) if metric else "",
        period=month(app, one.period_start),
        planned_at=one.planned_at,
        used=one.used,
        used_now=now.value if now else 0,
        limit=one.limit,
        overage=one.overage,
        model=one.price.model,
        price_from=one.price.start,
        price=price_text(one.price),
        free=rated.free,
        parts=rated.parts,
        exact=rated.exact,
        rounding=rated.rounding,
        whole_minor=rated.amount_minor,
        billed_before_minor=one.billed_before_minor,
        amount_minor=one.amount_minor,
        currency=rated.currency,
        actor=one.actor,
        reason=one.reason,
        decided_at=one.updated_at,
        events=one.events,
        events_now=now.events if now else 0,
        first_events=usage.first_events(tx, one.user, one.metric, span, most) if most else [],
    )
