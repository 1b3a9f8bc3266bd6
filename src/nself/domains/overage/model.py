"""Results of looking at overage and of deciding about it."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

import msgspec

from nself.domains.catalog.model import Part
from nself.domains.invoice.model import InvoicedLine


class ShownOverage(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `quota show-overage`: `amount_minor` is the price of the whole overage."""

    metric: str
    period: str
    mode: str
    used: int
    limit: int
    overage: int
    model: str
    price_from: date | None
    amount_minor: int
    invoiced_minor: int
    currency: str
    parts: list[Part]
    note: str


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """A usage against a quota, and what is above it."""

    usage: int
    quota: int
    overage: int
    exact: Decimal
    amount_minor: int
    currency: str
    parts: list[Part]


class Calculated(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `quota calculate-overage`: `calculated` from what was given, `actual` from the user's usage and quota."""

    user: str
    metric: str
    period: str
    model: str
    price: str
    price_from: date | None
    calculated: Figures
    actual: Figures
    difference_minor: int
    currency: str
    note: str


class AuditedOverage(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `overage audit`: what is due, what was invoiced where, and why they differ."""

    period: str
    metric: str
    mode: str
    used: int
    limit: int
    overage: int
    due_minor: int
    invoiced_minor: int
    difference_minor: int
    currency: str
    parts: list[Part]
    invoiced: list[InvoicedLine]
    reason: str


class RecalculatedOverage(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `overage recalculate`: what would be billed without it, and what the events say."""

    period: str
    metric: str
    state: str
    used_before: int
    used_after: int
    before_minor: int
    after_minor: int
    currency: str
    note: str


class UpdatedOverage(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `overage update`; the difference is what the next invoice bills."""

    user: str
    metric: str
    period: str
    usage: int
    quota: int
    overage: int
    rate: Decimal
    before_minor: int
    after_minor: int
    invoiced_minor: int
    difference_minor: int
    currency: str
    parts: list[Part]
    effect: str
    reason: str | None
    actor: str
    updated_at: datetime
