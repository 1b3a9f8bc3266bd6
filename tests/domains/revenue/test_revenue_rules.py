"""Months of revenue: what an interval is for a month, when a subscription is worth something, and that movements add up."""

from __future__ import annotations

from datetime import UTC, datetime
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nself.core import period
from nself.domains.revenue import rules
from nself.domains.revenue.model import Guessed, Moved, Part, RevenueMonth, Step, Taken
from nself.domains.subscription.prorations import Item, Off, Price
from nself.domains.subscription.service.worth import Running, Terms

TZ = ZoneInfo("UTC")
SPAN = period.months(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 6, 15, tzinfo=UTC), TZ)
AMOUNTS = st.integers(0, 10**9)
NAMES = ("new_minor", "expansion_minor", "contraction_minor", "churned_minor", "reactivated_minor")


def part(monthly: Fraction | int) -> Part:
    exact = str(monthly)
    return Part(item="si", price="price", quantity=1, period="1 month", amount=exact, net=exact, monthly=exact)


def snapshot(status: str = "active", **more: Any) -> dict[str, Any]:
    return {"id": "sub", "status": status, "created": 100, "start_date": 100, "trial_end": None, **more}


def worths(
    of: dict[str, Any], at: int = 1000, first: bool = False, turns: tuple[int, ...] = ()
) -> list[tuple[int, bool]]:
    return [(one.at, bool(one.parts)) for one in rules.steps(of, at, first, turns, lambda at: [part(at)])]


@pytest.mark.parametrize(
    ("interval", "every", "monthly"),
    [
        ("month", 1, Fraction(1200)), ("month", 3, Fraction(400)), ("year", 1, Fraction(100)), ("year", 2, Fraction(50)),
        ("week", 1, Fraction(5200)), ("week", 2, Fraction(2600)), ("day", 1, Fraction(36500)), ("day", 7, Fraction(36500, 7)),
    ],
)  # fmt: skip
def test_an_amount_for_an_interval_is_one_for_a_month(interval: str, every: int, monthly: Fraction) -> None:
    assert rules.monthly(Fraction(1200), interval, every) == monthly


@given(st.lists(st.fractions(0, 10**6), max_size=5))
def test_a_subscription_is_rounded_once(amounts: list[Fraction]) -> None:
    exact = rules.total([part(one) for one in amounts])
    assert exact == sum(amounts) and abs(rules.whole(exact) - exact) <= Fraction(1, 2)
    assert rules.whole(Fraction(1, 2)) == 1 and rules.whole(Fraction(49, 100)) == 0


@pytest.mark.parametrize("status", ["trialing", "incomplete", "incomplete_expired", "unpaid", "paused", "canceled"])
def test_only_what_is_active_or_past_due_counts(status: str) -> None:
    assert worths(snapshot(status)) == [(1000, False)]
    assert worths(snapshot()) == worths(snapshot("past_due")) == [(1000, True)]


def test_what_is_seen_first_is_dated_back_to_its_start() -> None:
    assert worths(snapshot(), first=True) == [(100, True)]
    assert worths(snapshot(trial_end=500), first=True) == [(500, True)]
    assert worths(snapshot("canceled", ended_at=900), first=True) == [(100, True), (900, False)]
    assert worths(snapshot("canceled", ended_at=400, trial_end=400), first=True) == [(400, False)]
    assert worths(snapshot("trialing", trial_end=5000), first=True) == [(100, False)]


def test_ends_of_discounts_are_steps_of_their_own() -> None:
    assert worths(snapshot(), turns=(900, 1000, 1500, 2000)) == [(1000, True), (1500, True), (2000, True)]
    ended = snapshot("canceled", ended_at=900)
    assert worths(ended, first=True, turns=(50, 300, 950)) == [(100, True), (300, True), (900, False)]


def test_what_an_earlier_note_says_is_not_noted_again() -> None:
    one, two, three = (Step(at, [part(at)]) for at in (100, 200, 300))
    assert rules.known([one, two], [one, two]) and rules.known([one, two, three], [two._replace(at=250), three])
    assert not rules.known([], [one]) and not rules.known([one], [two]) and not rules.known([one, two], [one])
    assert not rules.known([one], [one, two]) and rules.known([one], [one._replace(at=900)])


def test_an_end_is_when_stripe_ended_it_and_test_clocks_have_a_time_of_their_own() -> None:
    assert rules.instant(snapshot(), 1000) == 1000
    assert rules.instant(snapshot("canceled", ended_at=900), 1000) == 900
    clocked = snapshot(test_clock="clock_1", items={"data": [{"current_period_start": 777}]})
    assert rules.instant(clocked, 1000) == 777


def price(amount: int, product: str = "prod", **more: Any) -> Price:
    return Price("price", product, "usd", "month", 1, unit=Fraction(amount), **more)


def net(terms: Terms, at: int) -> Fraction:
    return sum((one.net for one in terms.at(at)), Fraction(0))


def test_discounts_hold_while_they_run_and_the_subscriptions_own_before_the_customers() -> None:
    half, tenth, five = Off(percent=Fraction(1, 2)), Off(percent=Fraction(1, 10)), Off(amount=500)
    items = (Item("a", price(1000), 2), Item("b", price(3000), 1), Item("usage", price(7, metered=True), 0))
    terms = Terms(items, (Running(half, 0, 100),), (Running(tenth, 0, None),), False, None)
    assert [net(terms, at) for at in (0, 99, 100)] == [2500, 2500, 4500]
    assert terms.turns == {0, 100}
    both = Terms(items, (Running(half, 0, None), Running(five, 0, None)), (), False, None)
    assert net(both, 0) == 2000
    more_than_all = Terms(items, (Running(Off(amount=10**6), 0, None),), (), False, None)
    assert net(more_than_all, 0) == 0
    on_item = Terms(items, (Running(half._replace(item="a"), 0, None),), (Running(tenth, 0, None),), False, None)
    assert net(on_item, 0) == (1000 + 3000) * Fraction(9, 10)


movements = st.builds(
    Moved,
    start=st.sampled_from([one.start for one in SPAN]),
    currency=st.sampled_from(["usd", "eur"]),
    new_minor=AMOUNTS,
    expansion_minor=AMOUNTS,
    contraction_minor=AMOUNTS.map(lambda one: -one),
    churned_minor=AMOUNTS.map(lambda one: -one),
    reactivated_minor=AMOUNTS,
)
monies = st.builds(
    Taken,
    start=st.sampled_from([one.start for one in SPAN]),
    currency=st.sampled_from(["usd", "jpy"]),
    paid_minor=AMOUNTS,
    usage_minor=AMOUNTS,
    refunds_minor=AMOUNTS,
)


@given(
    st.lists(movements, unique_by=lambda one: (one.start, one.currency)),
    st.lists(monies, unique_by=lambda one: (one.start, one.currency)),
    st.integers(0, len(SPAN) - 1),
)
def test_start_and_movements_are_the_end_whichever_month_is_the_first(
    moved: list[Moved], taken: list[Taken], first: int
) -> None:
    moved = sorted(moved, key=lambda one: one.start)
    rows = rules.months(moved, taken, [], SPAN[first:], TZ)
    assert len(rows) == len(SPAN[first:]) * len({one.currency for one in (*moved, *taken)})
    ends: dict[str, RevenueMonth] = {}
    for row in rows:
        assert row.start_minor + sum(getattr(row, name) for name in NAMES) == row.mrr_minor
        assert row.net_minor == row.paid_minor - row.refunds_minor
        assert row.currency not in ends or row.start_minor == ends[row.currency].mrr_minor
        ends[row.currency] = row
    for currency, row in ends.items():
        assert row.mrr_minor == sum(one.change for one in moved if one.currency == currency)
    assert [one for one in rows if one in rules.months(moved, taken, [], SPAN, TZ)] == rows


def test_months_that_were_made_up_later_are_told() -> None:
    now = datetime(2026, 3, 15, tzinfo=UTC)
    moved = [
        Moved(
            start=SPAN[0].start, currency="usd", new_minor=5, expansion_minor=0, contraction_minor=0, churned_minor=0, reactivated_minor=0
        )
    ]  # fmt: skip
    rows = rules.months(moved, [], [Guessed(SPAN[0].start, SPAN[2].start)], SPAN[:3], TZ)
    assert [one.estimate for one in rows] == [True, True, False]
    told = rules.remarks(rows, now, TZ, 2, ["sub_1: coupon X is gone"])
    assert "2026-01, 2026-02;" in told[0] and told[1].startswith("2026-03 is not over")
    assert "2 changed" in told[2] and "coupon X" in told[3]
