"""What Stripe, or the way to it, answered, in the guide's words (its section 10). Knows no SDK.

`outcome_unknown` is the question that callers must ask of a failed change: false means that it was
definitely not made, true that it may have been. `stored` means that Stripe keeps this failure under the
idempotency key, so the key will never give anything else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, ClassVar, cast

from nself import log
from nself.core.clock import wall_seconds
from nself.core.errors import BillingError, Conflict, Declined, Denied, Invalid, NotFound, Unavailable

LONGEST_TEXT = 500
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
    hints = (SHOW_CONFIG,)


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
    code, guide = "insufficient_permissions", "1.1"
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
    hints = (FAILURES,)
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


STATES = frozenset({"resource_already_exists", "invoice_not_editable", "payment_intent_unexpected_state"})
ACTIONS = {
    "subscription_payment_intent_requires_action": "subscription",
    "invoice_payment_intent_requires_action": "invoice",
    "authentication_required": "payment",
}
LIVE_CARD = "Your card was declined. Your request was in test mode, but used a non test card."
MISSING = re.compile(r"No such ([A-Za-z_ ]+?): ?'?([^';\s]*)'?(.*)", re.DOTALL)
MISSING_KINDS: dict[str, type[NoSuchObject]] = {
    "customer": NoSuchCustomer,
    "price": NoSuchPrice,
    "payment method": NoSuchPaymentMethod,
    **dict.fromkeys(("payment intent", "charge", "refund"), NoSuchPayment),
}


def no_such(kind: str, id: str, rest: str = "") -> NoSuchObject:
    """`kind` as Stripe writes it (`PaymentMethod`, `payment_intent`), told in words as the guide does."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])|_", " ", kind).lower()
    return MISSING_KINDS.get(words, NoSuchObject)(detail=f"No such {words}: {id}{rest}")


def _missing(detail: str) -> NoSuchObject:
    found = MISSING.fullmatch(detail)
    if not found:
        return NoSuchObject(detail=detail)
    return no_such(found[1], found[2], re.sub(r"'(\w+)'", r"\1", found[3]))


def _key_refused(status: int, code: str, detail: str, key: str) -> StripeFailure:
    words = detail.lower()
    if status == 403:
        needed = ", ".join(sorted(set(re.findall(r"\brak_\w+", detail))))
        return InsufficientPermissions(key=key, detail=f"{needed} is missing" if needed else detail)
    if code == "api_key_expired" or "expired" in words:
        return ApiKeyExpired(key=key)
    if "deleted" in words or "revoked" in words:
        return ApiKeyDeleted(key=key)
    return InvalidApiKey(key=key, detail="")


def _id(value: object) -> str | None:
    """The id of what Stripe gives either as an id or as a whole object."""
    if isinstance(value, Mapping):
        return str(cast("Mapping[str, Any]", value).get("id") or "") or None
    return value if isinstance(value, str) and value else None


def _declined(code: str, detail: str, error: Mapping[str, Any]) -> CardDeclined:
    reason = error.get("decline_code")
    payment, charge, method = (_id(error.get(name)) for name in ("payment_intent", "charge", "payment_method"))
    noun = ACTIONS.get(code) or ACTIONS.get(str(reason))
    words = LIVE_CARD if reason == "test_mode_live_card" else detail
    if noun:
        failure: CardDeclined = RequiresAction(noun=noun, payment=payment or "pi_123")
    elif method and (payment or charge):
        failure = MethodDeclined(detail=words, method=method)
    else:
        failure = CardDeclined(detail=words)
    failure.decline_code = reason if isinstance(reason, str) else None
    failure.payment_intent, failure.charge, failure.payment_method = payment, charge, method
    return failure


def _refused(code: str, status: int, detail: str) -> StripeFailure:
    if code in STATES or status == 409:
        return WrongState(detail=detail)
    if code == "livemode_mismatch":
        return LiveModeMismatch(detail=detail)
    if code == "amount_too_small":
        return BelowMinimum(detail=detail)
    return NotAnInteger(detail=detail) if code == "parameter_invalid_integer" else Refused(detail=detail)


def _failure(status: int, error: Mapping[str, Any], detail: str, key: str) -> StripeFailure:
    type, code = error.get("type"), str(error.get("code") or "")
    if code == "idempotency_key_in_use":  # of the same type as the mismatch
        return IdempotencyKeyInUse()
    if type == "idempotency_error":
        return IdempotencyMismatch()
    if code == "lock_timeout":
        return ObjectLocked(detail=detail)
    if status == 429 or code == "rate_limit":
        return RateLimited()
    if status in (401, 403):
        return _key_refused(status, code, detail, key)
    if status == 501:
        return Unsupported(detail=detail)
    if status >= 500:
        return StripeDown(answer=status, detail=detail)
    if status == 404 or code == "resource_missing":
        return _missing(detail)
    if status == 402 or type == "card_error" or code in ACTIONS:
        return _declined(code, detail, error)
    return _refused(code, status, detail)


def _wait(header: str | None) -> float | None:
    """Seconds that `Retry-After` asks for, given as a number or as a date."""
    try:
        if header is None or re.fullmatch(r"\d{1,9}(\.\d+)?", header):
            return float(header) if header else None
        return max(0.0, parsedate_to_datetime(header).timestamp() - wall_seconds())
    except ValueError:
        return None


def _again(failure: StripeFailure, headers: Mapping[str, str]) -> bool:
    if failure.stored:
        return False
    advice = headers.get("stripe-should-retry")
    if advice in ("true", "false"):
        return advice == "true"
    return isinstance(failure, RateLimited | ObjectLocked | IdempotencyKeyInUse | StripeDown)


def from_answer(
    status: int, error: Mapping[str, Any] | None, headers: Mapping[str, str], *, key: str, changing: bool
) -> StripeFailure:
    """The failure that Stripe's answer means.

    `error` is the answer's `error` object, None when the body could not be read; the names of `headers` are
    lower case; `key` is the API key, masked; `changing` tells whether the request asked for a change.
    """
    failure = _told(status, error or {}, key)
    failure.request_id = headers.get("request-id")
    failure.retry_after = _wait(headers.get("retry-after"))
    failure.stored = status >= 500 and headers.get("idempotent-replayed") == "true"
    failure.outcome_unknown = changing and isinstance(failure, StripeDown | IdempotencyKeyInUse)
    failure.again = _again(failure, headers)
    return failure


def _told(status: int, known: Mapping[str, Any], key: str) -> StripeFailure:
    message = known.get("message")
    told = message if isinstance(message, str) and message else "no readable explanation"
    detail = log.redact(told)[:LONGEST_TEXT]
    failure = _failure(status, known, detail, key)
    code, param = known.get("code"), known.get("param")
    if isinstance(code, str) and code:
        failure.code = code
    failure.param = param if isinstance(param, str) else None
    failure.http_status = status
    said = {name: known[name] for name in ("type", "code", "param", "decline_code") if isinstance(known.get(name), str)}
    whose = {name: _id(known[name]) for name in ("payment_intent", "charge", "payment_method") if known.get(name)}
    failure.record = {"status": status, "key": key, "error": {**said, **whose, "message": detail}}
    return failure


def recorded(record: Mapping[str, Any]) -> StripeFailure:
    """The failure again, from its `record`."""
    return _told(record["status"], record["error"], record["key"])


def unreadable(status: int, *, changing: bool) -> StripeFailure:
    """A 2xx or 3xx whose body is not what Stripe sends: something stands between, or the answer was cut."""
    failure = StripeDown(answer=status, detail="the answer is not Stripe's")
    failure.code, failure.http_status = "invalid_answer", status
    failure.again, failure.outcome_unknown = True, changing
    return failure


def no_answer(failure: NoAnswer, *, sent: bool, changing: bool, again: bool = True) -> NoAnswer:
    """`failure` with what follows for the outcome from whether the request was `sent`."""
    failure.outcome_unknown, failure.again = sent and changing, again
    return failure
