"""What the use cases of payments take. What may be a card number is text, so that no decoder repeats it."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

# A field that may be left out says twice what it is: the HTTP document reads it outside, the decoder's limits stand inside.
CUSTOMER, USER = "Stripe's id of the customer (cus_…).", "Instead of a customer: the app's user."
METHOD, KEY = "Stripe's id of the payment method (pm_…).", "The same key and parameters again change nothing."
CURRENCY = "ISO code; else BILLING_CURRENCY."
Customer = Annotated[str, Meta(description=CUSTOMER, pattern="^cus_[A-Za-z0-9_]+$", max_length=255)]
MaybeCustomer = Annotated[Customer | None, Meta(description=CUSTOMER)]
User = Annotated[str, Meta(description=USER, max_length=255)]
MaybeUser = Annotated[User | None, Meta(description=USER)]
Method = Annotated[str, Meta(description=METHOD, pattern="^pm_[A-Za-z0-9_]+$", max_length=255)]
MaybeMethod = Annotated[Method | None, Meta(description="One of the customer's methods (pm_…) instead of the default.")]
Key = Annotated[str, Meta(description=KEY, max_length=255)]
MaybeKey = Annotated[Key | None, Meta(description=KEY)]
MaybeCurrency = Annotated[str | None, Meta(description=CURRENCY)]
Text = Annotated[str, Meta(description="For receipts and lists.", max_length=500)]
Amount = Annotated[int, Meta(description="Minor units; else all that is left.", ge=1)]
ShownMethodId = Annotated[
    str, Meta(description="Stripe's id.", extra={"positional": True, "metavar": "PAYMENT_METHOD"})
]


class CreatePaymentMethod(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    customer: Customer
    card_number: Annotated[
        str, Meta(description="One of Stripe's published test numbers; in test mode only.", extra={"secret": True})
    ]
    exp_month: Annotated[str, Meta(description="1 to 12.", extra={"secret": True})]
    exp_year: Annotated[str, Meta(description="2027 or 27.", extra={"secret": True})]
    cvc: Annotated[str, Meta(description="Three digits, four for American Express.", extra={"secret": True})]
    default: Annotated[bool, Meta(description="Charge this one from now on; the first one is so by itself.")] = False


class AttachPaymentMethod(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    payment_method: Method
    customer: MaybeCustomer = None
    user: MaybeUser = None
    default: Annotated[bool, Meta(description="Charge this one from now on; the first one is so by itself.")] = False


class ShowPaymentMethod(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    payment_method: ShownMethodId


class ListPaymentMethods(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    customer: MaybeCustomer = None
    user: MaybeUser = None
    limit: Annotated[int, Meta(description="Most rows.", ge=1, le=1000)] = 100


class DefaultPaymentMethod(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    payment_method: ShownMethodId
    customer: Customer


class RemovePaymentMethod(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    payment_method: ShownMethodId
    force: Annotated[bool, Meta(description="Also the only one of a customer with a live subscription.")] = False


class CreatePayment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    amount: Annotated[int, Meta(description="Minor units: 1000 is 10.00 USD, or 1000 JPY.", ge=1)]
    currency: MaybeCurrency = None
    customer: MaybeCustomer = None
    user: MaybeUser = None
    payment_method: MaybeMethod = None
    description: Annotated[Text | None, Meta(description="For receipts and lists.")] = None
    idempotency_key: MaybeKey = None
    confirm: Annotated[bool, Meta(description="A large amount is meant.")] = False


class ShowPaymentIntent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    payment_intent: Annotated[
        str, Meta(description="Stripe's id.", extra={"positional": True, "metavar": "PAYMENT_INTENT"})
    ]
    show_secret: Annotated[bool, Meta(description="The client secret, with which the customer can pay; logged.")] = (
        False
    )


class ListFailures(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    customer: MaybeCustomer = None
    user: MaybeUser = None
    last: Annotated[str | None, Meta(description="Only of the last 24h, 7d, ….")] = None
    limit: Annotated[int, Meta(description="Most rows.", ge=1, le=1000)] = 50


class ListTransactions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    customer: MaybeCustomer = None
    user: MaybeUser = None
    kind: Annotated[Literal["charge", "refund", "dispute"] | None, Meta(description="Only these.")] = None
    limit: Annotated[int, Meta(description="Most rows.", ge=1, le=1000)] = 50
    offset: Annotated[int, Meta(description="Rows to skip.", ge=0, le=1_000_000_000)] = 0


class CreateRefund(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    charge: Annotated[str | None, Meta(description="What to give back: a charge (ch_…),")] = None
    payment_intent: Annotated[str | None, Meta(description="or a payment intent (pi_…),")] = None
    invoice: Annotated[str | None, Meta(description="or a paid invoice (in_…).")] = None
    amount: Annotated[Amount | None, Meta(description="Minor units; else all that is left.")] = None
    reason: Annotated[
        str,
        Meta(
            description="duplicate, requested_by_customer, fraudulent (blocks card and address), or a word of your own.",
            pattern=r"^[A-Za-z0-9_.-]{1,100}$",
        ),
    ]
    idempotency_key: MaybeKey = None
    confirm: Annotated[bool, Meta(description="A large amount, or reason fraudulent, is meant.")] = False


class RefundFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    input: Annotated[
        str,
        Meta(
            description="CSV with charge, payment_intent or invoice; amount (empty: all that is left); currency.",
            extra={"metavar": "FILE"},
        ),
    ]
    reason: Annotated[
        str,
        Meta(description="As of `refund create`; part of what makes a row once.", pattern=r"^[A-Za-z0-9_.-]{1,100}$"),
    ]
    notify: Annotated[bool, Meta(description="Mail each user whose refund succeeded, once.")] = False
    execute: Annotated[bool, Meta(description="Do it. In test mode that is the default.")] = False
    dry_run: Annotated[bool, Meta(description="Only the plan, in test mode too.")] = False
    confirm: Annotated[bool, Meta(description="A large total, or reason fraudulent, is meant.")] = False
    plan: Annotated[str, Meta(description="Only if the refunds are still those of this plan.")] | None = None
    output: Annotated[
        str | None, Meta(description="Result file; else FILE with .result.csv.", extra={"metavar": "FILE"})
    ] = None


class ListRefunds(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    charge: Annotated[str | None, Meta(description="Only of this charge.")] = None
    customer: MaybeCustomer = None
    user: MaybeUser = None
    limit: Annotated[int, Meta(description="Most rows.", ge=1, le=1000)] = 50
    offset: Annotated[int, Meta(description="Rows to skip.", ge=0, le=1_000_000_000)] = 0


class TestPayment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    card: Annotated[
        str | None,
        Meta(description="One of Stripe's published test numbers; else one that pays.", extra={"secret": True}),
    ] = None
    exp: Annotated[str | None, Meta(description="Expiry, 12/27.", extra={"secret": True})] = None
    cvc: Annotated[str | None, Meta(description="Three digits, four for American Express.", extra={"secret": True})] = (
        None
    )
    amount: Annotated[int, Meta(description="Minor units.", ge=1)] = 1000
    currency: MaybeCurrency = None


class QueueFailures(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    since: Annotated[str, Meta(description="How far back, like 1h or 30m, or an instant.")] = "1h"


class ListQueue(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    limit: Annotated[int, Meta(description="Most rows.", ge=1, le=1000)] = 100


class ProcessQueue(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    batch_size: Annotated[
        int, Meta(description="How many are taken up at a time, until none waits.", ge=1, le=1000)
    ] = 100


class VerifyQueue(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass
