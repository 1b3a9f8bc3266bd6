"""Nouns and errors of invoices."""

from __future__ import annotations

import shlex
from datetime import datetime
from typing import Any

import msgspec

from nself.core.money import Money
from nself.domains.catalog.model import Part, Rated, Version
from nself.domains.invoice.errors import MixedCurrencies as MixedCurrencies
from nself.domains.invoice.errors import NoInvoiceYet as NoInvoiceYet
from nself.domains.invoice.errors import NoSuchInvoice as NoSuchInvoice
from nself.domains.invoice.errors import PeriodNotOver as PeriodNotOver


class Override(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator decided a metric's overage of a period to be; `lines` of invoices have billed it so far."""

    id: int
    user: str
    metric: str
    period_start: datetime
    period_end: datetime
    used: int
    limit: int
    price: Version
    reason: str | None
    actor: str
    updated_at: datetime
    billed_minor: int
    lines: int


class Billed(msgspec.Struct, frozen=True, kw_only=True):
    """What was billed so far to a user for a metric's overage of a period; the rest is of the newest line.

    `price` is the one that the period was rated with, and stays.
    """

    user: str
    metric: str
    amount_minor: int
    used: int
    limit: int
    price: Version


class Overage(msgspec.Struct, frozen=True, kw_only=True):
    """A metric's usage of one user in a period, against the quota. `rated` is None where nothing is charged, `why` says so."""

    user: str
    metric: str
    unit: str
    period_start: datetime
    period_end: datetime
    mode: str
    used: int
    limit: int
    units: int
    events: int
    price: Version | None
    rated: Rated | None
    why: str
    billed: Billed | None
    override: Override | None

    @property
    def due_minor(self) -> int:
        return self.rated.amount_minor if self.rated else 0

    @property
    def billed_minor(self) -> int:
        return self.billed.amount_minor if self.billed else 0


class PlannedLine(msgspec.Struct, frozen=True, kw_only=True):
    """What is billed for one metric's overage of a period: its price less what was billed before; below 0 is a credit.

    `line` names it in its plan; `events` are those that were counted; `rated` is the price of the whole overage.
    """

    line: str
    metric: str
    period_start: datetime
    period_end: datetime
    used: int
    limit: int
    overage: int
    events: int
    price: Version
    rated: Rated
    override: int | None
    billed_before_minor: int
    amount_minor: int
    description: str


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """An invoice that was decided on. `invoice` is the draft that takes the lines where they are no invoice of their own.

    `minimum` is what the minimum charge asks for, `{"least": minor units, "mode"}`.
    """

    user: str
    customer: str
    period_start: datetime
    period_end: datetime
    revision: int
    operation: str
    currency: str
    total_minor: int
    lines: list[PlannedLine]
    minimum: dict[str, Any] | None = None
    tax: dict[str, Any] = {}
    invoice: str | None = None


class PlanOfInvoice(msgspec.Struct, frozen=True):
    invoice: str
    user: str
    customer: str
    period_start: datetime
    period_end: datetime
    currency: str


class FailedStep(msgspec.Struct, frozen=True):
    """What Stripe refused for good of an invoice. `declined`: it was a payment, and the invoice still asks for it."""

    at: datetime
    operation: str
    code: str
    error: str
    invoice: str | None
    declined: bool


class HeldDraft(msgspec.Struct, frozen=True):
    """A draft with something in its way. `tax` is what Stripe's calculation says; `stuck`: it had time enough."""

    invoice: str
    customer: str
    total_minor: int
    currency: str
    lines: int
    mailed: bool
    located: bool
    tax: str
    stuck: bool


class Revision(msgspec.Struct, frozen=True):
    user_id: str
    revision: int


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator decides about a metric's overage of a period; `price` None takes earlier decisions back."""

    user: str
    metric: str
    period_start: datetime
    period_end: datetime
    used: int
    limit: int
    price: Version | None
    amount_minor: int
    before_minor: int
    currency: str
    reason: str | None
    actor: str
    updated_at: datetime


class InvoicedLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line that was decided to be billed for usage, and the state of its invoice."""

    metric: str
    period_start: datetime
    period_end: datetime
    used: int
    limit: int
    amount_minor: int
    currency: str
    invoice: str | None
    status: str
    planned_at: datetime

    def __str__(self) -> str:
        return f"{Money(self.amount_minor, self.currency)} on {self.invoice or 'an invoice'}, {self.status}"


class ExplainedLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line as it was planned; `rated` and `events` are None in old ones, the last three where nobody decided by hand."""

    user: str
    metric: str
    period_start: datetime
    period_end: datetime
    used: int
    limit: int
    overage: int
    events: int | None
    price: Version
    rated: Rated | None
    billed_before_minor: int
    amount_minor: int
    planned_at: datetime
    actor: str | None
    reason: str | None
    updated_at: datetime | None


class StoredPlan(msgspec.Struct, frozen=True):
    """A plan as its first steps need it."""

    user: str
    currency: str
    invoice: str | None
    minimum: dict[str, Any] | None


class StoredLine(msgspec.Struct, frozen=True):
    line: str
    metric: str
    period_start: datetime
    period_end: datetime
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

    `queued` payments wait in the payment queue. `unpriced` metrics have no price, `not_monthly` ones a limit of another period: neither is invoiced.
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
    queued: int
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


class InvoicedOverage(msgspec.Struct, frozen=True, kw_only=True):
    """The overage behind a line of an invoice."""

    metric: str
    period: str
    used: int
    limit: int
    overage: int
    model: str
    whole_minor: int
    billed_before_minor: int
    amount_minor: int
    currency: str
    parts: list[Part]


class DetailedLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line with all that its amount follows from. `kind`: item, subscription, proration, usage, minimum."""

    id: str
    kind: str
    description: str | None
    quantity: str | None
    price: str | None
    unit_amount: str | None
    amount_minor: int
    discount_minor: int
    tax_minor: int
    currency: str
    period_start: datetime
    period_end: datetime


class LineTax(msgspec.Struct, frozen=True, kw_only=True):
    """The tax of a line by one rate; `behavior` is inclusive or exclusive."""

    line: str
    rate: str
    name: str | None
    percentage: str | None
    behavior: str
    taxable_minor: int
    amount_minor: int
    currency: str
    reason: str


class Adjusted(msgspec.Struct, frozen=True, kw_only=True):
    """What changed on an invoice here, and what made us look."""

    at: datetime
    what: str
    source: str
    fields: list[str]


class InvoiceWithOverage(ShownInvoice, frozen=True, kw_only=True):
    """An invoice with its lines and what was asked for beside them: the overage behind them, details, tax, changes."""

    overage: list[InvoicedOverage] | msgspec.UnsetType = msgspec.UNSET
    details: list[DetailedLine] | msgspec.UnsetType = msgspec.UNSET
    subtotal_minor: int | msgspec.UnsetType = msgspec.UNSET
    discount_minor: int | msgspec.UnsetType = msgspec.UNSET
    tax_minor: int | msgspec.UnsetType = msgspec.UNSET
    automatic_tax: str | msgspec.UnsetType = msgspec.UNSET
    taxes: list[LineTax] | msgspec.UnsetType = msgspec.UNSET
    tax_note: str | msgspec.UnsetType = msgspec.UNSET
    starting_balance_minor: int | msgspec.UnsetType = msgspec.UNSET
    amount_remaining_minor: int | msgspec.UnsetType = msgspec.UNSET
    attempts: int | msgspec.UnsetType = msgspec.UNSET
    due_at: datetime | msgspec.UnsetType | None = msgspec.UNSET
    metadata: dict[str, str] | msgspec.UnsetType = msgspec.UNSET
    changes: list[Adjusted] | msgspec.UnsetType = msgspec.UNSET


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """Result of a command that changed an invoice: how it stands now. `notes` tell what is to be known beside it."""

    id: str
    status: str
    total_minor: int
    amount_due_minor: int
    amount_remaining_minor: int
    currency: str
    lines: int
    result: str
    notes: list[str] = []
