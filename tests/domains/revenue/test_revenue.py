"""Lives of subscriptions over months: what they are worth, what moved, and that every cent is explained."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from random import Random
from typing import Any

import pytest

from nself.core.errors import InvalidParameter
from nself.domains.revenue import store
from nself.domains.revenue.inputs import ExplainRevenue, ShowRevenue
from nself.domains.revenue.model import CustomerRevenue, RevenueMonth
from nself.domains.revenue.service import rate, show
from subscribing import DAY, Shop

MOVEMENTS = ("new_minor", "expansion_minor", "contraction_minor", "churned_minor", "reactivated_minor")


class Firm:
    """Sells from the middle of a month on; time goes by in months of the calendar."""

    def __init__(self, shop: Shop, order: Random | None = None) -> None:
        self.shop, self.sandbox, self.order = shop, shop.sandbox, order
        self.ahead, self.heard = timedelta(0), 0
        self.app = shop.app(self.now)
        self._pass((datetime(self._next().year, self._next().month, 10, tzinfo=UTC) - self.now()).days + 1)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def _next(self) -> datetime:
        return self.now().replace(day=1) + timedelta(days=32)

    def _pass(self, days: int) -> None:
        self.shop.pass_days(days)
        self.ahead += timedelta(seconds=days * DAY)

    def hear(self) -> None:
        """All events since, in any order where one is given; then what is noted is worked out."""
        events = self.shop.events()
        new, self.heard = events[self.heard :], len(events)
        if self.order:
            self.order.shuffle(new)
        self.shop.hear(self.app, new)
        rate.rate_due(self.app)

    def month_later(self) -> None:
        """From the tenth or so of a month to that of the next."""
        self.hear()
        target = self._next().replace(day=11)
        while (days := (target - self.now()).days) > 0:
            self._pass(min(days, 10))
            self.hear()

    def month(self, back: int = 0) -> str:
        at = self.now().replace(day=1)
        for _ in range(back):
            at = (at - timedelta(days=1)).replace(day=1)
        return f"{at:%Y-%m}"

    def months(self, months: int, **more: Any) -> list[RevenueMonth]:
        found = show.by_month(self.app, ShowRevenue(months=months, **more))
        for one in found:
            assert one.start_minor + sum(getattr(one, name) for name in MOVEMENTS) == one.mrr_minor
        for before, after in itertools.pairwise(one for one in found if one.currency == "usd"):
            assert before.mrr_minor == after.start_minor
        return found

    def of(self, customer: str) -> CustomerRevenue:
        return show.of_customer(self.app, ExplainRevenue(customer=customer, months=12))

    def coupon(self, **terms: Any) -> str:
        return str(self.sandbox.post("/v1/coupons", **terms)["id"])


def moved(row: RevenueMonth) -> dict[str, int]:
    """What is not nothing."""
    return {name.removesuffix("_minor"): getattr(row, name) for name in MOVEMENTS if getattr(row, name)}


@pytest.fixture
def firm(shop: Shop) -> Firm:
    return Firm(shop)


def live(firm: Firm) -> Iterator[None]:
    """A life in months: begun, more seats, another plan, a coupon, fewer seats, canceled, begun anew."""
    shop, sandbox = firm.shop, firm.sandbox
    customer = shop.customer(firm.app, "user1")
    basic, pro = shop.price(1000), shop.price(2900)
    id = shop.subscribe(customer, basic)
    item = shop.get(id)["items"]["data"][0]["id"]
    yield
    sandbox.post(f"/v1/subscriptions/{id}", items=[{"id": item, "quantity": 3}])
    yield
    sandbox.post(f"/v1/subscriptions/{id}", items=[{"id": item, "price": pro, "quantity": 2}])
    yield
    half = firm.coupon(percent_off=50, duration="repeating", duration_in_months=2)
    sandbox.post(f"/v1/subscriptions/{id}", discounts=[{"coupon": half}])
    yield
    sandbox.post(f"/v1/subscriptions/{id}", items=[{"id": item, "quantity": 1}])
    yield
    yield
    sandbox.client.raw_request("delete", f"/v1/subscriptions/{id}")
    yield
    yield
    shop.subscribe(customer, basic)
    yield


LIFE: list[tuple[dict[str, int], int]] = [
    ({"new": 1000}, 1000), ({"expansion": 2000}, 3000), ({"expansion": 2800}, 5800), ({"contraction": -2900}, 2900),
    ({"contraction": -1450}, 1450), ({"expansion": 1450}, 2900), ({"churned": -2900}, 0), ({}, 0), ({"reactivated": 1000}, 1000),
]  # fmt: skip


@pytest.mark.parametrize("seed", [None, 1, 2], ids=["in order", "any order", "another order"])
def test_a_life_is_told_month_by_month(shop: Shop, seed: int | None) -> None:
    firm = Firm(shop, None if seed is None else Random(seed))
    life = live(firm)
    for number, _ in enumerate(life):
        if number < len(LIFE) - 1:
            firm.month_later()
    firm.hear()
    rows = firm.months(len(LIFE) + 1)
    assert (rows[0].mrr_minor, moved(rows[0])) == (0, {})
    assert [(moved(one), one.mrr_minor) for one in rows[1:]] == LIFE
    assert not any(one.estimate for one in rows)
    (customer,) = [one["id"] for one in firm.sandbox.get("/v1/customers", limit=100)]
    part = firm.of(customer)
    assert [(moved(one), one.mrr_minor) for one in part.months[-len(LIFE) :]] == LIFE
    assert sum(one.change_minor for one in part.changes) == rows[-1].mrr_minor
    paid = sum(one["amount_paid"] for one in firm.sandbox.invoices(customer))
    assert sum(one.paid_minor for one in rows) == paid > 0


def test_every_cent_is_explained_and_other_currencies_stand_apart(firm: Firm) -> None:
    shop = firm.shop
    one, other = shop.customer(firm.app, "user1"), shop.customer(firm.app, "user2")
    yearly = shop.price(10_000, recurring={"interval": "year"})
    weekly = shop.price(700, recurring={"interval": "week", "interval_count": 2})
    tiers = [{"up_to": 2, "unit_amount": 500}, {"up_to": "inf", "unit_amount": 300, "flat_amount": 100}]
    tiered = firm.sandbox.post(
        "/v1/prices", currency="usd", recurring={"interval": "month"}, billing_scheme="tiered", tiers_mode="graduated",
        tiers=tiers, product=firm.sandbox.post("/v1/products", name="Seats")["id"],
    )["id"]  # fmt: skip
    shop.subscribe(
        one, yearly, discounts=[{"coupon": firm.coupon(amount_off=2500, currency="usd", duration="forever")}]
    )
    shop.subscribe(one, weekly, discounts=[{"coupon": firm.coupon(percent_off=50, duration="once")}])
    firm.sandbox.post("/v1/subscriptions", customer=one, items=[{"price": tiered, "quantity": 4}])
    shop.subscribe(other, shop.price(1500, currency="eur"))
    shop.subscribe(other, shop.price(900, currency="eur"), trial_period_days=14)
    firm.hear()
    part = firm.of(one)
    exact = sorted(Fraction(worth.exact) for worth in part.subscriptions)
    assert exact == [Fraction(7500, 12), Fraction(700 * 52, 24), Fraction(2 * 500 + 2 * 300 + 100)]
    assert [round(each) for each in exact] == sorted(worth.mrr_minor for worth in part.subscriptions)
    for worth in part.subscriptions:
        assert sum(Fraction(each.monthly) for each in worth.parts) == Fraction(worth.exact) and worth.doubt is None
    rows = {row.currency: row for row in firm.months(1)}
    assert rows["usd"].mrr_minor == sum(worth.mrr_minor for worth in part.subscriptions) == rows["usd"].new_minor
    assert rows["eur"].mrr_minor == 1500
    assert [row.currency for row in firm.months(1, currency="EUR")] == ["eur"]
    firm.month_later()
    assert {row.currency: row for row in firm.months(1)}["eur"].mrr_minor == 2400  # the trial is over


def test_refunds_and_a_customers_discount(firm: Firm) -> None:
    shop = firm.shop
    customer = shop.customer(firm.app, "user1")
    id = shop.subscribe(customer, shop.price(2000))
    firm.hear()
    firm.sandbox.admin(f"customers/{customer}/discount", coupon=firm.coupon(percent_off=25, duration="forever"))
    charge = firm.sandbox.get("/v1/charges", customer=customer)[0]["id"]
    firm.sandbox.post("/v1/refunds", charge=charge, amount=700)
    firm.hear()
    (row,) = firm.months(1)
    assert (row.mrr_minor, row.new_minor) == (1500, 1500)
    assert (row.paid_minor, row.refunds_minor, row.net_minor) == (2000, 700, 1300)
    assert firm.of(customer).months[-1] == row
    assert [one.subscription for one in firm.of(customer).subscriptions] == [id]


def test_what_no_invoice_asked_for_is_no_part_of_it_nor_is_its_refund(firm: Firm) -> None:
    customer = firm.shop.customer(firm.app, "user1")
    paid = firm.sandbox.post(
        "/v1/payment_intents", amount=900, currency="usd", customer=customer, confirm=True, payment_method="pm_card_visa",
        automatic_payment_methods={"enabled": True, "allow_redirects": "never"},
    )  # fmt: skip
    firm.sandbox.post("/v1/refunds", charge=paid["latest_charge"], amount=900)
    firm.hear()
    assert [(one.paid_minor, one.refunds_minor, one.net_minor) for one in firm.months(1) if one.currency == "usd"] in (
        [],
        [(0, 0, 0)],
    )


def test_what_was_mirrored_before_is_an_estimate_until_it_was_seen(firm: Firm) -> None:
    shop = firm.shop
    customer = shop.customer(firm.app, "user1")
    kept, gone = shop.subscribe(customer, shop.price(2000)), shop.subscribe(customer, shop.price(500))
    firm.month_later()
    firm.sandbox.client.raw_request("delete", f"/v1/subscriptions/{gone}")
    firm.month_later()
    known = firm.months(4)
    assert [one.estimate for one in known] == [False] * 4
    assert shop.bench.sql("select count(*) from billing_mrr") == [(3,)]  # renewals say nothing new
    shop.bench.sql("delete from billing_mrr")
    rate.rate_due(firm.app)
    anew = firm.months(4)
    assert [one.mrr_minor for one in anew] == [one.mrr_minor for one in known] == [0, 2500, 2000, 2000]
    assert [one.estimate for one in anew] == [False, True, True, False]
    assert {one.subscription for one in firm.of(customer).changes if one.first} == {kept, gone}


def test_a_change_is_noted_once_and_waits_for_stripe(firm: Firm) -> None:
    shop = firm.shop
    customer = shop.customer(firm.app, "user1")
    shop.subscribe(customer, shop.price(2000))
    shop.hear(firm.app)
    assert "1 changed subscriptions are not worked out yet" in " ".join(firm.of(customer).notes)
    assert firm.of(customer).subscriptions == []
    rate.rate_due(firm.app)
    before = shop.bench.sql("select * from billing_mrr")
    shop.hear(firm.app, shop.copy(shop.events()))
    rate.rate_due(firm.app)
    assert shop.bench.sql("select * from billing_mrr") == before != []
    with pytest.raises(InvalidParameter):
        firm.months(1, month="2026-13")


def test_notes_of_a_subscription_are_taken_in_their_order(firm: Firm) -> None:
    shop, app = firm.shop, firm.app
    id = shop.subscribe(shop.customer(app, "user1"), shop.price(2000))
    shop.hear(app)
    firm.sandbox.client.raw_request("delete", f"/v1/subscriptions/{id}")
    shop.hear(app)
    first, later = [note for (note,) in shop.bench.sql("select id from billing_mrr_due order by id")][:2]
    taken = [app.db.transact(lambda tx, note=note: store.take_due(tx, note)) for note in (later, first, later)]
    assert taken == [False, True, True]


def test_prices_below_nothing_count_as_nothing_and_hold_nobody_up(firm: Firm) -> None:
    shop = firm.shop
    odd, price = shop.customer(firm.app, "user1"), shop.price(900)
    shop.subscribe(odd, price)
    firm.hear()
    firm.sandbox.edit("price", price, unit_amount=-900, unit_amount_decimal="-900")
    id = firm.sandbox.get("/v1/subscriptions", customer=odd)[0]["id"]
    firm.sandbox.edit("subscription", id, metadata={"by": "hand"})
    plain = shop.customer(firm.app, "user2")
    shop.subscribe(plain, shop.price(700))
    firm.hear()
    assert firm.months(1)[-1].mrr_minor == 700
    doubts = [one for one in show.by_month(firm.app, ShowRevenue(months=1)).notes if "in doubt" in one]
    assert doubts == [f"in doubt: {id}: its prices come to less than nothing: counted as nothing"]
