"""Stripe's answers become our failures, in the guide's words."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from nself.core.errors import BillingError, Conflict, Declined, Denied, Invalid, NotFound, Unavailable
from nself.gateway import errors
from nself.gateway.answers import from_answer
from nself.gateway.errors import StripeFailure

SHOWN = "sk_test_***Show"


def answer(status: int, *, changing: bool = True, headers: dict[str, str] | None = None, **error: Any) -> StripeFailure:
    return from_answer(status, error, headers or {}, key=SHOWN, changing=changing)


CASES: list[tuple[int, dict[str, Any], type[BillingError], str, str]] = [
    (404, {"message": "No such customer: 'cus_123'", "code": "resource_missing"},
     NotFound, "resource_missing", "No such customer: cus_123"),
    (400, {"message": "No such price: 'price_123'", "code": "resource_missing"},
     NotFound, "resource_missing", "No such price: price_123"),
    (400, {"message": "No such product: 'Pro plan'", "code": "resource_missing"},
     NotFound, "resource_missing", "No such product: Pro plan"),
    (404, {"message": "No such PaymentMethod: 'pm_1'; It's possible this PaymentMethod exists elsewhere.",
           "code": "resource_missing"},
     NotFound, "resource_missing",
     "No such payment method: pm_1; It's possible this PaymentMethod exists elsewhere."),
    (404, {"message": "No such tax_rate: 'txr_1'", "code": "resource_missing"},
     NotFound, "resource_missing", "No such tax rate: txr_1"),
    (401, {"message": "Invalid API Key provided: sk_test_****abcd"},
     Denied, "invalid_api_key", f"Invalid API key provided: {SHOWN}"),
    (401, {"message": "Expired API Key provided: sk_test_****abcd", "code": "api_key_expired"},
     Denied, "api_key_expired", f"This API key is expired: {SHOWN}"),
    (401, {"message": "This API key has been revoked."},
     Denied, "api_key_deleted", f"This API key was deleted: {SHOWN}"),
    (403, {"message": "The provided key 'rk_test_***' does not have the required permissions. "
                      "Having the 'rak_customer_read' permission would allow this request to continue."},
     Denied, "insufficient_permissions",
     f"Insufficient permissions of the API key {SHOWN}: rak_customer_read is missing"),
    (429, {"message": "Request rate limit exceeded.", "code": "rate_limit"},
     Unavailable, "rate_limit", "Rate limit exceeded. Too many requests hit the API too quickly."),
    (400, {"type": "idempotency_error", "message": "Keys for idempotent requests can only be used with …"},
     Conflict, "idempotency_error",
     "Keys for idempotent requests can only be used with the same parameters they were first used with."),
    (409, {"type": "idempotency_error", "code": "idempotency_key_in_use", "message": "There is currently …"},
     Conflict, "idempotency_key_in_use",
     "Another request with the same idempotency key is still in progress."),
    (400, {"code": "amount_too_small", "message": "Amount must be at least $0.50 usd"},
     Invalid, "amount_too_small", "Amount must be at least $0.50 usd"),
    (400, {"code": "parameter_invalid_integer", "message": "Invalid integer: abc", "param": "amount"},
     Invalid, "parameter_invalid_integer", "Invalid integer: abc"),
    (400, {"code": "invoice_not_editable", "message": "This invoice is no longer editable"},
     Conflict, "invoice_not_editable", "This invoice is no longer editable"),
    (402, {"type": "card_error", "code": "card_declined", "decline_code": "test_mode_live_card",
           "message": "Your card was declined. Your request was in test mode, but used a non test (live) card."},
     Declined, "card_declined",
     "Your card was declined. Your request was in test mode, but used a non test card."),
    (402, {"type": "card_error", "code": "card_declined", "decline_code": "insufficient_funds",
           "message": "Your card has insufficient funds."},
     Declined, "card_declined", "Your card has insufficient funds."),
    (402, {"type": "card_error", "code": "subscription_payment_intent_requires_action", "message": "x"},
     Declined, "subscription_payment_intent_requires_action",
     "This subscription requires customer action to authenticate payment."),
    (501, {"type": "api_error", "code": "sandbox_unsupported", "message": "no coupons"},
     Unavailable, "sandbox_unsupported", "The Stripe sandbox does not support this: no coupons"),
    (503, {"type": "api_error", "message": "try later"},
     Unavailable, "api_error", "Stripe answered 503: try later"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "error", "family", "code", "message"), CASES)
def test_each_answer_has_its_family_code_and_words(
    status: int, error: dict[str, Any], family: type[BillingError], code: str, message: str
) -> None:
    failure = answer(status, **error)
    assert isinstance(failure, family)
    assert (failure.code, failure.message) == (code, message)
    assert failure.param == error.get("param")
    assert all(not line.count("{") for line in failure.hint)


def test_a_rate_limit_is_429_for_our_own_callers_too() -> None:
    assert (answer(429).status, answer(429).exit_code) == (429, 3)


@pytest.mark.parametrize(
    ("status", "error", "unknown"),
    [
        (500, {}, True),
        (503, {}, True),
        (409, {"code": "idempotency_key_in_use"}, True),
        (409, {"code": "lock_timeout"}, False),
        (501, {}, False),
        (429, {}, False),
        (402, {"type": "card_error"}, False),
        (400, {}, False),
        (401, {}, False),
    ],
)
def test_only_a_change_can_have_an_unknown_outcome(status: int, error: dict[str, Any], unknown: bool) -> None:
    assert answer(status, **error).outcome_unknown is unknown
    assert answer(status, changing=False, **error).outcome_unknown is False


def test_a_replayed_500_is_stored_and_never_tried_again() -> None:
    failure = answer(500, headers={"idempotent-replayed": "true", "stripe-should-retry": "true"})
    assert (failure.stored, failure.again, failure.outcome_unknown) == (True, False, True)
    assert answer(500).stored is False


@pytest.mark.parametrize(
    ("status", "error", "advice", "again"),
    [
        (500, {}, None, True),
        (500, {}, "false", False),
        (429, {}, None, True),
        (429, {"code": "lock_timeout"}, None, True),
        (409, {"code": "idempotency_key_in_use"}, None, True),
        (409, {}, None, False),
        (409, {}, "true", True),
        (501, {}, None, False),
        (400, {}, None, False),
        (400, {"type": "idempotency_error"}, None, False),
        (402, {"type": "card_error"}, None, False),
        (401, {}, None, False),
    ],
)
def test_what_is_tried_again(status: int, error: dict[str, Any], advice: str | None, again: bool) -> None:
    headers = {"stripe-should-retry": advice} if advice else {}
    assert answer(status, headers=headers, **error).again is again


def test_a_decline_carries_what_can_be_looked_up() -> None:
    failure = answer(
        402,
        type="card_error",
        code="card_declined",
        decline_code="insufficient_funds",
        charge="ch_1",
        payment_intent={"id": "pi_1", "client_secret": "pi_1_secret_abc"},
        message="Your card has insufficient funds.",
    )
    assert isinstance(failure, errors.CardDeclined)
    assert (failure.decline_code, failure.charge, failure.payment_intent) == (
        "insufficient_funds",
        "ch_1",
        "pi_1",
    )
    assert "secret" not in json.dumps(failure.body())


def test_a_payment_that_needs_action_is_told_in_the_guides_words() -> None:
    failure = answer(402, code="invoice_payment_intent_requires_action", payment_intent={"id": "pi_7"})
    assert failure.message == "This invoice requires customer action to authenticate payment."


def test_request_id_and_wait_are_kept() -> None:
    failure = answer(429, headers={"request-id": "req_9", "retry-after": "7"})
    assert (failure.request_id, failure.retry_after, failure.http_status) == ("req_9", 7.0, 429)


def test_retry_after_may_be_a_date() -> None:
    at = datetime.now(UTC) + timedelta(seconds=60)
    wait = answer(503, headers={"retry-after": format_datetime(at, usegmt=True)}).retry_after
    assert wait is not None
    assert 50 < wait <= 60
    assert answer(503, headers={"retry-after": "soon"}).retry_after is None


def test_no_message_of_stripe_can_bring_a_secret_in() -> None:
    failure = answer(400, message="bad sk_live_51abcdefgh and whsec_abcdefgh and 4242 4242 4242 4242")
    assert "51abcdefgh" not in failure.message
    assert "whsec_abcdefgh" not in failure.message
    assert "4242 4242" not in failure.message


def test_an_unreadable_body_is_still_a_failure_with_its_status() -> None:
    failure = from_answer(403, None, {}, key=SHOWN, changing=True)
    assert isinstance(failure, errors.InsufficientPermissions)
    assert "no readable explanation" in failure.message
    assert isinstance(from_answer(418, None, {}, key=SHOWN, changing=True), errors.Refused)


def test_a_message_of_stripe_may_hold_braces() -> None:
    assert answer(400, message="Invalid {metadata}").message == "Invalid {metadata}"
