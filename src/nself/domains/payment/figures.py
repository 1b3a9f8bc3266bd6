"""Sums over an invoice's payments and credit notes, in minor units of its currency."""

from __future__ import annotations

from typing import cast

from nself.domains.mirror.model import Snapshot

KEPT = frozenset({"won", "warning_closed", "prevented"})
"""States of a dispute after which the money stays."""


def settled(invoice: Snapshot) -> int:
    """What was paid of an invoice, by charges and from the balance."""
    remaining = 0 if invoice["status"] == "paid" else invoice["amount_remaining"]
    return invoice["total"] - invoice["pre_payment_credit_notes_amount"] - remaining


def to_balance(note: Snapshot) -> int:
    """What a credit note gave back other than by refunds."""
    refunds = cast("list[Snapshot]", note.get("refunds") or [])
    return note["post_payment_amount"] - sum(one["amount_refunded"] for one in refunds)
