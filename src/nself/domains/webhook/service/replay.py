"""Processing again, and what came twice."""

from __future__ import annotations

import time

from nself import log
from nself.app import App
from nself.core import period
from nself.core.clock import monotonic
from nself.core.errors import BillingError, InvalidParameter
from nself.domains.webhook import rules, store
from nself.domains.webhook.errors import NoSuchEvent, NothingToReplay, OfOtherMode
from nself.domains.webhook.inputs import CheckDuplicates, DeduplicateWebhooks, ReplayWebhooks
from nself.domains.webhook.model import Deduplicated, Duplicates, ListedEvent, Repeats, Replayed
from nself.domains.webhook.service import process

PATIENCE = 20.0
"""Seconds for what a worker has in hand."""
PAUSE = 0.05
FAILED = ("failed", "failed_permanent")


def replay(app: App, given: ReplayWebhooks) -> Replayed:
    """Process events again, here, whether the worker runs or not; effects come once. Raises NoSuchEvent, OfOtherMode, NothingToReplay."""
    if bool(given.event) == bool(given.status):
        raise NothingToReplay
    statuses = FAILED if given.status == "failed" else (given.status or "",)
    since = period.since(given.since, app.clock(), app.timezone)
    ids = app.db.transact(
        lambda tx: store.replay(tx, given.event, statuses, since, app.settings.live, given.limit)
    )  # fmt: skip
    if given.event and not ids:
        raise _refusal(app, given.event)
    log.info("webhook_replay", event=given.event, status=given.status, events=len(ids), operator=app.operator())
    found = _settled(app, ids)
    counts = [one.status for one in found]
    waiting = counts.count("received")
    failed = sum(counts.count(status) for status in FAILED)
    return Replayed(
        replayed=len(found),
        processed=len(found) - waiting - failed,
        failed=failed,
        waiting=waiting,
        events=found,
        ok=not failed,
    )


def _refusal(app: App, event: str) -> BillingError:
    with app.db.reading() as tx:
        known = store.event(tx, event)
    return OfOtherMode(event=event, mode=app.settings.text("STRIPE_MODE")) if known else NoSuchEvent(event=event)


def _settled(app: App, ids: list[int]) -> list[ListedEvent]:
    """Processed here or, where a worker has the object, waited for."""
    until = monotonic() + PATIENCE
    while True:
        found = _events(app, ids)
        open_ = sorted({one.object for one in found if one.status == "received"})
        if not open_ or monotonic() > until:
            return found
        if not process.process_due(app, open_):
            time.sleep(PAUSE)


def _events(app: App, ids: list[int]) -> list[ListedEvent]:
    with app.db.reading() as tx:
        return store.events_by_id(tx, ids)


def check_duplicates(app: App, given: CheckDuplicates) -> Duplicates:
    """What came twice, and whether any of it counted twice. Raises InvalidParameter."""
    since = period.since(given.since, app.clock(), app.timezone)
    with app.db.reading() as tx:
        found, twins = store.repeats(tx, since), len(store.twins(tx, since))
    return Duplicates(
        **{name: getattr(found, name) for name in Repeats.__struct_fields__},
        since=since,
        twins=twins,
        verdict=rules.duplicates_verdict(found, twins),
    )


def deduplicate(app: App, given: DeduplicateWebhooks) -> Deduplicated:
    """Mark events that say the same as an earlier one, process those again whose mark and effects do not agree.

    Raises InvalidParameter.
    """
    if given.dry_run and given.execute:
        raise InvalidParameter("--dry-run and --execute exclude each other", "execute")
    since = period.since(given.since, app.clock(), app.timezone)
    with app.db.transaction() as tx:
        twins, odd = store.twins(tx, since), store.odd(tx, since)
        if given.execute and twins:
            store.mark_duplicates(tx, twins)
        ids = [
            id for one in odd if given.execute for id in store.replay(tx, one.event, [], since, app.settings.live, 1)
        ]
    if given.execute and (twins or odd):
        _settled(app, ids)
        names = [one.event for one in (*twins, *odd)]
        log.info("webhook_deduplicated", events=names, operator=app.operator())
    return Deduplicated(executed=given.execute, twins=len(twins), events=twins, again=[one.event for one in odd])
