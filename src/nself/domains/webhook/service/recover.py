"""Events that never arrived: Stripe's own list of events is read, newest first, down to what was read before.

Each page is stored in one transaction with its place, so that a run that was killed goes on where it was; that all up to
a point is known is noted only when the whole window was read. Times are Stripe's: our clock decides nothing here.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import NamedTuple

import msgspec

from nself import log
from nself.app import App
from nself.db.connect import Tx
from nself.domains.webhook import store
from nself.domains.webhook.errors import UnreadableWebhook
from nself.domains.webhook.model import Delivery, Poll, Recovered
from nself.domains.webhook.service.receive import delivery
from nself.gateway.api import MAX_OBJECTS, PAGE, Snapshot
from nself.gateway.errors import NoSuchObject

JOB = "webhook_recovery"
OVERLAP = timedelta(minutes=10)
"""Read again each time: an event may come into the list a little after younger ones."""
SECOND = timedelta(seconds=1)
"""Stripe's times have whole ones."""
REACH = timedelta(days=30)
"""Stripe's list goes no further back."""


def scheduled(app: App) -> str:
    """The job. Raises the gateway's errors."""
    if not app.settings.flag("BILLING_AUTO_SYNC"):
        return "BILLING_AUTO_SYNC is false"
    if not app.settings.text("STRIPE_SECRET_KEY"):
        return "STRIPE_SECRET_KEY is not set"
    found = recover(app)
    return f"{found.read} events read, {found.missed} had not arrived"


def begin(app: App, at: datetime) -> None:
    """Events from `at` on are ours, unless a begin was set before: that of the first endpoint, or of the first look."""
    app.db.transact(lambda tx: store.begin_polls(tx, app.settings.live, at))


def recover(app: App) -> Recovered:
    """Store what Stripe lists and we do not know. Raises the gateway's errors, DatabaseUnavailable."""
    live = app.settings.live
    with app.db.transaction() as tx:
        woken, poll = store.wake(tx), store.poll(tx, live)
    if woken:
        log.warning("webhook_woken", objects=woken)
    if poll is None:
        newest = next(app.stripe.listed("events", limit=1), None)
        begin(app, _created(newest) + SECOND if newest else datetime.fromtimestamp(0, UTC))
        return Recovered(read=0, missed=0, woken=woken)
    if app.clock() - poll.seen_at > REACH and poll.seen_at.timestamp() > 0:
        log.warning(
            "webhook_list_too_short",
            seen_at=poll.seen_at,
            detail="Stripe lists 30 days; compare with: nself billing sync",
        )
    return _window(app, live, poll, woken)


class _Page(NamedTuple):
    events: list[Snapshot]
    last: bool


def _window(app: App, live: bool, poll: Poll, woken: int) -> Recovered:
    start = max(poll.began_at, poll.seen_at - OVERLAP)
    after, newest, read, missed = poll.page_after, poll.page_newest, 0, 0
    for _ in range(MAX_OBJECTS // PAGE):
        try:
            page = _page(app, after, start)
        except NoSuchObject:  # the place has fallen out of the list since: begin anew
            after = newest = None
            continue
        newest = newest or (_created(page.events[0]) if page.events else None)
        after = page.events[-1]["id"] if page.events else after
        missing = _store(app, live, page, after, newest)
        read, missed = read + len(page.events), missed + missing
        if page.last:
            break
    return Recovered(read=read, missed=missed, woken=woken)


def _page(app: App, after: str | None, start: datetime) -> _Page:
    """At most a hundred events that are not older than `start`."""
    place = {"starting_after": after} if after else {}
    listed = list(islice(app.stripe.listed("events", limit=PAGE, **place), PAGE))
    events = [event for event in listed if _created(event) >= start]
    return _Page(events, last=len(events) < PAGE)


def _store(app: App, live: bool, page: _Page, after: str | None, newest: datetime | None) -> int:
    """In one transaction with how far it was read; number of events that were missing."""
    now, known = app.clock(), {one.event_id: one for one in _readable(page.events)}

    def work(tx: Tx) -> list[str]:
        missing = store.recover(tx, [known[id] for id in sorted(known)], live, now) if known else []
        if page.last:
            store.end_window(tx, live, newest, len(missing), now)
        elif after and newest:
            store.note_page(tx, live, after, newest, len(missing), now)
        return missing

    missing = app.db.transact(work)
    for id in missing:
        one = known[id]
        log.warning(
            "webhook_missing", event=id, type=one.type, object=one.object_id, created_at=one.event_created_at,
            late_seconds=round((now - one.event_created_at).total_seconds()),
        )  # fmt: skip
    return len(missing)


def _readable(events: list[Snapshot]) -> list[Delivery]:
    found: list[Delivery] = []
    for event in events:
        try:
            found.append(delivery(msgspec.json.encode(event)))
        except UnreadableWebhook as error:
            log.error("webhook_unreadable", event=event.get("id"), error=error.message)
    return found


def _created(event: Snapshot) -> datetime:
    return datetime.fromtimestamp(event["created"], UTC)
