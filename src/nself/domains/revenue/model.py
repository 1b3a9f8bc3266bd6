"""Nouns of revenue. Amounts are minor units; `exact` ones are fractions of them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

import msgspec

Snapshot = dict[str, Any]


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A licensed item: `amount` for `period` by its price, `net` less discounts, `monthly` the same for a month, all exact."""

    item: str
    price: str
    quantity: int
    period: str
    amount: str
    net: str
    monthly: str


class Step(NamedTuple):
    """From `at` (Unix seconds) on."""

    at: int
    parts: list[Part]


class Due(msgspec.Struct, frozen=True):
    """A changed subscription whose worth is to be worked out; `general` is its customer's discount."""

    id: int
    subscription: str
    snapshot: Snapshot
    general: Snapshot | None
    at: datetime
    seen_at: datetime


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """What moved in a month, which begins at `start`; customers are compared as they were at its beginning and at its end."""

    start: datetime
    currency: str
    new_minor: int
    expansion_minor: int
    contraction_minor: int
    churned_minor: int
    reactivated_minor: int

    @property
    def change(self) -> int:
        grown = self.new_minor + self.expansion_minor + self.reactivated_minor
        return grown + self.contraction_minor + self.churned_minor


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """What invoices that were paid in a month came to, of that for usage before tax, and what was given back in it."""

    start: datetime
    currency: str
    paid_minor: int
    usage_minor: int
    refunds_minor: int


class Guessed(msgspec.Struct, frozen=True):
    """Months from that of `start` until that of `end`, whose figures were made later from what was there then."""

    start: datetime
    end: datetime


class RevenueMonth(msgspec.Struct, frozen=True, kw_only=True):
    """`start_minor` and the five movements, of which contraction and churned are below 0, come to `mrr_minor`."""

    month: str
    currency: str
    start_minor: int
    new_minor: int
    expansion_minor: int
    contraction_minor: int
    churned_minor: int
    reactivated_minor: int
    mrr_minor: int
    paid_minor: int
    refunds_minor: int
    net_minor: int
    usage_minor: int
    estimate: bool


class Worth(msgspec.Struct, frozen=True, kw_only=True):
    """What a subscription is worth a month since `since`: the sum of its parts, `exact`, rounded once."""

    subscription: str
    currency: str
    since: datetime
    mrr_minor: int
    exact: str
    parts: list[Part]
    doubt: str | None


class WorthChange(msgspec.Struct, frozen=True, kw_only=True):
    """`seen_at` is when it was seen; `at` when it came about. `first`: what was between them is an estimate."""

    at: datetime
    subscription: str
    currency: str
    change_minor: int
    mrr_minor: int
    seen_at: datetime
    first: bool


class CustomerRevenue(msgspec.Struct, frozen=True, kw_only=True):
    """A customer's part of it: what it is made of, how it became so, and by month."""

    customer: str
    subscriptions: list[Worth]
    changes: list[WorthChange]
    months: list[RevenueMonth]
    notes: list[str]

    def remarks(self) -> list[str]:
        return self.notes
