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


class Addressee(msgspec.Struct, frozen=True, kw_only=True):
    """A customer who is to be told. `refunds`: minor units by currency that are given back, where a file says so."""

    customer: str
    refunds: dict[str, int] = {}


class NotifiedMany(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `notify-customers`: numbers of customers, and of mails by what becomes of them."""

    template: str
    incident: str | None
    customers: int
    without_address: int
    suppressed: int
    told_before: int
    queued: int
    executed: bool
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


class BadCustomers(Invalid):
    code, param = "customers_file_invalid", "customers"
    text = "{path} cannot be used: {detail}"
    hints = ("nself billing audit charges --since 24h --status suspicious --output affected.csv",)


class NoAddressees(Invalid):
    code, param = "parameter_missing", "customers"
    text = "Give a file of customers or all_active, one of the two"
    hints = (
        "nself billing notify-customers --template billing_error_apology --customers affected.csv",
        "nself billing notify-customers --template payment_processing_delayed --all-active",
    )
