"""Versions, filters and validation of usage-metrics.yml: what they make of an event, and what is wrong with a file."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml

from nself.core.errors import BillingError
from nself.domains.catalog import formulas
from nself.domains.catalog.model import Metered, MetricFile

AT = datetime(2026, 3, 15, tzinfo=UTC)
ZONE = ZoneInfo("Australia/Lord_Howe")


def metered(text: str) -> Metered:
    """What a file says of the metric `calls`."""
    return formulas.metered(MetricFile({"calls": yaml.safe_load(text)}))["calls"]


def admitted(text: str, value: int = 1, at: datetime = AT, **properties: Any) -> str | None:
    """What is kept of an event, or the code of the error that refuses it."""
    try:
        return formulas.admit("calls", metered(text), at, ZONE, value, properties)
    except BillingError as error:
        return error.code


@pytest.mark.parametrize(
    ("condition", "passes", "fails"),
    [
        ("{equals: eu}", ["eu"], ["us", "EU", "", 1, None, True, ["eu"]]),
        ("{equals: 1}", [1, 1.0], ["1", True, 2, 1.5, None]),
        ("{equals: true}", [True], [False, 1, "true", None]),
        ("{one_of: [eu, 2, false]}", ["eu", 2, 2.0, False], [0, "2", True, None, {"a": 1}]),
        ("{exists: true}", ["", 0, False, [], {}], [None]),
        ("{exists: false}", [None], ["", 0, False]),
        ("{above: 1}", [1.5, 2], [1, "2", True, None]),
        ("{at_least: 200, below: 300}", [200, 299.9], [199, 300, "250", None]),
        ("{at_most: 0.1}", [0.1, 0, -5], [0.10000000000000002, None]),
        ("{at_least: 1, one_of: [1, 3]}", [1, 3], [0, 2, 4]),
    ],
)
def test_a_filter_lets_through_what_it_says(condition: str, passes: list[Any], fails: list[Any]) -> None:
    text = f"{{unit: x, filter: {{region: {condition}}}}}"
    assert [admitted(text, region=one) for one in passes] == [None] * len(passes)
    assert [admitted(text, region=one) for one in fails] == ["filtered"] * len(fails)


def test_every_condition_of_a_filter_must_hold() -> None:
    text = "{unit: x, filter: {region: {equals: eu}, status: {below: 300}}}"
    assert admitted(text, region="eu", status=200) is None
    assert admitted(text, region="eu", status=300) == admitted(text, region="us", status=200) == "filtered"


@pytest.mark.parametrize(
    ("rule", "value", "properties", "outcome"),
    [
        ("{required: [a, b]}", 1, {"a": 0, "b": ""}, None),
        ("{required: [a, b]}", 1, {"a": 0}, "property_missing"),
        ("{required: [a]}", 1, {"a": None}, "property_missing"),
        ("{min: 2, max: 4}", 1, {}, "value_not_allowed"),
        ("{min: 2, max: 4}", 2, {}, None),
        ("{min: 2, max: 4}", 4, {}, None),
        ("{min: 2, max: 4}", 5, {}, "value_not_allowed"),
        ("{positive: true, integer: true}", 0, {}, "value_not_allowed"),
        ("{positive: true}", 1, {}, None),
        ("{allowed: {plan: [free, 2]}}", 1, {}, None),
        ("{allowed: {plan: [free, 2]}}", 1, {"plan": 2}, None),
        ("{allowed: {plan: [free, 2]}}", 1, {"plan": "2"}, "property_invalid"),
        ("{allowed: {plan: [free, 2]}}", 1, {"plan": ["free"]}, "property_invalid"),
    ],
)
def test_validation_refuses_what_breaks_it(rule: str, value: int, properties: dict[str, Any], outcome: str) -> None:
    assert admitted(f"{{unit: x, validation: {rule}}}", value, **properties) == outcome


def test_what_is_left_out_need_not_be_valid() -> None:
    text = "{unit: x, filter: {region: {equals: eu}}, validation: {max: 1}}"
    assert admitted(text, 5, region="us") == "filtered"
    assert admitted(text, 5, region="eu") == "value_not_allowed"


@pytest.mark.parametrize(
    ("properties", "kept"),
    [
        ({"who": "ann", "region": "eu", "more": 1}, '{"region":"eu","who":"ann"}'),
        ({"who": 1.0}, '{"who":1}'),
        ({"who": -0.0}, '{"who":0}'),
        ({"who": 1.5}, '{"who":1.5}'),
        ({"who": False}, '{"who":false}'),
        ({"who": "a" * 255}, '{"who":"%s"}' % ("a" * 255)),
        ({"who": "a" * 256}, "property_invalid"),
        ({"who": "a\0b"}, "property_invalid"),
        ({"who": ["ann"]}, "property_invalid"),
        ({"who": "ann", "region": {}}, "property_invalid"),
        ({"region": "eu"}, "property_missing"),
        ({"who": None}, "property_missing"),
    ],
)
def test_what_is_counted_and_grouped_by_is_kept(properties: dict[str, Any], kept: str) -> None:
    assert admitted("{unit: x, aggregation: unique, field: who, group_by: [region]}", **properties) == kept


def test_the_version_in_force_when_the_month_begins_decides_for_all_of_it() -> None:
    text = "[{from: 2026-02-02, unit: x}, {from: 2026-04-01, unit: y}, {from: 2026-05-15, unit: z}]"
    midnight = {month: datetime(2026, month, 1, tzinfo=ZONE).astimezone(UTC) for month in range(1, 8)}
    found = {month: formulas.of(metered(text), at, ZONE) for month, at in midnight.items()}
    assert {month: one and one.unit for month, one in found.items()} == {
        1: None, 2: None, 3: "x", 4: "y", 5: "y", 6: "z", 7: "z",
    }  # fmt: skip
    before = datetime(2026, 3, 31, 12, 59, 59, 999_999, tzinfo=UTC)  # April begins at 13:00Z, still in summer time
    assert (formulas.shown(metered(text), before, ZONE).unit, midnight[4].hour) == ("x", 13)
    assert admitted(text, at=midnight[1]) == "metric_not_in_force"
    assert formulas.shown(metered(text), midnight[1], ZONE).unit == "x"


def test_the_short_form_is_in_force_at_all_times_and_looks_at_nothing() -> None:
    found = metered("{unit: request, aggregation: sum}")
    assert found.plain and formulas.of(found, datetime(2000, 1, 1, tzinfo=UTC), ZONE) == found.versions[0]
    assert not metered("{unit: request, group_by: [a]}").plain
    assert not metered("{unit: request, validation: {max: 1}}").plain


def test_both_spellings_are_one_aggregation() -> None:
    spelt = [
        metered(f"{{unit: x, aggregation: {text}}}").versions[0].aggregation
        for text in ("time_weighted", "time-weighted")
    ]
    assert spelt == ["time_weighted"] * 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{unit: ''}", "metric 'calls', unit: it is empty"),
        ("{unit: x, aggregation: unique}", "metric 'calls', field: unique, and only unique"),
        ("{unit: x, field: who}", "metric 'calls', field: unique, and only unique"),
        ("{unit: x, from: 2026-01-01}", "metric 'calls', from: a day of beginning stands in a list"),
        ("{unit: x, group_by: [a, a]}", "group_by: a property stands there twice"),
        ("{unit: x, group_by: ['']}", "group_by: a property has a name"),
        ("{unit: x, filter: {a: {}}}", "filter, a: it says nothing"),
        ("{unit: x, filter: {a: {one_of: []}}}", "filter, a, one_of: the list is empty"),
        ("{unit: x, filter: {a: {equals: [1]}}}", "filter, a: a text, a number, true or false"),
        ("{unit: x, filter: {a: {equals: null}}}", "filter, a: a text, a number, true or false"),
        ("{unit: x, filter: {a: {above: .nan}}}", "filter, a: a bound is a number"),
        ("{unit: x, filter: {a: {above: much}}}", "metric 'calls', filter, above: Invalid decimal string"),
        ("{unit: x, filter: {a: {exists: false, above: 1}}}", "exists: what is not there is not compared"),
        ("{unit: x, filter: {a: {like: b}}}", "filter: Object contains unknown field `like`"),
        ("{unit: x, filter: [a]}", "metric 'calls', filter: Expected `object`"),
        ("{unit: x, validation: {min: 3, max: 2}}", "validation, min: it is above max"),
        ("{unit: x, validation: {integer: false}}", "validation, integer: values are always whole"),
        ("{unit: x, validation: {allowed: {a: []}}}", "validation, allowed, a: texts, numbers"),
        ("{unit: x, validation: {max: 1.5}}", "metric 'calls', validation, max: Expected `int"),
        ("[]", "metric 'calls': the list has no version"),
        ("[{unit: x}]", "metric 'calls', version 1, from: the day is missing"),
        ("[{from: 2026-01-01, unit: x}, {from: 2026-01-01, unit: y}]", "version 2 from 2026-01-01, from: versions stand in order"),
        ("[{from: 2026-01-01, unit: x}, {from: 2026-02-01, unit: y, aggregation: mean}]", "version 2, aggregation: Invalid enum value 'mean'"),
        ("[{from: 2026-01-01, unit: x, field: a}]", "version 1 from 2026-01-01, field: unique"),
        ("[{from: soon, unit: x}]", "version 1, from: Invalid RFC3339"),
        ("7", "metric 'calls': Expected `object`"),
    ],
)  # fmt: skip
def test_a_wrong_metric_names_version_and_field(text: str, words: str) -> None:
    with pytest.raises(ValueError) as caught:
        metered(text)
    assert words in str(caught.value)


def test_a_formula_is_told_in_words() -> None:
    (one,) = metered(
        "{unit: person, aggregation: unique, field: who, filter: {region: {one_of: [eu, us]}, status: {at_least: 200, below: 300},"
        " beta: {exists: false}}, validation: {min: 1, max: 5, required: [plan], allowed: {plan: [free, 2]}}}"
    ).versions
    assert formulas.filter_text(one) == 'region is one of "eu", "us"; status is >= 200 and < 300; beta is not there'
    assert (
        formulas.validation_text(one) == 'value >= 1; value <= 5; plan is there; who is there; plan is one of "free", 2'
    )
