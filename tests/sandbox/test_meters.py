"""Billing meters: events, adjustments, summaries, and usage on invoices."""

from typing import Any

import pytest
import stripe

from sandbox.conftest import Sdk, refusal
from sandbox.timing import DAY, HOUR, advance, at, clocked, invoices, price, subscribe


def meter(api: Sdk, formula: str = "sum", name: str = "calls", **fields: Any) -> Any:
    aggregation = {"formula": formula}
    return api.billing.meters.create(
        {"display_name": "Calls", "event_name": name, "default_aggregation": aggregation, **fields}
    )


def report(api: Sdk, customer: Any, value: float | str, when: int | str | None = None, **fields: Any) -> Any:
    timed = {} if when is None else {"timestamp": at(when) if isinstance(when, str) else when}
    payload = {"stripe_customer_id": customer.id, "value": str(value)}
    return api.billing.meter_events.create({"event_name": "calls", "payload": payload, **timed, **fields})


def summaries(api: Sdk, made: Any, customer: Any, start: str, end: str, **fields: Any) -> list[tuple[int, float]]:
    window = {"customer": customer.id, "start_time": at(start), "end_time": at(end), **fields}
    return [
        (one.start_time, one.aggregated_value) for one in api.billing.meters.event_summaries.list(made.id, window).data
    ]


def test_the_life_of_a_meter(api: Sdk) -> None:
    made = meter(api)
    assert (made.status, made.value_settings.event_payload_key) == ("active", "value")
    assert refusal(stripe.InvalidRequestError, meter, api).param == "event_name"
    assert api.billing.meters.update(made.id, {"display_name": "B"}).display_name == "B"
    assert api.billing.meters.deactivate(made.id).status == "inactive"
    other = meter(api)
    refusal(stripe.InvalidRequestError, api.billing.meters.reactivate, made.id)
    api.billing.meters.deactivate(other.id)
    assert api.billing.meters.reactivate(made.id).status_transitions.deactivated_at is None
    assert [one.id for one in api.billing.meters.list({"status": "active"}).data] == [made.id]


@pytest.mark.parametrize(("formula", "total"), [("sum", 6.5), ("count", 3), ("last", 1)])
def test_aggregation(api: Sdk, formula: str, total: float) -> None:
    """2.5 at 10:00, 3 at 11:00 and 1 at 12:00, reported in another order: sum 6.5, count 3, last 1."""
    customer, made = clocked(api, "2026-01-02"), meter(api, formula)
    report(api, customer, 1, "2026-01-01T12:00")
    report(api, customer, 2.5, "2026-01-01T10:00")
    report(api, customer, 3, "2026-01-01T11:00")
    assert summaries(api, made, customer, "2026-01-01", "2026-01-02") == [(at("2026-01-01"), total)]
    assert summaries(api, made, customer, "2026-01-02", "2026-01-03") == [(at("2026-01-02"), 0)]


def test_summaries_by_hour_and_day(api: Sdk) -> None:
    customer, made = clocked(api, "2026-01-05"), meter(api)
    for when, value in (
        ("2026-01-01T00:00", 1),
        ("2026-01-01T00:59:59", 2),
        ("2026-01-01T01:00", 4),
        ("2026-01-03", 8),
    ):
        report(api, customer, value, when)
    hours = summaries(api, made, customer, "2026-01-01", "2026-01-05", value_grouping_window="hour")
    assert hours == [(at("2026-01-03"), 8), (at("2026-01-01T01:00"), 4), (at("2026-01-01"), 3)]
    days = summaries(api, made, customer, "2026-01-01", "2026-01-05", value_grouping_window="day")
    assert days == [(at("2026-01-03"), 8), (at("2026-01-01"), 7)]
    window = {"customer": customer.id, "start_time": at("2026-01-01"), "end_time": at("2026-01-05")}
    window |= {"value_grouping_window": "hour", "limit": 2}
    pages = api.billing.meters.event_summaries.list(made.id, window)
    assert [one.aggregated_value for one in pages.auto_paging_iter()] == [8, 4, 3]
    first = api.billing.meters.event_summaries.list(made.id, {**window, "ending_before": pages.data[1].id})
    assert [one.aggregated_value for one in first.data] == [8]
    for wrong in ({"start_time": at("2026-01-01T00:30")}, {"end_time": at("2026-01-01")}):
        refusal(stripe.InvalidRequestError, api.billing.meters.event_summaries.list, made.id, {**window, **wrong})


def test_an_identifier_is_taken_once_in_24_hours(api: Sdk, sandbox: Any) -> None:
    meter(api)
    customer = api.customers.create()
    event = report(api, customer, 1, identifier="a")
    assert event.identifier == "a" and event.payload.value == "1"
    assert (
        refusal(stripe.InvalidRequestError, lambda: report(api, customer, 2, identifier="a")).code
        == "duplicate_meter_event"
    )
    sandbox.admin("POST", "clock", {"advance": DAY + 1})
    report(api, customer, 2, identifier="a")


def test_timestamps(api: Sdk) -> None:
    meter(api)
    customer = clocked(api, "2026-03-01")
    now = at("2026-03-01")
    for good in (now - 35 * DAY, now + 300):
        assert report(api, customer, 1, good).timestamp == good
    for wrong, code in ((now - 35 * DAY - 1, "timestamp_too_far_in_past"), (now + 301, "timestamp_in_future")):
        assert refusal(stripe.InvalidRequestError, report, api, customer, 1, wrong).code == code
    assert report(api, customer, 1).timestamp == now


@pytest.mark.parametrize(
    ("event", "param"),
    [
        ({"event_name": "none"}, "event_name"),
        ({"payload": {"value": "1"}}, "payload[stripe_customer_id]"),
        ({"payload": {"stripe_customer_id": "cus_1"}}, "payload[value]"),
        ({"payload": {"stripe_customer_id": "cus_1", "value": "one"}}, "payload[value]"),
        ({"payload": {"stripe_customer_id": "cus_1", "value": "1e3"}}, "payload[value]"),
    ],
)
def test_wrong_events(api: Sdk, event: dict[str, Any], param: str) -> None:
    meter(api)
    good = {"event_name": "calls", "payload": {"stripe_customer_id": "cus_1", "value": "1"}}
    assert refusal(stripe.InvalidRequestError, api.billing.meter_events.create, {**good, **event}).param == param
    api.billing.meter_events.create(good)


def test_an_event_is_taken_back(api: Sdk) -> None:
    made, customer = meter(api), clocked(api, "2026-01-02")
    report(api, customer, 5, "2026-01-01T10:00", identifier="five")
    report(api, customer, 7, "2026-01-01T10:00")
    back = {"event_name": "calls", "type": "cancel", "cancel": {"identifier": "five"}}
    assert api.billing.meter_event_adjustments.create(back).status == "complete"
    assert summaries(api, made, customer, "2026-01-01", "2026-01-02") == [(at("2026-01-01"), 7)]
    assert (
        refusal(stripe.InvalidRequestError, api.billing.meter_event_adjustments.create, back).param
        == "cancel[identifier]"
    )


def test_usage_is_billed_in_arrears(api: Sdk) -> None:
    """10 free calls, then 0.25 cents each: 1210 calls in January cost 1200 x 0.25 = 300.
    The base of 1000 is billed in advance for February on the same invoice."""
    customer, made = clocked(api, "2026-01-01"), meter(api)
    tiers = [{"up_to": 10, "unit_amount": 0}, {"up_to": "inf", "unit_amount_decimal": "0.25"}]
    usage = price(api, recurring={"usage_type": "metered", "meter": made.id}, billing_scheme="tiered",
                  tiers_mode="graduated", tiers=tiers)  # fmt: skip
    subscription = subscribe(api, customer, price(api, 1000), usage)
    (first,) = invoices(api, subscription)
    assert [line.amount for line in first.lines.data] == [1000]
    report(api, customer, 1000)
    advance(api, customer.test_clock, "2026-01-20")
    report(api, customer, 209)
    advance(api, customer.test_clock, "2026-02-01T00:30")
    report(api, customer, 1, "2026-01-31T23:59:59")  # late, while the invoice is a draft
    report(api, customer, 50)  # February's
    second = invoices(api, subscription)[1]
    assert second.total == 1300  # 1209: 299.75
    advance(api, customer.test_clock, "2026-02-01T01:00")
    paid = api.invoices.retrieve(second.id)
    assert (paid.status, paid.total) == ("paid", 1300)
    by_item = {line.quantity: (line.amount, line.period.start, line.period.end) for line in paid.lines.data}
    assert by_item == {
        1: (1000, at("2026-02-01"), at("2026-03-01")),
        1210: (300, at("2026-01-01"), at("2026-02-01")),
    }
    advance(api, customer.test_clock, "2026-03-01T02:00")
    assert invoices(api, subscription)[2].total == 1010, "50 calls: 40 x 0.25"


def test_only_usage(api: Sdk) -> None:
    """Flexible billing has no first invoice for it, classic one of nothing."""
    made = meter(api)
    usage = price(api, 100, recurring={"usage_type": "metered", "meter": made.id})
    flexible = subscribe(api, clocked(api, "2026-01-01"), usage)
    assert (flexible.status, flexible.latest_invoice) == ("active", None)
    classic = subscribe(api, clocked(api, "2026-01-01"), usage, billing_mode={"type": "classic"})
    assert (classic.status, invoices(api, classic)[0].total, classic.billing_mode.type) == ("active", 0, "classic")


def test_usage_in_a_trial_is_not_billed(api: Sdk) -> None:
    """3 calls in the trial count for nothing, 2 after it cost 200."""
    customer, made = clocked(api, "2026-01-01"), meter(api)
    usage = price(api, 100, recurring={"usage_type": "metered", "meter": made.id})
    subscription = subscribe(api, customer, usage, trial_period_days=7)
    report(api, customer, 3)
    advance(api, customer.test_clock, at("2026-01-08") + 2 * HOUR)
    report(api, customer, 2)
    advance(api, customer.test_clock, at("2026-02-08") + 2 * HOUR)
    assert [one.total for one in invoices(api, subscription)] == [200]


@pytest.mark.parametrize("end", ["cancel_at_period_end", "invoice_now"])
def test_the_last_usage_is_billed(api: Sdk, end: str) -> None:
    """4 calls at 100 on the final invoice."""
    customer, made = clocked(api, "2026-01-01"), meter(api)
    usage = price(api, 100, recurring={"usage_type": "metered", "meter": made.id})
    subscription = subscribe(api, customer, usage)
    advance(api, customer.test_clock, "2026-01-15")
    report(api, customer, 4, "2026-01-14")
    if end == "invoice_now":
        api.subscriptions.cancel(subscription.id, {"invoice_now": True})
    else:
        api.subscriptions.update(subscription.id, {"cancel_at_period_end": True})
        advance(api, customer.test_clock, "2026-02-01T02:00")
    assert api.subscriptions.retrieve(subscription.id).status == "canceled"
    assert [(one.total, one.status) for one in invoices(api, subscription)] == [(400, "paid")]


def test_a_metered_item_that_goes_is_billed(api: Sdk) -> None:
    """Flexible: 4 calls at 100 until 15 January become a pending item on the next invoice."""
    customer, made = clocked(api, "2026-01-01"), meter(api)
    usage = price(api, 100, recurring={"usage_type": "metered", "meter": made.id})
    subscription = subscribe(api, customer, price(api, 1000), usage)
    advance(api, customer.test_clock, "2026-01-15")
    report(api, customer, 4, "2026-01-14")
    api.subscription_items.delete(subscription["items"].data[1].id)
    advance(api, customer.test_clock, "2026-02-01T02:00")
    assert [one.total for one in invoices(api, subscription)] == [1000, 1400]
