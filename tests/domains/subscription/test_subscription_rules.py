"""What is told where an object became another: by hand, case by case."""

from __future__ import annotations

from typing import Any

import pytest

from nself.domains.subscription.rules import effects, trial_ends
from telling import filled

SUB = {"id": "sub_1", "object": "subscription", "created": 100, "customer": "cus_1", "latest_invoice": "in_1"}
INVOICE = {
    "id": "in_1", "object": "invoice", "created": 100, "customer": "cus_1", "currency": "jpy", "amount_remaining": 500,
    "number": "A-1",
}  # fmt: skip


def keys(kind: str, before: dict[str, Any] | None, after: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one.kind, one.key) for one in effects(kind, before, after)]


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("trialing", "active", [("subscription.active", "sub_1 active in_1")]),
        ("incomplete", "active", [("subscription.active", "sub_1 active in_1")]),
        ("active", "past_due", [("subscription.past_due", "sub_1 past_due in_1")]),
        ("past_due", "unpaid", [("subscription.unpaid", "sub_1 unpaid in_1")]),
        ("trialing", "paused", [("subscription.paused", "sub_1 paused in_1")]),
        ("past_due", "canceled", [("subscription.canceled", "sub_1 canceled")]),
        ("active", "active", []),
        ("canceled", "canceled", []),
        ("active", "trialing", []),
        ("incomplete", "incomplete_expired", []),
        ("active", "a status that Stripe adds one day", []),
        (None, "active", [("subscription.active", "sub_1 active in_1")]),
        (None, "canceled", [("subscription.canceled", "sub_1 canceled")]),
        (None, "trialing", []),
    ],
)
def test_statuses(before: str | None, after: str, told: list[tuple[str, str]]) -> None:
    assert keys("subscription", before and SUB | {"status": before}, SUB | {"status": after}) == told  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (("open", 0), ("open", 1), [("payment_failed", "in_1 payment_failed 1")]),
        (("open", 1), ("open", 3), [("payment_failed", "in_1 payment_failed 3")]),
        (("draft", 0), ("open", 1), [("payment_failed", "in_1 payment_failed 1")]),
        (("open", 1), ("open", 1), []),
        (("draft", 0), ("open", 0), []),
        (("open", 1), ("paid", 2), [("invoice.paid", "in_1 paid")]),
        (("open", 1), ("uncollectible", 2), []),
        (("open", 1), ("void", 1), []),
        (("paid", 1), ("paid", 1), []),
        (("uncollectible", 1), ("paid", 2), [("invoice.paid", "in_1 paid")]),
        (None, ("paid", 1), [("invoice.paid", "in_1 paid")]),
        (None, ("open", 2), [("payment_failed", "in_1 payment_failed 2")]),
        (None, ("draft", 0), []),
    ],
)
def test_invoices(before: tuple[str, int] | None, after: tuple[str, int], told: list[tuple[str, str]]) -> None:
    def invoice(state: tuple[str, int]) -> dict[str, Any]:
        return INVOICE | {"status": state[0], "attempt_count": state[1]}

    assert keys("invoice", before and invoice(before), invoice(after)) == told  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (0, 0, []),
        (0, 300, [("charge.refunded", "ch_1 refunded 300")]),
        (300, 500, [("charge.refunded", "ch_1 refunded 500")]),
        (500, 300, []),  # a refund that failed
        (None, 500, [("charge.refunded", "ch_1 refunded 500")]),
    ],
)
def test_refunds(before: int | None, after: int, told: list[tuple[str, str]]) -> None:
    charge = {"id": "ch_1", "created": 100}
    was = None if before is None else charge | {"amount_refunded": before}
    assert keys("charge", was, charge | {"amount_refunded": after}) == told


def test_a_dispute_is_told_when_it_is_new() -> None:
    dispute = {"id": "dp_1", "created": 100, "status": "needs_response"}
    assert keys("dispute", None, dispute) == [("dispute.created", "dp_1 created")]
    assert keys("dispute", dispute, dispute | {"status": "lost"}) == []


def test_a_failed_payment_is_told_in_its_currency_with_its_next_try() -> None:
    page = "https://invoice.stripe.com/i/1"
    after = INVOICE | {
        "status": "open",
        "attempt_count": 1,
        "next_payment_attempt": 1_767_225_600,
        "hosted_invoice_url": page,
    }
    (one,) = effects("invoice", INVOICE | {"status": "open"}, after)
    told = filled(one.template, one.data)
    assert told.subject == "Your payment of 500 JPY failed"
    assert told.text == (
        "Hello,\n\nwe could not collect 500 JPY for invoice A-1.\nPlease look at your payment method.\n"
        f"We try again on 2026-01-01.\nYou can pay here: {page}\n\nExample\n"
    )
    assert f'href="{page}"' in told.html and "<strong>500 JPY</strong>" in told.html
    (last,) = effects(
        "invoice", None, after | {"next_payment_attempt": None, "hosted_invoice_url": None, "number": None}
    )
    told = filled(last.template, last.data)
    assert "we could not collect 500 JPY for invoice in_1, and do not try again." in told.text
    assert "You can pay here" not in told.text and "href" not in told.html


@pytest.mark.parametrize(
    ("more", "can_pay", "words"),
    [
        ({}, True, "charged to your payment method"),
        ({"default_payment_method": "pm_1"}, False, "charged to your payment method"),
        ({}, False, "please add one"),
        ({"cancel_at_period_end": True}, True, "nothing is charged"),
        ({"cancel_at": 1_767_225_600}, True, "nothing is charged"),
        ({"cancel_at": 1_767_225_601}, True, "charged to your payment method"),
    ],
)
def test_the_end_of_a_trial_is_told_with_what_comes_then(more: dict[str, Any], can_pay: bool, words: str) -> None:
    one = trial_ends(SUB | {"status": "trialing", "trial_end": 1_767_225_600} | more, can_pay)
    told = filled(one.template, one.data)
    assert (one.key, told.subject) == ("sub_1 trial_will_end 1767225600", "Your trial ends on 2026-01-01")
    assert words in told.text and words in told.html
