"""Payments that fail: retries, what comes after them, incomplete subscriptions, pauses of collection."""

from typing import Any

import pytest
import stripe

from sandbox.conftest import Sandbox, Sdk, event_types, refusal
from sandbox.timing import DAY, HOUR, advance, at, clocked, invoices, price, subscribe, use_card


def failing(api: Sdk) -> tuple[Any, Any]:
    """Its first month is paid; from then on the card is declined."""
    customer = clocked(api, "2026-01-01")
    subscription = subscribe(api, customer, price(api, 1000))
    use_card(api, customer, "pm_card_chargeCustomerFail")
    return customer, subscription


def attempts(api: Sdk, invoice: Any) -> list[int]:
    """Hours after the invoice was finalised."""
    charges = api.charges.list({"customer": invoice.customer, "limit": 100}).data
    made = invoice.status_transitions.finalized_at
    return sorted((one.created - made) // HOUR for one in charges if one.status == "failed")


def test_four_retries_then_canceled(api: Sdk) -> None:
    """At once, then after 3, 5, 7 and 7 more days: 0, 72, 192, 360, 528 hours."""
    customer, subscription = failing(api)
    advance(api, customer.test_clock, "2026-02-01T01:00")
    unpaid = invoices(api, subscription)[1]
    assert (unpaid.status, unpaid.attempt_count, unpaid.next_payment_attempt) == ("open", 1, at("2026-02-04T01:00"))
    assert api.subscriptions.retrieve(subscription.id).status == "past_due"
    assert event_types(api)[-6:-1] == [
        "payment_intent.payment_failed",
        "invoice.updated",
        "invoice.payment_failed",
        "customer.updated",
        "customer.subscription.updated",
    ]
    assert api.customers.retrieve(customer.id).delinquent
    advance(api, customer.test_clock, "2026-02-23T00:59")
    assert api.subscriptions.retrieve(subscription.id).status == "past_due"
    advance(api, customer.test_clock, "2026-02-24")
    ended = api.subscriptions.retrieve(subscription.id)
    assert (ended.status, ended.cancellation_details.reason) == ("canceled", "payment_failed")
    assert ended.ended_at == at("2026-02-23T01:00")
    last = api.invoices.retrieve(unpaid.id)
    assert (last.status, last.attempt_count, last.next_payment_attempt, last.auto_advance) == ("open", 5, None, False)
    assert attempts(api, last) == [0, 72, 192, 360, 528]
    assert event_types(api)[-2] == "customer.subscription.deleted"
    advance(api, customer.test_clock, "2026-06-01")
    assert len(invoices(api, subscription)) == 2, "it is never revived"
    refusal(stripe.InvalidRequestError, api.subscriptions.update, subscription.id, {"description": "again"})


@pytest.mark.parametrize(("then", "renewals"), [("unpaid", ["draft"]), ("past_due", ["open"])])
def test_another_end_of_dunning(api: Sdk, sandbox: Sandbox, then: str, renewals: list[str]) -> None:
    """Two retries, after 1 and 2 days. `unpaid` makes drafts that stay; `past_due` goes on as before."""
    policy = {"retry_after_days": [1, 2], "then": then}
    assert sandbox.admin("POST", "dunning", policy) == sandbox.admin("GET", "dunning") == policy
    assert sandbox.admin("POST", "dunning", {"retry_after_days": [0]}) == 400
    customer, subscription = failing(api)
    advance(api, customer.test_clock, "2026-02-05")
    assert api.subscriptions.retrieve(subscription.id).status == then
    assert attempts(api, invoices(api, subscription)[1]) == [0, 24, 72]
    advance(api, customer.test_clock, "2026-03-01T12:00")
    third = invoices(api, subscription)[2:]
    assert [one.status for one in third] == renewals
    assert third[0].auto_advance == (then == "past_due")
    use_card(api, customer, "pm_card_visa")
    api.invoices.pay(third[0].id)
    assert api.subscriptions.retrieve(subscription.id).status == "active"


def test_a_retry_that_succeeds(api: Sdk) -> None:
    customer, subscription = failing(api)
    advance(api, customer.test_clock, "2026-02-02")
    use_card(api, customer, "pm_card_visa")
    advance(api, customer.test_clock, "2026-02-05")
    paid = invoices(api, subscription)[1]
    assert (paid.status, paid.attempt_count, paid.next_payment_attempt) == ("paid", 2, None)
    assert not api.customers.retrieve(customer.id).delinquent
    assert api.subscriptions.retrieve(subscription.id).status == "active"


def test_paid_by_hand_between_retries(api: Sdk) -> None:
    """Attempts by hand do not count and do not move the schedule."""
    customer, subscription = failing(api)
    advance(api, customer.test_clock, "2026-02-02")
    unpaid = invoices(api, subscription)[1]
    refusal(stripe.CardError, api.invoices.pay, unpaid.id)
    again = api.invoices.retrieve(unpaid.id)
    assert (again.attempt_count, again.next_payment_attempt) == (1, unpaid.next_payment_attempt)
    good = use_card(api, customer, "pm_card_visa")
    api.invoices.pay(unpaid.id, {"payment_method": good.id})
    assert api.subscriptions.retrieve(subscription.id).status == "active"


def test_without_a_payment_method_an_attempt_fails_too(api: Sdk) -> None:
    customer = clocked(api, "2026-01-01")
    subscription = subscribe(api, customer, price(api, 1000))
    method = api.customers.retrieve(customer.id).invoice_settings.default_payment_method
    api.payment_methods.detach(method)
    advance(api, customer.test_clock, "2026-02-01T02:00")
    unpaid = invoices(api, subscription)[1]
    assert (unpaid.status, unpaid.attempted, unpaid.next_payment_attempt) == ("open", True, at("2026-02-04T01:00"))
    assert api.subscriptions.retrieve(subscription.id).status == "past_due"
    assert "invoice.payment_failed" in event_types(api)


def test_a_renewal_that_needs_the_cardholder(api: Sdk, sandbox: Sandbox) -> None:
    customer, subscription = failing(api)
    use_card(api, customer, "pm_card_authenticationRequired")
    advance(api, customer.test_clock, "2026-02-01T02:00")
    assert api.subscriptions.retrieve(subscription.id).status == "past_due"
    assert "invoice.payment_action_required" in event_types(api)
    intent = api.payment_intents.list({"customer": customer.id}).data[0]
    sandbox.admin("POST", f"payment_intents/{intent.id}/authenticate")
    assert api.subscriptions.retrieve(subscription.id).status == "active"
    assert api.payment_intents.retrieve(intent.id).status == "succeeded"


@pytest.mark.parametrize("behavior", ["allow_incomplete", "default_incomplete"])
def test_incomplete_for_23_hours(api: Sdk, behavior: str) -> None:
    customer = clocked(api, "2026-01-01", "pm_card_chargeCustomerFail")
    subscription = subscribe(api, customer, price(api, 1000), payment_behavior=behavior)
    refused = {"items": [{"price": price(api, 1).id}]}
    refusal(stripe.InvalidRequestError, api.subscriptions.update, subscription.id, refused)
    advance(api, customer.test_clock, at("2026-01-01") + 23 * HOUR - 1)
    first = invoices(api, subscription)[0]
    assert (api.subscriptions.retrieve(subscription.id).status, first.status) == ("incomplete", "open")
    assert first.next_payment_attempt is None
    advance(api, customer.test_clock, "2026-01-01T23:00")
    gone = api.subscriptions.retrieve(subscription.id)
    assert (gone.status, gone.ended_at) == ("incomplete_expired", at("2026-01-01T23:00"))
    assert invoices(api, subscription)[0].status == "void"
    assert event_types(api)[-3:-1] == ["invoice.voided", "customer.subscription.updated"]
    assert api.subscriptions.list({"customer": customer.id, "status": "ended"}).data == [gone]


@pytest.mark.parametrize(
    ("behavior", "status"), [("allow_incomplete", "past_due"), ("default_incomplete", "past_due"), ("error_if_incomplete", None)]
)  # fmt: skip
def test_a_change_that_cannot_be_paid(api: Sdk, behavior: str, status: str | None) -> None:
    customer, subscription = failing(api)
    advance(api, customer.test_clock, "2026-01-15")
    item = {"id": subscription["items"].data[0].id, "price": price(api, 5000).id}
    params = {"items": [item], "proration_behavior": "always_invoice", "payment_behavior": behavior}
    mark = api.events.list({"limit": 1}).data[0].id
    if status is None:
        refusal(stripe.CardError, api.subscriptions.update, subscription.id, params)
        assert event_types(api, ending_before=mark) == []
        assert api.subscriptions.retrieve(subscription.id)["items"].data[0].price.unit_amount == 1000
        return
    changed = api.subscriptions.update(subscription.id, params)
    assert (changed.status, changed["items"].data[0].price.unit_amount) == (status, 5000)
    due = invoices(api, subscription)[1]
    again = at("2026-01-18") if behavior == "allow_incomplete" else None
    assert (due.status, due.next_payment_attempt) == ("open", again)


@pytest.mark.parametrize(
    ("behavior", "status"), [("keep_as_draft", "draft"), ("mark_uncollectible", "uncollectible"), ("void", "void")]
)
def test_collection_is_paused(api: Sdk, behavior: str, status: str) -> None:
    """From 15 January to 10 February: February's invoice is not collected, March's is."""
    customer = clocked(api, "2026-01-01")
    subscription = subscribe(api, customer, price(api, 1000))
    advance(api, customer.test_clock, "2026-01-15")
    pause = {"behavior": behavior, "resumes_at": at("2026-02-10")}
    paused = api.subscriptions.update(subscription.id, {"pause_collection": pause})
    assert (paused.status, paused.pause_collection.to_dict()) == ("active", pause)
    advance(api, customer.test_clock, "2026-02-05")
    assert [one.status for one in invoices(api, subscription)] == ["paid", status]
    assert api.subscriptions.retrieve(subscription.id).status == "active"
    advance(api, customer.test_clock, "2026-03-05")
    assert [one.status for one in invoices(api, subscription)] == ["paid", status, "paid"]
    assert api.subscriptions.retrieve(subscription.id).pause_collection is None
    api.subscriptions.update(subscription.id, {"pause_collection": {"behavior": "void"}})
    assert api.subscriptions.update(subscription.id, {"pause_collection": ""}).pause_collection is None


def test_what_paid_becomes_the_default(api: Sdk) -> None:
    customer = clocked(api, "2026-01-01")
    card = api.customers.retrieve(customer.id).invoice_settings.default_payment_method
    saving = {"payment_settings": {"save_default_payment_method": "on_subscription"}}
    subscription = subscribe(api, customer, price(api, 1000), **saving)
    assert api.subscriptions.retrieve(subscription.id).default_payment_method == card


def test_cancelled_at_period_end_and_its_reasons(api: Sdk) -> None:
    customer = clocked(api, "2026-01-01")
    subscription = subscribe(api, customer, price(api, 1000))
    details = {"cancellation_details": {"feedback": "too_expensive", "comment": "Sorry"}}
    advance(api, customer.test_clock, "2026-01-10")
    api.subscriptions.update(subscription.id, {"cancel_at_period_end": True, **details})
    advance(api, customer.test_clock, at("2026-02-01") + DAY)
    ended = api.subscriptions.retrieve(subscription.id)
    assert (ended.status, ended.canceled_at, ended.ended_at) == ("canceled", at("2026-01-10"), at("2026-02-01"))
    assert ended.cancel_at_period_end
    assert (ended.cancellation_details.feedback, ended.cancellation_details.reason) == (
        "too_expensive", "cancellation_requested",
    )  # fmt: skip
    assert len(invoices(api, subscription)) == 1


def test_cancelling_stops_collection(api: Sdk) -> None:
    customer, subscription = failing(api)
    advance(api, customer.test_clock, "2026-02-01T02:00")
    api.subscriptions.cancel(subscription.id)
    use_card(api, customer, "pm_card_visa")
    advance(api, customer.test_clock, "2026-03-01")
    left = invoices(api, subscription)[1]
    assert (left.status, left.auto_advance, left.next_payment_attempt, left.attempt_count) == ("open", False, None, 1)
    assert api.invoices.pay(left.id).status == "paid"
    assert api.subscriptions.retrieve(subscription.id).status == "canceled"
