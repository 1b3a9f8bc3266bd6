"""What is told is a row in the transaction of what happened, and sent afterwards until it arrives: at least once.

A process that is killed between sending and noting it sends again, under the same id: the Message-ID of a mail, the `id`
of an event. Receivers tell a repetition by it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from nself import log
from nself.app import App
from nself.core import acting
from nself.core.clock import monotonic
from nself.core.entrypoint import Attachment
from nself.core.errors import BillingError
from nself.db.connect import Tx
from nself.domains.notification import rules, store
from nself.domains.notification.inputs import ListNotifications, RetryNotification
from nself.domains.notification.model import (
    Bounced,
    Channel,
    Content,
    End,
    NoSuchNotification,
    Note,
    Notification,
    Outgoing,
    Posted,
    Retried,
    SuppressedRecipient,
    Undeliverable,
    storable,
)
from nself.measure import measures

CLAIM = 10
LEASE, LONGEST = timedelta(minutes=10), timedelta(minutes=5)
"""Of the claimed, and how long one may take: a server may wait half a minute before each of its answers."""


def listened(app: App) -> bool:
    """Whether anything is told at all."""
    return app.settings.flag("MAIL_ENABLED") or bool(app.settings.text("NOTIFY_WEBHOOK_URL"))


def can_attach(app: App, kind: str) -> bool:
    """Whether a reference `{kind}:{id}` may be given to `Note.attach`."""
    return any(row.kind == kind for row in app.registry.rows(Attachment))


def new_id() -> str:
    return f"msg_{os.urandom(12).hex()}"


def post(app: App, tx: Tx, notes: Sequence[Note], now: datetime) -> None:
    """Step: have `notes` told by mail where MAIL_ENABLED, and to NOTIFY_WEBHOOK_URL where that is set.

    A note whose `once` was told before is passed over.
    """
    made = list[Outgoing]()
    by_mail, by_hook = app.settings.flag("MAIL_ENABLED"), bool(app.settings.text("NOTIFY_WEBHOOK_URL"))
    for note in notes:
        if by_mail and note.email:
            made.append(_outgoing(app, note, "mail", note.id or new_id(), note.email, now))
        if by_hook and not note.mail_only:
            made.append(_outgoing(app, note, "webhook", f"evt_{os.urandom(12).hex()}", "", now))
    if made:
        store.add(tx, made)


def _outgoing(app: App, note: Note, channel: Channel, id: str, recipient: str, now: datetime) -> Outgoing:
    content = Content(subject=note.subject, text=note.text, data=note.data, attach=note.attach)
    return Outgoing(
        id=id,
        kind=note.kind,
        channel=channel,
        template=note.template or None,
        recipient=recipient,
        livemode=app.settings.live,
        data=msgspec.json.encode(content).decode(),
        created_at=now,
        once=note.once,
    )


def alerts(app: App, note: Note, now: datetime) -> list[Outgoing]:
    """`note` for the operators: by mail where MAIL_ENABLED and BILLING_ALERT_EMAIL is set, and to BILLING_ALERT_WEBHOOK_URL."""
    made, settings = list[Outgoing](), app.settings
    if settings.flag("MAIL_ENABLED") and (address := settings.text("BILLING_ALERT_EMAIL")):
        made.append(_outgoing(app, note, "mail", new_id(), address, now))
    if settings.text("BILLING_ALERT_WEBHOOK_URL"):
        made.append(_outgoing(app, note, "webhook", f"evt_{os.urandom(12).hex()}", "", now))
    return made


def queue(tx: Tx, made: Sequence[Outgoing]) -> None:
    """Step: have them sent."""
    store.add(tx, made)


def send_now(app: App, one: Outgoing) -> End:
    """Without the outbox, once: what the database cannot be asked to remember."""
    from nself.domains.notification.service import hook, mail

    try:
        return End("sent", (hook.send if one.channel == "webhook" else mail.send)(app, one))
    except (OSError, BillingError, Undeliverable, Bounced) as problem:
        return End("failed", str(problem))


def mails_to(tx: Tx, address: str, since: datetime, limit: int) -> list[Posted]:
    """Step: newest first."""
    return store.mails(tx, None, None, address, limit, since)


def told(tx: Tx, once: str) -> Posted | None:
    """Step: the mail that bears this name."""
    return store.told(tx, once)


def standing(tx: Tx, names: Sequence[str]) -> set[str]:
    """Step: of these names those that a mail bears."""
    return store.standing(tx, names)


def suppressed(tx: Tx, addresses: Sequence[str]) -> set[str]:
    """Step: of these addresses, in lower case, those that bounced or complained."""
    return store.suppressed(tx, addresses)


def send_due(app: App, channel: Channel) -> int:
    """Send some of what is due; number of those claimed, none in safe mode."""
    if app.safe_mode:
        return 0
    now = app.clock()
    limit = app.settings.integer("MAIL_RATE_LIMIT") if channel == "mail" else 0

    def claim(tx: Tx) -> list[Outgoing]:
        most = CLAIM
        if limit:
            store.alone(tx)
            most = min(CLAIM, limit - store.tried_since(tx, now - rules.WINDOW))
        return store.claim(tx, channel, now, now + LEASE, most) if most > 0 else []

    claimed = app.db.transact(claim)
    for one in claimed:
        if app.clock() > now + LEASE - LONGEST:
            break  # another may take the rest once the lease is over
        _send(app, one)
    return len(claimed)


def _send(app: App, one: Outgoing) -> None:
    with acting.on(acting.new_task(one.id)):
        began = monotonic()
        end = _attempt(app, one)
        measures.observe("mail", (one.channel, "ok" if end.state == "sent" else end.state), monotonic() - began)
    if end.state == "queued" and one.attempts >= rules.MAX_ATTEMPTS:
        end = end._replace(state="failed")
    now = app.clock()
    due = now + rules.pause(one.attempts) if end.state == "queued" else now

    def work(tx: Tx) -> None:
        if store.finish(tx, one, end, due, now) and one.channel == "mail":
            store.note(tx, one.id, "delayed" if end.state == "queued" else end.state, end.answer, now)
            if end.reason:
                store.suppress(tx, one.recipient, end.reason, end.answer, one.id, now)

    app.db.transact(work)
    word = "mail" if one.channel == "mail" else "notification"
    data = msgspec.json.decode(one.data, type=Content).data
    about = {str(data["object"]): data["id"]} if {"object", "id"} <= data.keys() else {}
    fields = {"id": one.id, "type": one.type, **about, "attempts": one.attempts, "answer": storable(end.answer)}
    if end.state == "sent":
        log.info(f"{word}_sent", **fields)
    else:
        log.warning(f"{word}_failed", **fields, state=end.state)


def _attempt(app: App, one: Outgoing) -> End:
    """Modules are loaded where something is sent: who decides about a quota needs no SMTP."""
    from nself.domains.notification.service import hook, mail

    try:
        if one.channel == "webhook":
            return End("sent", hook.send(app, one))
        return _suppressed(app, one) or End("sent", mail.send(app, one))
    except Bounced as refused:
        return End("bounced", str(refused), "bounced" if refused.dead else None)
    except Undeliverable as problem:
        return End("failed", str(problem))
    except OSError as problem:  # smtplib's and urllib3's are of that kind
        return End("queued", mail.told(problem))
    except BillingError as problem:
        return End("queued", problem.message)
    except Exception as problem:  # one that nobody foresaw must not hold up the others
        log.failure("notification_failed")
        return End("queued", f"{type(problem).__name__}: {problem}")


def _suppressed(app: App, one: Outgoing) -> End | None:
    with app.db.reading() as tx:
        found = store.suppression(tx, one.recipient)
    if found is None or (found.reason == "unsubscribed" and one.type not in rules.REMINDERS):
        return None
    return End("suppressed", f"the recipient {found.reason}: {found.detail}")


def list_notifications(app: App, given: ListNotifications) -> list[Notification]:
    """Newest first."""
    with app.db.reading() as tx:
        return store.list_notifications(tx, given.state, given.channel, given.limit)


def resend(app: App, given: RetryNotification) -> Retried:
    """Also one that arrived. Raises NoSuchNotification, SuppressedRecipient."""
    now = app.clock()

    def work(tx: Tx) -> None:
        channel = store.requeue(tx, given.id, now)
        if channel is None:
            raise NoSuchNotification(id=given.id[:100])
        if channel == "mail":
            _refuse_suppressed(tx, given.id)
            store.note(tx, given.id, "resent", f"by {app.operator()}", now)

    app.db.transact(work)
    sender = "worker" if given.id.startswith("evt_") else "mail"
    return Retried(id=given.id, result=f"queued: service {sender} sends it")


def _refuse_suppressed(tx: Tx, id: str) -> None:
    found = store.mail(tx, id)
    if found and found.suppressed and (found.suppressed != "unsubscribed" or found.template in rules.REMINDERS):
        why = store.suppression(tx, found.recipient)
        detail = why.detail if why else ""
        raise SuppressedRecipient(address=found.recipient, reason=found.suppressed, detail=detail)
