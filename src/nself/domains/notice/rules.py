"""Pure: what there is to tell by hand, and when a card is about to expire."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from nself.domains.customer.model import Owner
from nself.domains.notice.model import Addressee, BadCustomers, ExpiringCard
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


MAX_ROWS = 10_000


def addressees(path: str, text: str) -> list[Addressee]:
    """The customers of a file, each once, with the sum of its amounts. Raises BadCustomers with all that is wrong."""
    reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    sums, wrong = dict[str, dict[str, int]](), list[str]()
    try:
        if "customer" not in (reader.fieldnames or ()):
            raise BadCustomers(path=path, detail="the header must name customer")
        for row in reader:
            _add(row, reader.line_num, sums, wrong)
    except csv.Error as error:
        raise BadCustomers(path=path, detail=f"not CSV: {error} in line {reader.line_num}") from None
    if len(sums) > MAX_ROWS:
        raise BadCustomers(path=path, detail=f"{len(sums)} customers; at most {MAX_ROWS} are taken")
    if wrong:
        raise BadCustomers(path=path, detail="; ".join(wrong[:20]))
    return [Addressee(customer=customer, refunds=refunds) for customer, refunds in sums.items()]


def _add(row: Mapping[str, str | None], line: int, sums: dict[str, dict[str, int]], wrong: list[str]) -> None:
    customer, amount = (row.get("customer") or "").strip(), (row.get("amount") or "").strip()
    currency = (row.get("currency") or "").strip().lower()
    if not re.fullmatch(r"cus_[A-Za-z0-9_]{1,251}", customer):
        wrong.append(f"row {line}: {customer[:40] or 'nothing'} is no customer")
    elif amount and not re.fullmatch(r"\d{1,12}", amount, re.ASCII):
        wrong.append(f"row {line}: {amount[:40]} is no amount in minor units")
    elif amount and int(amount) and not re.fullmatch(r"[a-z]{3}", currency):
        wrong.append(f"row {line}: amount without a currency")
    else:
        found = sums.setdefault(customer, {})
        if amount and int(amount):
            found[currency] = found.get(currency, 0) + int(amount)


def mass_note(one: Addressee, who: Owner, template: str, scope: str) -> Note:
    """Once an address: `scope` is an incident, or a day. The amount is told where there is one sum."""
    data: dict[str, Any] = {"user": who.user, "customer": one.customer}
    if len(one.refunds) == 1:
        ((data["currency"], data["amount"]),) = one.refunds.items()
    email = who.email or ""
    return Note(
        kind=template, email=email, template=template, data=data, once=f"{scope} {template} {email.lower()}", mail_only=True
    )  # fmt: skip
