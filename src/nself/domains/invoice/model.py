"""Nouns and errors of invoices."""

from __future__ import annotations

import shlex
from datetime import datetime
from decimal import Decimal

import msgspec

from nself.core.errors import Invalid, NotFound
from nself.core.money import Money


class PlannedLine(msgspec.Struct, frozen=True, kw_only=True):
    """What is billed for one metric: `amount_minor` is the overage's price less what was billed before."""

    metric: str
    used: int
    limit: int
    overage: int
    rate: Decimal
    per: int
    billed_before_minor: int
    amount_minor: int
    description: str


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """An invoice that was decided on."""

    user: str
    customer: str
    period_start: datetime
    period_end: datetime
    revision: int
    operation: str
    currency: str
    total_minor: int
    lines: list[PlannedLine]


class Billed(msgspec.Struct, frozen=True):
    """What was billed so far to a user for a period, by metric; `revision` is the newest of all metrics."""

    user: str
    metric: str
    amount_minor: int
    revision: int


class StoredPlan(msgspec.Struct, frozen=True):
    """A plan as its first steps need it."""

    user: str
    period_start: datetime
    period_end: datetime
    currency: str
    invoice: str | None


class StoredLine(msgspec.Struct, frozen=True):
    metric: str
    amount_minor: int
    description: str


class Invoice(msgspec.Struct, frozen=True):
    """A mirrored invoice of Stripe."""

    id: str
    number: str | None
    user: str | None
    customer: str
    status: str
    currency: str
    total_minor: int
    amount_due_minor: int
    amount_paid_minor: int
    livemode: bool
    created_at: datetime
    synced_at: datetime


class InvoiceLine(msgspec.Struct, frozen=True, kw_only=True):
    description: str | None
    amount_minor: int
    currency: str


class ShownInvoice(Invoice, frozen=True, kw_only=True):
    """An invoice with its lines."""

    lines: list[InvoiceLine]


class Generated(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `invoice generate`; `planned`, `total_minor` and the states are of the invoices of this period.

    `unpriced` metrics have no price, `not_monthly` ones a limit of another period: neither is invoiced.
    """

    period: str
    users_with_usage: int
    users_over_quota: int
    planned_now: int
    planned_now_minor: int
    invoices: int
    total_minor: int
    currency: str
    paid: int
    unpaid: int
    failed: int
    without_customer: int
    unbilled_minor: int
    example_without_customer: str | None
    unpriced: list[str]
    not_monthly: list[str]
    errors: list[str]

    def remarks(self) -> list[str]:
        """What an operator must not overlook."""
        found: list[str] = []
        if self.without_customer:
            money = Money(self.unbilled_minor, self.currency)
            user = shlex.quote(self.example_without_customer or "")
            found.append(f"{money} of {self.without_customer} users is not billed, they have no customer at Stripe:")
            found.append(f"nself billing customer create --user {user} --email user@example.com")
        if self.failed:
            found.append(f"{self.failed} invoices stopped on their way: nself billing stripe intents --state failed")
        return found


class Summary(msgspec.Struct, frozen=True):
    """All invoices that were planned for a period."""

    invoices: int
    total_minor: int
    paid: int


class NoSuchInvoice(NotFound):
    code, guide, param = "resource_missing", "10.2", "invoice"
    text = "No such invoice: {invoice}"
    hints = ("nself billing invoice list",)


class MixedCurrencies(Invalid):
    code, guide = "mixed_currencies", "4.1"
    text = "overage-tiers.yml prices overage in several currencies ({currencies}); an invoice has one"
    hints = ("nself billing usage list-metrics",)


class PeriodNotOver(Invalid):
    code, guide, param = "period_not_over", "4.1", "period"
    text = "The period {period} ends at {end}: its usage is not complete yet"
    hints = ("nself billing invoice list",)
