"""Nouns and errors of invoices."""

from __future__ import annotations

import shlex
from datetime import date, datetime
from decimal import Decimal

import msgspec

from nself.core.errors import Invalid, NotFound
from nself.core.money import Money
from nself.domains.catalog.model import Part, Rated, Version
from nself.domains.usage.model import CountedEvent


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


class InvoiceWithOverage(ShownInvoice, frozen=True, kw_only=True):
    """An invoice with its lines and the overage behind them."""

    overage: list[InvoicedOverage]


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Where a line's amount is from. `used_now` and `events_now` are today's figures of the same period, the others those
    of when the line was planned; `actor`, `reason` and `decided_at` where an operator decided it."""

    metric: str
    unit: str
    period: str
    planned_at: datetime
    used: int
    used_now: int
    limit: int
    overage: int
    model: str
    price_from: date | None
    price: str
    free: int
    parts: list[Part]
    exact: Decimal
    rounding: str
    whole_minor: int
    billed_before_minor: int
    amount_minor: int
    currency: str
    actor: str | None
    reason: str | None
    decided_at: datetime | None
    events: int | None
    events_now: int
    first_events: list[CountedEvent]

    def plain(self) -> list[str]:
        """Lines from the amount back to the events."""
        whole, before = Money(self.whole_minor, self.currency), Money(self.billed_before_minor, self.currency)
        by_hand = f"set by hand by {self.actor} at {self.decided_at:%Y-%m-%dT%H:%M:%SZ}" if self.decided_at else ""
        counted = "" if self.events is None else f" from {self.events} events"
        return [
            f"amount    {whole} for {self.period} - {before} billed before",
            f"rounding  {self.exact:f} {self.currency}, {self.rounding}: {whole}",
            *(f"part      {part}" for part in self.parts),
            *([f"free      {self.free} {self.unit} above the quota cost nothing"] if self.free else []),
            f"price     {self.model}, {f'from {self.price_from}' if self.price_from else 'at all times'}: {self.price}",
            *([f"decided   {by_hand}: {self.reason or 'no reason given'}"] if by_hand else []),
            f"quota     {self.used} used - {self.limit} included = {self.overage} {self.unit} above it",
            f"usage     {self.used} {self.unit}{counted}, as of {self.planned_at:%Y-%m-%dT%H:%M:%SZ}; "
            f"now {self.used_now} from {self.events_now}",
            *(
                f"event     {one.at:%Y-%m-%dT%H:%M:%SZ}  {one.value}  {one.key}  {one.source}"
                for one in self.first_events
            ),
            *([f"          and {left} more"] if (left := self.events_now - len(self.first_events)) > 0 else []),
        ]


class LineExplained(msgspec.Struct, frozen=True, kw_only=True):
    """A line of an invoice; `overage` is None where it was not made here from usage."""

    line: int
    description: str | None
    amount_minor: int
    currency: str
    overage: Explanation | None


class ExplainedInvoice(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `invoice explain`."""

    id: str
    user: str | None
    status: str
    currency: str
    total_minor: int
    lines: list[LineExplained]

    def plain(self) -> str:
        said = [f"{self.id} of {self.user or 'nobody'}: {Money(self.total_minor, self.currency)}, {self.status}"]
        for one in self.lines:
            said.append(f"line {one.line}: {Money(one.amount_minor, one.currency)}  {one.description or ''}".rstrip())
            why = one.overage.plain() if one.overage else ["made at Stripe, not from usage that was metered here"]
            said += [f"  {text}" for text in why]
        return "\n".join(said)


class NoSuchInvoice(NotFound):
    code, guide, param = "resource_missing", "10.2", "invoice"
    text = "No such invoice: {invoice}"
    hints = ("nself billing invoice list",)


class NoInvoiceYet(NotFound):
    code, guide, param = "no_invoice_yet", "5.4", "user"
    text = "User {user} has no invoice yet"
    hints = ("nself billing quota show-overage --user {user}", "nself billing overage audit --user {user}")


class MixedCurrencies(Invalid):
    code, guide = "mixed_currencies", "4.1"
    text = "overage-tiers.yml prices overage in several currencies ({currencies}); an invoice has one"
    hints = ("nself billing usage list-metrics",)


class PeriodNotOver(Invalid):
    code, guide, param = "period_not_over", "4.1", "period"
    text = "The period {period} ends at {end}: its usage is not complete yet"
    hints = ("nself billing invoice list",)
