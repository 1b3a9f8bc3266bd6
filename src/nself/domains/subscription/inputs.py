"""What the use cases of subscriptions take."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Status = Literal["incomplete", "incomplete_expired", "trialing", "active", "past_due", "canceled", "unpaid", "paused"]
Reason = Literal[
    "customer-service", "low-quality", "missing-features", "no-longer-needed", "other", "switching-providers", "too-complex",
    "too-expensive",
]  # fmt: skip
ID = {"positional": True, "metavar": "SUBSCRIPTION"}
Subscription = Annotated[str, Meta(description="Stripe's id.", min_length=1, max_length=255, extra=ID)]
Id = Annotated[str, Meta(description="Stripe's id; or all of them.", min_length=1, max_length=255, extra=ID)]
MaybeSubscription = Annotated[Id | None, Meta(description="Stripe's id; or all of them.")]
Of = Annotated[str, Meta(description="Stripe's id of the subscription.", min_length=1, max_length=255)]
Price = Annotated[str, Meta(description="Stripe's id of the price.", min_length=1, max_length=255)]
NewPrice = Annotated[str, Meta(description="Stripe's id of the new price.", min_length=1, max_length=255)]
Quantity = Annotated[int, Meta(description="How many.", ge=0, le=1_000_000_000)]
PaymentMethod = Annotated[
    str,
    Meta(description="What is charged (pm_…), attached to the customer.", pattern="^(pm|card|src)_[A-Za-z0-9_]+$"),
]
WhichItem = Annotated[str, Meta(description="The item (si_…), where the subscription has several.")]
TrialEnd = Annotated[
    str,
    Meta(description="When the trial ends, 2026-02-14 in BILLING_TIMEZONE or an instant; update takes `now`, too."),
]
DATE = "As of when prorations are calculated, in Unix seconds within the current period."


class ShowSubscription(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    subscription: Annotated[
        str, Meta(description="Stripe's id.", extra={"positional": True, "metavar": "SUBSCRIPTION"})
    ]
    compare_stripe: Annotated[bool, Meta(description="Against Stripe, field by field.")] = False


class ListSubscriptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    user: Annotated[str | None, Meta(description="Only this user's.")] = None
    customer: Annotated[str | None, Meta(description="Only this customer's (cus_…).")] = None
    status: Annotated[Status | None, Meta(description="Only these.")] = None
    test_mode: Annotated[bool, Meta(description="Only those of test mode, whatever STRIPE_MODE says.")] = False
    limit: Annotated[int, Meta(description="Most rows.", ge=1, le=1000)] = 100
    offset: Annotated[int, Meta(description="Rows to skip.", ge=0, le=1_000_000_000)] = 0


class CreateSubscription(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    customer: Annotated[str, Meta(description="Stripe's id of the customer.", min_length=1, max_length=255)]
    price: Price
    quantity: Quantity | None = None
    payment_method: PaymentMethod | None = None
    trial_days: Annotated[int, Meta(description="Length of the trial.", ge=0, le=730)] | None = None
    trial_end: TrialEnd | None = None
    coupon: Annotated[str, Meta(description="A coupon to apply.", min_length=1, max_length=255)] | None = None
    idempotency_key: (
        Annotated[
            str,
            Meta(
                description="The same key again gives the same subscription; without one a customer has one of a price.",
                pattern="^[!-~]{1,200}$",
            ),
        ]
        | None
    ) = None


class UpdateSubscription(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    subscription: Subscription
    price: NewPrice | None = None
    quantity: Quantity | None = None
    item: WhichItem | None = None
    payment_method: PaymentMethod | None = None
    trial_end: TrialEnd | None = None
    proration_date: Annotated[int, Meta(description=DATE, ge=0, le=253_402_300_799)] | None = None
    token: Annotated[str, Meta(description="Apply what preview-change showed under this token.")] | None = None
    at_period_end: Annotated[
        bool,
        Meta(description="Price and quantity from the next period on, nothing prorated; can be undone until then."),
    ] = False
    keep: Annotated[bool, Meta(description="Undo what --at-period-end is to change.")] = False


class CancelSubscription(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Neither `immediate` nor `at_period_end`: BILLING_CANCELLATION_MODE decides."""

    subscription: Subscription
    immediate: Annotated[bool, Meta(description="Now; access ends at once, and nothing brings it back.")] = False
    at_period_end: Annotated[bool, Meta(description="At the end of the period; until then it can be undone.")] = False
    reason: Annotated[Reason, Meta(description="Why, for Stripe's reports.")] | None = None


class ReactivateSubscription(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    subscription: Subscription


class CompleteSubscription(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    subscription: Subscription
    payment_method: PaymentMethod | None = None
    force: Annotated[bool, Meta(description="Try to pay also where Stripe waits for its next attempt.")] = False
    comp: Annotated[
        bool, Meta(description="With --force: where it cannot be paid, give the plan for free, on record.")
    ] = False
    reason: Annotated[str, Meta(description="Why it is given for free.", min_length=1, max_length=500)] | None = None


class ShowProrations(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    subscription: Subscription


class SimulateChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    subscription: Of
    new_price: NewPrice | None = None
    quantity: Quantity | None = None
    item: WhichItem | None = None
    at: (
        Annotated[str, Meta(description="As of when: 2026-01-15, an instant or Unix seconds; now if left out.")] | None
    ) = None


class PreviewChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    subscription: Of
    new_price: NewPrice | None = None
    quantity: Quantity | None = None
    item: WhichItem | None = None
    proration_date: Annotated[int, Meta(description=DATE + " Now if left out.", ge=0, le=253_402_300_799)] | None = None


class ShowConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    subscription: Subscription


class Recalculate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    subscription: Subscription
    execute: Annotated[
        bool, Meta(description="Add what is missing to the next invoice, and what is too much as credit.")
    ] = False


class PauseCollection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    subscription: MaybeSubscription = None
    all: Annotated[bool, Meta(description="Every subscription that is not ended.")] = False


class ResumeCollection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    subscription: MaybeSubscription = None
    all: Annotated[bool, Meta(description="Every subscription that is not ended.")] = False
    drafts: Annotated[bool, Meta(description="Also have Stripe collect what became due meanwhile.")] = False
