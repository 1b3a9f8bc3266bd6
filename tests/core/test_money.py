"""Money is whole minor units; what is exact is rounded once, half away from zero."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from math import floor

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from metering import steady
from nself.core.money import Money, decimal, exponent, rounded

AMOUNTS = st.decimals("-1000", "1000", allow_nan=False, allow_infinity=False, places=6)
CURRENCIES = st.sampled_from(
    [("usd", 2, 1), ("jpy", 0, 1), ("kwd", 3, 10), ("isk", 2, 100), ("ugx", 2, 100), ("mga", 0, 1)]
)


def by_hand(quantity: int, amount: Decimal, per: int, digits: int, step: int) -> int:
    exact = Fraction(amount) * quantity * 10**digits / per
    rounded = floor(abs(exact) / step + Fraction(1, 2)) * step
    return rounded if exact >= 0 else -rounded


@steady(400)
@given(st.integers(-(10**18), 10**18), AMOUNTS, st.integers(1, 10**12), CURRENCIES)
@example(5, Decimal("0.001"), 1, ("usd", 2, 1))
@example(-5, Decimal("0.001"), 1, ("usd", 2, 1))
def test_an_exact_amount_is_rounded_half_away_from_zero(
    quantity: int, amount: Decimal, per: int, currency: tuple[str, int, int]
) -> None:
    code, digits, step = currency
    exact = Fraction(amount) * quantity / per
    assert rounded(exact, code) == Money(by_hand(quantity, amount, per, digits, step), code)
    assert rounded(-exact, code).minor == -rounded(exact, code).minor


@pytest.mark.parametrize(
    ("exact", "written"),
    [
        (Fraction(0), "0"),
        (Fraction(50), "50"),
        (Fraction(-5, 1000), "-0.005"),
        (Fraction(1, 2**30), "0.000000000931322574615478515625"),
        (Fraction(1, 3), "0.33333333333333333333"),
        (Fraction(-2, 3), "-0.66666666666666666666"),
        (Fraction(10**30, 4), "250000000000000000000000000000"),
    ],
)
def test_a_fraction_is_written_whole_where_it_ends(exact: Fraction, written: str) -> None:
    assert f"{decimal(exact):f}" == written


@steady(200)
@given(st.integers(-(10**18), 10**18), st.integers(0, 40), st.integers(0, 20))
def test_a_fraction_of_twos_and_fives_is_written_exactly(top: int, twos: int, fives: int) -> None:
    exact = Fraction(top, 2**twos * 5**fives)
    assert Fraction(decimal(exact)) == exact


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


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [("5.124", "kwd", 5120), ("5.125", "KWD", 5130), ("1.37", "isk", 100), ("1.50", "isk", 200), ("0.4", "ugx", 0)],
)
def test_what_stripe_refuses_to_charge_is_no_amount(amount: str, currency: str, minor: int) -> None:
    """Of three decimals the last is 0; króna and Ugandan shilling have no fractions, and are still sent with two."""
    assert rounded(Fraction(amount), currency).minor == minor
