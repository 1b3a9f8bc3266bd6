"""Nouns and errors of subscriptions."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, NamedTuple

import msgspec

from nself.domains.mirror.model import Snapshot
from nself.domains.subscription.errors import NoSuchSubscription as NoSuchSubscription
from nself.domains.subscription.errors import PaymentFailed as PaymentFailed
from nself.domains.subscription.errors import RequiresAction as RequiresAction
from nself.domains.subscription.errors import Unpaid as Unpaid


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
    """Result of `subscription show`. `source` is what the row was last built from, at `synced_at`.

    `helps` are the commands that tell why it does not run, and that go on or undo.
    """

    id: str
    user: str | None
    customer: str | None
    status: str | None
    currency: str | None
    trial: Literal["none", "running", "over"]
    trial_start: datetime | None
    trial_end: datetime | None
    trial_note: str
    """Where the trial is not what was asked, or not what the price grants; else empty."""
    cancel: Literal["no", "at the end of the period", "at a time", "done"]
    cancel_at: datetime | None
    cancel_at_period_end: bool
    canceled_at: datetime | None
    cancel_reason: str | None
    cancel_note: str
    """Where it is over and still grants its plan; else empty."""
    ended_at: datetime | None
    pending_price: str | None
    pending_quantity: int | None
    pending_at: datetime | None
    collection_method: str | None
    default_payment_method: str | None
    latest_invoice: str | None
    payment_intent: str | None
    payment_intent_status: str | None
    livemode: bool
    created_at: datetime
    items: list[Item]
    helps: list[str]
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


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a subscription. `changed` is false where it was so already."""

    id: str
    user: str | None
    customer: str | None
    status: str
    changed: bool
    note: str
    items: list[Item]
    trial_end: datetime | None
    cancel_at: datetime | None
    ended_at: datetime | None
    latest_invoice: str | None
    proration_behavior: str | None = None
    proration_date: datetime | None = None


class Proration(msgspec.Struct, frozen=True, kw_only=True):
    """A line that credits or charges a part of a period, and what it should be by our own calculation."""

    at: datetime
    until: datetime
    kind: Literal["unused", "remaining"]
    price: str
    quantity: int
    amount_minor: int
    expected_minor: int | None
    currency: str
    stands: str
    arithmetic: str


class ChangeLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a simulated change."""

    kind: str
    price: str
    quantity: int
    start: datetime
    end: datetime
    amount_minor: int
    currency: str
    arithmetic: str


class Simulation(msgspec.Struct, frozen=True, kw_only=True):
    """By our own calculation. `change_minor` is what the change itself costs, `next_invoice_minor` what the renewal asks for.

    Both before tax, and `next_invoice_minor` before discounts.
    """

    subscription: str
    status: str
    billing_mode: str
    proration_behavior: str
    at: datetime
    price: str
    quantity: int
    change_minor: int
    currency: str
    billed: str
    current_period_end: datetime
    next_invoice_minor: int
    note: str
    lines: list[ChangeLine]


class ComparedLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line as we calculate it and as Stripe previews it; None where one of us has no such line."""

    kind: str
    price: str
    quantity: int | None
    start: datetime
    end: datetime
    ours_minor: int | None
    stripe_minor: int | None
    difference_minor: int
    currency: str
    reason: str


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """A change as Stripe previews it beside our own calculation. `token` applies it; until `valid_until`."""

    token: str
    valid_until: datetime
    subscription: str
    price: str
    quantity: int
    proration_behavior: str
    proration_date: datetime
    change_minor: int
    stripe_change_minor: int
    difference_minor: int
    currency: str
    reason: str
    invoice_total_minor: int
    apply: str
    lines: list[ComparedLine]


class KeptPreview(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the previews that can be applied. `state` is the subscription's when it was previewed."""

    token: str
    subscription: str
    item: str
    price: str
    quantity: int
    behavior: str
    proration_date: datetime
    state: dict[str, Any]
    made_at: datetime


class ConfigRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `subscription show-config`."""

    name: str
    value: str
    origin: str
    effect: str


class Recalculated(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `subscription recalculate`. `difference_minor` is what pending prorations should be more than they are."""

    subscription: str
    pending: int
    pending_minor: int
    expected_minor: int
    difference_minor: int
    currency: str
    executed: bool
    note: str
    lines: list[Proration]


class Collection(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `subscription pause-collection` and `resume-collection`: how many were changed, how many were so already.

    `drafts`: invoices that Stripe made while collection was paused, and does not collect.
    """

    subscriptions: int
    already: int
    invoices: int
    drafts: int
    failed: list[str]
    note: str


Failure = Literal["payment_method", "price", "customer", "permissions", "trial_used", "other"]


class Requested(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for a subscription here. `asked`: of a creation its trial, of a cancellation when; empty otherwise."""

    what: Literal["create", "update", "cancel"]
    customer: str | None = None
    subscription: str | None = None
    price: str | None = None
    asked: str = ""
    trial_end: datetime | None = None
    behavior: str | None = None
    failure: Failure | None = None
    error: str | None = None


class FailedCreation(msgspec.Struct, frozen=True, kw_only=True):
    """The newest of `count` that failed so and were not made up for."""

    customer: str
    price: str
    failure: Failure
    error: str
    made_at: datetime
    count: int


class AskedTrial(msgspec.Struct, frozen=True, kw_only=True):
    """What was last asked of a trial, counted in `zone`. `wanted` is None where none was to be there."""

    asked: str
    wanted: datetime | None
    zone: str
    at: datetime


class WantedTrial(AskedTrial, frozen=True, kw_only=True):
    """Beside it what Stripe `has`."""

    subscription: str
    customer: str
    has: datetime | None


class Young(msgspec.Struct, frozen=True, kw_only=True):
    """A subscription that may be in its trial. `asked`: what was last asked of it here, None where nothing was."""

    subscription: str
    customer: str
    price: str | None
    created_at: datetime
    trial_start: datetime | None
    trial_end: datetime | None
    status: str
    trial_used: bool
    asked: str | None


class CanceledTwice(msgspec.Struct, frozen=True, kw_only=True):
    subscription: str
    customer: str
    count: int
    ends_at: datetime | None


class ChangedBy(msgspec.Struct, frozen=True, kw_only=True):
    """A change and the behavior it was prorated by."""

    subscription: str
    price: str
    behavior: str
    at: datetime


class Withdrawn(msgspec.Struct, frozen=True, kw_only=True):
    """A change to a price that `asks` for so many minor units and is no longer sold; `sold` asks for what is `right`.

    `since`: when the change was made, or the period began, in Unix seconds.
    """

    subscription: str
    at: datetime
    price: str
    asks: str
    sold: str
    right: str
    currency: str
    since: int
