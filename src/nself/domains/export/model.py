"""Rows of exports: columns of the files. Money in minor units of the currency."""

from __future__ import annotations

from datetime import datetime

import msgspec


class Row(msgspec.Struct, frozen=True):
    id: str
    created_at: datetime
    customer: str | None
    user: str | None
    status: str | None


class Charge(Row, frozen=True):
    amount: int
    amount_refunded: int
    currency: str
    payment_intent: str | None
    invoice: str | None
    disputed: bool
    failure_code: str | None
    description: str | None


class Invoice(Row, frozen=True):
    number: str | None
    currency: str
    subtotal: int
    total: int
    amount_due: int
    amount_paid: int
    amount_remaining: int
    billing_reason: str | None
    subscription: str | None


class Subscription(Row, frozen=True):
    currency: str | None
    prices: str | None
    quantity: int | None
    current_period_end: datetime | None
    cancel_at_period_end: bool
    canceled_at: datetime | None
    trial_end: datetime | None


class Payment(Row, frozen=True):
    amount: int
    amount_received: int
    currency: str
    charge: str | None
    error_code: str | None
    description: str | None


class Refund(Row, frozen=True):
    amount: int
    currency: str
    charge: str | None
    payment_intent: str | None
    reason: str | None


class Usage(msgspec.Struct, frozen=True):
    """As it counts: what was voided or corrected is so here."""

    user: str
    metric: str
    value: int
    at: datetime
    key: str
    source: str
    recorded_at: datetime


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `export …`."""

    output: str
    rows: int
    format: str
    since: datetime
    until: datetime
