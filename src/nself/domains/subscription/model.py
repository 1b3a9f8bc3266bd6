"""Nouns and errors of subscriptions."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, NamedTuple

import msgspec

from nself.core.errors import NotFound
from nself.domains.mirror.model import Snapshot


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the mirror with the user behind it. `intact` is false where somebody else than us wrote it."""

    id: str
    user: str | None
    customer: str | None
    status: str | None
    deleted: bool
    snapshot: Snapshot
    source: str
    api_version: str | None
    intact: bool
    created_at: datetime
    synced_at: datetime


class Payment(msgspec.Struct, frozen=True):
    """Of a subscription's latest invoice."""

    payment_intent: str | None = None
    payment_intent_status: str | None = None


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """What is subscribed to. `amount_minor` is the price of one; None where the price has tiers or fractions."""

    id: str
    price: str
    product: str | None
    quantity: int | None
    amount_minor: int | None
    currency: str
    every: str
    current_period_start: datetime | None
    current_period_end: datetime | None


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `subscription list`."""

    id: str
    user: str | None
    customer: str | None
    status: str | None
    items: int
    current_period_end: datetime | None
    trial_end: datetime | None
    cancel_at: datetime | None
    created_at: datetime


class ShownSubscription(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `subscription show`. `source` is what the row was last built from, at `synced_at`."""

    id: str
    user: str | None
    customer: str | None
    status: str | None
    currency: str | None
    trial: Literal["none", "running", "over"]
    trial_start: datetime | None
    trial_end: datetime | None
    cancel: Literal["no", "at the end of the period", "at a time", "done"]
    cancel_at: datetime | None
    cancel_at_period_end: bool
    canceled_at: datetime | None
    cancel_reason: str | None
    ended_at: datetime | None
    collection_method: str | None
    default_payment_method: str | None
    latest_invoice: str | None
    payment_intent: str | None
    payment_intent_status: str | None
    livemode: bool
    created_at: datetime
    items: list[Item]
    source: str
    synced_at: datetime
    api_version: str | None
    intact: bool
    deleted: bool


class Effect(NamedTuple):
    """What is told about an object. `at` is when it came about, in seconds; `template` is empty where nobody is mailed.

    `final` is what stays true of the object; what is not may come again under another key, as a second default does.
    """

    kind: str
    key: str
    at: int
    data: dict[str, Any]
    final: bool = True
    template: str = ""


class NoSuchSubscription(NotFound):
    code, guide, param = "resource_missing", "7.2", "subscription"
    text = "No such subscription: {subscription}"
    hints = ("nself billing subscription import {subscription}", "nself billing subscription list")
