"""What comes back of mails: returned messages, reports of a mail provider, people who want no more; who is mailed no more."""

from __future__ import annotations

import msgspec

from nself import log
from nself.app import App
from nself.db.connect import Tx
from nself.domains.notification import rules, store
from nself.domains.notification.inputs import ListSuppressions, MailReport, RemoveSuppression
from nself.domains.notification.model import (
    BadReport,
    NoSuchMail,
    NotSuppressed,
    Report,
    ReportUnsigned,
    Suppression,
    Taken,
    Unsuppressed,
    storable,
)
from nself.gateway import signature

MAX_REPORTS = 1000


def note(app: App, report: Report) -> bool:
    """Enter a report; false where it names no mail of ours, or another recipient than its own."""
    now = app.clock()

    def work(tx: Tx) -> str | None:
        found = store.mail(tx, report.message)
        if found is None or (report.recipient or found.recipient).lower() != found.recipient.lower():
            return None
        if report.event != "bounced" or store.undelivered(tx, found.id, report.answer):
            store.note(tx, found.id, report.event, report.answer, now)
        if report.event == "complained" or (report.event == "bounced" and report.permanent):
            store.suppress(tx, found.recipient, report.event, report.answer, found.id, now)
        return found.type

    type = app.db.transact(work)
    if type is None:
        log.warning("mail_report_unknown", id=report.message[:100], event=report.event)
        return False
    log.info(
        f"mail_{report.event}",
        id=report.message,
        type=type,
        answer=storable(report.answer),
        permanent=report.permanent,
    )
    return True


def receive(app: App, body: bytes, header: str | None) -> Taken:
    """A provider's report, or several, signed like webhooks of our own. Raises ReportUnsigned, BadReport."""
    tolerance = app.settings.seconds("BILLING_WEBHOOK_SIGNATURE_TOLERANCE")
    try:
        signature.verify(body, header, app.settings.secrets("MAIL_WEBHOOK_SECRET"), app.clock(), tolerance)
    except signature.InvalidSignature as error:
        log.warning("mail_report_refused", reason=error.reason)
        raise ReportUnsigned() from error
    try:
        given = msgspec.json.decode(body if body.lstrip().startswith(b"[") else b"[%b]" % body, type=list[MailReport])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadReport(detail=error) from error
    if not given:
        raise BadReport(detail="it is empty")
    if len(given) > MAX_REPORTS:
        raise BadReport(detail=f"{MAX_REPORTS} at once are the most")
    known = sum(note(app, _report(one)) for one in given)
    return Taken(taken=known, unknown=len(given) - known)


def _report(one: MailReport) -> Report:
    return Report(rules.sent_as(one.message), one.recipient, one.event, one.answer or one.event, one.permanent)


def unsubscribe(app: App, message: str) -> None:
    """Whoever got this mail gets no more reminders: its id was told to nobody else. Raises NoSuchMail."""
    now = app.clock()

    def work(tx: Tx) -> None:
        found = store.mail(tx, rules.sent_as(message))
        if found is None:
            raise NoSuchMail(message=message[:100])
        store.suppress(tx, found.recipient, "unsubscribed", "by the link in a mail", found.id, now)
        store.note(tx, found.id, "unsubscribed", None, now)

    app.db.transact(work)
    log.info("mail_unsubscribed", id=message)


def list_suppressions(app: App, given: ListSuppressions) -> list[Suppression]:
    """Newest first."""
    with app.db.reading() as tx:
        return store.suppressions(tx, given.limit)


def remove_suppression(app: App, given: RemoveSuppression) -> Unsuppressed:
    """Raises NotSuppressed."""
    if not app.db.transact(lambda tx: store.unsuppress(tx, given.address)):
        raise NotSuppressed(address=given.address[:320])
    log.info("mail_unsuppressed")
    return Unsuppressed(address=given.address, result="is mailed again")
