"""Money is whole minor units; a price is rounded once, half away from zero."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from math import floor

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from metering import steady
from nself.core.money import Money, Rate, charge, exponent

AMOUNTS = st.decimals("-1000", "1000", allow_nan=False, allow_infinity=False, places=6)
CURRENCIES = st.sampled_from([("usd", 2), ("jpy", 0), ("kwd", 3), ("isk", 2), ("ugx", 2), ("mga", 0)])


def by_hand(quantity: int, amount: Decimal, per: int, digits: int) -> int:
    exact = Fraction(amount) * quantity * 10**digits / per
    rounded = floor(abs(exact) + Fraction(1, 2))
    return rounded if exact >= 0 else -rounded


@steady(400)
@given(st.integers(-(10**18), 10**18), AMOUNTS, st.integers(1, 10**12), CURRENCIES)
@example(5, Decimal("0.001"), 1, ("usd", 2))
@example(-5, Decimal("0.001"), 1, ("usd", 2))
def test_a_charge_is_the_exact_product_rounded_half_away_from_zero(
    quantity: int, amount: Decimal, per: int, currency: tuple[str, int]
) -> None:
    code, digits = currency
    assert charge(quantity, Rate(amount, code, per)) == Money(by_hand(quantity, amount, per, digits), code)


@steady(100)
@given(st.integers(0, 10**15), AMOUNTS, CURRENCIES)
def test_the_opposite_quantity_costs_the_opposite(quantity: int, amount: Decimal, currency: tuple[str, int]) -> None:
    rate = Rate(amount, currency[0])
    assert charge(-quantity, rate).minor == -charge(quantity, rate).minor


@pytest.mark.parametrize(
    ("quantity", "amount", "per", "currency", "minor"),
    [
        (500, "0.10", 1, "usd", 5000),  # the guide's example, S:1419
        (250_000, "0.0003", 1, "usd", 7500),
        (1, "0.005", 1, "usd", 1),
        (1, "0.004999999", 1, "usd", 0),
        (3, "0.5", 1, "jpy", 2),
        (1, "0.0005", 1, "kwd", 1),
        (1 << 30, "0.05", 1 << 30, "usd", 5),
        (0, "0.10", 1, "usd", 0),
        (10**15, "0.000001", 1, "usd", 10**11),
    ],
)
def test_charges_worked_out_by_hand(quantity: int, amount: str, per: int, currency: str, minor: int) -> None:
    assert charge(quantity, Rate(Decimal(amount), currency, per)) == Money(minor, currency)


@pytest.mark.parametrize(
    ("money", "words"),
    [
        (Money(123456, "usd"), "1234.56 USD"),
        (Money(-5, "usd"), "-0.05 USD"),
        (Money(0, "usd"), "0.00 USD"),
        (Money(500, "jpy"), "500 JPY"),
        (Money(-500, "jpy"), "-500 JPY"),
        (Money(1234, "kwd"), "1.234 KWD"),
        (Money(100, "isk"), "1.00 ISK"),
    ],
)
def test_money_is_written_with_the_digits_of_its_currency(money: Money, words: str) -> None:
    assert str(money) == words


def test_a_currency_may_be_written_in_any_case() -> None:
    assert [exponent(code) for code in ("JPY", "jpy", "Kwd", "USD")] == [0, 0, 3, 2]
