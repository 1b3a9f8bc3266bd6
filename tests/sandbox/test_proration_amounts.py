"""Prorations and discounts, fractions of a cent, and items that somebody makes for a subscription."""

from typing import Any

import pytest
import stripe

from sandbox.conftest import Sdk, refusal
from sandbox.test_prorations import MODES, change, pending, started
from sandbox.timing import advance, clocked, invoices, price, subscribe


def test_an_item_for_a_subscription_waits_for_its_invoice_alone(api: Sdk) -> None:
    customer, subscription = started(api, price(api, 1000))
    other = subscribe(api, customer, price(api, 2000))
    item = api.invoice_items.create(
        {"customer": customer.id, "subscription": other.id, "amount": -77, "currency": "usd"}
    )
    assert item.parent.subscription_details.subscription == other.id
    advance(api, customer.test_clock, "2026-05-01T02:00")
    assert (invoices(api, subscription)[1].total, invoices(api, other)[1].total) == (1000, 1923)
    line = next(one for one in invoices(api, other)[1].lines.data if one.amount == -77)
    assert line.parent.invoice_item_details.subscription == other.id
    another = {"customer": clocked(api, "2026-04-01").id, "subscription": other.id, "amount": 5, "currency": "usd"}
    assert refusal(stripe.InvalidRequestError, api.invoice_items.create, another).param == "subscription"


@MODES
@pytest.mark.parametrize(
    ("off", "amounts"),
    [
        ({"percent_off": 40}, [-300, 600]),  # half of 1000 and of 2000, less 40 %
        ({"amount_off": 300, "currency": "usd"}, [-350, 850]),  # half of 1000 - 300 and of 2000 - 300
    ],
)
def test_prorations_are_net_of_what_runs_on(api: Sdk, mode: str, off: dict[str, Any], amounts: list[int]) -> None:
    customer = clocked(api, "2026-04-01")
    coupon = api.coupons.create({**off, "duration": "forever"})
    subscription = subscribe(
        api, customer, price(api, 1000), discounts=[{"coupon": coupon.id}], billing_mode={"type": mode}
    )
    advance(api, customer.test_clock, "2026-04-16")
    change(api, subscription, price(api, 2000))
    assert pending(api, customer) == amounts
    advance(api, customer.test_clock, "2026-05-01T01:00")
    renewed = 2000 * 60 // 100 if "percent_off" in off else 1700
    assert invoices(api, subscription)[1].total == sum(amounts) + renewed


@pytest.mark.parametrize(("mode", "amounts"), [("flexible", [-450, 920]), ("classic", [-400, 900])])
def test_an_amount_off_is_spread_over_the_items(api: Sdk, mode: str, amounts: list[int]) -> None:
    """1000 and 3000, less 400: in proportion 100 and 300, evenly (classic) 200 and 200. Half a period is left.
    1000 becomes 2000: in proportion 2000 of 5000 take 160, evenly 200."""
    customer = clocked(api, "2026-04-01")
    coupon = api.coupons.create({"amount_off": 400, "currency": "usd", "duration": "forever"})
    both, fields = (price(api, 1000), price(api, 3000)), {"discounts": [{"coupon": coupon.id}]}
    subscription = subscribe(api, customer, *both, billing_mode={"type": mode}, **fields)
    advance(api, customer.test_clock, "2026-04-16")
    change(api, subscription, price(api, 2000))
    assert pending(api, customer) == amounts


def test_a_fraction_of_a_cent_is_rounded_once(api: Sdk) -> None:
    """5 at 0.5 cents are 2.5, half of it 1.25: 1. Rounded before as well, it would be half of 3: 2."""
    customer, subscription = started(api, price(api, 1000))
    advance(api, customer.test_clock, "2026-04-16")
    change(api, subscription, price(api, "0.5"), quantity=5)
    assert pending(api, customer) == [-500, 1]
