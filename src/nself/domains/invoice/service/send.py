"""An invoice by mail."""

from __future__ import annotations

import os

import msgspec

from nself import log
from nself.app import App
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
    """Mail the invoice to its customer, once for each state it is in; a draft is finalised first, as Stripe does.

    Raises MailOff, NoEmail, NotPayable where it is void, and what `finish.finalize` raises.
    """
    found = current.refresh(app, given.invoice)
    email = found.get("customer_email")
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
    note = _note(found, email, again)
    app.db.transact(lambda tx: outbox.post(app, tx, [note], app.clock()))
    log.info("invoice_sent", invoice=given.invoice, status=found["status"])
    return Sent(
        id=given.invoice,
        email=email,
        status=found["status"],
        attachment=f"{PDF}:{given.invoice}",
        result="queued for the mail server; once for each state of the invoice, --again sends it another time",
    )


def _note(invoice: Snapshot, email: str, again: str) -> Note:
    id, paid = invoice["id"], invoice["status"] == "paid"
    due = invoice["amount_paid"] if paid else invoice["amount_remaining"]
    return Note(
        kind="invoice.sent",
        email=email,
        template="receipt" if paid else "invoice",
        data=invoice_data(invoice) | {"amount_due": due, "customer_name": invoice.get("customer_name")},
        attach=(f"{PDF}:{id}",),
        once=f"invoice.sent:{id}:{invoice['status']}:{invoice['amount_remaining']}:{again}",
    )
