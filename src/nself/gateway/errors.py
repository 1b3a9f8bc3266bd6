"""What Stripe, or the way to it, answered, in the guide's words (its section 10). Knows no SDK.

`outcome_unknown` is the question that callers must ask of a failed change: false means that it was
definitely not made, true that it may have been. `stored` means that Stripe keeps this failure under the
idempotency key, so the key will never give anything else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, cast

from nself.core.errors import BillingError, Conflict, Declined, Denied, Invalid, NotFound, Unavailable

TEST_CONNECTION = "nself billing stripe test-connection"
SHOW_CONFIG = "nself billing stripe show-config"
FAILURES = "nself billing payments failures --last 24h"
SET_KEY = 'nself env set STRIPE_SECRET_KEY="sk_test_PLACEHOLDER_key"'


class StripeFailure(BillingError):
    """`http_status` and `request_id` are Stripe's, None without an answer; `retry_after` in seconds."""

    conclusive: ClassVar[bool] = True
    """Whether the answer also tells what became of earlier attempts with the same key."""
    outcome_unknown: bool = False
    earlier_unknown: bool = False
    """An earlier attempt of the same call had no known outcome."""
    stored: bool = False
    again: bool = False
    """Whether the gateway may try again with the same key."""
    http_status: int | None = None
    request_id: str | None = None
    retry_after: float | None = None
    record: Mapping[str, Any] | None = None
    """What Stripe answered, to be stored; without secrets and card data."""


class NoSuchObject(StripeFailure, NotFound):
    code, guide = "resource_missing", "10.7"
    text = "{detail}"
    hints = (SHOW_CONFIG,)


class NoSuchCustomer(NoSuchObject):
    guide = "10.2"
    hints = (
        "nself billing customer create --user user123 --email user@example.com",
        "nself billing customer list",
    )


class NoSuchPrice(NoSuchObject):
    hints = (
        "nself billing price list",
        "nself billing price create --product prod_123 --amount 999 --currency usd --interval month",
    )


class NoSuchProduct(NoSuchObject):
    hints = ("nself billing price list", "nself billing price create --product-name Pro --amount 999 --interval month")


class NoSuchTaxRate(NoSuchObject):
    hints = ("nself billing tax list-rates", "nself billing tax create-rate --name VAT --percentage 19")


class NoSuchPaymentMethod(NoSuchObject):
    guide = "3.2"
    hints = ("nself billing payment-method list",)


class NoSuchPayment(NoSuchObject):
    """A payment intent, a charge or a refund."""

    hints = ("nself billing transactions list --limit 20", "nself billing payments failures --last 24h")


class KeyRefused(StripeFailure, Denied):
    conclusive = False
    guide = "10.1"
    hints = (SHOW_CONFIG, SET_KEY, "nself restart billing")


class InvalidApiKey(KeyRefused):
    code, text = "invalid_api_key", "Invalid API key provided: {key}{detail}"


class NotConfigured(InvalidApiKey):
    """No key, or one whose text says PLACEHOLDER, towards Stripe itself."""

    code, text = "stripe_not_configured", "Invalid API key provided: {key} (not configured: {detail})"


class ApiKeyExpired(KeyRefused):
    code, text = "api_key_expired", "This API key is expired: {key}"


class ApiKeyDeleted(KeyRefused):
    code, text = "api_key_deleted", "This API key was deleted: {key}"


class InsufficientPermissions(KeyRefused):
    code, guide = "insufficient_permissions", "1.1.3"
    text = "Insufficient permissions of the API key {key}: {detail}"
    hints = (SHOW_CONFIG, TEST_CONNECTION)


class LiveModeMismatch(StripeFailure, Denied):
    code, guide = "livemode_mismatch", "1.1"
    text = "{detail}"
    hints = (SHOW_CONFIG,)


class LiveKeyKeptBack(StripeFailure, Denied):
    """Raised before anything is sent."""

    code, guide = "live_key_kept_back", "9.3"
    text = "A live key is never sent to {base}: live mode needs STRIPE_API_BASE=https://api.stripe.com"
    hints = ("nself env unset STRIPE_API_BASE", "nself env set STRIPE_MOCK_ENABLED=false")


class RateLimited(StripeFailure, Unavailable):
    status, conclusive = 429, False
    type, code, guide = "invalid_request_error", "rate_limit", "10.5"
    text = "Rate limit exceeded. Too many requests hit the API too quickly."
    hints = (
        "nself env set STRIPE_MAX_RETRIES=3",
        "nself env set STRIPE_RETRY_BACKOFF=exponential",
        "nself env set STRIPE_RATE_LIMIT_BUFFER=0.8",
        "nself restart billing",
    )


class ObjectLocked(StripeFailure, Conflict):
    conclusive = False
    code, guide = "lock_timeout", "1.3"
    text = "Another request is changing the same object at Stripe at this moment: {detail}"


class IdempotencyMismatch(StripeFailure, Conflict):
    type, code, guide = "idempotency_error", "idempotency_error", "10.6"
    text = "Keys for idempotent requests can only be used with the same parameters they were first used with."
    hints = (
        'nself billing payment create --amount 1000 --customer cus_123 --idempotency-key "$(uuidgen)"',
        "nself billing stripe intents",
    )


class IdempotencyKeyInUse(StripeFailure, Conflict):
    conclusive = False
    code, guide = "idempotency_key_in_use", "10.6"
    text = "Another request with the same idempotency key is still in progress."


class WrongState(StripeFailure, Conflict):
    code, text = "conflict", "{detail}"


class Refused(StripeFailure, Invalid):
    """Stripe found the request itself wrong; `code` and `param` are Stripe's."""

    code, text = "invalid_request", "{detail}"


class NotAnInteger(Refused):
    code, guide = "parameter_invalid_integer", "10.8"


class BelowMinimum(Refused):
    code, guide = "amount_too_small", "10.3"
    hints = (
        "nself billing invoice show in_123",
        'nself billing invoice add-item in_123 --description "Minimum charge" --amount 50',
        "nself env set BILLING_MINIMUM_CHARGE=50",
        "nself billing invoice update in_123",
    )


class CardDeclined(StripeFailure, Declined):
    """`decline_code` is the issuer's reason where Stripe tells it; the others are ids."""

    code, guide = "card_declined", "10.4"
    text = "{detail}"
    hints = (FAILURES, "nself billing customer notify --customer cus_123 --template payment_failed")
    decline_code: str | None = None
    payment_intent: str | None = None
    charge: str | None = None
    payment_method: str | None = None

    def body(self, request_id: str | None = None) -> dict[str, object]:
        """With what a program needs to go on."""
        told = {name: getattr(self, name) for name in ("decline_code", "payment_intent") if getattr(self, name)}
        return {"error": {**cast("dict[str, object]", super().body(request_id)["error"]), **told}}


class MethodDeclined(CardDeclined):
    """A payment with a method that Stripe named was declined."""

    hints = ("nself billing payment-method decline-reason {method}", FAILURES)


class RequiresAction(CardDeclined):
    code, guide = "authentication_required", "10.9"
    text = "This {noun} requires customer action to authenticate payment."
    hints = (
        "nself billing payment-intent show {payment} --show-secret",
        "nself billing sandbox confirm {payment} --payment-method pm_card_visa",
    )


class StripeDown(StripeFailure, Unavailable):
    conclusive = False
    type, code, guide = "api_error", "api_error", "1.4"
    text = "Stripe answered {answer}: {detail}"
    hints = (TEST_CONNECTION,)


class CircuitOpen(StripeDown):
    """Raised before anything is sent."""

    code = "circuit_open"
    text = "Stripe did not answer several times; it is asked again in {wait} s. Nothing was sent."


class Unsupported(StripeFailure, Unavailable):
    """The sandbox does not do this; nothing was changed."""

    type, code, guide = "api_error", "sandbox_unsupported", "9.3"
    text = "The Stripe sandbox does not support this: {detail}"


class NoAnswer(StripeFailure, Unavailable):
    """The connection failed. Whether the request was sent at all decides `outcome_unknown`."""

    conclusive = False
    code, guide = "api_connection_error", "1.4"
    text = "{detail}"
    hints = (TEST_CONNECTION,)


class TimedOut(NoAnswer):
    text = "Connection timeout: {detail}"


class SandboxUnreachable(NoAnswer):
    guide = "9.3"
    hints = ("nself status", "nself start stripe-mock")


class TooManyObjects(StripeFailure, Conflict):
    """More than MAX_OBJECTS: a narrower filter is needed."""

    code, text = "too_many_objects", "More than {maximum} objects at {path}: narrow the search"
