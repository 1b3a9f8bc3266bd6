"""What a quantity of a price costs: tiers, packages, flat fees, tiny amounts, currencies. Numbers worked by hand."""

from decimal import Decimal
from typing import Any

import pytest
import stripe
from hypothesis import given
from hypothesis import strategies as st

from sandbox.conftest import Sdk, paying_customer, refusal
from sandbox.timing import price, subscribe
from stripe_sandbox.amounts import amount_for, packages, share_of

TIERS = [
    {"up_to": 5, "unit_amount": 500},
    {"up_to": 10, "unit_amount": 400, "flat_amount": 100},
    {"up_to": "inf", "unit_amount_decimal": "0.5"},
]


@pytest.mark.parametrize(
    ("mode", "quantity", "amount"),
    [
        ("graduated", 0, 0),  # no flat fee on the first tier
        ("graduated", 1, 500),
        ("graduated", 5, 2500),  # up_to is inclusive
        ("graduated", 6, 3000),  # 2500 + 100 + 400
        ("graduated", 10, 4600),  # 2500 + 100 + 5 x 400
        ("graduated", 11, 4601),  # 4600.5, half away from zero
        ("graduated", 12, 4601),  # 4600 + 2 x 0.5
        ("volume", 0, 0),
        ("volume", 5, 2500),
        ("volume", 6, 2500),  # 6 x 400 + 100
        ("volume", 10, 4100),
        ("volume", 11, 6),  # 5.5
        ("volume", 100, 50),
    ],
)
def test_tiers(api: Sdk, mode: str, quantity: int, amount: int) -> None:
    customer = paying_customer(api)
    tiered = price(api, billing_scheme="tiered", tiers_mode=mode, tiers=TIERS)
    items = [{"price": tiered.id, "quantity": quantity}]
    made = api.subscriptions.create({"customer": customer.id, "items": items, "expand": ["latest_invoice"]})
    assert made.latest_invoice.total == amount


def test_tiers_are_shown_when_asked_for(api: Sdk) -> None:
    tiered = price(api, billing_scheme="tiered", tiers_mode="graduated", tiers=TIERS, expand=["tiers"])
    assert (tiered.unit_amount, tiered.unit_amount_decimal, tiered.tiers_mode) == (None, None, "graduated")
    shown = [(one.up_to, one.unit_amount, str(one.unit_amount_decimal), one.flat_amount) for one in tiered.tiers]
    assert shown == [(5, 500, "500", None), (10, 400, "400", 100), (None, None, "0.5", None)]


def test_tiers_of_an_items_price(api: Sdk) -> None:
    tiered = price(api, billing_scheme="tiered", tiers_mode="graduated", tiers=TIERS)
    made = subscribe(api, paying_customer(api), tiered)
    shown = api.subscriptions.retrieve(made.id, {"expand": ["items.data.price.tiers"]})
    assert len(shown["items"].data[0].price.tiers) == 3


def test_the_flat_fee_of_the_first_tier_is_always_due(api: Sdk) -> None:
    """Stripe does not publish this; the sandbox decides once: 1000 at 0, 1000 + 3 x 20 at 3."""
    customer = paying_customer(api)
    tiers = [{"up_to": 10, "flat_amount": 1000, "unit_amount": 20}, {"up_to": "inf", "unit_amount": 10}]
    for mode in ("graduated", "volume"):
        tiered = price(api, billing_scheme="tiered", tiers_mode=mode, tiers=tiers)
        for quantity, amount in ((0, 1000), (3, 1060)):
            items = [{"price": tiered.id, "quantity": quantity}]
            made = api.subscriptions.create({"customer": customer.id, "items": items, "expand": ["latest_invoice"]})
            assert made.latest_invoice.total == amount


@pytest.mark.parametrize(
    ("round", "quantity", "amount"), [("up", 0, 0), ("up", 1, 700), ("up", 10, 700), ("up", 11, 1400), ("down", 9, 0), ("down", 19, 700)]
)  # fmt: skip
def test_packages(api: Sdk, round: str, quantity: int, amount: int) -> None:
    customer = paying_customer(api)
    packed = price(api, 700, transform_quantity={"divide_by": 10, "round": round})
    items = [{"price": packed.id, "quantity": quantity}]
    made = api.subscriptions.create({"customer": customer.id, "items": items, "expand": ["latest_invoice"]})
    assert made.latest_invoice.total == amount


@pytest.mark.parametrize(
    ("currency", "unit", "quantity", "amount"),
    [
        ("usd", "0.000000000001", 1_000_000, 0),  # a millionth of a cent
        ("usd", "0.12345", 1000, 123),  # 123.45
        ("jpy", "50.5", 3, 152),  # 151.5 yen
        ("kwd", "1234.5", 1, 1235),  # 1.2345 dinars are 1234.5 fils
        ("kwd", "10.001", 500, 5001),  # 5000.5
    ],
)
def test_tiny_amounts_and_currencies(api: Sdk, currency: str, unit: str, quantity: int, amount: int) -> None:
    customer = paying_customer(api)
    one = price(api, unit, currency=currency)
    items = [{"price": one.id, "quantity": quantity}]
    made = api.subscriptions.create({"customer": customer.id, "items": items, "expand": ["latest_invoice"]})
    assert (made.latest_invoice.total, made.currency) == (amount, currency)


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"tiers": TIERS[:2], "tiers_mode": "volume"}, "tiers"),
        ({"tiers": [TIERS[1], TIERS[0], TIERS[2]], "tiers_mode": "volume"}, "tiers[1][up_to]"),
        ({"tiers": [{"up_to": "inf"}], "tiers_mode": "volume"}, "tiers[0][unit_amount]"),
        ({"tiers": [{"up_to": "many", "unit_amount": 1}], "tiers_mode": "volume"}, "tiers[0][up_to]"),
        ({"tiers": TIERS}, "tiers_mode"),
        ({"tiers": TIERS, "tiers_mode": "volume", "unit_amount": 1}, "unit_amount"),
        ({"tiers": TIERS, "tiers_mode": "volume", "transform_quantity": {"divide_by": 2, "round": "up"}}, "transform_quantity"),
        ({"tiers": TIERS, "tiers_mode": "volume", "billing_scheme": "per_unit"}, "tiers"),
        ({"recurring": {"interval": "month", "usage_type": "metered"}}, "recurring[meter]"),
        ({"tiers": TIERS, "tiers_mode": "volume", "recurring": ""}, "recurring"),
    ],
)  # fmt: skip
def test_wrong_tiers(api: Sdk, wrong: dict[str, Any], param: str) -> None:
    good = {"product_data": {"name": "P"}, "currency": "usd", "recurring": {"interval": "month"}}
    scheme = {"billing_scheme": "tiered"} if "tiers" in wrong else {"unit_amount": 1}
    made = {**good, **scheme, **wrong}
    if made["recurring"] == "":
        del made["recurring"]
    assert refusal(stripe.InvalidRequestError, api.prices.create, made).param == param


def test_metered_prices_have_no_quantity(api: Sdk) -> None:
    aggregation = {"formula": "sum"}
    meter = api.billing.meters.create({"display_name": "M", "event_name": "m", "default_aggregation": aggregation})
    metered = price(api, 5, recurring={"usage_type": "metered", "meter": meter.id})
    customer = paying_customer(api)
    wrong = {"customer": customer.id, "items": [{"price": metered.id, "quantity": 1}]}
    assert refusal(stripe.InvalidRequestError, api.subscriptions.create, wrong).param == "items[0][quantity]"
    item = subscribe(api, customer, metered)["items"].data[0]
    assert "quantity" not in item
    refusal(stripe.InvalidRequestError, api.prices.create, {
        "product_data": {"name": "P"}, "currency": "usd", "unit_amount": 1,
        "recurring": {"interval": "month", "meter": meter.id},
    })  # fmt: skip


bounds = st.lists(st.integers(1, 10_000), min_size=0, max_size=5, unique=True).map(sorted)
units = st.decimals(0, 1000, places=4)


@given(bounds, st.lists(st.tuples(units, units), min_size=6, max_size=6), st.integers(0, 12_000))
def test_graduated_counts_each_unit_once(
    bounds: list[int], costs: list[tuple[Decimal, Decimal]], quantity: int
) -> None:
    """Unit by unit: each costs what its tier says, and a tier that has a unit (or is the first) adds its flat fee."""
    tiers = [
        {"up_to": up_to, "unit_amount_decimal": str(unit), "flat_amount_decimal": str(flat)}
        for up_to, (unit, flat) in zip([*bounds, None], costs, strict=False)
    ]
    cost, below = Decimal(0), 0
    for number, tier in enumerate(tiers):
        top = quantity if tier["up_to"] is None else min(quantity, int(tier["up_to"]))
        inside = max(top - below, 0)
        if inside or number == 0:
            cost += inside * Decimal(str(tier["unit_amount_decimal"])) + Decimal(str(tier["flat_amount_decimal"]))
        below = max(below, top)
    made = {"billing_scheme": "tiered", "tiers_mode": "graduated", "_tiers": tiers}
    assert abs(amount_for(made, quantity) - cost) <= Decimal("0.5")


@given(st.integers(0, 10**6), st.integers(1, 1000))
def test_packages_hold_the_quantity(quantity: int, size: int) -> None:
    up = packages({"divide_by": size, "round": "up"}, Decimal(quantity))
    down = packages({"divide_by": size, "round": "down"}, Decimal(quantity))
    assert down * size <= quantity <= up * size
    assert 0 <= up - down <= 1


@given(st.integers(-(10**9), 10**9), st.integers(0, 10**8), st.integers(1, 10**8))
def test_a_share_is_rounded_half_away_from_zero(amount: int, part: int, whole: int) -> None:
    found = share_of(amount, part, whole)
    assert abs(found * whole - amount * part) * 2 <= whole
    assert share_of(-amount, part, whole) == -found
