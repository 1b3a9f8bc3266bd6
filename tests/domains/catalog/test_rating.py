"""The price of overage: worked examples, a model that charges unit by unit, and what the parts of a price explain."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from metering import steady
from nself.app import App
from nself.config import find_project
from nself.core.money import rounded
from nself.domains.catalog import rules, service
from nself.domains.catalog.model import BrokenCatalog, MetricFile, PriceFile, Rated, Version
from nself.domains.catalog.rating import in_force, price_text, rate
from nself.registry import Registry
from pricing import CURRENCIES, unit_by_unit, versions

METRICS = MetricFile({"api_calls": {"unit": "request"}, "storage": {"unit": "byte"}})


def written(text: str) -> list[Version]:
    """The versions of api_calls as a file has them."""
    file = PriceFile({"api_calls": yaml.safe_load(text)})
    return rules.prices(file, METRICS, "usd")["api_calls"]


def price(text: str) -> Version:
    return written(f"[{{from: 2026-01-01, {text}}}]")[0]


def parts(rated: Rated) -> list[tuple[int, str]]:
    return [(part.units, f"{part.exact:f}") for part in rated.parts]


@steady(300)
@given(versions(highest=150), st.integers(0, 200))
def test_rating_is_what_charging_unit_by_unit_gives(version: Version, units: int) -> None:
    assert rate(version, units).amount_minor == unit_by_unit(version, units)


@steady(300)
@given(versions(), st.integers(0, 10**18))
def test_the_parts_explain_every_unit_and_every_cent(version: Version, units: int) -> None:
    rated = rate(version, units)
    assert rated.charged_units + rated.free == units == rated.units
    assert sum(part.units for part in rated.parts) == rated.charged_units
    exact = sum((Fraction(part.exact) for part in rated.parts), Fraction(0))
    assert abs(exact - Fraction(rated.exact)) <= Fraction(1, 10**18)  # 1/3 is written with twenty digits
    digits, step = CURRENCIES[rated.currency]
    off = abs(Fraction(rated.amount_minor, 10**digits) - Fraction(rated.exact))
    assert off <= Fraction(step, 2 * 10**digits) + Fraction(1, 10**18)


@steady(100)
@given(versions(), st.integers(0, 10**9), st.integers(0, 10**9))
def test_more_units_never_cost_less_but_by_volume(version: Version, units: int, more: int) -> None:
    if version.model != "volume":
        assert rate(version, units + more).amount_minor >= rate(version, units).amount_minor


def test_the_guides_example() -> None:
    """Usage 1500, quota 1000, rate 0.10: 500 x 0.10 = 50.00 USD."""
    rated = rate(rules.flat(Decimal("0.10"), "usd"), 1500 - 1000)
    assert (rated.amount_minor, parts(rated)) == (5000, [(500, "50")])


def test_a_quarter_million_calls() -> None:
    """1,250,000 calls, 1,000,000 included: 250,000 x 0.0003 = 75.00 USD."""
    rated = rate(written('{amount: "0.0003"}')[0], 1_250_000 - 1_000_000)
    assert rated.amount_minor == 7500


def test_part_of_a_gigabyte() -> None:
    """125.5 GB, 100 GB included: 25.5 x 0.10 = 2.55 USD; counted in megabytes, a tenth for each 1000."""
    rated = rate(written('{amount: "0.10", per: 1000}')[0], 125_500 - 100_000)
    assert (rated.amount_minor, parts(rated)) == (255, [(25_500, "2.55")])


def test_three_tiers() -> None:
    """550,000 units: 100,000 x 0.001 + 400,000 x 0.0008 + 50,000 x 0.0005 = 100 + 320 + 25 = 445.00 USD."""
    rated = rate(
        price(
            "model: graduated, tiers: [{up_to: 100000, amount: 0.001}, {up_to: 500000, amount: 0.0008}, {amount: 0.0005}]"
        ),
        550_000,
    )
    assert (rated.amount_minor, parts(rated)) == (44500, [(100_000, "100"), (400_000, "320"), (50_000, "25")])
    assert [(part.from_unit, part.to_unit) for part in rated.parts] == [
        (1, 100_000),
        (100_001, 500_000),
        (500_001, 550_000),
    ]


def test_graduated_storage() -> None:
    """600 GB: 50 x 0.10 + 450 x 0.08 + 100 x 0.06 = 5 + 36 + 6 = 47.00 USD."""
    rated = rate(
        price("model: graduated, tiers: [{up_to: 50, amount: 0.10}, {up_to: 500, amount: 0.08}, {amount: 0.06}]"), 600
    )
    assert (rated.amount_minor, parts(rated)) == (4700, [(50, "5"), (450, "36"), (100, "6")])


def test_the_overage_of_a_hybrid_plan() -> None:
    """A plan of 49.00 USD and 50,000 x 0.0003 + 10 x 0.10 + 20 x 0.05 = 15 + 1 + 1: 66.00 USD together."""
    overage = [("0.0003", 50_000), ("0.10", 10), ("0.05", 20)]
    assert 4900 + sum(rate(rules.flat(Decimal(amount), "usd"), units).amount_minor for amount, units in overage) == 6600


@pytest.mark.parametrize(
    ("units", "minor", "what"),
    [
        (1000, 100_000, "tier 1 of all"),  # up_to is inclusive
        (1001, 50_050, "tier 2 of all"),
    ],
)
def test_by_volume_one_tier_prices_all_units(units: int, minor: int, what: str) -> None:
    rated = rate(price("model: volume, tiers: [{up_to: 1000, amount: 1}, {amount: 0.5}]"), units)
    assert (rated.amount_minor, [part.what for part in rated.parts]) == (minor, [what])


@pytest.mark.parametrize(
    ("rounding", "units", "packages"),
    [("up", 1, 1), ("up", 1000, 1), ("up", 1001, 2), ("down", 999, 0), ("down", 1000, 1), ("down", 1999, 1)],
)
def test_packages_are_rounded_up_or_down(rounding: str, units: int, packages: int) -> None:
    rated = rate(price(f"model: package, per: 1000, round: {rounding}, tiers: [{{amount: 2.50}}]"), units)
    assert (rated.amount_minor, rated.parts[0].packages) == (250 * packages, packages)


def test_the_fee_of_a_tier_is_added_once_when_it_is_reached() -> None:
    version = price("model: graduated, tiers: [{up_to: 10, amount: 1, flat: 3}, {amount: 0.5, flat: 2}]")
    assert [rate(version, units).amount_minor for units in (0, 1, 10, 11)] == [0, 400, 1300, 1550]


def test_free_units_come_first_and_the_minimum_last() -> None:
    version = price("model: flat, free: 100, minimum: 5, tiers: [{amount: 0.01}]")
    assert [rate(version, units).amount_minor for units in (0, 100, 101, 599, 600, 601)] == [0, 0, 500, 500, 500, 501]
    rated = rate(version, 101)
    assert [str(part) for part in rated.parts] == ["tier 1, units 1 to 1: 1 x 0.01 = 0.01", "up to the minimum: 4.99"]


@pytest.mark.parametrize(
    ("currency", "units", "minor"),
    [("jpy", 3, 2), ("jpy", 2, 1), ("kwd", 3, 1500), ("usd", 3, 150), ("isk", 3, 200)],
)
def test_each_currency_is_rounded_in_its_own_digits(currency: str, units: int, minor: int) -> None:
    """0.5 a unit: 1.5 yen are 2, 1.5 dinars 1.500, 1.5 krónur 2.00."""
    assert rate(price(f"model: flat, currency: {currency}, tiers: [{{amount: 0.5}}]"), units).amount_minor == minor


def test_there_is_one_rounding_and_not_one_a_tier() -> None:
    """0.004 + 0.004 = 0.008, one cent; rounded tier by tier it would be none."""
    rated = rate(price("model: graduated, tiers: [{up_to: 1, amount: 0.004}, {amount: 0.004}]"), 2)
    assert (rated.amount_minor, [rounded(Fraction(part.exact), "usd").minor for part in rated.parts]) == (1, [0, 0])


def test_the_newest_version_that_has_begun_is_in_force() -> None:
    first, second = written(
        "[{from: 2026-01-01, model: flat, tiers: [{amount: 1}]}, {from: 2026-03-01, model: flat, tiers: [{amount: 2}]}]"
    )
    days = [date(2025, 12, 31), date(2026, 1, 1), date(2026, 2, 28), date(2026, 3, 1), date(2030, 1, 1)]
    assert [in_force([first, second], day) for day in days] == [None, first, first, second, second]
    (always,) = written("{amount: 3}")
    assert in_force([always], date(1999, 1, 1)) == always


GOOD = "model: flat, tiers: [{amount: 1}]"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[]", "overage of 'api_calls': the list has no version"),
        ("5", "overage of 'api_calls': Expected `object`, got `int`"),
        (f"[{{{GOOD}}}]", "version 1, from: the day is missing"),
        (f"[{{from: soon, {GOOD}}}]", "version 1, from: Invalid RFC3339 encoded date"),
        (
            f"[{{from: 2026-02-01, {GOOD}}}, {{from: 2026-02-01, {GOOD}}}]",
            "version 2 from 2026-02-01, from: versions stand in order",
        ),
        ("[{from: 2026-01-01, tiers: [{amount: 1}]}]", "version 1: Object missing required field `model`"),
        ("[{from: 2026-01-01, model: staircase, tiers: []}]", "version 1, model: Invalid enum value 'staircase'"),
        ("[{from: 2026-01-01, model: flat, tiers: [{amount: 1}, {amount: much}]}]", "version 1, tier 2, amount: "),
        ("[{from: 2026-01-01, model: flat, tiers: []}]", "version 1 from 2026-01-01, tiers: there is none"),
        (
            "[{from: 2026-01-01, model: flat, tiers: [{up_to: 3, amount: 1}, {amount: 2}]}]",
            "tiers: the model flat has one",
        ),
        ("[{from: 2026-01-01, model: volume, tiers: [{up_to: 3, amount: 1}]}]", "tier 1, up_to: the last tier is open"),
        (
            "[{from: 2026-01-01, model: volume, tiers: [{amount: 1}, {amount: 1}]}]",
            "tier 1, up_to: only the last tier is open",
        ),
        (
            "[{from: 2026-01-01, model: graduated, tiers: [{up_to: 3}, {up_to: 3}, {amount: 1}]}]",
            "tier 2, up_to: must be above 3",
        ),
        ("[{from: 2026-01-01, model: flat, tiers: [{amount: -1}]}]", "tier 1, amount: the amount must not be negative"),
        ("[{from: 2026-01-01, model: flat, tiers: [{flat: .nan}]}]", "tier 1, flat: the amount must not be negative"),
        (
            "[{from: 2026-01-01, model: flat, tiers: [{amount: '1e999999999'}]}]",
            "tier 1, amount: the amount must be below",
        ),
        ("[{from: 2026-01-01, model: flat, tiers: [{amount: '1e-99999999'}]}]", "at most 20 digits"),
        ("[{from: 2026-01-01, model: flat, tiers: [{amount: 1, per: 0}]}]", "tier 1, per: per must be 1 or more"),
        ("[{from: 2026-01-01, model: package, tiers: [{amount: 1}]}]", "per: the package's size in units is missing"),
        ("[{from: 2026-01-01, model: package, per: 0, tiers: [{amount: 1}]}]", "per: per must be 1 or more"),
        (
            "[{from: 2026-01-01, model: package, per: 9, tiers: [{amount: 1, per: 2}]}]",
            "tier 1, per: the amount is for one package",
        ),
        (f"[{{from: 2026-01-01, per: 9, {GOOD}}}]", "per: only the model package has one"),
        (f"[{{from: 2026-01-01, round: up, {GOOD}}}]", "round: only packages are rounded"),
        (f"[{{from: 2026-01-01, free: -1, {GOOD}}}]", "free: units must not be negative"),
        (f"[{{from: 2026-01-01, minimum: -1, {GOOD}}}]", "minimum: the amount must not be negative"),
        (f"[{{from: 2026-01-01, currency: Euro, {GOOD}}}]", "currency: a currency is written in three"),
        (f"[{{from: 2026-01-01, prise: 1, {GOOD}}}]", "version 1: Object contains unknown field `prise`"),
    ],
)
def test_a_broken_version_is_named_with_metric_and_field(tmp_path: Path, text: str, words: str) -> None:
    app = App(find_project(str(tmp_path), {}, tmp_path), Registry(("catalog",)), environ={})
    path = app.project.config / "overage-tiers.yml"
    path.parent.mkdir(parents=True)
    path.write_text(f"overage:\n  api_calls: {text}\n")
    with pytest.raises(BrokenCatalog) as caught:
        service.overage_prices(app)
    assert "overage of 'api_calls'" in caught.value.message
    assert words in caught.value.message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("model: flat, tiers: [{amount: 0.5, per: 10}]", "0.5 usd / 10"),
        ("model: volume, tiers: [{up_to: 9, amount: 2, flat: 1}, {amount: 1}]", "2 usd / 1 + 1 up to 9, 1 usd / 1"),
        (
            "model: package, per: 100, free: 5, minimum: 3, tiers: [{amount: 2}]",
            "5 free, 2 usd / package of 100, rounded up, at least 3 usd",
        ),
    ],
)
def test_a_price_in_words(text: str, words: str) -> None:
    assert price_text(price(text)) == words
