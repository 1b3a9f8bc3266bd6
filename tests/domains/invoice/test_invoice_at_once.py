"""Invoices generated at the same time, in parts, and late."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from money_bench import AT, MONTH, NOW, Bench, Books, charge_overage, email
from money_seams import Crash, Pause, fragile

from nself.app import App
from nself.core.period import Period
from nself.domains.catalog.model import Metric, Tier, Version
from nself.domains.catalog.rating import rate
from nself.domains.invoice import rules
from nself.domains.invoice.errors import MonthMoved
from nself.domains.invoice.inputs import Finalize, ListInvoices, ShowInvoice
from nself.domains.invoice.model import Billed, MixedCurrencies, NoSuchInvoice, PeriodNotOver
from nself.domains.invoice.service import finish, show
from nself.domains.quota.inputs import SetQuota
from nself.domains.quota.model import Limit
from nself.domains.quota.service.limits import set_quota
from nself.domains.usage.figures import Figure
from pricing import CURRENCIES, versions

USERS = [f"user{number}" for number in range(6)]


def everybody(bench: Bench, app: App) -> None:
    for user in USERS:
        bench.use(app, user, 120)
        bench.create(app, user)


def test_two_runs_at_once_and_a_worker_make_one_invoice_a_user(bench: Bench):
    apps = [bench.app() for _ in range(3)]
    everybody(bench, apps[0])
    start, over = threading.Barrier(3), threading.Event()

    def generate(app: App) -> int:
        start.wait()
        return bench.bill(app).invoices

    def work(app: App) -> None:
        start.wait()
        while not over.is_set():
            bench.work(app)

    with ThreadPoolExecutor(3) as pool:
        worker = pool.submit(work, apps[2])
        try:
            assert list(pool.map(generate, apps[:2])) == [6, 6]
        finally:
            over.set()
        worker.result()
    bench.deliver(apps[0])
    bench.work(apps[0])
    for user in USERS:
        assert bench.books(user) == Books(1, [("paid", 500)], [("api_calls", 500)], [500])
    bench.check_quiet()


def test_usage_that_comes_between_two_runs_at_once_is_billed_once(bench: Bench):
    apps = [bench.app() for _ in range(3)]
    everybody(bench, apps[0])
    for round in range(3):
        start = threading.Barrier(3)

        def late(app: App, start: threading.Barrier = start, round: int = round) -> None:
            start.wait()
            for user in USERS:
                bench.use(app, user, 11, key=f"late {round}")

        def generate(app: App, start: threading.Barrier = start) -> None:
            start.wait()
            bench.bill(app)

        with ThreadPoolExecutor(3) as pool:
            for one in [pool.submit(late, apps[2]), *(pool.submit(generate, app) for app in apps[:2])]:
                one.result()
    bench.bill(apps[0])
    bench.deliver(apps[0])
    bench.work(apps[0])
    for user in USERS:
        books = bench.books(user)
        assert sum(total for _, total in books.invoices) == (120 + 33 - 20) * 5 == sum(books.charged)
    bench.check_quiet()


def test_late_usage_gets_a_second_invoice_for_exactly_the_difference(bench: Bench):
    app = bench.app()
    bench.use(app, "user", 33)
    bench.whole_run(app, "user")
    bench.use(app, "user", 3)
    bench.use(app, "user", 84)
    again = bench.bill(app)
    assert (again.planned_now, again.planned_now_minor, again.invoices, again.total_minor) == (1, 435, 2, 500)
    assert bench.bill(app).planned_now == 0
    bench.deliver(app)
    bench.work(app)
    lines = [("api_calls", 65), ("api_calls", 435)]
    assert bench.books("user") == Books(1, [("paid", 65), ("paid", 435)], lines, [435, 65])
    (newest, *_) = show.list_invoices(app, ListInvoices())
    assert [line.amount_minor for line in show.show(app, ShowInvoice(invoice=newest.id)).lines] in ([435], [65])
    bench.check_quiet()


def test_cents_below_the_minimum_charge_are_owed_and_not_lost(bench: Bench):
    """Stripe marks such an invoice paid and moves the amount to the customer's balance, which the next one collects."""
    app = bench.app()
    bench.use(app, "user", 23)
    bench.whole_run(app, "user")
    assert bench.books("user") == Books(1, [("paid", 15)], [("api_calls", 15)], [])
    bench.use(app, "user", 100)
    bench.bill(app)
    bench.deliver(app)
    bench.work(app)
    assert bench.books("user").charged == [515]
    bench.check_quiet()


def test_an_invoice_of_more_lines_than_stripe_shows_at_once_is_mirrored_whole(bench: Bench):
    app, names = bench.app(), [f"metric{number:02}" for number in range(13)]
    config = app.project.config
    (config / "usage-metrics.yml").write_text(
        "metrics:\n" + "".join(f"  {name}: {{unit: piece, aggregation: sum}}\n" for name in names)
    )
    (config / "overage-tiers.yml").write_text(
        "overage:\n" + "".join(f'  {name}: {{amount: "1.{name[-2:]}"}}\n' for name in names)
    )
    for name in names:
        bench.sql(
            "insert into billing_plan_quotas values ('free', %s, 0, 'month', 'overage', now()) on conflict do nothing",
            name,
        )
        bench.use(app, "user", 1, metric=name)
    bench.create(app, "user")
    bench.bill(app, "user")
    (invoice,) = show.list_invoices(app, ListInvoices())
    shown = show.show(app, ShowInvoice(invoice=invoice.id))  # no webhook has come yet
    assert sorted(line.amount_minor for line in shown.lines) == [100 + number for number in range(13)]
    assert shown.total_minor == sum(range(100, 113))


def test_a_month_that_is_not_over_is_not_billed(bench: Bench):
    app = bench.app()
    with pytest.raises(PeriodNotOver, match="ends at 2026-03-01T00:00:00Z"):
        bench.bill(app, period="2026-02")
    with pytest.raises(NoSuchInvoice, match="No such invoice: in_none"):
        show.show(app, ShowInvoice(invoice="in_none"))


def test_prices_in_two_currencies_are_refused_before_anything_is_billed(bench: Bench):
    app = bench.app()
    bench.use(app, "user", 120)
    bench.create(app, "user")
    (app.project.config / "overage-tiers.yml").write_text(
        'overage:\n  api_calls: {amount: "0.05"}\n  bandwidth: {amount: "0.09", currency: eur}\n'
    )
    with pytest.raises(MixedCurrencies, match="eur, usd"):
        bench.bill(app)
    assert bench.books("user").invoices == []


def test_a_limit_that_is_not_a_months_is_told_and_not_billed_as_if_it_were(bench: Bench):
    app = bench.app()
    for day in range(1, 21):
        bench.use(app, "user", 10, at=f"2026-01-{day:02}T10:00:00Z")
    set_quota(app, SetQuota(user="user", metric="api_calls", limit=10, period="day", mode="overage"))
    bench.create(app, "user")
    done = bench.bill(app)
    assert (done.planned_now, done.not_monthly) == (0, ["api_calls"])
    assert bench.books("user").invoices == []


def test_users_without_a_customer_are_named_and_billed_once_they_have_one(bench: Bench):
    app = bench.app()
    bench.use(app, "user", 120)
    done = bench.bill(app)
    assert (done.users_over_quota, done.without_customer, done.example_without_customer, done.invoices) == (
        1,
        1,
        "user",
        0,
    )
    bench.whole_run(app, "user")
    assert bench.books("user") == Books(1, [("paid", 500)], [("api_calls", 500)], [500])


PARTS = st.lists(st.integers(0, 10**12), min_size=1, max_size=6)
RATES = st.builds(
    lambda amount, currency, per: Version(model="flat", tiers=[Tier(amount=amount, per=per)], currency=currency),
    st.decimals(0, 1000, places=6, allow_nan=False, allow_infinity=False),
    st.sampled_from(sorted(CURRENCIES)),
    st.sampled_from([1, 3, 1000, 2**20, 2**30]),
)
DEARER = Version(model="flat", tiers=[Tier(amount=Decimal(5000))], currency="usd")
METRIC = Metric(unit="piece", aggregation="sum")
SPAN = Period(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))


def billed_in_parts(parts: list[int], limit: int, price: Version) -> int:
    """Minor units over all invoices when one is generated after each part. A price of later on changes nothing."""
    used, owed, prices = 0, 0, {"calls": price}
    billed: dict[str, Billed] = {}
    for part in parts:
        used += part
        sums = {"calls": Figure(user="user", metric="calls", value=used, events=1, bucket=SPAN.start)}
        limits = {"calls": Limit("user", "calls", limit, "month", "overage", "free")}
        found = rules.overages("user", SPAN, rules.Facts(sums, limits, billed, {}), {"calls": METRIC}, prices)
        lines = rules.lines(found)
        assert all(line.amount_minor > 0 or price.model == "volume" for line in lines)
        owed += sum(line.amount_minor for line in lines)
        if lines:
            billed = {
                "calls": Billed(user="user", metric="calls", amount_minor=owed, used=used, limit=limit, price=price)
            }
            prices = {"calls": DEARER}
    return owed


@given(parts=PARTS, limit=st.integers(0, 10**12), price=RATES)
@settings(max_examples=200, deadline=None)
def test_a_period_costs_the_same_in_any_number_of_parts(parts: list[int], limit: int, price: Version):
    (tier,) = price.tiers
    digits, step = CURRENCIES[price.currency or ""]
    exact = Fraction(tier.amount) * max(0, sum(parts) - limit) / tier.per * 10**digits / step
    assert (
        billed_in_parts(parts, limit, price)
        == billed_in_parts([sum(parts)], limit, price)
        == int(exact + Fraction(1, 2)) * step
    )


@given(parts=PARTS, limit=st.integers(0, 10**12), price=versions())
@settings(max_examples=200, deadline=None)
def test_a_period_costs_the_same_in_any_number_of_parts_by_every_model(parts: list[int], limit: int, price: Version):
    assert billed_in_parts(parts, limit, price) == rate(price, max(0, sum(parts) - limit)).amount_minor


def test_parts_end_to_end_cost_the_same_as_the_whole(bench: Bench):
    app = bench.app()
    (app.project.config / "overage-tiers.yml").write_text('overage:\n  api_calls: {amount: "0.3333", per: 7}\n')
    for user, parts in {"a": [100, 1, 1, 2, 500], "b": [604]}.items():
        bench.create(app, user)
        for part in parts:
            bench.use(app, user, part, at=AT)
            bench.bill(app, user, MONTH)
    totals = {user: sum(total for _, total in bench.books(user).invoices) for user in "ab"}
    assert totals["a"] == totals["b"] == int(Fraction(3333, 100) * (604 - 20) / 7 + Fraction(1, 2))
    assert len(bench.books("a").invoices) >= 4
    bench.check_law()


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Pacific/Kiritimati"])
def test_a_month_is_billed_once_whatever_zone_it_is_counted_in_later(bench: Bench, zone: str) -> None:
    bench.use(bench.app(), "user", 120)
    bench.whole_run(bench.app(), "user")
    moved = bench.app(BILLING_TIMEZONE=zone)
    with pytest.raises(MonthMoved, match="2026-01-01T00:00:00Z to 2026-02-01T00:00:00Z"):
        bench.bill(moved)
    assert bench.books("user").charged == [500]
    bench.use(bench.app(), "user", 10, at="2026-02-03T10:00:00Z")
    later = bench.app(lambda: NOW.replace(month=3), BILLING_TIMEZONE=zone)
    assert bench.bill(later, period="2026-02").planned_now == 0  # the month after begins by the new zone


WAIVED = {"BILLING_MINIMUM_CHARGE": "usd:5000", "BILLING_MINIMUM_CHARGE_MODE": "waive"}


@pytest.mark.parametrize(
    "seam", ["before change invoiceitems", "after change invoiceitems", "before change customers balance_transactions"]
)
def test_what_is_being_made_is_finalised_by_hand_with_all_its_lines_and_one_waiver(bench: Bench, seam: str):
    app = bench.app(**WAIVED)
    charge_overage(app, "bandwidth", 0)
    bench.create(app, "user")
    bench.use(app, "user", 33)
    bench.use(app, "user", 2**28, metric="bandwidth")
    dying = fragile(bench, Pause(seam, crash), **WAIVED)
    with pytest.raises(Crash):
        bench.bill(dying, "user")
    dying.close()
    (draft,) = (one for each in bench.sandbox.customers(email("user")) for one in bench.sandbox.invoices(each["id"]))
    assert draft["status"] == "draft"
    bench.pass_time(0)
    finish.finalize(app, Finalize(invoice=draft["id"]))
    bench.deliver(app)
    bench.work(app)
    books = bench.books("user")
    ((_, total),) = books.invoices
    assert [metric for metric, _ in books.lines] == ["api_calls", "bandwidth"]
    assert sum(amount for _, amount in books.lines) == total
    waived = bench.sandbox.get(f"/v1/customers/{draft['customer']}/balance_transactions")
    assert [one["amount"] for one in waived if one["type"] == "adjustment"] == [-total]
    bench.check_quiet()


def crash() -> None:
    raise Crash
