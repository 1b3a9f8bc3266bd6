"""What is told is a row in the transaction of what happened, and sent afterwards until it arrives: at least once.

A process that is killed between sending and noting it sends again, under the same id: the Message-ID of a mail, the `id`
of an event. Receivers tell a repetition by it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import msgspec

from nself import log
from nself.app import App
from nself.core.errors import BillingError
from nself.db.connect import Tx
from nself.domains.notification import rules, store
from nself.domains.notification.inputs import ListNotifications, RetryNotification
from nself.domains.notification.model import (
    Channel,
    Content,
    NoSuchNotification,
    Note,
    Notification,
    Outgoing,
    Retried,
    Undeliverable,
)

CLAIM = 10
LEASE = timedelta(minutes=10)
"""Longer than CLAIM messages may take, each at most 30 s."""
MAX_ERROR = 500


def listened(app: App) -> bool:
    """Whether anything is told at all."""
    return app.settings.flag("MAIL_ENABLED") or bool(app.settings.text("NOTIFY_WEBHOOK_URL"))


def post(app: App, tx: Tx, notes: Sequence[Note], now: datetime) -> None:
    """Step: have `notes` told by mail where MAIL_ENABLED, and to NOTIFY_WEBHOOK_URL where that is set.

    A note whose `once` was told before is passed over.
    """
    live, made = app.settings.live, list[Outgoing]()
    by_mail, by_hook = app.settings.flag("MAIL_ENABLED"), bool(app.settings.text("NOTIFY_WEBHOOK_URL"))

    def add(note: Note, channel: Channel, prefix: str, recipient: str) -> None:
        content = Content(subject=note.subject, text=note.text, data=note.data)
        made.append(
            Outgoing(
                id=f"{prefix}_{os.urandom(12).hex()}",
                kind=note.kind,
                channel=channel,
                recipient=recipient,
                livemode=live,
                data=msgspec.json.encode(content).decode(),
                created_at=now,
                once=note.once,
            )
        )

    for note in notes:
        if by_mail and note.email:
            add(note, "mail", "msg", note.email)
        if by_hook:
            add(note, "webhook", "evt", "")
    if made:
        store.add(tx, made)


def send_due(app: App) -> int:
    """Send some of what is due; number of those claimed."""
    now = app.clock()
    with app.db.transaction() as tx:
        claimed = store.claim(tx, now, now + LEASE, CLAIM)
    for one in claimed:
        _send(app, one)
    return len(claimed)


def _send(app: App, one: Outgoing) -> None:
    error, final = None, False
    try:
        _sender(one.channel)(app, one)
    except Undeliverable as problem:
        error, final = str(problem), True
    except (OSError, BillingError) as problem:  # smtplib's and urllib3's are of both kinds
        error = str(problem) or type(problem).__name__
    now = app.clock()
    final = final or one.attempts >= rules.MAX_ATTEMPTS
    state = "sent" if error is None else "failed" if final else "queued"
    due = now + rules.pause(one.attempts) if state == "queued" else now
    app.db.transact(lambda tx: store.finish(tx, one, state, due, error and error[:MAX_ERROR], now))
    fields = {"id": one.id, "kind": one.kind, "channel": one.channel, "attempts": one.attempts}
    if error is None:
        log.info("notification_sent", **fields)
    else:
        log.warning("notification_failed", **fields, state=state, error=error[:MAX_ERROR])


def _sender(channel: Channel) -> Callable[[App, Outgoing], None]:
    """Loaded where something is sent: who decides about a quota needs no SMTP."""
    from nself.domains.notification.service import hook, mail

    return mail.send if channel == "mail" else hook.send


def list_notifications(app: App, given: ListNotifications) -> list[Notification]:
    """Newest first."""
    with app.db.reading() as tx:
        return store.list_notifications(tx, given.state, given.channel, given.limit)


def retry(app: App, given: RetryNotification) -> Retried:
    """Also one that arrived. Raises NoSuchNotification."""
    now = app.clock()
    if not app.db.transact(lambda tx: store.requeue(tx, given.id, now)):
        raise NoSuchNotification(id=given.id[:100])
    return Retried(id=given.id, result="queued: the worker sends it")
