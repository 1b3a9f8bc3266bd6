"""Trials: their notice, their end with and without a card, and how long they may be."""

from typing import Any

import pytest
import stripe

from sandbox.conftest import Sdk, event_types, refusal
from sandbox.timing import DAY, advance, at, clocked, invoices, lines, price, subscribe, use_card


def on_trial(api: Sdk, card: str | None = "pm_card_visa", days: int = 14, ends: str = "create_invoice") -> Any:
    customer = clocked(api, "2026-01-01", card)
    behavior = {"end_behavior": {"missing_payment_method": ends}}
    made = subscribe(api, customer, price(api, 1000), trial_period_days=days, trial_settings=behavior)
    return customer, made


def test_a_trial_from_beginning_to_end(api: Sdk) -> None:
    """14 days for nothing, a notice on the 12th, then a month for 1000 from the 15th on."""
    customer, subscription = on_trial(api, None)
    assert (subscription.status, subscription.trial_start, subscription.trial_end) == (
        "trialing", at("2026-01-01"), at("2026-01-15"),
    )  # fmt: skip
    assert subscription.billing_cycle_anchor == at("2026-01-15")
    (first,) = invoices(api, subscription)
    assert (first.total, first.status, first.lines.data[0].description) == (0, "paid", "Trial period for Plan")
    assert lines(first) == [(0, at("2026-01-01"), at("2026-01-15"))]
    use_card(api, customer, "pm_card_visa")
    mark = api.events.list({"limit": 1}).data[0].id
    advance(api, customer.test_clock, at("2026-01-12") - 1)
    assert "customer.subscription.trial_will_end" not in event_types(api)
    advance(api, customer.test_clock, "2026-01-12")
    notices = api.events.list({"type": "customer.subscription.trial_will_end"}).data
    assert [one.data.object.id for one in notices] == [subscription.id]
    advance(api, customer.test_clock, "2026-01-15T01:00")
    now = api.subscriptions.retrieve(subscription.id)
    assert (now.status, now["items"].data[0].current_period_end) == ("active", at("2026-02-15"))
    assert (invoices(api, subscription)[1].status, invoices(api, subscription)[1].total) == ("paid", 1000)
    types = [one for one in event_types(api, ending_before=mark) if not one.startswith("test_helpers")]
    assert types[:3] == ["customer.subscription.trial_will_end", "customer.subscription.updated", "invoice.created"]
    assert types.count("customer.subscription.trial_will_end") == 1


def test_a_short_trial_is_announced_at_once(api: Sdk) -> None:
    on_trial(api, days=3)
    assert event_types(api)[-1] == "customer.subscription.trial_will_end"


def test_without_a_card_it_is_canceled(api: Sdk) -> None:
    customer, subscription = on_trial(api, None, ends="cancel")
    advance(api, customer.test_clock, "2026-01-16")
    ended = api.subscriptions.retrieve(subscription.id)
    assert (ended.status, ended.ended_at) == ("canceled", at("2026-01-15"))
    assert len(invoices(api, subscription)) == 1


@pytest.mark.parametrize("ends", ["cancel", "pause"])
def test_with_a_card_it_goes_on(api: Sdk, ends: str) -> None:
    customer, subscription = on_trial(api, ends=ends)
    advance(api, customer.test_clock, "2026-01-16")
    assert api.subscriptions.retrieve(subscription.id).status == "active"


def test_without_a_card_it_is_paused_and_resumed(api: Sdk) -> None:
    customer, subscription = on_trial(api, None, ends="pause")
    advance(api, customer.test_clock, "2026-01-20")
    assert api.subscriptions.retrieve(subscription.id).status == "paused"
    assert "customer.subscription.paused" in event_types(api)
    assert len(invoices(api, subscription)) == 1
    refusal(stripe.InvalidRequestError, api.subscriptions.resume, subscription.id)
    advance(api, customer.test_clock, "2026-02-10")
    assert len(invoices(api, subscription)) == 1, "paused, nothing is invoiced"
    use_card(api, customer, "pm_card_visa")
    running = api.subscriptions.resume(subscription.id)
    assert (running.status, running.billing_cycle_anchor) == ("active", at("2026-02-10"))
    assert lines(invoices(api, subscription)[-1]) == [(1000, at("2026-02-10"), at("2026-03-10"))]
    assert "customer.subscription.resumed" in event_types(api)
    refusal(stripe.InvalidRequestError, api.subscriptions.resume, subscription.id)


def test_a_resumption_that_is_not_paid(api: Sdk) -> None:
    """For 23 hours its invoice can be paid, then it is voided and the subscription stays paused."""
    customer, subscription = on_trial(api, None, ends="pause")
    advance(api, customer.test_clock, "2026-01-20")
    use_card(api, customer, "pm_card_chargeCustomerFail")
    assert api.subscriptions.resume(subscription.id).status == "paused"
    assert invoices(api, subscription)[-1].status == "open"
    advance(api, customer.test_clock, "2026-01-21")
    assert invoices(api, subscription)[-1].status == "void"
    assert api.subscriptions.retrieve(subscription.id).status == "paused"
    use_card(api, customer, "pm_card_visa")
    assert api.subscriptions.resume(subscription.id).status == "active"


def test_without_a_card_an_invoice_is_made_and_not_paid(api: Sdk) -> None:
    customer, subscription = on_trial(api, None)
    advance(api, customer.test_clock, "2026-01-16")
    assert api.subscriptions.retrieve(subscription.id).status == "past_due"
    unpaid = invoices(api, subscription)[-1]
    assert (unpaid.status, unpaid.attempted, unpaid.next_payment_attempt) == ("open", True, at("2026-01-18T01:00"))
    assert api.charges.list().data == []


def test_longer_shorter_over(api: Sdk) -> None:
    customer, subscription = on_trial(api)
    longer = api.subscriptions.update(subscription.id, {"trial_end": at("2026-02-01")})
    assert (longer.status, longer.trial_end, longer["items"].data[0].current_period_end) == (
        "trialing", at("2026-02-01"), at("2026-02-01"),
    )  # fmt: skip
    assert len(invoices(api, subscription)) == 1
    advance(api, customer.test_clock, "2026-01-20")
    over = api.subscriptions.update(subscription.id, {"trial_end": "now"})
    assert (over.status, over.trial_end, over.billing_cycle_anchor) == ("active", at("2026-01-20"), at("2026-01-20"))
    assert (invoices(api, subscription)[-1].total, invoices(api, subscription)[-1].status) == (1000, "paid")


def test_changes_in_a_trial_cost_nothing(api: Sdk) -> None:
    customer, subscription = on_trial(api)
    item = {"id": subscription["items"].data[0].id, "price": price(api, 5000).id, "quantity": 2}
    changed = api.subscriptions.update(subscription.id, {"items": [item], "proration_behavior": "always_invoice"})
    assert changed.status == "trialing"
    assert api.invoice_items.list().data == []
    advance(api, customer.test_clock, "2026-01-15T01:00")
    assert [one.total for one in invoices(api, subscription)] == [0, 10000]


def test_at_most_730_days(api: Sdk) -> None:
    customer = clocked(api, "2026-01-01")
    for wrong, param in (
        ({"trial_period_days": 731}, "trial_period_days"),
        ({"trial_end": at("2026-01-01") + 730 * DAY + 1}, "trial_end"),
        ({"trial_end": at("2025-12-31")}, "trial_end"),
        ({"trial_end": at("2026-01-31"), "trial_period_days": 7}, "trial_end"),
    ):
        wanted = {"customer": customer.id, "items": [{"price": price(api).id}], **wrong}
        assert refusal(stripe.InvalidRequestError, api.subscriptions.create, wanted).param == param
    assert subscribe(api, customer, price(api), trial_period_days=730).trial_end == at("2028-01-01")
    assert subscribe(api, customer, price(api), trial_period_days=0).status == "active"
    assert subscribe(api, customer, price(api), trial_end="now").status == "active"


def test_a_resumption_that_is_written_off(api: Sdk) -> None:
    customer, subscription = on_trial(api, None, ends="pause")
    advance(api, customer.test_clock, "2026-01-20")
    use_card(api, customer, "pm_card_chargeCustomerFail")
    api.subscriptions.resume(subscription.id)
    api.invoices.mark_uncollectible(invoices(api, subscription)[-1].id)
    assert api.subscriptions.retrieve(subscription.id).status == "active"
