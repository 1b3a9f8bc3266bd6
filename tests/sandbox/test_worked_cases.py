"""Cases of money worked by hand: by the month and by the year, in both billing modes, in dollars, yen and dinars.

April 2026 has 30 days; the year from 1 January 2026 has 365. Amounts are in cents, yen and fils.
"""

from typing import Any

import pytest

from sandbox.conftest import Sdk
from sandbox.timing import advance, at, clocked, invoices, price, subscribe

EACH = pytest.mark.parametrize(
    ("interval", "mode"), [(i, m) for i in ("month", "year") for m in ("flexible", "classic")]
)
TIERS = [
    {"up_to": 5, "unit_amount": 500},
    {"up_to": 10, "unit_amount": 400, "flat_amount": 100},
    {"up_to": "inf", "unit_amount_decimal": "0.5"},
]
BEGINS = {"month": "2026-04-01", "year": "2026-01-01"}
CHANGES = {"month": "2026-04-11", "year": "2026-03-15"}  # 20 of 30 and 292 of 365 days are left: 2/3 and 0.8
RENEWED = {"month": "2026-05-01T02:00", "year": "2027-01-01T02:00"}


def begun(api: Sdk, one: Any, interval: str, mode: str, **fields: Any) -> tuple[Any, Any]:
    customer = clocked(api, BEGINS[interval])
    return customer, subscribe(api, customer, one, billing_mode={"type": mode}, **fields)


def changed(api: Sdk, customer: Any, subscription: Any, interval: str, **change: Any) -> list[int]:
    """The prorations of a change in mid-period."""
    advance(api, customer.test_clock, CHANGES[interval])
    item = {"id": subscription["items"].data[0].id, **change}
    api.subscriptions.update(subscription.id, {"items": [item]})
    return [one.amount for one in api.invoice_items.list({"customer": customer.id, "pending": True}).data][::-1]


@EACH
def test_prorations(api: Sdk, interval: str, mode: str) -> None:
    """Two thirds of a month are left:
    usd  1000 -> 2000: 666.67 back, 1333.33 more;  jpy 1001 -> 2003: 667.33, 1335.33;  kwd 12345 -> 9995: 8230, 6663.33.
    Eight tenths of a year are left:
    usd  999 -> 1999: 799.2, 1599.2;  jpy 10001 -> 20003: 8000.8, 16002.4;  kwd 123457 -> 99993: 98765.6, 79994.4.
    """
    cases = {
        "month": [("usd", 1000, 2000, -667, 1333), ("jpy", 1001, 2003, -667, 1335), ("kwd", 12345, 9995, -8230, 6663)],
        "year": [
            ("usd", 999, 1999, -799, 1599),
            ("jpy", 10001, 20003, -8001, 16002),
            ("kwd", 123457, 99993, -98766, 79994),
        ],
    }
    for currency, old, new, back, more in cases[interval]:
        customer, subscription = begun(api, price(api, old, interval, currency), interval, mode)
        to = price(api, new, interval, currency).id
        assert changed(api, customer, subscription, interval, price=to) == [back, more], currency
        advance(api, customer.test_clock, RENEWED[interval])
        assert [one.total for one in invoices(api, subscription)] == [old, back + more + new], currency


@EACH
def test_trials(api: Sdk, interval: str, mode: str) -> None:
    """14 days for 0; then the whole price, unprorated, for the month or the year that begins where the trial ends."""
    ends = {"month": ("2026-04-15", "2026-05-15"), "year": ("2026-01-15", "2027-01-15")}[interval]
    for currency, amount in (("usd", 1999), ("jpy", 1500), ("kwd", 4567)):
        one = price(api, amount, interval, currency)
        customer, subscription = begun(api, one, interval, mode, trial_period_days=14)
        advance(api, customer.test_clock, f"{ends[0]}T02:00")
        made = invoices(api, subscription)
        assert [(one.total, one.amount_paid) for one in made] == [(0, 0), (amount, amount)], currency
        assert [line.amount for line in made[1].lines.data] == [amount]
        assert api.subscriptions.retrieve(subscription.id)["items"].data[0].current_period_end == at(ends[1])


@EACH
def test_tiers(api: Sdk, interval: str, mode: str) -> None:
    """12 units: 5 x 500 + 100 + 5 x 400 + 2 x 0.5 = 4601. 6 units: 5 x 500 + 100 + 400 = 3000.
    From 12 to 6 with two thirds of a month left: 3067.33 back, 2000 more; with 0.8 of a year: 3680.8 back, 2400 more.
    """
    expected = {"month": [-3067, 2000], "year": [-3681, 2400]}[interval]
    for currency in ("usd", "jpy", "kwd"):
        scheme = {"billing_scheme": "tiered", "tiers_mode": "graduated", "tiers": TIERS}
        tiered = price(api, interval=interval, currency=currency, **scheme)
        customer = clocked(api, BEGINS[interval])
        items = [{"price": tiered.id, "quantity": 12}]
        params = {"customer": customer.id, "items": items, "billing_mode": {"type": mode}}
        subscription = api.subscriptions.create(params)
        assert invoices(api, subscription)[0].total == 4601
        assert changed(api, customer, subscription, interval, quantity=6) == expected, currency
        advance(api, customer.test_clock, RENEWED[interval])
        assert invoices(api, subscription)[1].total == 3000 + sum(expected), currency


@EACH
def test_balance(api: Sdk, interval: str, mode: str) -> None:
    """1500 of credit on 1000 a period: the first is free and leaves 500, the second asks for 1000 - 500 = 500."""
    for currency in ("usd", "jpy", "kwd"):
        customer = clocked(api, BEGINS[interval])
        api.customers.balance_transactions.create(customer.id, {"amount": -1500, "currency": currency})
        one = price(api, 1000, interval, currency)
        subscription = subscribe(api, customer, one, billing_mode={"type": mode})
        advance(api, customer.test_clock, RENEWED[interval])
        paid = [(one.total, one.amount_paid, one.ending_balance) for one in invoices(api, subscription)]
        assert paid == [(1000, 0, -500), (1000, 500, 0)], currency
        assert api.customers.retrieve(customer.id).balance == 0


@EACH
def test_minimum(api: Sdk, interval: str, mode: str) -> None:
    """30 a period. Below 50 cents and 50 yen nothing is asked and 30 are owed; the next asks for 30 + 30 = 60.
    Stripe publishes no minimum for dinars: 30 fils are asked for each time."""
    for currency, expected in (
        ("usd", [(30, 0, 30), (30, 60, 0)]),
        ("jpy", [(30, 0, 30), (30, 60, 0)]),
        ("kwd", [(30, 30, 0), (30, 30, 0)]),
    ):
        customer, subscription = begun(api, price(api, 30, interval, currency), interval, mode)
        assert subscription.status == "active"
        advance(api, customer.test_clock, RENEWED[interval])
        paid = [(one.total, one.amount_paid, one.ending_balance) for one in invoices(api, subscription)]
        assert paid == expected, currency
        assert {one.status for one in invoices(api, subscription)} == {"paid"}
