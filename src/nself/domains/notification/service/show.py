"""Mail as it is set up, what became of each message, and what templates look like."""

from __future__ import annotations

from email.utils import parseaddr
from pathlib import Path
from typing import NamedTuple

import msgspec

from nself import files
from nself.app import App
from nself.core.errors import BillingError
from nself.core.hosts import LOOPBACK
from nself.core.settings import mask
from nself.db.connect import Tx
from nself.domains.notification import rules, store
from nself.domains.notification.inputs import ListMails, OneMail, PreviewTemplate, ShowConfig
from nself.domains.notification.model import (
    BrokenTemplate,
    Content,
    Happening,
    Mail,
    MailConfig,
    MailStatus,
    NoSuchMail,
    Posted,
    Preview,
    ShownMail,
    TemplateUnusable,
    Undeliverable,
)
from nself.domains.notification.service import mail, mailbox, template
from nself.process import supervisor

SERVICE = "mail"
PROBE_SECONDS = 5.0
HOOK = "/webhooks/mail"


class Counts(NamedTuple):
    queued: int | None
    suppressed: int | None


def show_config(app: App, given: ShowConfig) -> MailConfig:
    """Also while the database is away. Raises InvalidSetting."""
    settings = app.settings
    host, user = settings.text("SMTP_HOST"), settings.text("SMTP_USER")
    connection, service, limit = _probe(app), _service(app), settings.integer("MAIL_RATE_LIMIT")
    counts, overridden = _counts(app), template.overridden(app)
    sender = settings.text("MAIL_FROM")
    back = parseaddr(settings.text("MAIL_BOUNCE_ADDRESS"))[1]
    return MailConfig(
        enabled=settings.flag("MAIL_ENABLED"),
        sender=sender or "not set",
        goes_to=f"{host}:{settings.integer('SMTP_PORT')}"
        if host
        else f"{app.project.mailbox}: nothing leaves this machine",
        security=settings.text("SMTP_SECURITY") if host else "none needed",
        login=mask_login(user) if user else "none",
        password=mask(settings.text("SMTP_PASSWORD")) or "none",
        connection=connection or "ok",
        rate_limit=f"{limit} a minute" if limit else "none",
        bounces_to=rules.verp(back, "msg_…") if "@" in back else f"{parseaddr(sender)[1] or 'nobody'}, unread by us",
        bounce_socket=f"lmtp:{mailbox.socket_path(app)}",
        webhook=HOOK,
        webhook_secret=mask(settings.text("MAIL_WEBHOOK_SECRET")) or "not set: reports are refused",
        unsubscribe_url=settings.text("MAIL_UNSUBSCRIBE_URL") or "not set: reminders have no List-Unsubscribe",
        service=service,
        queued=counts.queued,
        suppressed=counts.suppressed,
        overridden=overridden,
        problems=_problems(app, connection, service, counts, overridden),
    )


def mask_login(user: str) -> str:
    return f"{user[:2]}***"


def _probe(app: App) -> str:
    """What is wrong with the way to the mail server, by going it; nothing is sent."""
    try:
        with mail.connected(app, PROBE_SECONDS) as server:
            server.noop()
    except OSError as error:
        return mail.told(error)
    return ""


def _service(app: App) -> str:
    found = supervisor.states(app.project).get(SERVICE)
    return "running" if found and found.state == "RUNNING" else "not running"


def waiting(tx: Tx) -> int:
    """Mails that are to be sent."""
    return store.waiting(tx)


def _counts(app: App) -> Counts:
    try:
        with app.db.reading() as tx:
            return Counts(store.waiting(tx), store.count_suppressed(tx))
    except BillingError:
        return Counts(None, None)


def _problems(app: App, connection: str, service: str, counts: Counts, overridden: list[str]) -> list[str]:
    settings, found = app.settings, list[str]()
    if not settings.flag("MAIL_ENABLED"):
        found.append("MAIL_ENABLED is false, nothing is mailed: nself env set MAIL_ENABLED=true")
    if "@" not in parseaddr(settings.text("MAIL_FROM"))[1]:
        found.append("MAIL_FROM is no address: nself env set MAIL_FROM=billing@example.com")
    back = settings.text("MAIL_BOUNCE_ADDRESS")
    if back and "@" not in parseaddr(back)[1]:
        found.append("MAIL_BOUNCE_ADDRESS is no address: nself env set MAIL_BOUNCE_ADDRESS=bounces@example.com")
    host = settings.text("SMTP_HOST")
    if service == "running" and connection and not host:
        found.append(f"the local mailbox does not answer ({connection}): nself restart mail")
    if connection and host:
        found.append(
            f"{host} does not take mail ({connection}): look at SMTP_HOST, SMTP_PORT, SMTP_SECURITY, SMTP_USER, SMTP_PASSWORD"
        )
    if host and host not in LOOPBACK and settings.text("SMTP_SECURITY") == "none":
        found.append("mail and password go to SMTP_HOST in the clear: nself env set SMTP_SECURITY=starttls")
    if service != "running":
        found.append("service mail, which sends, does not run: nself start mail")
    if counts.queued is None:
        found.append("the database is away: nself db status")
    found += [f"template {one}; the shipped one is used" for one in overridden if not one.endswith(".mjml")]
    return found


def list_mails(app: App, given: ListMails) -> list[Mail]:
    """Newest first."""
    with app.db.reading() as tx:
        return [rules.listed(one) for one in store.mails(tx, given.type, given.state, given.to, given.limit)]


def status(app: App, given: OneMail) -> MailStatus:
    """Raises NoSuchMail."""
    found = _require(app, given.message)
    content = msgspec.json.decode(found.data, type=Content)
    subject, note = "", ""
    try:
        subject = mail.words(app, found.template, content)[0]
    except Undeliverable as error:
        note = str(error)
    queued = found.state == "queued"
    if queued and _service(app) != "running":
        note = "service mail, which sends, does not run: nself start mail"
    elif found.state in ("failed", "bounced"):
        note = f"nself billing email resend {found.id}"
    elif found.state == "suppressed":
        note = f"nself billing email suppressed remove {found.recipient}"
    return MailStatus(
        id=found.id,
        type=found.type,
        recipient=found.recipient,
        subject=subject,
        state=found.state,
        attempts=found.attempts,
        created_at=found.created_at,
        next_try_at=found.due_at if queued else None,
        sent_at=found.sent_at,
        answer=_last_answer(app, found.id),
        suppressed=found.suppressed,
        attachments=list(content.attach),
        stored=_stored(app, found.id),
        note=note,
    )


def _last_answer(app: App, id: str) -> str | None:
    with app.db.reading() as tx:
        return next((one.answer for one in reversed(store.happenings(tx, id)) if one.answer), None)


def track(app: App, given: OneMail) -> list[Happening]:
    """The life of a mail, oldest first. Raises NoSuchMail."""
    found = _require(app, given.message)
    with app.db.reading() as tx:
        life = store.happenings(tx, found.id)
    return [Happening(at=found.created_at, what="queued", answer=f"{found.type} for {found.recipient}"), *life]


def show(app: App, given: OneMail) -> ShownMail:
    """The words of a mail as they are now. Raises NoSuchMail."""
    found = _require(app, given.message)
    content = msgspec.json.decode(found.data, type=Content)
    subject, text, note = "", "", ""
    try:
        subject, text, _ = mail.words(app, found.template, content)
    except Undeliverable as error:
        note = str(error)
    return ShownMail(
        id=found.id,
        sender=app.settings.text("MAIL_FROM") or "not set",
        recipient=found.recipient,
        subject=subject,
        text=text,
        attachments=list(content.attach),
        stored=_stored(app, found.id),
        note=note,
    )


def _require(app: App, message: str) -> Posted:
    with app.db.reading() as tx:
        found = store.mail(tx, rules.sent_as(message))
    if found is None:
        raise NoSuchMail(message=message[:100])
    return found


def _stored(app: App, id: str) -> str | None:
    path = mailbox.stored(app, id)
    return str(path.relative_to(app.project.root)) if path else None


def preview(app: App, given: PreviewTemplate) -> Preview:
    """A template filled with sample data. Raises NoSuchTemplate, TemplateUnusable, FileNotWritten."""
    template.require(given.template)
    try:
        filled = template.render(app, given.template, template.samples()[given.template])
    except BrokenTemplate as error:
        raise TemplateUnusable(template=given.template, detail=error) from error
    if given.to:
        with files.private(Path(given.to)) as file:
            file.write(filled.html)
    return Preview(
        template=given.template,
        source=str(template.source(app, given.template)),
        subject=filled.subject,
        text=filled.text,
        html_bytes=len(filled.html.encode()),
        written=given.to,
        note=f"{filled.problem}; the shipped one is used" if filled.problem else "",
    )
