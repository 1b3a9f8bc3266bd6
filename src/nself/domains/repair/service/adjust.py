"""Taking single events out, correcting them, and finding those that say what another one says."""

from __future__ import annotations

from datetime import timedelta

from nself import log
from nself.app import App
from nself.db.connect import Tx
from nself.domains.customer import service as customer
from nself.domains.repair import rules, store
from nself.domains.repair.inputs import CorrectEvent, DeduplicateUsage, VoidEvent
from nself.domains.repair.model import (
    AdjustedEvent,
    Adjustment,
    Alike,
    Deduplicated,
    Kind,
    NoSuchEvent,
    StoredEvent,
)
from nself.domains.repair.service import steps
from nself.domains.usage.service import inspect


def void(app: App, given: VoidEvent) -> AdjustedEvent:
    """The event no longer counts. Raises NoSuchUser, NoSuchEvent, PeriodInvoiced, MissingParameter."""
    return _adjust_one(app, given, "void", None)


def correct(app: App, given: CorrectEvent) -> AdjustedEvent:
    """The event counts another value, also where it was void. Raises as `void`."""
    return _adjust_one(app, given, "correct", given.value)


def _adjust_one(app: App, given: VoidEvent | CorrectEvent, kind: Kind, value: int | None) -> AdjustedEvent:
    customer.require_user(app, given.user)

    def work(tx: Tx) -> AdjustedEvent:
        steps.lock(tx, given.user)
        event = next(iter(store.events(tx, [given.user], given.key)), None)
        if event is None:
            raise NoSuchEvent(key=given.key)

        def change() -> None:
            if event.counted != value:
                made = [Adjustment(event=event, kind=kind, value=value)]
                steps.adjust(app, tx, given.user, made, given.reason)

        changes = steps.changed(app, tx, given.user, [(event.metric, event.at)], given.invoiced, given.execute, change)
        return AdjustedEvent(
            user=event.user,
            metric=event.metric,
            at=event.at,
            key=event.key,
            recorded=event.value,
            before=event.counted,
            after=value,
            executed=given.execute,
            changes=changes,
        )

    done = steps.attempt(app, given.execute, given.reason, work)
    if done.executed and done.before != done.after:
        log.info("usage_adjusted", kind=kind, user=done.user, key=done.key, before=done.before, after=done.after)
    return done


def deduplicate(app: App, given: DeduplicateUsage) -> Deduplicated:
    """Events that repeat another one no longer count. Raises NoSuchUser, NoSuchMetric, InvalidParameter, PeriodInvoiced.

    Two events with one key never count twice; these are events that were sent twice under two keys, or without any.
    """
    inspect.require(app, given.user, given.metric)
    span, within = inspect.given_span(app, given.start, given.end), timedelta(seconds=given.within)

    def work(tx: Tx) -> Deduplicated:
        steps.lock(tx, given.user)
        pairs = list(rules.duplicates(store.alike(tx, given.user, given.metric, span, within), within))
        taken = [(event, kept) for event, kept in pairs if given.own_keys or rules.drawn(event.key)]
        made = [Adjustment(event=event, kind="duplicate", value=None, duplicate_of=kept.key) for event, kept in taken]

        def change() -> None:
            if made:
                steps.adjust(app, tx, given.user, made, given.reason)

        places = {(event.metric, event.at) for event, _ in taken}
        changes = steps.changed(app, tx, given.user, places, given.invoiced, given.execute, change)
        return Deduplicated(
            user=given.user,
            executed=given.execute,
            duplicates=[_alike(event, kept) for event, kept in taken],
            with_own_keys=len(pairs) - len(taken),
            changes=changes,
        )

    done = steps.attempt(app, given.execute, given.reason, work)
    if done.executed and done.duplicates:
        log.info("usage_deduplicated", user=given.user, events=len(done.duplicates))
    return done


def _alike(event: StoredEvent, kept: StoredEvent) -> Alike:
    return Alike(
        metric=event.metric,
        at=event.at,
        value=event.value,
        key=event.key,
        kept=kept.key,
        source=event.source,
        recorded_at=event.recorded_at,
    )
