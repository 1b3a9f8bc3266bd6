"""Where one event went: its rollup, the invoice that bills it, or why it does not count."""

from __future__ import annotations

from nself.app import App
from nself.core.errors import MissingParameter
from nself.core.period import Period
from nself.db.connect import Tx
from nself.domains.catalog import service as catalog
from nself.domains.invoice.service import assess
from nself.domains.repair import rules, store
from nself.domains.repair.inputs import ExplainEvent
from nself.domains.repair.model import (
    BilledLine,
    Explained,
    Hour,
    NoSuchEvent,
    NoSuchRejected,
    RejectedAs,
    SeveralUsers,
    StoredEvent,
)
from nself.domains.usage.model import RejectedEvent
from nself.domains.usage.service import collector

REPLAY = "nself billing usage rejected replay --event {id}"
MOST_NEAR, MOST_REASONS = 10_000, 20
ARCHIVED = "counted; the event itself is not stored any more, its key is kept so that it never counts again"


def explain(app: App, given: ExplainEvent) -> Explained:
    """Raises MissingParameter, NoSuchEvent, NoSuchRejected, SeveralUsers."""
    with app.db.snapshot() as tx:
        if given.event is not None:
            return _rejected(tx, given.event)
        if given.key is None:
            raise MissingParameter("key")
        return _stored(app, tx, given.key, given.user)


def _rejected(tx: Tx, event: int) -> Explained:
    found = store.rejected(tx, event, None, 1)
    if not found:
        raise NoSuchRejected(event=event)
    return Explained(result=f"rejected: {found[0].code}", rejected=_reasons(found))


def _reasons(found: list[RejectedEvent]) -> list[RejectedAs]:
    return [
        RejectedAs(
            id=one.id,
            code=one.code,
            message=one.message,
            event=one.event,
            source=one.source,
            rejected_at=one.rejected_at,
            mend=REPLAY.format(id=one.id),
        )
        for one in found
    ]


def _stored(app: App, tx: Tx, key: str, user: str | None) -> Explained:
    users = store.users_of_key(tx, key, user)
    events, reasons = store.events(tx, users, key), _reasons(_refused(tx, key, user))
    if len(events) > 1:
        named = [event.user for event in events]
        raise SeveralUsers(count=len(named), key=key, users=", ".join(named), first=named[0])
    if events:
        return _event(app, tx, events[0], reasons)
    if users:
        return Explained(result=ARCHIVED, user=users[0], key=key, rejected=reasons)
    if collector.holds(app, key):
        return Explained(result="buffered: on disk, counted when the database takes it", key=key, rejected=reasons)
    if not reasons:
        raise NoSuchEvent(key=key)
    return Explained(result=f"rejected: {reasons[-1].code}", key=key, rejected=reasons)


def _refused(tx: Tx, key: str, user: str | None) -> list[RejectedEvent]:
    """Refused events with this key; the text search finds more."""
    near = store.rejected_with(tx, key, rules.escaped(key), MOST_NEAR)
    return [one for one in near if rules.has_key(one.event, key, user)][:MOST_REASONS]


def _event(app: App, tx: Tx, event: StoredEvent, reasons: list[RejectedAs]) -> Explained:
    made = store.adjustments(tx, event.user, event.key)
    hour = store.hour(tx, Hour(event.user, event.metric, rules.hour(event.at)))
    metric = catalog.metrics_of(app, tx, event.at).get(event.metric)
    result = "counted"
    if made and event.counted is None:
        result = f"duplicate of {made[-1].duplicate_of}" if made[-1].kind == "duplicate" else "void"
    elif made:
        result = "counted with a corrected value"
    return Explained(
        result=result,
        user=event.user,
        metric=event.metric,
        at=event.at,
        value=event.value,
        counted=event.counted,
        unit=metric.unit if metric else None,
        key=event.key,
        source=event.source,
        recorded_at=event.recorded_at,
        hour=rules.hour(event.at),
        hour_events=hour.events,
        hour_total=int(hour.total),
        pending=hour.pending,
        adjustments=made,
        billed=_billed(app, tx, event),
        rejected=reasons,
    )


def _billed(app: App, tx: Tx, event: StoredEvent) -> list[BilledLine]:
    return [
        BilledLine(
            invoice=line.invoice,
            status=line.status,
            period=assess.month(app, line.period_start),
            used=int(line.used),
            limit=line.limit,
            amount_minor=line.amount_minor,
            currency=line.currency,
        )
        for line in assess.invoiced_lines(app, tx, event.user)
        if line.metric == event.metric and rules.holding(event.at, [Period(line.period_start, line.period_end)])
    ]
