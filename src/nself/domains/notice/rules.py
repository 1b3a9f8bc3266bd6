"""Pure: what there is to tell by hand, and when a card is about to expire."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from nself.domains.customer.model import Owner
from nself.domains.notice.model import ExpiringCard
from nself.domains.notification.model import Note

OF_INVOICE = ("payment_failed", "invoice", "receipt")
OFFERED = (*OF_INVOICE, "billing_error_apology", "payment_processing_delayed")
WITH_PDF = ("invoice", "receipt")


def name(customer: str, template: str, invoice: Mapping[str, Any] | None, today: datetime) -> str:
    """What makes a notice the same: of a failed payment, that nobody told of this attempt; without an invoice, the day."""
    if invoice is None:
        return f"{customer} {template} {today:%Y-%m-%d}"
    if template == "payment_failed":
        return f"{invoice['id']} payment_failed {invoice.get('attempt_count') or 0}"
    return f"{invoice['id']} {template}"


def expiring(today: datetime) -> tuple[tuple[int, int], tuple[int, int]]:
    """Year and month of those that expire this month and the next."""
    year, month = today.year, today.month
    return (year, month), (year + month // 12, month % 12 + 1)


def card_note(card: ExpiringCard, who: Owner) -> Note:
    """Told once a card and expiry: one that the bank prolonged is told again when that ends."""
    return Note(
        kind="payment_method.expiring",
        email=who.email,
        template="card_expiring",
        data={
            "object": "payment_method", "id": card.id, "user": who.user, "customer": card.customer,
            "subscription": card.subscription, "brand": card.brand, "last4": card.last4, "exp_month": card.exp_month,
            "exp_year": card.exp_year,
        },
        once=f"{card.id} expires {card.exp_year}-{card.exp_month:02}",
    )  # fmt: skip
