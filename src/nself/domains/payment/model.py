"""Nouns of payments."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

import msgspec

from nself.core.money import Money
from nself.domains.mirror.model import Snapshot, told_age

TEST_CARDS = {
    "4242424242424242": "pm_card_visa",
    "4000056655665556": "pm_card_visa_debit",
    "5555555555554444": "pm_card_mastercard",
    "5200828282828210": "pm_card_mastercard_debit",
    "5105105105105100": "pm_card_mastercard_prepaid",
    "378282246310005": "pm_card_amex",
    "6011111111111117": "pm_card_discover",
    "3056930009020004": "pm_card_diners",
    "3566002020360505": "pm_card_jcb",
    "6200000000000005": "pm_card_unionpay",
    "4000000000000002": "pm_card_visa_chargeDeclined",
    "4000000000009995": "pm_card_visa_chargeDeclinedInsufficientFunds",
    "4000000000009987": "pm_card_visa_chargeDeclinedLostCard",
    "4000000000009979": "pm_card_visa_chargeDeclinedStolenCard",
    "4000000000000069": "pm_card_chargeDeclinedExpiredCard",
    "4000000000000127": "pm_card_chargeDeclinedIncorrectCvc",
    "4000000000000119": "pm_card_chargeDeclinedProcessingError",
    "4000000000006975": "pm_card_visa_chargeDeclinedVelocityLimitExceeded",
    "4000000000000341": "pm_card_chargeCustomerFail",
    "4000000000000259": "pm_card_createDispute",
    "4000000000002685": "pm_card_createDisputeProductNotReceived",
    "4000002500003155": "pm_card_authenticationRequiredOnSetup",
    "4000002760003184": "pm_card_authenticationRequired",
    "4000000000003220": "pm_card_threeDSecure2Required",
}
"""Numbers that Stripe publishes for its test mode (docs.stripe.com/testing), each with the token that stands for it."""


class Meaning(NamedTuple):
    """Of a decline code: a title, what it means, what helps; `again` where trying the same again may do."""

    title: str
    means: str
    helps: str
    again: bool = False


class Kept(msgspec.Struct, frozen=True):
    """An object of the mirror, with the user behind its customer."""

    id: str
    user: str | None
    snapshot: Snapshot
    default: bool
    source: str
    synced_at: datetime


class ListedMethod(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `payment-method list`."""

    id: str
    customer: str | None
    user: str | None
    type: str
    brand: str | None
    last4: str | None
    expires: str | None
    default: bool
    expired: bool
    created_at: datetime


class ShownMethod(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `payment-method show`. `expired` by our clock; what is no card has no brand, last4 and expiry.

    `source` is what the row was last built from, at `synced_at`.
    """

    id: str
    type: str
    brand: str | None
    last4: str | None
    exp_month: int | None
    exp_year: int | None
    expired: bool
    funding: str | None
    country: str | None
    cvc_check: str | None
    address_line1_check: str | None
    address_postal_code_check: str | None
    customer: str | None
    user: str | None
    default: bool
    livemode: bool
    created_at: datetime
    source: str
    synced_at: datetime


class AttachedMethod(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `payment-method create`, `attach` and `default`."""

    id: str
    customer: str
    brand: str | None
    last4: str | None
    expires: str | None
    default: bool
    note: str


class RemovedMethod(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `payment-method remove`. `default` is what the customer is charged by from now on."""

    id: str
    customer: str | None
    default: str | None
    note: str


class Failed(msgspec.Struct, frozen=True):
    """A failed charge, or a payment intent that failed without one; `invoice` is what it was to pay."""

    object: str
    snapshot: Snapshot
    payment_intent: str | None
    payment_intent_status: str | None
    customer: str | None
    user: str | None
    invoice: str | None
    at: datetime


class Owed(msgspec.Struct, frozen=True):
    """An open invoice and why it is not paid: `code` is the issuer's, else Stripe's; empty where the customer is waited for."""

    invoice: str
    customer: str | None
    payment_intent: str
    status: str
    code: str
    method: str


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `payments failures`. `payment_status` is what has become of the payment intent since."""

    at: datetime
    customer: str | None
    user: str | None
    amount_minor: int
    currency: str
    code: str | None
    decline_code: str | None
    reason: str
    charge: str | None
    payment_intent: str | None
    payment_status: str | None
    payment_method: str | None
    invoice: str | None
    helps: str


class DeclineReason(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `payment-method decline-reason`: of the last failed payment with the method."""

    payment_method: str
    customer: str | None
    declined: bool
    note: str
    at: datetime | None = None
    amount_minor: int | None = None
    currency: str | None = None
    code: str | None = None
    decline_code: str | None = None
    message: str | None = None
    reason: str | None = None
    means: str | None = None
    helps: str | None = None
    command: str | None = None
    then: str | None = None
    """What has the invoice paid once that has helped."""
    charge: str | None = None
    payment_intent: str | None = None
    payment_status: str | None = None
    invoice: str | None = None


class CreatedPayment(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `payment create`. `created` is false where the same was wished before."""

    id: str
    status: str
    amount_minor: int
    currency: str
    customer: str | None
    payment_method: str | None
    charge: str | None
    description: str | None
    created: bool
    note: str


class ShownIntent(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `payment-intent show`, as Stripe has it now. The secret lets whoever has it pay."""

    id: str
    status: str
    amount_minor: int
    amount_received_minor: int
    currency: str
    customer: str | None
    user: str | None
    payment_method: str | None
    charge: str | None
    description: str | None
    code: str | None
    decline_code: str | None
    message: str | None
    next_action: str | None
    client_secret: str
    livemode: bool
    created_at: datetime
    as_of: datetime | None = None
    """When the mirror saw it, where Stripe did not answer."""

    def remarks(self) -> list[str]:
        return told_age(self.as_of)


class Transaction(msgspec.Struct, frozen=True, kw_only=True):
    """A row of billing_transactions: money that came in (above 0) or went out (below 0)."""

    id: str
    kind: str
    amount_minor: int
    currency: str
    status: str
    customer: str | None
    user: str | None
    charge: str | None
    payment_intent: str | None
    description: str | None
    created_at: datetime


class ListedRefund(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `refund list`. `reason` is ours where we gave one, else Stripe's."""

    id: str
    charge: str | None
    payment_intent: str | None
    customer: str | None
    user: str | None
    amount_minor: int
    currency: str
    status: str
    reason: str | None
    created_at: datetime


class CreatedRefund(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `refund create`. `left_minor` of the charge can still be given back."""

    id: str
    status: str
    charge: str
    amount_minor: int
    currency: str
    reason: str
    left_minor: int
    created: bool
    note: str


class Asked(NamedTuple):
    """A row of a refund file: `object` is a charge, payment intent or invoice; without an amount all that is left."""

    number: int
    object: str
    amount: int | None
    currency: str
    customer: str | None


class PlannedRefund(msgspec.Struct, frozen=True, kw_only=True):
    """A row of a refund batch. `result` is refund, refunded, pending or failed."""

    row: int
    object: str
    charge: str
    customer: str | None
    amount_minor: int
    currency: str
    result: str
    refund: str | None = None
    detail: str = ""


class RefundBatch(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `refund batch`: a plan, or what was done. Of `totals`, `given_back` was refunded now or before, `open` was not.

    `plan` names these refunds: given with --execute, no others are made.
    """

    executed: bool
    plan: str
    reason: str
    rows: int
    refunded: int
    refunded_before: int
    totals: list[str]
    given_back: list[str]
    open: list[str]
    told: int
    output: str | None
    note: str
    refunds: list[PlannedRefund]


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A step of `test-payment` and its outcome."""

    step: str
    outcome: str
    id: str | None = None

    def plain(self) -> str:
        return f"{self.step:<10} {self.outcome}{f'  {self.id}' if self.id else ''}"


def money(snapshot: Snapshot, name: str = "amount") -> Money:
    return Money(snapshot[name], snapshot["currency"])


class QueuedPayment(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `queue list`: a payment that waits. `of` is the invoice or the customer; `error` why it was not made yet."""

    id: str
    of: str
    amount_minor: int | None
    currency: str | None
    queued_at: datetime
    waits_seconds: int
    attempts: int
    error: str | None
    operation: str


class QueuedFailures(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `queue failures`: how many were put into the queue now, and how many wait in it."""

    since: datetime
    queued_now: int
    queued: int
    note: str


class ProcessedQueue(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `process-queue`. `skipped`: paid, void or deleted meanwhile; `left`: still in the queue.

    `failed` have left the queue; those of which the customer must confirm are `action_required`.
    """

    made: int
    skipped: int
    failed: int
    action_required: int
    left: int
    failures: list[str]
    note: str


class QueueEmptiness(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `verify-queue-empty`; `with_worker` are payments that the worker goes on with."""

    empty: bool
    queued: int
    with_worker: int
    oldest_at: datetime | None
    oldest_seconds: int | None
    note: str
