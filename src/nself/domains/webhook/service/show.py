"""Looking at the events that Stripe sent."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from nself.app import App
from nself.core import period
from nself.core.redact import redact
from nself.db.connect import Tx
from nself.domains.mirror import service as mirror
from nself.domains.mirror.model import ListedChange
from nself.domains.stack import service as stack
from nself.domains.stack.inputs import ShowStatus
from nself.domains.webhook import rules, store
from nself.domains.webhook.errors import NoEventsOf, NoSuchEvent
from nself.domains.webhook.facts import ShownEvent
from nself.domains.webhook.inputs import (
    ListEvents,
    ListFailures,
    ListSlow,
    ShowEvent,
    ShowIdempotency,
    ShowOrder,
    ShowQueue,
    ShowTimeline,
    ShowTiming,
    WebhookStatus,
)
from nself.domains.webhook.model import (
    Backlog,
    Failure,
    Idempotency,
    ListedEvent,
    Moment,
    Order,
    Queue,
    SlowEvent,
    Status,
    Timing,
    Undone,
)
from nself.domains.webhook.service import switches

EFFECTS = 1000
NEWEST, OF_NOW = 10, timedelta(hours=1)
"""Events by which it is told whether they are slow now."""
EVER = datetime(1970, 1, 1, tzinfo=UTC)


def events(app: App, given: ListEvents) -> list[ListedEvent]:
    """Newest first."""
    with app.db.reading() as tx:
        return store.list_events(tx, given.status, given.object, given.type, given.limit)


def show(app: App, given: ShowEvent) -> ShownEvent:
    """An event with what Stripe sent, and what became of it. Raises NoSuchEvent."""
    with app.db.reading() as tx:
        found = store.shown(tx, given.event)
        if found is None:
            raise NoSuchEvent(event=given.event)
        changes = mirror.changes(tx, found.object, EFFECTS)
    told: dict[str, Any] = msgspec.structs.asdict(found)
    told |= {"payload": rules.readable(found.payload), "error": found.error and redact(found.error)}
    return ShownEvent(**told, effects=_effects(found.event, changes))


def _effects(event: str, changes: Sequence[ListedChange]) -> list[str]:
    mine = [one for one in changes if event in one.source.split()]
    return [f"{one.kind} {one.object} {one.what}, {len(one.changes)} fields" for one in mine]


def status(app: App, given: WebhookStatus) -> Status:
    """Counts over all stored events."""
    with app.db.reading() as tx:
        return store.status(tx, app.clock())


def undone(app: App) -> Undone:
    """Events that wait or failed."""
    with app.db.reading() as tx:
        return store.undone(tx)


def failures(app: App, given: ListFailures) -> list[Failure]:
    """Refused deliveries and failed events, newest first, each with its cause."""
    with app.db.reading() as tx:
        return [rules.explained(one) for one in store.failures(tx, given.last)]


def show_order(app: App, given: ShowOrder) -> Order:
    """How the events of an object arrived. Raises NoEventsOf."""
    with app.db.reading() as tx:
        seen = store.arrivals(tx, given.object, given.limit)
        late = store.interfered(tx, EVER, given.object)
    if not seen:
        raise NoEventsOf(object=given.object)
    problems = [f"{one.event} was tried again and processed after the younger {one.younger}" for one in late]
    return rules.order(given.object, seen, [*problems, *switches.warnings(app)])


def timeline(app: App, given: ShowTimeline) -> list[Moment]:
    """An object's life: its events, and what each and every other action changed, field by field. Raises NoEventsOf."""
    with app.db.snapshot() as tx:
        seen = store.arrivals(tx, given.object, given.limit)
        changes = mirror.changes(tx, given.object, given.limit)
    if not seen and not changes:
        raise NoEventsOf(object=given.object)
    return rules.moments(seen, changes)


def timing(app: App, given: ShowTiming) -> Timing:
    """Where the time of processed events went. Raises InvalidParameter."""
    since = period.since(given.since, app.clock(), app.timezone)
    with app.db.reading() as tx:
        stages = store.timing(tx, since, given.type)
    total = next((one.events for one in stages if one.stage == "total"), 0)
    return Timing(since=since, processed=total, slowest=rules.slowest(stages), stages=stages)


def slow(app: App, given: ListSlow) -> list[SlowEvent]:
    """Those that took at least the threshold from arrival to the end, slowest first. Raises InvalidParameter."""
    now = app.clock()
    threshold, since = rules.milliseconds(given.threshold, "threshold"), period.since(given.since, now, app.timezone)
    with app.db.reading() as tx:
        return [rules.slow_cause(one) for one in store.slow(tx, threshold, since, given.limit, now)]


def queue_status(app: App, given: ShowQueue) -> Queue:
    """What waits, what is tried again, what was given up, and whether somebody works on it."""
    now = app.clock()
    with app.db.reading() as tx:
        found, worked = store.backlog(tx, now), latest(tx, now)
    (worker,) = stack.states(app, ShowStatus(services=["worker"]))
    lag = int((now - found.oldest_waiting_at).total_seconds()) if found.oldest_waiting_at else 0
    return Queue(
        **{name: getattr(found, name) for name in Backlog.__struct_fields__},
        lag_seconds=max(0, lag),
        worker=worker.state,
        verdict=rules.queue_verdict(found, lag, worker.state == "running"),
        problems=[
            *(text for text in (rules.slow_storing(worked), rules.slow_calls(worked)) if text),
            *switches.warnings(app),
        ],
    )


def latest(tx: Tx, now: datetime) -> list[SlowEvent]:
    """Step: the newest events that were worked at, slow or not."""
    return store.worked(tx, now - OF_NOW, NEWEST)


def show_idempotency(app: App, given: ShowIdempotency) -> Idempotency:
    """What became of an event, however often it came. Raises NoSuchEvent."""
    with app.db.snapshot() as tx:
        found = store.event(tx, given.event)
        if found is None:
            raise NoSuchEvent(event=given.event)
        changes = mirror.changes(tx, found.object, EFFECTS)
        twins = [one for one in store.twins(tx, found.received_at) if given.event in (one.event, one.twin_of)]
        odd = [one.unmarked for one in store.odd(tx, found.received_at) if one.event == given.event]
    off = not switches.on(app, "WEBHOOK_IDEMPOTENCY_ENABLED")
    return Idempotency(
        key=found.event,
        type=found.type,
        object=found.object,
        status=found.status,
        deliveries=found.deliveries,
        repeats_ignored=max(0, found.deliveries - 1),
        attempts=found.attempts,
        received_at=found.received_at,
        processed_at=found.processed_at,
        effects=_effects(given.event, changes),
        protection="off: each delivery is processed again (WEBHOOK_IDEMPOTENCY_ENABLED)"
        if off
        else "one row an event id",
        verdict=rules.once_verdict([one for one in twins if one.event != given.event], odd),
    )
