"""Overage set by hand, audited and explained, against Stripe's books."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import psycopg
import pytest
from money_bench import AT, MONTH, NOW, Bench, Books, email

from nself.app import App
from nself.core.errors import BillingError, InvalidParameter, MissingParameter
from nself.db import migrate as migrations
from nself.domains.catalog.model import NoSuchMetric
from nself.domains.customer.model import NoSuchUser
from nself.domains.invoice.inputs import ExplainInvoice, ListInvoices, ShowInvoice
from nself.domains.invoice.model import InvoiceWithOverage, NoInvoiceYet, NoSuchInvoice
from nself.domains.invoice.service import explain as explaining
from nself.domains.invoice.service import show as invoices
from nself.domains.overage.inputs import (
    AuditOverage,
    CalculateOverage,
    RecalculateOverage,
    ShowOverage,
    UpdateOverage,
)
from nself.domains.overage.model import AuditedOverage, UpdatedOverage
from nself.domains.overage.service import decide, show
from nself.domains.quota.inputs import SetQuota
from nself.domains.quota.service.limits import set_quota

MARCH = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
FEBRUARY, IN_FEBRUARY = "2026-02", "2026-02-05T10:00:00Z"
VOLUME = "[{from: 2026-01-01, model: volume, tiers: [{up_to: 100, amount: 1}, {amount: 0.1}]}]"


def prices(bench: Bench, text: str) -> None:
    path = bench.folder / "services/billing/config/overage-tiers.yml"
    path.write_text(f"overage:\n  api_calls: {text}\n")


def update(
    app: App, usage: int, quota: int, rate: str, user: str = "user", period: str = MONTH, reason: str | None = None
) -> UpdatedOverage:
    given = UpdateOverage(user=user, usage=usage, quota=quota, rate=Decimal(rate), period=period, reason=reason)
    return decide.update(app, given)


def audit(app: App, user: str = "user") -> list[AuditedOverage]:
    return show.audit(app, AuditOverage(user=user))


def reasons(app: App) -> list[str]:
    return [one.reason for one in audit(app)]


def totals(bench: Bench, user: str = "user") -> list[int]:
    return [total for _, total in bench.books(user).invoices]


def settle(bench: Bench) -> None:
    app = bench.app()
    bench.deliver(app)
    bench.work(app)
    bench.check_quiet()


# Set by hand


def test_what_is_set_by_hand_is_what_the_invoice_bills(bench: Bench) -> None:
    app = bench.app()
    bench.use(app, "user", 120)
    done = update(app, 1500, 1000, "0.10", reason="the log was wrong")
    assert (done.before_minor, done.after_minor, done.invoiced_minor, done.difference_minor) == (500, 5000, 0, 5000)
    assert (done.overage, [str(part) for part in done.parts]) == (500, ["tier 1, units 1 to 500: 500 x 0.10 = 50"])
    assert (done.actor, done.updated_at, done.reason) == (app.operator(), NOW, "the log was wrong")
    bench.whole_run(app, "user")
    assert bench.books("user") == Books(1, [("paid", 5000)], [("api_calls", 5000)], [5000])
    assert bench.bill(app).planned_now == 0
    (one,) = audit(app)
    assert (one.mode, one.due_minor, one.invoiced_minor, one.difference_minor) == ("by hand", 5000, 5000, 0)
    assert "set by hand by" in one.reason and "(the log was wrong)" in one.reason
    bench.check_quiet()


def test_usage_that_was_lost_can_be_billed_by_hand_without_any_event(bench: Bench) -> None:
    app = bench.app()
    bench.create(app, "user")
    assert update(app, 1500, 1000, "0.10").before_minor == 0
    bench.bill(app)
    assert totals(bench) == [5000]


def test_the_newest_word_counts_until_it_is_taken_back(bench: Bench) -> None:
    app = bench.app()
    bench.use(app, "user", 120)
    bench.create(app, "user")
    update(app, 1500, 1000, "0.10")
    assert update(app, 1100, 1000, "0.10").before_minor == 5000
    (dry,) = decide.recalculate(app, RecalculateOverage(user="user"))
    assert (dry.state, dry.used_before, dry.used_after, dry.before_minor, dry.after_minor) == (
        "open",
        1100,
        120,
        1000,
        500,
    )
    assert "--execute takes it back" in dry.note
    assert [one.due_minor for one in audit(app)] == [1000]  # nothing was changed
    decide.recalculate(app, RecalculateOverage(user="user", execute=True))
    assert [one.due_minor for one in audit(app)] == [500]
    bench.bill(app)
    assert totals(bench) == [500]
    kept = bench.sql("select amount_minor, before_minor, price is null from billing_overage_updates order by id")
    assert kept == [(5000, 500, False), (1000, 5000, False), (500, 1000, True)]


def test_what_was_invoiced_stays_and_the_difference_stands_on_the_next_invoice(bench: Bench) -> None:
    app, later = bench.app(), bench.app(clock=lambda: MARCH)
    bench.use(app, "user", 120)
    bench.whole_run(app, "user")
    done = update(app, 1500, 1000, "0.10")
    assert (done.before_minor, done.invoiced_minor, done.difference_minor) == (500, 500, 4500)
    assert "2026-01 was invoiced and stays so" in done.effect
    assert totals(bench) == [500]
    bench.use(later, "user", 30, at=IN_FEBRUARY)
    bench.bill(later, period=FEBRUARY)
    assert bench.books("user").lines == [("api_calls", 50), ("api_calls", 500), ("api_calls", 4500)]
    assert totals(bench) == [500, 4550]
    assert [bench.bill(later, period=period).planned_now for period in (MONTH, FEBRUARY, MONTH)] == [0, 0, 0]
    assert [one.difference_minor for one in audit(later)] == [0, 0]
    settle(bench)


def test_an_adjustment_is_invoiced_without_usage_in_the_month_and_by_its_own_month_too(bench: Bench) -> None:
    app, later = bench.app(), bench.app(clock=lambda: MARCH)
    for user in ("one", "other"):
        bench.use(app, user, 120)
        bench.create(app, user)
    bench.bill(app)
    for user in ("one", "other"):
        update(app, 120, 0, "0.05", user=user)
    bench.bill(later, "one", period=FEBRUARY)
    bench.bill(later, "other", period=MONTH)
    assert totals(bench, "one") == totals(bench, "other") == [500, 100]


def test_less_than_was_invoiced_becomes_credit(bench: Bench) -> None:
    app, later = bench.app(), bench.app(clock=lambda: MARCH)
    bench.use(app, "user", 120)
    bench.whole_run(app, "user")
    update(app, 60, 20, "0.05")
    assert "decided after the invoice: the credit stands on the next one" in reasons(app)[0]
    bench.bill(later, period=FEBRUARY)
    assert totals(bench) == [500, -300]
    assert bench.sandbox.customers(email("user"))[0]["balance"] == -300
    bench.use(later, "user", 140, at=IN_FEBRUARY)
    bench.bill(later, period=FEBRUARY)
    assert totals(bench) == [500, -300, 600]
    settle(bench)
    assert sorted(bench.books("user").charged) == [300, 500]  # the credit paid the rest


def test_two_months_billed_at_once_adjust_once(bench: Bench) -> None:
    app = bench.app()
    apps = [bench.app(clock=lambda: MARCH) for _ in range(4)]
    for user in ("a", "b", "c"):
        bench.use(app, user, 120)
        bench.use(app, user, 30, at=IN_FEBRUARY)
        bench.create(app, user)
    bench.bill(app)
    for user in ("a", "b", "c"):
        update(app, 1500, 1000, "0.10", user=user)
    together(
        *(
            lambda one=one, period=period: bench.bill(one, period=period)
            for one, period in zip(apps, [MONTH, FEBRUARY] * 2, strict=True)
        )
    )
    for user in ("a", "b", "c"):
        assert sum(totals(bench, user)) == 5000 + 50
    settle(bench)


def test_a_decision_at_the_moment_of_invoicing_is_billed_in_full_by_the_next_run(bench: Bench) -> None:
    apps = [bench.app() for _ in range(3)]
    bench.use(apps[0], "user", 120)
    bench.create(apps[0], "user")
    for rate in ("0.10", "0.30", "0.20"):
        together(
            lambda: bench.bill(apps[0]),
            lambda: bench.bill(apps[1]),
            lambda rate=rate: update(apps[2], 1500, 1000, rate),
        )
    bench.bill(apps[0])
    assert sum(totals(bench)) == 10000
    settle(bench)


def together(*work: Callable[[], object]) -> None:
    start = threading.Barrier(len(work))

    def one(what: Callable[[], object]) -> None:
        start.wait(60)
        what()

    with ThreadPoolExecutor(len(work)) as pool:
        for done in [pool.submit(one, what) for what in work]:
            done.result()


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda app: update(app, 1, 1, "0.1", user="nobody"), NoSuchUser),
        (lambda app: update(app, 1, 1, "-0.1"), InvalidParameter),
        (lambda app: update(app, 1, 1, "0.1", period="2026-03"), InvalidParameter),
        (lambda app: update(app, 1, 1, "0.1", period="soon"), InvalidParameter),
        (lambda app: show.show(app, ShowOverage(user="user", metric="nothing")), NoSuchMetric),
        (lambda app: explaining.explain(app, ExplainInvoice(invoice="in_none")), NoSuchInvoice),
        (lambda app: invoices.show(app, ShowInvoice()), MissingParameter),
        (lambda app: invoices.show(app, ShowInvoice(user="user")), NoInvoiceYet),
    ],
)
def test_what_is_refused(bench: Bench, call: Callable[[App], object], error: type[BillingError]) -> None:
    app = bench.app()
    bench.use(app, "user", 1)
    with pytest.raises(error):
        call(app)
    assert bench.sql("select count(*) from billing_overage_updates") == [(0,)]


def test_live_mode_asks_for_a_reason(bench: Bench) -> None:
    app = bench.app()
    bench.use(app, "user", 1)
    live = bench.app(STRIPE_MODE="live", STRIPE_SECRET_KEY="sk_live_bench", STRIPE_MOCK_ENABLED="false")
    with pytest.raises(MissingParameter, match="reason"):
        update(live, 1500, 1000, "0.10")
    update(live, 1500, 1000, "0.10", reason="agreed by telephone")
    assert [one.due_minor for one in audit(live)] == [5000]
    assert audit(app) == []  # the modes never mix


# Prices by date


def test_a_period_keeps_the_price_it_began_with(bench: Bench) -> None:
    app, later = bench.app(), bench.app(clock=lambda: MARCH)
    tiers = "[{from: 2025-01-01, model: flat, tiers: [{amount: 0.05}]}, {from: 2026-01-15, model: flat, tiers: [{amount: 2}]}]"
    prices(bench, tiers)
    bench.use(app, "user", 120)
    bench.use(app, "user", 120, at=IN_FEBRUARY)
    bench.create(app, "user")
    bench.bill(later, period=MONTH)
    bench.bill(later, period=FEBRUARY)
    assert totals(bench) == [500, 20000]
    prices(bench, "{amount: 7}")
    bench.use(app, "user", 10)
    bench.bill(later)
    assert totals(bench) == [500, 20000, 50]  # late usage by the price that the period was invoiced at
    settle(bench)


def test_a_month_before_the_first_version_has_no_price(bench: Bench) -> None:
    app = bench.app()
    prices(bench, "[{from: 2026-01-02, model: flat, tiers: [{amount: 1}]}]")
    bench.use(app, "user", 120)
    bench.create(app, "user")
    done = bench.bill(app)
    assert (done.planned_now, "api_calls" in done.unpriced) == (0, True)
    assert reasons(app) == ["overage-tiers.yml has no price of it for this period"]


def test_late_usage_that_reaches_a_cheaper_tier_of_all_is_credited(bench: Bench) -> None:
    app = bench.app()
    prices(bench, VOLUME)
    bench.use(app, "user", 120)
    bench.create(app, "user")
    bench.bill(app)
    bench.use(app, "user", 1)
    assert reasons(app) == ["more units reached a cheaper tier of all: the credit stands on the next invoice"]
    bench.bill(app)
    assert totals(bench) == [10000, 1010 - 10000]
    assert bench.bill(app).planned_now == 0
    settle(bench)


def test_a_raised_limit_is_told_and_credits_nothing_by_itself(bench: Bench) -> None:
    app = bench.app()
    bench.use(app, "user", 120)
    bench.create(app, "user")
    bench.bill(app)
    set_quota(app, SetQuota(user="user", metric="api_calls", limit=100, mode="overage"))
    assert bench.bill(app).planned_now == 0
    (one,) = audit(app)
    assert (one.due_minor, one.invoiced_minor, one.difference_minor) == (100, 500, -400)
    assert one.reason.startswith("the quota was 20 when it was invoiced: nothing is credited before")


# Looking at it


def test_show_and_calculate_say_what_the_invoice_will_say(bench: Bench) -> None:
    app = bench.app()
    prices(bench, "[{from: 2026-01-01, model: graduated, tiers: [{up_to: 50, amount: 0.1}, {amount: 0.033, per: 7}]}]")
    bench.use(app, "user", 120)
    (shown,) = show.show(app, ShowOverage(user="user", period=MONTH))
    given = CalculateOverage(user="user", actual_usage=120, quota_limit=20, period=MONTH)
    calculated = show.calculate(app, given)
    bench.create(app, "user")
    assert bench.bill(app).total_minor == shown.amount_minor == calculated.calculated.amount_minor == 524
    assert (calculated.difference_minor, calculated.actual.parts) == (0, shown.parts)
    by_rate = show.calculate(
        app, CalculateOverage(user="user", actual_usage=1500, quota_limit=1000, rate=Decimal("0.10"))
    )
    assert (by_rate.calculated.amount_minor, by_rate.calculated.overage) == (5000, 500)
    assert show.show(app, ShowOverage(user="user")) == []  # nothing in February


def test_the_audit_gives_a_reason_for_every_difference(bench: Bench) -> None:
    app = bench.app()
    bench.use(app, "user", 120)
    assert reasons(app) == ["the user has no customer at Stripe: nothing can be invoiced"]
    bench.create(app, "user")
    assert reasons(app) == ["not invoiced yet"]
    bench.bill(app)
    assert reasons(app) == ["invoiced in full"]
    bench.use(app, "user", 7)
    bench.use(app, "user", 21, at=IN_FEBRUARY)
    assert reasons(app) == [
        "7 units came after the invoice: the rest stands on the next one",
        "the period is not over yet",
    ]
    set_quota(app, SetQuota(user="user", metric="api_calls", limit=20, mode="hard"))
    assert reasons(app)[1] == "quotas in mode hard are not charged"
    set_quota(app, SetQuota(user="user", metric="api_calls", limit=2, period="day", mode="overage"))
    assert reasons(app)[1] == "the limit is per day, invoices are per month"
    (invoice,) = invoices.list_invoices(app, ListInvoices())
    assert [str(line) for line in audit(app)[0].invoiced] == [f"5.00 USD on {invoice.id}, paid"]


def test_recalculating_counts_the_events_and_leaves_invoices_alone(bench: Bench) -> None:
    app = bench.app()
    bench.use(app, "user", 120)
    bench.use(app, "user", 50, at=IN_FEBRUARY)
    bench.create(app, "user")
    bench.bill(app)
    bench.sql("update billing_usage_deltas set total = total + 5 where total = 50")  # a rollup that went wrong
    update(app, 200, 100, "1")
    before = bench.sql("select * from billing_invoice_plan_lines")
    found = decide.recalculate(app, RecalculateOverage(user="user", execute=True))
    assert [(one.period, one.state, one.used_before, one.used_after, one.note) for one in found] == [
        (MONTH, "invoiced", 200, 120, "invoiced, not changed: `overage audit` tells the difference"),
        (FEBRUARY, "open", 55, 50, "rollups and stored events differ"),
    ]
    assert bench.sql("select * from billing_invoice_plan_lines") == before
    assert audit(app)[0].due_minor == 10000  # the word about an invoiced month stands
    bench.sql("update billing_usage_deltas set total = total - 5 where total = 55")


# Explaining


def test_every_cent_of_an_invoice_is_explained(bench: Bench) -> None:
    app = bench.app()
    prices(
        bench,
        "[{from: 2026-01-01, model: graduated, free: 4, tiers: [{up_to: 50, amount: 0.1}, {amount: 0.033, per: 7}]}]",
    )
    bench.use(app, "user", 70, key="first")
    bench.create(app, "user")
    bench.bill(app)
    bench.use(app, "user", 50, key="second")
    bench.bill(app)
    newest, oldest = sorted(invoices.list_invoices(app, ListInvoices()), key=lambda one: one.total_minor)
    one = explaining.explain(app, ExplainInvoice(invoice=newest.id, line=1)).lines[0].overage
    assert one is not None
    exact = Fraction(5) + Fraction("0.033") * 46 / 7
    assert (one.used, one.limit, one.overage, one.free, one.model) == (120, 20, 100, 4, "graduated")
    assert [Fraction(part.amount) * part.units / part.per for part in one.parts] == [5, exact - 5]
    assert one.whole_minor == int(exact * 100 + Fraction(1, 2)) == one.amount_minor + one.billed_before_minor
    assert one.billed_before_minor == oldest.total_minor == 460
    assert one.amount_minor == newest.total_minor
    assert [(event.value, event.key) for event in one.first_events] == [(70, "first"), (50, "second")]
    assert (one.events, one.events_now) == (2, 2)
    first = explaining.explain(app, ExplainInvoice(invoice=oldest.id, events=1)).lines[0].overage
    assert first is not None
    assert (first.used, first.used_now, first.events, first.events_now, len(first.first_events)) == (70, 120, 1, 2, 1)


def test_an_explanation_reads_from_the_cent_to_the_event(bench: Bench) -> None:
    app = bench.app()
    bench.use(app, "user", 120, key="only")
    bench.whole_run(app, "user")
    update(app, 140, 20, "0.05", reason="two hours were lost")
    bench.bill(app)
    (again,) = (one for one in invoices.list_invoices(app, ListInvoices()) if one.total_minor == 100)
    words = explaining.explain(app, ExplainInvoice(invoice=again.id)).plain().splitlines()
    wanted = [
        "of user: 1.00 USD",
        "line 1: 1.00 USD  api_calls: 140 used, 20 included, 120 request over at 0.05 usd / 1 request, rest",
        "amount    6.00 USD for 2026-01 - 5.00 USD billed before",
        "rounding  6 usd, half up, once: 6.00 USD",
        "part      tier 1, units 1 to 120: 120 x 0.05 = 6",
        "price     flat, at all times: 0.05 usd / 1",
        "decided   set by hand by",
        "quota     140 used - 20 included = 120 request above it",
        "usage     140 request from 1 events",
        "event     2026-01-15T10:00:00Z  120  only  cli",
    ]
    at = [next(number for number, line in enumerate(words) if text in line) for text in wanted]
    assert all(a < b for a, b in pairwise(at)), words
    with pytest.raises(InvalidParameter, match="has 1 lines"):
        explaining.explain(app, ExplainInvoice(invoice=again.id, line=2))


def test_an_invoice_shows_the_overage_behind_its_lines(bench: Bench) -> None:
    app = bench.app()
    bench.use(app, "user", 120)
    bench.whole_run(app, "user")
    shown = invoices.show(app, ShowInvoice(user="user", show_overage=True))
    assert isinstance(shown, InvoiceWithOverage)
    assert [(one.period, one.overage, one.whole_minor, one.amount_minor) for one in shown.overage] == [
        (MONTH, 100, 500, 500)
    ]
    assert invoices.show(app, ShowInvoice(user="user")) == invoices.show(app, ShowInvoice(invoice=shown.id))


def test_lines_from_before_prices_had_versions_are_billed_and_explained_on(bench: Bench) -> None:
    app = bench.app()
    bench.use(app, "user", 120, at=AT)
    bench.whole_run(app, "user")
    lines = bench.sql(
        "select operation, metric_type, used, limit_value, overage, 0, 0.05, 1, amount_minor, description from billing_invoice_plan_lines"
    )
    bench.sql("drop table billing_invoice_plan_lines; drop table billing_overage_updates")
    old, new = (next(one.text for one in migrations.available() if one.version == version) for version in (7, 9))
    bench.sql(old[old.index("create table billing_invoice_plan_lines") :])
    bench.sql(f"insert into billing_invoice_plan_lines values ({', '.join(['%s'] * 10)})", *lines[0])
    with psycopg.connect(bench.database, options="-c search_path=billing,public") as connection:
        connection.execute(new.encode())
    prices(bench, "{amount: 3}")
    bench.use(app, "user", 10)
    bench.bill(app)
    assert totals(bench) == [500, 50]
    for invoice in invoices.list_invoices(app, ListInvoices()):
        one = explaining.explain(app, ExplainInvoice(invoice=invoice.id)).lines[0].overage
        assert one is not None and one.price == "0.05 usd / 1"
        assert one.amount_minor + one.billed_before_minor == one.whole_minor
    settle(bench)
