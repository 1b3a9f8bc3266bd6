"""Nouns and errors of what customers are told by hand, and of their cards."""

from __future__ import annotations

from datetime import datetime

import msgspec

from nself.core.errors import Conflict, Invalid, NotFound
from nself.domains.mirror.model import Snapshot


class Notified(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `customer notify`. `sent_before`: the same was mailed at `created_at`, nothing was added."""

    customer: str
    template: str
    message: str
    recipient: str
    invoice: str | None
    sent_before: bool
    state: str
    created_at: datetime
    note: str


class LastInvoice(msgspec.Struct, frozen=True):
    id: str
    snapshot: Snapshot


class ExpiringCard(msgspec.Struct, frozen=True):
    """A card that a living subscription is charged to."""

    id: str
    customer: str
    subscription: str
    brand: str
    last4: str
    exp_month: int
    exp_year: int


class NoAddress(Invalid):
    code, guide, param = "customer_without_email", "4.5", "customer"
    text = "Customer {customer} has no email address"
    hints = ("nself billing customer update {customer} --email user@example.com",)


class NoInvoiceToTell(NotFound):
    code, guide, param = "no_invoice_to_tell", "4.5", "customer"
    text = "Customer {customer} has no invoice for template {template}"
    hints = ("nself billing invoice list",)


class MailDisabled(Conflict):
    code, guide = "mail_disabled", "4.5"
    text = "MAIL_ENABLED is false: nothing is mailed"
    hints = ("nself env set MAIL_ENABLED=true", "nself billing email show-config")
