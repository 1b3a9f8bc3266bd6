"""An invoice by mail."""

from __future__ import annotations

import os

import msgspec

from nself import log
from nself.app import App
from nself.db.connect import Tx
from nself.domains.connection.model import Snapshot
from nself.domains.invoice.errors import MailOff, NoEmail, NotPayable
from nself.domains.invoice.inputs import Finalize, Send
from nself.domains.invoice.service import current, finish
from nself.domains.notification.model import Note
from nself.domains.notification.service import outbox
from nself.domains.subscription.rules import invoice_data

PDF = "invoice_pdf"


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `invoice send`."""

    id: str
    email: str
    status: str
    attachment: str
    result: str


def send(app: App, given: Send) -> Sent:
    """Mail the invoice to the address that its customer has now, once for each state it is in; a draft is finalised first.

    Raises MailOff, NoEmail, NotPayable where it is void, and what `finish.finalize` raises.
    """
    found = current.refresh(app, given.invoice)
    email = current.fetched(app, "customer", found["customer"]).get("email") or found.get("customer_email")
    if not email:
        raise NoEmail(
            invoice=given.invoice,
            customer=found["customer"],
            cause="nothing can be sent, the customer has no email address",
        )
    if not app.settings.flag("MAIL_ENABLED"):
        raise MailOff(email=email)
    if found["status"] == "draft":
        finish.finalize(app, Finalize(invoice=given.invoice))
        found = current.refresh(app, given.invoice)
    if found["status"] == "void":
        raise NotPayable(invoice=given.invoice, status="void")
    again = os.urandom(6).hex() if given.again else ""
    app.db.transact(lambda tx: _post(app, tx, found, email, again))
    log.info("invoice_sent", invoice=given.invoice, status=found["status"])
    return Sent(
        id=given.invoice,
        email=email,
        status=found["status"],
        attachment=f"{PDF}:{given.invoice}",
        result="queued for the mail server; once for each state of the invoice, --again sends it another time",
    )


def _post(app: App, tx: Tx, invoice: Snapshot, email: str, again: str) -> None:
    note = _note(invoice, email, again)
    before = outbox.told(tx, note.once or "")
    if before and before.recipient.lower() != email.lower():  # to another address: not the same
        note = _note(invoice, email, again, f" {email.lower()}")
    outbox.post(app, tx, [note], app.clock())


def _note(invoice: Snapshot, email: str, again: str, moved: str = "") -> Note:
    id, paid = invoice["id"], invoice["status"] == "paid"
    due = invoice["amount_paid"] if paid else invoice["amount_remaining"]
    return Note(
        kind="invoice.sent",
        email=email,
        template="receipt" if paid else "invoice",
        data=invoice_data(invoice) | {"amount_due": due, "customer_name": invoice.get("customer_name")},
        attach=(f"{PDF}:{id}",),
        once=f"invoice.sent:{id}:{invoice['status']}:{invoice['amount_remaining']}:{again}{moved}",
    )
