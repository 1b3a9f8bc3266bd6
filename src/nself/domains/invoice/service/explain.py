"""From the cent back to price, tiers, rounding, quota, usage and events."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import msgspec

from nself.app import App
from nself.core.errors import InvalidParameter
from nself.core.money import Money
from nself.core.period import Period
from nself.db.connect import Tx
from nself.domains.catalog import service as catalog
from nself.domains.catalog.model import Part
from nself.domains.catalog.rating import price_text, rate
from nself.domains.connection.model import Snapshot
from nself.domains.connection.rules import items, part
from nself.domains.invoice import store
from nself.domains.invoice.errors import NoSuchInvoice
from nself.domains.invoice.inputs import ExplainInvoice
from nself.domains.invoice.model import ExplainedLine
from nself.domains.invoice.service.assess import month
from nself.domains.usage.figures import unit_of
from nself.domains.usage.model import CountedEvent
from nself.domains.usage.service import show as usage


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Where a line's amount is from. `used_now` and `events_now` are today's figures of the same period, the others those
    of when the line was planned; `actor`, `reason` and `decided_at` where an operator decided it."""

    metric: str
    unit: str
    period: str
    planned_at: datetime
    used: int
    used_now: int
    limit: int
    overage: int
    model: str
    price_from: date | None
    price: str
    free: int
    parts: list[Part]
    exact: Decimal
    rounding: str
    whole_minor: int
    billed_before_minor: int
    amount_minor: int
    currency: str
    actor: str | None
    reason: str | None
    decided_at: datetime | None
    events: int | None
    events_now: int
    first_events: list[CountedEvent]

    def plain(self) -> list[str]:
        """Lines from the amount back to the events."""
        whole, before = Money(self.whole_minor, self.currency), Money(self.billed_before_minor, self.currency)
        by_hand = f"set by hand by {self.actor} at {self.decided_at:%Y-%m-%dT%H:%M:%SZ}" if self.decided_at else ""
        counted = "" if self.events is None else f" from {self.events} events"
        return [
            f"amount    {whole} for {self.period} - {before} billed before",
            f"rounding  {self.exact:f} {self.currency}, {self.rounding}: {whole}",
            *(f"part      {part}" for part in self.parts),
            *([f"free      {self.free} {self.unit} above the quota cost nothing"] if self.free else []),
            f"price     {self.model}, {f'from {self.price_from}' if self.price_from else 'at all times'}: {self.price}",
            *([f"decided   {by_hand}: {self.reason or 'no reason given'}"] if by_hand else []),
            f"quota     {self.used} used - {self.limit} included = {self.overage} {self.unit} above it",
            f"usage     {self.used} {self.unit}{counted}, as of {self.planned_at:%Y-%m-%dT%H:%M:%SZ}; "
            f"now {self.used_now} from {self.events_now}",
            *(
                f"event     {one.at:%Y-%m-%dT%H:%M:%SZ}  {one.value}  {one.key}  {one.source}"
                for one in self.first_events
            ),
            *([f"          and {left} more"] if (left := self.events_now - len(self.first_events)) > 0 else []),
        ]


class LineExplained(msgspec.Struct, frozen=True, kw_only=True):
    """A line of an invoice; `overage` is None where it was not made here from usage."""

    line: int
    description: str | None
    amount_minor: int
    currency: str
    overage: Explanation | None


class ExplainedInvoice(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `invoice explain`."""

    id: str
    user: str | None
    status: str
    currency: str
    total_minor: int
    lines: list[LineExplained]

    def plain(self) -> str:
        said = [f"{self.id} of {self.user or 'nobody'}: {Money(self.total_minor, self.currency)}, {self.status}"]
        for one in self.lines:
            said.append(f"line {one.line}: {Money(one.amount_minor, one.currency)}  {one.description or ''}".rstrip())
            why = one.overage.plain() if one.overage else ["made at Stripe, not from usage that was metered here"]
            said += [f"  {text}" for text in why]
        return "\n".join(said)


def explain(app: App, given: ExplainInvoice) -> ExplainedInvoice:
    """Every line, or one of them. Raises NoSuchInvoice, InvalidParameter for a line that is not there."""
    with app.db.reading() as tx:
        found = store.by_id(tx, given.invoice)
        if found is None:
            raise NoSuchInvoice(invoice=given.invoice)
        lines = list(enumerate(items(store.snapshot(tx, given.invoice), "lines"), 1))
        if given.line is not None and given.line > len(lines):
            raise InvalidParameter(f"{given.invoice} has {len(lines)} lines", "line")
        planned = {
            (*_place(one.metric, one.period_start), one.amount_minor): one
            for one in store.explained_lines(tx, given.invoice)
        }
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
    app: App, tx: Tx, number: int, line: Snapshot, planned: dict[tuple[str, int, int], ExplainedLine], events: int
) -> LineExplained:
    place = part(line, "metadata").get("nself_metric", ""), part(line, "period").get("start", 0)
    one = planned.get((*place, line["amount"]))
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
