"""What the use cases of synchronisation take."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Kind = Literal[
    "product", "price", "tax_rate", "customer", "payment_method", "subscription", "invoice", "payment_intent", "charge",
    "refund", "dispute", "credit_note",
]  # fmt: skip
Customer = Annotated[
    str, Meta(description="Stripe's id of the customer.", extra={"positional": True, "metavar": "CUSTOMER"})
]
Subscription = Annotated[
    str, Meta(description="Stripe's id of the subscription.", extra={"positional": True, "metavar": "SUBSCRIPTION"})
]
ExitCode = Annotated[bool, Meta(description="Exit 3 where there is a difference.")]
Limit = Annotated[int, Meta(description="Most rows.", ge=1, le=10_000)]


class Reconcile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    batch_size: (
        Annotated[int, Meta(description="Objects a page and transaction; else STRIPE_BATCH_SIZE.", ge=1, le=100)] | None
    ) = None
    start: Annotated[str | None, Meta(description="Only objects created since then.")] = None
    end: Annotated[str | None, Meta(description="Only objects created until then; a date is a whole day.")] = None
    kind: Annotated[Kind | None, Meta(description="Only objects of this kind.")] = None
    resume: Annotated[bool, Meta(description="Go on where the last run stopped.")] = False
    dry_run: Annotated[bool, Meta(description="Only find differences and plan what would be done.")] = False


class ShowDiff(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    run: Annotated[int, Meta(description="Of this run; the newest where left out.", ge=1)] | None = None
    cause: Annotated[str | None, Meta(description="Only of this cause class (`event missing`).")] = None
    limit: Limit = 1000


class Nothing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing."""


class SyncAll(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    execute: Annotated[bool, Meta(description="Heal what differs; else only say what would be done.")] = False
    dry_run: Annotated[bool, Meta(description="Only say what would be done (also without it).")] = False


class CompareAll(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    kind: Annotated[Kind | None, Meta(description="Only objects of this kind.")] = None
    exit_code: ExitCode = False


class FindInconsistencies(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    limit: Limit = 1000


class SyncCustomer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    customer: Customer


class SyncSubscription(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    subscription: Subscription


class CompareSubscription(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    subscription: Subscription
    exit_code: ExitCode = False


class LinkCustomer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    customer: Annotated[str, Meta(description="Stripe's id of the customer.")]
    user: Annotated[
        str, Meta(description="The app's user; made known here if it is new.", min_length=1, max_length=255)
    ]
    force: Annotated[bool, Meta(description="Also where the customer or the user is linked otherwise.")] = False
    reason: Annotated[str, Meta(description="Why, for who asks later; needed with --force.", max_length=500)] | None = (
        None
    )
