"""Stripe's answers as failures: which error of `nself.gateway.errors` an answer means, and what follows for the outcome."""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, cast

from nself import log
from nself.core.clock import wall_seconds
from nself.gateway.errors import (
    ApiKeyDeleted,
    ApiKeyExpired,
    BelowMinimum,
    CardDeclined,
    IdempotencyKeyInUse,
    IdempotencyMismatch,
    InsufficientPermissions,
    InvalidApiKey,
    LiveModeMismatch,
    MethodDeclined,
    NoAnswer,
    NoSuchCustomer,
    NoSuchObject,
    NoSuchPayment,
    NoSuchPaymentMethod,
    NoSuchPrice,
    NoSuchProduct,
    NoSuchTaxRate,
    NotAnInteger,
    ObjectLocked,
    RateLimited,
    Refused,
    RequiresAction,
    StripeDown,
    StripeFailure,
    Unsupported,
    WrongState,
)

LONGEST_TEXT = 500
UNSTORABLE = re.compile("[\0\ud800-\udfff]")
"""What PostgreSQL has in no text: NUL, and halves of surrogate pairs."""
STATES = frozenset({"resource_already_exists", "invoice_not_editable", "payment_intent_unexpected_state"})
ACTIONS = {
    "subscription_payment_intent_requires_action": "subscription",
    "invoice_payment_intent_requires_action": "invoice",
    "authentication_required": "payment",
}
LIVE_CARD = "Your card was declined. Your request was in test mode, but used a non test card."
MISSING = re.compile(r"No such ([A-Za-z_ ]+?): ?(?:'([^']*)'|([^';\s]*)'?)(.*)", re.DOTALL)
MISSING_KINDS: dict[str, type[NoSuchObject]] = {
    "customer": NoSuchCustomer,
    "price": NoSuchPrice,
    "product": NoSuchProduct,
    "tax rate": NoSuchTaxRate,
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
    return no_such(found[1], found[2] or found[3] or "", re.sub(r"'(\w+)'", r"\1", found[4]))


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


def storable(found: object) -> object:
    """JSON with U+FFFD for each character that no text in PostgreSQL may have."""
    if isinstance(found, str):
        return UNSTORABLE.sub("\ufffd", found)
    if isinstance(found, list):
        return [storable(one) for one in cast("list[object]", found)]
    if isinstance(found, dict):
        return {storable(name): storable(one) for name, one in cast("dict[str, object]", found).items()}
    return found


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
