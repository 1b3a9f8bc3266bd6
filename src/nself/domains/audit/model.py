"""Nouns of audits."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec


class Suspicion(msgspec.Struct, frozen=True):
    """A customer that a rule found, as a query gives it. `evidence` are ids and figures, in the words of the rule."""

    customer: str
    user: str | None
    detail: str
    seen_at: datetime | None


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `customers audit`. `mend` is a command."""

    rule: str
    customer: str
    user: str | None
    detail: str
    seen_at: datetime | None
    mend: str


# ---- Charges ----

Status = Literal["suspicious", "review", "refunded", "disputed"]


class Charge(msgspec.Struct, frozen=True, kw_only=True):
    """A paid charge. Amounts in minor units; `due` is what its invoice asks for, `overage` the part of that for usage above quotas.

    `ordered`: a command of ours made it. `credited`: what went to the balance with credit notes for its invoice.
    """

    id: str
    customer: str | None
    user: str | None
    payment_intent: str | None
    amount: int
    refunded: int
    currency: str
    disputed: bool
    created_at: datetime
    invoice: str | None
    due: int | None
    overage: int
    ordered: bool
    credited: int = 0


class Suspect(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `audit charges`: what `refund batch` and `notify-customers` read.

    `amount` is what was charged too much and was not given back, 0 where a person has to decide (`review`); `refunded` is
    what of it was given back.
    """

    customer: str | None
    charge: str
    payment_intent: str | None
    invoice: str | None
    amount: int
    currency: str
    reason: str
    evidence: str
    user: str | None
    status: Status
    charged_at: datetime
    refunded: int


class AuditedCharges(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `audit charges` with a file. What was too much for certain: `open` is to be given back, `refunded` was."""

    output: str
    rows: int
    open: list[str]
    refunded: list[str]
    note: str


# ---- Movements ----

Cause = Literal["ours", "stripe", "unknown"]


class Made(msgspec.Struct, frozen=True):
    """What a wish of ours made or changed. `by` is the command and who gave it, where that was recorded."""

    object: str
    by: str | None
    operation: str
    at: datetime


class Paid(msgspec.Struct, frozen=True):
    """The invoice that a payment intent paid, with its subscription. `subscribed_at`: when that was made."""

    payment_intent: str
    invoice: str
    reason: str | None
    invoiced_at: datetime
    subscription: str | None
    subscribed_at: datetime | None


class Movement(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `audit transactions`."""

    at: datetime
    kind: str
    id: str
    cause: Cause
    by: str
    customer: str | None
    user: str | None
    amount: int | None
    currency: str | None
    status: str | None
    refunded: int | None


class AuditedTransactions(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `audit transactions`; `strangers` are the first of those that nobody we know caused.

    Of their charges `strangers_open` was not given back, `strangers_refunded` was.
    """

    since: datetime
    until: datetime
    movements: int
    ours: int
    stripe: int
    unknown: int
    strangers_open: list[str]
    strangers_refunded: list[str]
    not_read: list[str]
    output: str | None
    note: str
    strangers: list[Movement]
