"""What a customer is told by hand, once."""

from __future__ import annotations

from typing import Any

from nself.app import App
from nself.db.connect import Tx
from nself.domains.customer import service as customer
from nself.domains.customer.model import NoSuchCustomer, Owner
from nself.domains.notice import rules, store
from nself.domains.notice.inputs import NotifyCustomer
from nself.domains.notice.model import MailDisabled, NoAddress, NoInvoiceToTell, Notified
from nself.domains.notification.model import NoSuchTemplate, Note, Posted
from nself.domains.notification.service import outbox
from nself.domains.subscription.rules import invoice_data

NOBODY = Owner("", None, None, False)


def notify(app: App, given: NotifyCustomer) -> Notified:
    """Raises NoSuchTemplate, MailDisabled, NoSuchCustomer, NoAddress, NoInvoiceToTell."""
    if given.template not in rules.OFFERED:
        raise NoSuchTemplate(template=given.template[:100], known=", ".join(rules.OFFERED))
    if not app.settings.flag("MAIL_ENABLED"):
        raise MailDisabled()
    return app.db.transact(lambda tx: _notify(app, tx, given))


def _notify(app: App, tx: Tx, given: NotifyCustomer) -> Notified:
    found = customer.require_customer(tx, given.customer)
    if found.deleted or found.livemode != app.settings.live:
        raise NoSuchCustomer(customer=given.customer[:100])
    who = customer.owners(tx, [found.id]).get(found.id, NOBODY)
    email = who.email or found.email
    if not email:
        raise NoAddress(customer=found.id)
    invoice = _invoice(tx, given)
    once = rules.name(found.id, given.template, invoice, app.clock().astimezone(app.timezone))
    before = outbox.told(tx, once)
    if before and before.recipient.lower() != email.lower():  # to another address: not the same
        once = f"{once} {email.lower()}"
    note = Note(
        kind=given.template,
        email=email,
        template=given.template,
        data={**(invoice or {}), "user": who.user, "customer": found.id, "customer_name": found.name},
        attach=_attachments(app, given.template, invoice),
        once=once,
        id=outbox.new_id(),
        mail_only=True,
    )
    outbox.post(app, tx, [note], app.clock())
    posted = outbox.told(tx, once)
    assert posted
    return _notified(given, posted, invoice, posted.id != note.id)


def _invoice(tx: Tx, given: NotifyCustomer) -> dict[str, Any] | None:
    """What is told of the newest one. A payment may also have failed without one."""
    if given.template not in rules.OF_INVOICE:
        return None
    found = store.last_invoice(tx, given.customer, given.template)
    if found is None and given.template != "payment_failed":
        raise NoInvoiceToTell(customer=given.customer, template=given.template)
    return invoice_data(found.snapshot) if found else None


def _attachments(app: App, template: str, invoice: dict[str, Any] | None) -> tuple[str, ...]:
    wanted = invoice and template in rules.WITH_PDF and outbox.can_attach(app, "invoice_pdf")
    return (f"invoice_pdf:{invoice['id']}",) if invoice and wanted else ()


def _notified(given: NotifyCustomer, posted: Posted, invoice: dict[str, Any] | None, before: bool) -> Notified:
    if before:
        note = f"the same was mailed before; again: nself billing email resend {posted.id}"
    elif given.template == "payment_failed" and not invoice:
        note = "no invoice's payment failed: the mail names none"
    else:
        note = f"nself billing email track {posted.id}"
    return Notified(
        customer=given.customer,
        template=given.template,
        message=posted.id,
        recipient=posted.recipient,
        invoice=invoice["id"] if invoice else None,
        sent_before=before,
        state=posted.state,
        created_at=posted.created_at,
        note=note,
    )
