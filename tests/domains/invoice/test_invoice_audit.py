"""The audit works invoices out apart from the sandbox: it finds nothing where nobody meddled, and every cent where somebody did."""

from __future__ import annotations

import random
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from billing_hand import Hand
from hypothesis import given, settings
from hypothesis import strategies as st
from money_bench import AT, Bench

from nself.diagnosis import Evidence, Look
from nself.domains.invoice import figures, rating, rules
from nself.domains.invoice.inputs import Audit
from nself.domains.invoice.inputs import RemoveItem as Remove
from nself.domains.invoice.service import audit, edit
from nself.domains.invoice.service.audit import Audited
from nself.domains.invoice.service.causes import CAUSES
from stripe_sandbox import amounts, periods, totals
from stripe_sandbox.ledger import split
from subscribing import Shop

CURRENCIES = ["usd", "eur", "jpy", "kwd"]
DECIMALS = st.decimals(0, 9999, places=4).map(str)
COUNTS = st.integers(0, 5000)
ROUNDS = 12


def audited(hand: Hand, invoice: str) -> Audited:
    return audit.audit(hand.app, Audit(invoice=invoice))


def right(hand: Hand, invoice: str) -> Audited:
    found = audited(hand, invoice)
    assert (found.differences, found.found) == (0, [])
    assert found.expected_total_minor == found.total_minor
    assert rules.adds_up(hand.there(invoice)) == 0
    return found


@st.composite
def prices(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(["one", "package", "graduated", "volume"]))
    if kind in ("one", "package"):
        found: dict[str, Any] = {"unit_amount_decimal": draw(DECIMALS)}
        if kind == "package":
            found["transform_quantity"] = {
                "divide_by": draw(st.integers(2, 100)),
                "round": draw(st.sampled_from(["up", "down"])),
            }
        return found
    tops = sorted(draw(st.sets(st.integers(1, 4000), max_size=3)))
    tier = st.fixed_dictionaries({"unit_amount_decimal": DECIMALS, "flat_amount_decimal": DECIMALS})
    tiers = [{**draw(tier), "up_to": top} for top in [*tops, "inf"]]
    return {"tiers": tiers, "billing_scheme": "tiered", "tiers_mode": kind, "recurring": {"interval": "month"}}


# Pure: against the sandbox's own arithmetic, and by hand


@given(prices(), COUNTS)
@settings(max_examples=300, deadline=None)
def test_a_price_costs_here_what_it_costs_there(price: dict[str, Any], count: int):
    tiers = [{**one, "up_to": None if one["up_to"] == "inf" else one["up_to"]} for one in price.get("tiers", [])]
    whole = {"billing_scheme": "per_unit", "transform_quantity": None, **price, "tiers": tiers, "_tiers": tiers}
    assert rating.amount(whole, count) == amounts.amount_for(whole, count)


LINES = st.lists(
    st.tuples(
        st.integers(-5000, 50_000),
        st.booleans(),
        st.sampled_from(["a", "b"]),
        st.lists(st.integers(0, 2), max_size=1),
        st.lists(st.tuples(st.decimals(0, 40, places=3), st.booleans()), max_size=3),
    ),
    max_size=6,
)
DISCOUNTS = st.lists(
    st.tuples(st.none() | st.decimals(0, 100, places=2), st.integers(1, 9000), st.none() | st.just(frozenset("a"))),
    min_size=3,
    max_size=5,
)


@given(LINES, DISCOUNTS)
@settings(max_examples=500, deadline=None)
def test_discounts_and_taxes_are_the_same_here_and_there_and_add_up(lines: list[Any], discounts: list[Any]):
    ours = [figures.Discount(str(n), percent, amount, of) for n, (percent, amount, of) in enumerate(discounts)]
    theirs = [totals.Discount(str(n), percent, amount, of) for n, (percent, amount, of) in enumerate(discounts)]
    mine = [
        figures.Line(
            amount,
            free,
            product,
            tuple(ours[n] for n in own),
            tuple(figures.Rate(str(n), percent, inside) for n, (percent, inside) in enumerate(rates)),
        )
        for amount, free, product, own, rates in lines
    ]
    other = [
        totals.Line(
            amount,
            free,
            product,
            tuple(theirs[n] for n in own),
            tuple(totals.Rate(str(n), percent, inside) for n, (percent, inside) in enumerate(rates)),
        )
        for amount, free, product, own, rates in lines
    ]
    found, expected = figures.work_out(mine, ours[2:]), totals.work_out(other, theirs[2:])
    assert (found.total, found.subtotal) == (expected.total, expected.subtotal)
    for one, two in zip(found.lines, expected.lines, strict=True):
        assert one.net == two.net
        assert list(one.taxes) == [tax.amount for tax in two.taxes]
    assert found.total == sum(line.amount for line in mine) - found.discount + found.exclusive_tax


@given(st.integers(-(10**6), 10**6), st.integers(-(10**6), 10**6), st.sampled_from(CURRENCIES))
def test_what_is_asked_for_is_the_same_here_and_there(total: int, balance: int, currency: str):
    assert tuple(figures.due(total, balance, currency)) == split(total, balance, currency)


@given(st.integers(1, 10_000), st.lists(st.tuples(st.decimals(0, 40, places=3), st.booleans()), max_size=3))
def test_a_top_up_is_the_least_that_is_enough(short: int, given_rates: list[Any]):
    rates = tuple(figures.Rate(str(n), percent, inside) for n, (percent, inside) in enumerate(given_rates))
    amount = figures.top_up(short, rates)
    assert figures.grown(amount, rates) >= short
    assert amount == 1 or figures.grown(amount - 1, rates) < short


@given(
    st.integers(0, 4 * 10**9),
    st.sampled_from(["day", "week", "month", "year"]),
    st.integers(1, 12),
    st.integers(0, 10**8),
)
def test_periods_are_the_same_here_and_there(anchor: int, interval: str, count: int, later: int):
    at = anchor + later
    assert rating.period_around(anchor, interval, count, at) == periods.period_around(anchor, interval, count, at)


def test_by_hand():
    assert figures.taxes(9900, [figures.Rate("vat", 19, True)]) == (1581,)  # type: ignore[arg-type]
    assert rating.share(1000, 15, 30) == 500
    assert -rating.share(9900, 15, 30) + rating.share(29900, 15, 30) == 10_000
    assert [rating.whole(Fraction(n, 2)) for n in (1, -1, 3, -3)] == [1, -1, 2, -2]


# Against invoices at the sandbox


@pytest.mark.parametrize("currency", CURRENCIES)
def test_nothing_is_found_where_nobody_meddled(bench: Bench, currency: str):
    hand, draw = Hand(bench), random.Random(f"audit {currency}")
    for _ in range(ROUNDS):
        customer = made_up(hand, draw, currency)
        id = hand.create(customer, currency=currency).id
        hand.sandbox.post(f"/v1/invoices/{id}", **taxed_and_discounted(hand, draw, currency))
        for _ in range(draw.randint(1, 3)):
            if draw.random() < 0.5:
                hand.add(id, amount=draw.randint(-2000, 20_000), description="Something")
            else:
                hand.add(id, price=hand.price("0", currency, **a_price(draw)), quantity=draw.randint(0, 500))
        assert right(hand, id).by_hand == []
        edit.update(hand.app, edit.UpdateInvoice(invoice=id))
        hand.finalize(id)
        right(hand, id)
        if hand.there(id)["status"] == "open":
            hand.pay(id)
            assert right(hand, id).status == "paid"
            assert hand.charged(customer)[0] == hand.there(id)["amount_due"]
        hand.same(id)


def made_up(hand: Hand, draw: random.Random, currency: str) -> str:
    customer = hand.customer(tax_exempt=draw.choice(["none", "none", "exempt", "reverse"]))
    if draw.random() < 0.5:
        amount = draw.randint(-3000, 3000)
        hand.sandbox.post(f"/v1/customers/{customer}/balance_transactions", amount=amount, currency=currency)
    return customer


def taxed_and_discounted(hand: Hand, draw: random.Random, currency: str) -> dict[str, Any]:
    rates = [
        hand.rate(str(Decimal(draw.randint(1, 40_000)).scaleb(-3)), draw.random() < 0.5)
        for _ in range(draw.randint(0, 2))
    ]
    kinds: list[dict[str, Any]] = [
        {"percent_off": "12.5"},
        {"amount_off": draw.randint(1, 5000), "currency": currency},
    ]
    coupons = [hand.sandbox.post("/v1/coupons", duration="forever", **one)["id"] for one in kinds[: draw.randint(0, 2)]]
    return {"default_tax_rates": rates or "", "discounts": [{"coupon": one} for one in coupons] or ""}


def a_price(draw: random.Random) -> dict[str, Any]:
    def unit() -> str:
        return str(Decimal(draw.randint(0, 10**6)).scaleb(-3))

    if draw.random() < 0.5:
        package = {"divide_by": draw.randint(2, 100), "round": draw.choice(["up", "down"])}
        return {"unit_amount_decimal": unit(), **({"transform_quantity": package} if draw.random() < 0.5 else {})}
    tops = sorted(draw.sample(range(1, 400), draw.randint(0, 3)))
    tiers = [{"up_to": top, "unit_amount_decimal": unit(), "flat_amount_decimal": unit()} for top in [*tops, "inf"]]
    mode = draw.choice(["graduated", "volume"])
    return {"tiers": tiers, "billing_scheme": "tiered", "tiers_mode": mode, "recurring": {"interval": "month"}}


@pytest.mark.parametrize("currency", CURRENCIES)
def test_prorations_usage_in_arrears_and_trials_come_out_to_the_second(bench: Bench, currency: str):
    hand, shop = Hand(bench), Shop(bench, {})
    customer = hand.customer()
    cheap, dear = (hand.price(amount, currency, recurring={"interval": "month"}) for amount in ("1999", "4733"))
    subscription = shop.subscribe(customer, cheap)
    for days, price in ((3.3, dear), (9.01, cheap), (6.7, dear)):
        shop.pass_days(days)
        item = shop.get(subscription)["items"]["data"][0]["id"]
        hand.sandbox.post(
            f"/v1/subscriptions/{subscription}",
            items=[{"id": item, "price": price, "quantity": 3}],
            proration_behavior="create_prorations" if price == cheap else "always_invoice",
        )
    shop.pass_days(20)
    trial = shop.subscribe(
        hand.customer(), hand.price("900", currency, recurring={"interval": "year"}), trial_period_days=9
    )
    invoices = hand.sandbox.get("/v1/invoices", limit=100)
    assert len(invoices) >= 5
    for one in invoices:
        found = right(hand, one["id"])
        assert all("nothing to work it out from" not in line.how for line in found.lines), found.lines
    assert any(line.kind == "proration" for one in invoices for line in audited(hand, one["id"]).lines)
    (first,) = hand.sandbox.get("/v1/invoices", subscription=trial)
    assert audited(hand, first["id"]).lines[0].how == "a trial costs nothing"


def test_usage_is_rated_again_and_what_was_taken_off_is_missed(hand_with_usage: tuple[Hand, str]):
    hand, id = hand_with_usage
    found = right(hand, id)
    assert (found.lines[0].kind, found.lines[0].how) == (
        "usage",
        "120 used - 20 included = 100 over: 5 usd, 0.00 USD billed before",
    )


@pytest.fixture
def hand_with_usage(bench: Bench) -> tuple[Hand, str]:
    hand = Hand(bench)
    bench.create(hand.app, "user")
    bench.use(hand.app, "user", 120, at=AT)
    bench.bill(hand.app)
    ((id,),) = bench.sql("select invoice_id from billing_invoice_plans")
    return hand, id


def test_each_cent_that_somebody_changed_is_found_and_named(bench: Bench):
    hand = Hand(bench)
    customer, rate = hand.customer(), hand.rate("10")
    id = hand.create(customer, price=hand.price("1000"), quantity=2).id
    hand.add(id, amount=500, description="Work")
    edit.add_tax(hand.app, edit.AddTax(invoice=id, tax_rate=rate))
    items = hand.sandbox.get("/v1/invoiceitems", invoice=id)
    by_amount = {one["amount"]: one["id"] for one in items}
    hand.sandbox.post(f"/v1/invoiceitems/{by_amount[500]}", amount=700)
    hand.sandbox.post("/v1/invoiceitems", customer=customer, invoice=id, amount=33, currency="usd", description="Extra")
    found = audited(hand, id)
    lines = {line["amount"]: line["id"] for line in hand.sandbox.lines(id)}
    assert [(one.what, one.expected_minor, one.actual_minor) for one in found.found] == [
        (f"amount of {lines[700]}", 500, 700)
    ]
    assert found.by_hand == [
        f"{lines[700]}: 5.00 USD was asked for here, 7.00 USD stands there: changed at Stripe",
        f"{lines[33]}: 0.33 USD, made at Stripe by hand or by another program",
    ]
    assert found.expected_total_minor == found.total_minor - 200 - 20
    there = hand.there(id)
    hand.sandbox.edit("invoice", id, total=there["total"] + 5, subtotal=there["subtotal"] - 1)
    whats = {one.what: one.difference_minor for one in audited(hand, id).found}
    assert (whats["total"], whats["subtotal"]) == (5, -1)
    strict = audit.audit(hand.app, Audit(invoice=id, exit_code=True))
    assert not strict.ok


def test_usage_taken_off_a_draft_is_missed(bench: Bench):
    from test_invoice_commands import late_draft

    hand = Hand(bench)
    id = late_draft(hand)
    right(hand, id)
    line = hand.sandbox.lines(id)[0]["id"]
    done = edit.remove_item(hand.app, Remove(invoice=id, line_item=line))
    assert done.notes[0] == "it billed usage, which stays counted as billed: see overage audit"
    (missed,) = audited(hand, id).found
    assert (missed.what, missed.expected_minor, missed.actual_minor) == ("usage of api_calls", 100, 0)


def test_usage_counted_after_its_line_is_missed_until_the_draft_is_brought_up_to_date(bench: Bench):
    from test_invoice_commands import late_draft

    def cause() -> Evidence | None:
        return next(one for one in CAUSES if one.id == "4.2.2").detect(Look(hand.app))

    hand = Hand(bench)
    id = late_draft(hand)
    assert cause() is None
    bench.use(hand.app, "user", 10, at=AT)
    (missed,) = audited(hand, id).found
    assert (missed.what, missed.expected_minor, missed.actual_minor) == ("usage of api_calls", 50, 0)
    evidence = cause()
    assert evidence and evidence.fields["invoice"] == id
    edit.update(hand.app, edit.UpdateInvoice(invoice=id))
    right(hand, id)
    assert cause() is None
