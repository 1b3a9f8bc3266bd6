"""Our own calculation: by hand, against an obvious slow model, and against the sandbox, which was written without it."""

from __future__ import annotations

import calendar
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nself.app import App
from nself.domains.subscription import facts, prorations
from nself.domains.subscription.inputs import PreviewChange, ShowProrations, SimulateChange, UpdateSubscription
from nself.domains.subscription.model import Preview
from nself.domains.subscription.prorations import Debit, Facts, Item, Off, Outcome, Price, Tier, Wish
from nself.domains.subscription.service import prorate, simulate, update
from subscribing import DAY, Shop

APRIL = int(datetime(2026, 4, 1, tzinfo=UTC).timestamp())
MAY = int(datetime(2026, 5, 1, tzinfo=UTC).timestamp())


def flat(amount: int, id: str = "old", interval: str = "month", currency: str = "usd") -> Price:
    return Price(id, "prod", currency, interval, 1, unit=Fraction(amount))


def april(
    price: Price, quantity: int = 1, status: str = "active", classic: bool = False, offs: tuple[Off, ...] = ()
) -> Facts:
    debits = (Debit(prorations.rounded(prorations.full(price, quantity)), APRIL, MAY, "in_1"),)
    return Facts(status, classic, APRIL, APRIL, MAY, (Item("si_1", price, quantity, debits),), offs)


def amounts(found: Outcome) -> list[tuple[str, int]]:
    return [(line.kind, line.amount) for line in found.lines]


# By hand


@pytest.mark.parametrize("classic", [False, True])
@pytest.mark.parametrize(
    ("old", "new", "day", "credit", "debit"),
    [
        (1000, 2000, 15, -500, 1000),  # $10 to $20 at half: +$5.00
        (9900, 29900, 15, -4950, 14950),  # $99 to $299 at day 15 of 30: +$100.00
        (2000, 1000, 10, -1333, 667),  # 1333.33 and 666.67
        (1000, 2000, 0, -1000, 2000),
        (1000, 2000, 29, -33, 67),  # 33.33 and 66.67
    ],
)
def test_worked_examples(classic: bool, old: int, new: int, day: int, credit: int, debit: int) -> None:
    at = APRIL + day * DAY
    found = prorations.simulate(april(flat(old), classic=classic), Wish("si_1", flat(new, "new"), 1, at, at))
    assert amounts(found) == [("unused", credit), ("remaining", debit)]
    assert [(line.kind, line.amount) for line in found.following] == [("next period", new)]
    assert f"s of {30 * DAY} s" in found.lines[0].formula


def test_half_a_minor_unit_goes_away_from_zero_on_both_sides() -> None:
    at = APRIL + 15 * DAY
    found = prorations.simulate(april(flat(5)), Wish("si_1", flat(7, "new"), 1, at, at))
    assert amounts(found) == [("unused", -3), ("remaining", 4)]


def test_modes_differ_after_a_change_that_was_not_prorated() -> None:
    """1000 were debited, the price is 3000 now: after 20 of 30 days a third of either is credited."""
    debits = (Debit(1000, APRIL, MAY, "in_1"),)
    at = APRIL + 20 * DAY
    for classic, credit in ((False, -333), (True, -1000)):
        known = Facts("active", classic, APRIL, APRIL, MAY, (Item("si_1", flat(3000), 1, debits),))
        assert amounts(prorations.simulate(known, Wish("si_1", flat(6000, "new"), 1, at, at)))[0] == ("unused", credit)


def test_nothing_is_prorated_in_a_trial_or_where_the_setting_says_none() -> None:
    at = APRIL + 10 * DAY
    for known, behavior in ((april(flat(1000), status="trialing"), "create_prorations"), (april(flat(1000)), "none")):
        found = prorations.simulate(known, Wish("si_1", flat(2000, "new"), 1, at, at, behavior))
        assert amounts(found) == [] and [line.amount for line in found.following] == [2000]


def test_another_interval_begins_a_new_period_at_once() -> None:
    at = APRIL + 15 * DAY
    found = prorations.simulate(april(flat(1000)), Wish("si_1", flat(10_000, "new", "year"), 1, at, at))
    assert amounts(found) == [("unused", -500), ("period", 10_000)] and found.restarts
    assert datetime.fromtimestamp(found.end, UTC) == datetime(2027, 4, 16, tzinfo=UTC)


def test_from_free_to_paid_begins_a_new_period() -> None:
    at = APRIL + 15 * DAY
    found = prorations.simulate(april(flat(0)), Wish("si_1", flat(900, "new"), 2, at, at))
    assert amounts(found) == [("period", 1800)] and found.restarts


def test_what_is_metered_is_not_prorated() -> None:
    at, meter = APRIL + 15 * DAY, flat(100)._replace(metered=True)
    known = Facts("active", False, APRIL, APRIL, MAY, (Item("si_1", meter, 0), Item("si_2", flat(500), 1)))
    assert amounts(prorations.simulate(known, Wish("si_1", flat(800, "new"), 1, at, at))) == [("remaining", 400)]


def test_discounts_are_taken_off_before_time_is() -> None:
    at = APRIL + 15 * DAY
    percent, amount = Off(percent=Fraction(1, 4)), Off(amount=100)
    for offs, debit in (
        ((percent,), 750),
        ((amount,), 950),
        ((percent, amount), 700),
        ((Off(products=frozenset({"x"}), amount=9),), 1000),
    ):
        found = prorations.simulate(april(flat(1000), offs=offs), Wish("si_1", flat(2000, "new"), 1, at, at))
        assert amounts(found)[-1] == ("remaining", debit)


# Against slow models


def slow_cost(price: Price, quantity: int) -> Fraction:
    """Unit by unit."""
    if not price.tiers:
        packages, whole = 0, quantity
        while whole >= price.package:
            packages, whole = packages + 1, whole - price.package
        return price.unit * (packages + (1 if whole and price.package_up else 0))
    if price.volume:
        for tier in price.tiers:
            if tier.up_to is None or quantity <= tier.up_to:
                return sum((tier.unit for _ in range(quantity)), tier.flat)
    total, reached = price.tiers[0].flat, 0
    for unit in range(1, quantity + 1):
        while price.tiers[reached].up_to is not None and unit > (price.tiers[reached].up_to or 0):
            reached += 1
            total += price.tiers[reached].flat
        total += price.tiers[reached].unit
    return total


def slow_round(exact: Fraction) -> int:
    """The nearest whole number by counting; of two the one farther from zero."""
    around = range(int(exact) - 2, int(exact) + 3)
    return max(around, key=lambda whole: (-abs(exact - whole), abs(whole)))


fractions = st.fractions(0, 5000, max_denominator=10_000)


@st.composite
def tiers(draw: st.DrawFn) -> tuple[Tier, ...]:
    bounds = sorted(draw(st.sets(st.integers(1, 60), max_size=3)))
    return tuple(
        Tier(up_to, draw(fractions), draw(st.fractions(0, 900, max_denominator=10))) for up_to in [*bounds, None]
    )


@st.composite
def prices(draw: st.DrawFn, id: str = "old") -> Price:
    plain = Price(id, "prod", "usd", "day", 1, unit=draw(fractions))
    match draw(st.sampled_from(["flat", "package", "graduated", "volume"])):
        case "flat":
            return plain
        case "package":
            return plain._replace(package=draw(st.integers(1, 12)), package_up=draw(st.booleans()))
        case kind:
            return plain._replace(tiers=draw(tiers()), volume=kind == "volume")


@given(prices(), st.integers(0, 80))
def test_a_quantity_costs_what_its_units_cost(price: Price, quantity: int) -> None:
    assert prorations.full(price, quantity) == slow_cost(price, quantity)


@given(st.fractions(-(10**6), 10**6, max_denominator=1000))
def test_rounding(exact: Fraction) -> None:
    assert prorations.rounded(exact) == slow_round(exact)


@settings(max_examples=60, deadline=None)
@given(prices(), prices("new"), st.integers(0, 80), st.integers(0, 80), st.integers(0, DAY), st.booleans())
def test_a_change_costs_each_second_at_its_price(
    old: Price, new: Price, before: int, after: int, cut: int, classic: bool
) -> None:
    debited = slow_round(slow_cost(old, before))
    debits = (Debit(debited, APRIL, APRIL + DAY, "in_1"),)
    known = Facts("active", classic, APRIL, APRIL, APRIL + DAY, (Item("si_1", old, before, debits),))
    found = prorations.simulate(known, Wish("si_1", new, after, APRIL + cut, APRIL + cut))
    left = sum(1 for second in range(DAY) if second >= cut)
    credited = slow_cost(old, before) if classic else Fraction(debited)
    if slow_round(slow_cost(old, before)) == 0 and slow_round(slow_cost(new, after)) > 0:
        assert found.restarts and amounts(found)[-1] == ("period", slow_round(slow_cost(new, after)))
        return
    assert sum(line.amount for line in found.lines if line.kind == "unused") == slow_round(-credited * left / DAY)
    assert sum(line.amount for line in found.lines if line.kind == "remaining") == slow_round(
        slow_cost(new, after) * left / DAY
    )


@given(
    st.datetimes(datetime(2019, 1, 1), datetime(2028, 12, 31)), st.sampled_from(["day", "week", "month", "year"]),
    st.integers(1, 5), st.integers(-1500, 1500),
)  # fmt: skip
def test_periods_are_those_of_the_calendar(anchor: datetime, interval: str, every: int, days: int) -> None:
    """Walked month by month from the anchor."""
    anchor = anchor.replace(microsecond=0, tzinfo=UTC)
    at = anchor + timedelta(days=days, seconds=days % 7)
    price = Price("p", "prod", "usd", interval, every)

    def begin(number: int) -> datetime:
        if interval in ("day", "week"):
            return anchor + timedelta(days=(1 if interval == "day" else 7) * every * number)
        year, month = anchor.year, anchor.month
        for _ in range(abs(number) * every * (1 if interval == "month" else 12)):
            month += 1 if number > 0 else -1
            year, month = (year + 1, 1) if month == 13 else (year - 1, 12) if month == 0 else (year, month)
        return anchor.replace(year=year, month=month, day=min(anchor.day, calendar.monthrange(year, month)[1]))

    number = 0
    while begin(number + 1) <= at:
        number += 1
    while begin(number) > at:
        number -= 1
    start, end = prorations.cycle(int(anchor.timestamp()), price, int(at.timestamp()))
    assert (start, end) == (int(begin(number).timestamp()), int(begin(number + 1).timestamp()))


# Against the sandbox


def preview(app: App, subscription: str, price: str, quantity: int | None, date: int) -> Preview:
    return simulate.preview(
        app, PreviewChange(subscription=subscription, new_price=price, quantity=quantity, proration_date=date)
    )  # fmt: skip


DECIMALS = st.one_of(st.integers(0, 90_000).map(str), st.decimals(0, 500, places=4, allow_nan=False).map(str))


@st.composite
def stripe_prices(draw: st.DrawFn, currency: str) -> dict[str, Any]:
    match draw(st.sampled_from(["flat", "flat", "flat", "package", "graduated", "volume"])):
        case "flat":
            return {"unit_amount_decimal": draw(DECIMALS), "unit_amount": None}
        case "package":
            package = {"divide_by": draw(st.integers(2, 9)), "round": draw(st.sampled_from(["up", "down"]))}
            return {"unit_amount": draw(st.integers(1, 9000)), "transform_quantity": package}
        case kind:
            bounds = [*sorted(draw(st.sets(st.integers(1, 20), min_size=1, max_size=2))), "inf"]
            made = [
                {"up_to": bound, "unit_amount_decimal": draw(DECIMALS), "flat_amount": draw(st.integers(0, 900))}
                for bound in bounds
            ]
            return {"unit_amount": None, "billing_scheme": "tiered", "tiers_mode": kind, "tiers": made}


@st.composite
def cases(draw: st.DrawFn) -> dict[str, Any]:
    currency = draw(st.sampled_from(["usd", "eur", "jpy", "kwd"]))
    quantities = st.integers(0, 30)
    coupons: list[dict[str, Any] | None] = [
        None, None, {"percent_off": draw(st.sampled_from([25, 33, 12.5])), "duration": "forever"},
        {"amount_off": draw(st.integers(1, 5000)), "currency": currency, "duration": "forever"},
        {"percent_off": 40, "duration": "once"},
    ]  # fmt: skip
    return {
        "currency": currency,
        "mode": draw(st.sampled_from(["flexible", "classic"])),
        "interval": draw(st.sampled_from([("month", 1), ("month", 3), ("year", 1), ("week", 2), ("day", 5)])),
        "prices": [draw(stripe_prices(currency)) for _ in range(draw(st.integers(2, 4)))],
        "quantities": [draw(quantities) for _ in range(4)],
        "cuts": sorted(draw(st.integers(0, 1000)) for _ in range(4)),
        "behaviors": [draw(st.sampled_from(["create_prorations", "always_invoice", "none"])) for _ in range(4)],
        "coupon": draw(st.sampled_from(coupons)),
        "trial": draw(st.integers(0, 9)) == 0,
        "other": draw(st.booleans()),
        "another_interval": draw(st.integers(0, 2)) == 0,
    }


@pytest.mark.parametrize("examples", [60, pytest.param(250, marks=pytest.mark.long)])
def test_what_we_calculate_is_what_the_sandbox_previews(shop: Shop, examples: int) -> None:
    apps = {
        behavior: shop.app(STRIPE_PRORATION_BEHAVIOR=behavior)
        for behavior in ("create_prorations", "always_invoice", "none")
    }
    seen: set[str] = set()

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(cases())
    def check(case: dict[str, Any]) -> None:
        currency, (interval, count) = case["currency"], case["interval"]
        recurring = {"interval": interval, "interval_count": count}
        made = [shop.price(currency=currency, recurring=recurring, **one) for one in case["prices"]]
        customer = shop.sandbox.post(
            "/v1/customers", email="one@example.com", payment_method="pm_card_visa",
            invoice_settings={"default_payment_method": "pm_card_visa"},
        )["id"]  # fmt: skip
        items = [{"price": made[0], "quantity": case["quantities"][0]}]
        if case["other"]:
            items.append({"price": shop.price(777, currency=currency, recurring=recurring), "quantity": 2})
        more: dict[str, Any] = {"trial_period_days": 9} if case["trial"] else {}
        if case["coupon"]:
            more["discounts"] = [{"coupon": shop.sandbox.post("/v1/coupons", **case["coupon"])["id"]}]
        told = shop.sandbox.post(
            "/v1/subscriptions", customer=customer, items=items, billing_mode={"type": case["mode"]}, **more
        )
        item = told["items"]["data"][0]

        def date(cut: int) -> int:
            now = shop.get(told["id"])["items"]["data"][0]
            start, end = now["current_period_start"], now["current_period_end"]
            return int(start + (end - start) * cut // 1000)

        for at, price in enumerate(made[1:-1]):
            shop.sandbox.post(
                f"/v1/subscriptions/{told['id']}", proration_behavior=case["behaviors"][at],
                proration_date=date(case["cuts"][at]),
                items=[{"id": item["id"], "price": price, "quantity": case["quantities"][at + 1]}],
            )  # fmt: skip
        as_of = date(case["cuts"][3])
        new = made[-1]
        if case["another_interval"] and not case["other"]:
            new = shop.price(
                currency=currency, recurring={"interval": "month", "interval_count": 7}, **case["prices"][-1]
            )
        app, given = apps[case["behaviors"][3]], case["quantities"][3]
        found = simulate.preview(
            app,
            PreviewChange(
                subscription=told["id"], item=item["id"], new_price=new, quantity=given, proration_date=as_of
            ),
        )
        assert found.difference_minor == 0, found
        assert [one for one in found.lines if one.difference_minor] == [], found
        ours = simulate.simulate(
            app, SimulateChange(subscription=told["id"], item=item["id"], new_price=new, quantity=given, at=str(as_of))
        )
        assert ours.change_minor == found.change_minor == found.stripe_change_minor
        seen.update(one.kind for one in found.lines)

    check()
    assert seen >= {"unused", "remaining", "period", "next period"}


def test_what_was_simulated_is_what_is_charged(shop: Shop) -> None:
    app = shop.app(STRIPE_PRORATION_BEHAVIOR="always_invoice")
    customer = shop.customer(app, "user")
    id = shop.subscribe(customer, shop.price(1000))
    item, price = shop.get(id)["items"]["data"][0], shop.price(2000)
    half = (item["current_period_start"] + item["current_period_end"]) // 2
    found = simulate.simulate(app, SimulateChange(subscription=id, new_price=price, at=str(half)))
    assert (found.change_minor, found.billed, found.next_invoice_minor) == (500, "now", 2000)
    update.update(app, UpdateSubscription(subscription=id, price=price, proration_date=half))
    assert [one["amount_received"] for one in shop.sandbox.payments(customer)] == [500, 1000]
    rows = prorate.prorations(app, ShowProrations(subscription=id))
    assert [(one.kind, one.amount_minor, one.expected_minor) for one in rows] == [
        ("unused", -500, -500),
        ("remaining", 1000, 1000),
    ]
    assert all("s of" in one.arithmetic and one.stands.startswith("in_") for one in rows)


def test_facts_find_what_was_debited_and_not_credited() -> None:
    """Pending credits that name no line are for the last debit of their price."""

    def line(id: str, amount: int, price: str, start: int = APRIL, credited: list[str] | None = None) -> dict[str, Any]:
        details: dict[str, Any] = {"subscription_item": "si_1", "proration": start > APRIL}
        details["proration_details"] = {"credited_items": {"invoice_line_items": credited} if credited else None}
        return {
            "id": id, "amount": amount, "period": {"start": start, "end": MAY}, "invoice": "in_1",
            "pricing": {"price_details": {"price": price}}, "parent": {"subscription_item_details": details},
        }  # fmt: skip

    later = APRIL + 10 * DAY
    lines = [line("il_1", 3000, "a"), line("il_2", -2000, "a", later, ["il_1"]), line("il_3", 4000, "b", later)]
    assert [one.amount for one in facts.debits("si_1", lines, [])] == [4000]
    pending = [line("ii_1", -4000, "b", later, ["il_3"]), line("ii_2", 800, "c", later), line("ii_3", -800, "c", later)]
    assert [one.amount for one in facts.debits("si_1", lines, pending)] == []
    assert facts.debits("si_2", lines, pending) == ()
