"""An invoice by mail."""

from __future__ import annotations

import os

import msgspec

from nself import log
from nself.app import App
from nself.core.money import Money
from nself.domains.connection.model import Snapshot
from nself.domains.invoice.errors import MailOff, NoEmail, NotPayable
from nself.domains.invoice.inputs import Finalize, Send
from nself.domains.invoice.service import current, finish
from nself.domains.notification.model import Note
from nself.domains.notification.service import outbox

KIND = "invoice"


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
        attachment=f"invoice_pdf:{given.invoice}",
        result="queued for the mail server; once for each state of the invoice, --again sends it another time",
    )


def _note(invoice: Snapshot, email: str, again: str) -> Note:
    """For `template="invoice"` and `attach=(f"invoice_pdf:{id}",)` once notes have these fields: the data are here."""
    id, due = invoice["id"], Money(invoice["amount_remaining"], invoice["currency"])
    number, total = invoice.get("number") or id, Money(invoice["total"], invoice["currency"])
    asked = f"{due} is to be paid." if invoice["amount_remaining"] else "It is paid; nothing is to be done."
    link = invoice.get("hosted_invoice_url")
    text = f"Your invoice {number} of {total}. {asked}\n" + (f"\n{link}\n" if link else "")
    data = {
        "invoice": id,
        "number": number,
        "status": invoice["status"],
        "total": str(total),
        "amount_due": str(due),
        "total_minor": invoice["total"],
        "amount_remaining_minor": invoice["amount_remaining"],
        "currency": invoice["currency"],
        "due_at": invoice.get("due_date"),
        "url": link,
        "customer": invoice["customer"],
        "name": invoice.get("customer_name"),
    }
    once = f"invoice.sent:{id}:{invoice['status']}:{invoice['amount_remaining']}:{again}"
    return Note(kind="invoice.sent", email=email, subject=f"Invoice {number}", text=text, data=data, once=once)
