"""Schedules: made from a subscription, a phase that begins with its next period, released, ended."""

from typing import Any

import pytest
import stripe

from sandbox.conftest import Sandbox, Sdk, event_types, paying_customer, refusal
from sandbox.test_subscriptions import monthly

DAY = 86_400


def scheduled(api: Sdk, price: str, amount: int = 3000, **fields: Any) -> tuple[Any, Any]:
    """A subscription for `amount`, and a schedule by which it becomes one to `price`."""
    customer = paying_customer(api)
    old = monthly(api, amount)
    subscription = api.subscriptions.create({"customer": customer.id, "items": [{"price": old.id}], **fields})
    made = api.subscription_schedules.create({"from_subscription": subscription.id})
    assert (made.status, made.subscription, len(made.phases)) == ("active", subscription.id, 1)
    (now,) = made.phases
    period = subscription["items"].data[0]
    assert (now.start_date, now.end_date) == (period.current_period_start, period.current_period_end)
    first = {"items": [{"price": old.id, "quantity": 1}], "start_date": now.start_date, "end_date": now.end_date}
    if subscription.status == "trialing":
        first["trial_end"] = subscription.trial_end
    following = {
        "items": [{"price": price, "quantity": 2}],
        "duration": {"interval": "month"},
        "proration_behavior": "none",
    }
    phases = [first, following]
    return subscription, api.subscription_schedules.update(made.id, {"end_behavior": "release", "phases": phases})


def test_the_next_period_begins_with_the_next_phase_and_then_it_is_released(api: Sdk, sandbox: Sandbox) -> None:
    new = monthly(api, 1000)
    subscription, schedule = scheduled(api, new.id)
    end = schedule.phases[1].start_date
    assert api.subscriptions.retrieve(subscription.id).schedule == schedule.id
    shown = api.subscriptions.retrieve(subscription.id, {"expand": ["schedule"]})
    assert shown.schedule.current_phase.end_date == end
    mark = api.events.list({"limit": 1}).data[0].id
    sandbox.admin("POST", "clock", {"to": end + 2 * 3600})
    item = api.subscriptions.retrieve(subscription.id)["items"].data[0]
    assert (item.price.id, item.quantity, item.current_period_start) == (new.id, 2, end)
    newest = api.invoices.list({"subscription": subscription.id}).data[0]
    assert (newest.status, [line.amount for line in newest.lines.data]) == ("paid", [2000])
    assert "subscription_schedule.updated" in event_types(api, ending_before=mark)
    sandbox.admin("POST", "clock", {"to": schedule.phases[1].end_date + 2 * 3600})
    over = api.subscription_schedules.retrieve(schedule.id)
    assert (over.status, over.released_subscription, over.subscription) == ("released", subscription.id, None)
    after = api.subscriptions.retrieve(subscription.id)
    assert (after.schedule, after.status) == (None, "active")
    assert [one.amount_paid for one in api.invoices.list({"subscription": subscription.id}).data] == [2000, 2000, 3000]


def test_a_trial_becomes_what_its_schedule_says(api: Sdk, sandbox: Sandbox) -> None:
    new = api.prices.create(
        {"product_data": {"name": "Year"}, "currency": "usd", "unit_amount": 9000, "recurring": {"interval": "year"}}
    )
    subscription, _ = scheduled(api, new.id, trial_period_days=3)
    sandbox.admin("POST", "clock", {"to": subscription.trial_end + 2 * 3600})
    after = api.subscriptions.retrieve(subscription.id)
    assert (after.status, after["items"].data[0].price.id) == ("active", new.id)
    assert after["items"].data[0].current_period_end > subscription.trial_end + 360 * DAY


def test_released_before_it_leaves_everything_as_it_is(api: Sdk, sandbox: Sandbox) -> None:
    subscription, schedule = scheduled(api, monthly(api, 1000).id)
    assert api.subscription_schedules.release(schedule.id).status == "released"
    assert api.subscriptions.retrieve(subscription.id).schedule is None
    sandbox.admin("POST", "clock", {"to": schedule.phases[1].start_date + 2 * 3600})
    assert [one.amount_paid for one in api.invoices.list({"subscription": subscription.id}).data] == [3000, 3000]
    error = refusal(stripe.InvalidRequestError, api.subscription_schedules.release, schedule.id)
    assert "currently in the `released` status" in error.user_message


def test_a_canceled_subscription_takes_its_schedule_along(api: Sdk) -> None:
    subscription, schedule = scheduled(api, monthly(api, 1000).id)
    error = refusal(
        stripe.InvalidRequestError, api.subscriptions.update, subscription.id, {"cancel_at_period_end": True}
    )
    assert f"managed by the subscription schedule `{schedule.id}`" in error.user_message
    api.subscriptions.cancel(subscription.id)
    assert api.subscription_schedules.retrieve(schedule.id).status == "canceled"


@pytest.mark.parametrize("wrong", ["again", "start", "currency"])
def test_what_stripe_refuses(api: Sdk, wrong: str) -> None:
    subscription, schedule = scheduled(api, monthly(api, 1000).id)
    now = schedule.phases[0]
    first: dict[str, Any] = {
        "items": [{"price": now["items"][0].price, "quantity": 1}], "start_date": now.start_date, "end_date": now.end_date,
    }  # fmt: skip
    if wrong == "again":
        call, given = api.subscription_schedules.create, [{"from_subscription": subscription.id}]
    elif wrong == "start":
        call, given = api.subscription_schedules.update, [schedule.id, {"phases": [{**first, "start_date": 1}]}]
    else:
        euro = monthly(api, 1000, currency="eur").id
        then = {"items": [{"price": euro}], "duration": {"interval": "month"}}
        call, given = api.subscription_schedules.update, [schedule.id, {"phases": [first, then]}]
    assert refusal(stripe.InvalidRequestError, call, *given).http_status == 400
    assert len(api.subscription_schedules.list({"customer": subscription.customer}).data) == 1
