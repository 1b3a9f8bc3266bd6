"""`nself alert send`: the operators are told, whatever else fails. It never fails itself and never waits for long."""

from __future__ import annotations

from nself import log
from nself.app import App
from nself.core.errors import BillingError
from nself.domains.notification.model import ALERT, Channel, Note, Outgoing
from nself.domains.notification.service import outbox
from nself.domains.operation.inputs import SendAlert
from nself.domains.operation.model import Alert, Delivered
from nself.process import supervisor

SENDERS: dict[Channel, str] = {"mail": "mail", "webhook": "worker"}
WRITE = {"info": log.info, "warning": log.warning, "critical": log.error}
NOWHERE = (
    "only the log was told: nself env set BILLING_ALERT_WEBHOOK_URL --stdin, "
    "or BILLING_ALERT_EMAIL=ops@example.com with MAIL_ENABLED=true"
)


def send(app: App, given: SendAlert) -> Alert:
    """Through the outbox where the database and who sends from it run, else at once."""
    by = app.operator()
    WRITE[given.severity]("alert", severity=given.severity, text=given.message, by=by)
    place = f"{app.settings.text('STRIPE_MODE')} mode, {app.project.root}"
    subject = " ".join(f"[{given.severity}] {given.message}".split())
    note = Note(
        kind=ALERT,
        email=None,
        data={},
        subject=subject[:120],
        text=f"[{given.severity}] {given.message}\n{place}, by {by}",
    )
    made = outbox.alerts(app, note, app.clock())
    waits = [one for one in made if _runs(app, one)]
    told = _queue(app, waits)
    sent = [Delivered(channel="log", result="written")]
    sent += [Delivered(channel=one.channel, result=told if one in waits and told else _now(app, one)) for one in made]
    return Alert(severity=given.severity, message=given.message, sent=sent, notes=[] if made else [NOWHERE])


def _runs(app: App, one: Outgoing) -> bool:
    """Whether the database and the service that sends such messages run; nothing is started for an alert."""
    states = supervisor.states(app.project)
    own = bool(app.settings.text("DATABASE_URL"))
    return all((state := states.get(name)) and state.state == "RUNNING"
               for name in (SENDERS[one.channel], *(() if own else ("postgres",))))  # fmt: skip


def _queue(app: App, made: list[Outgoing]) -> str:
    """What is told of those that were queued; empty where the database did not take them."""
    if not made:
        return ""
    try:
        with app.db.transaction() as tx:
            outbox.queue(tx, made)
    except BillingError as error:
        log.info("alert_sent_directly", reason=error.message)
        return ""
    return "queued: it is sent within seconds, and again until it arrives (nself billing notification list)"


def _now(app: App, one: Outgoing) -> str:
    end = outbox.send_now(app, one)
    (log.info if end.state == "sent" else log.warning)("alert_delivery", channel=one.channel, answer=end.answer)
    return f"{end.state}: {end.answer}"
