"""Subscriptions on test clocks: billing dates, prorations, trials. April has 30 days; 2027 has 365."""

from itertools import pairwise
from typing import Any

import pytest

from sandbox.conftest import Sdk
from sandbox.timing import advance, at, clocked, invoices, lines, price, subscribe

MODES = pytest.mark.parametrize("mode", ["flexible", "classic"])


def change(api: Sdk, subscription: Any, to: Any, **fields: Any) -> Any:
    item = {"id": subscription["items"].data[0].id, "price": to.id}
    return api.subscriptions.update(subscription.id, {"items": [item], **fields})


def pending(api: Sdk, customer: Any) -> list[int]:
    return sorted(one.amount for one in api.invoice_items.list({"customer": customer.id, "pending": True}).data)


def test_day_31_comes_back(api: Sdk) -> None:
    customer = clocked(api, "2027-01-31T10:00")
    subscription = subscribe(api, customer, price(api))
    for end, following in pairwise(["2027-02-28T10:00", "2027-03-31T10:00", "2027-04-30T10:00"]):
        advance(api, customer.test_clock, end)
        item = api.subscriptions.retrieve(subscription.id)["items"].data[0]
        assert (item.current_period_start, item.current_period_end) == (at(end), at(following))


@MODES
def test_a_new_price_after_10_of_30_days(api: Sdk, mode: str) -> None:
    """20 of 30 days are left: -666.67 of 1000 and 1333.33 of 2000, with May's 2000 in one invoice of 2666."""
    customer = clocked(api, "2027-04-01")
    subscription = subscribe(api, customer, price(api, 1000), billing_mode={"type": mode})
    advance(api, customer.test_clock, "2027-04-11")
    change(api, subscription, price(api, 2000))
    assert pending(api, customer) == [-667, 1333]
    advance(api, customer.test_clock, "2027-05-01T02:00")
    renewed = invoices(api, subscription)[-1]
    assert (renewed.billing_reason, renewed.total, renewed.status) == ("subscription_cycle", 2666, "paid")
    assert sorted(lines(renewed)) == [
        (-667, at("2027-04-11"), at("2027-05-01")),
        (1333, at("2027-04-11"), at("2027-05-01")),
        (2000, at("2027-05-01"), at("2027-06-01")),
    ]


@MODES
def test_a_year_after_73_of_365_days(api: Sdk, mode: str) -> None:
    """From 15 March on 292 / 365 = 0.8 are left: -8000 of 10000 and 20000 of 25000."""
    customer = clocked(api, "2027-01-01")
    subscription = subscribe(api, customer, price(api, 10000, "year"), billing_mode={"type": mode})
    advance(api, customer.test_clock, "2027-03-15")
    change(api, subscription, price(api, 25000, "year"))
    assert pending(api, customer) == [-8000, 20000]


def test_another_interval_resets_the_billing_date(api: Sdk) -> None:
    """After 10 of 30 days from 3000 a month to 24000 a year: 24000 - 2000 at once, and the next time in a year."""
    customer = clocked(api, "2027-04-01")
    subscription = subscribe(api, customer, price(api, 3000))
    advance(api, customer.test_clock, "2027-04-11")
    changed = change(api, subscription, price(api, 24000, "year"))
    assert changed["items"].data[0].current_period_end == at("2028-04-11")
    assert (invoices(api, subscription)[-1].total, invoices(api, subscription)[-1].status) == (22000, "paid")


def test_a_trial(api: Sdk) -> None:
    """14 days for nothing, then 1000 for the month from the 15th on."""
    customer = clocked(api, "2027-01-01")
    subscription = subscribe(api, customer, price(api, 1000), trial_period_days=14)
    assert (subscription.status, subscription.trial_end) == ("trialing", at("2027-01-15"))
    assert [(one.total, one.status) for one in invoices(api, subscription)] == [(0, "paid")]
    advance(api, customer.test_clock, "2027-01-15T02:00")
    now = api.subscriptions.retrieve(subscription.id)
    assert (now.status, now["items"].data[0].current_period_end) == ("active", at("2027-02-15"))
    assert [(one.total, one.status) for one in invoices(api, subscription)][1:] == [(1000, "paid")]
