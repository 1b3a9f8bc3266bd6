"""What people and programs get to read."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nself.cli import render


class Line(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    value: int


class Card(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    amount_minor: int
    currency: str
    paid: bool
    trial_end: datetime | None
    tags: list[str]
    lines: list[Line]
    first: Line


CARD = Card(
    id="in_1",
    amount_minor=-1050,
    currency="usd",
    paid=True,
    trial_end=datetime(2026, 1, 31, 23, 30, 0, 999, tzinfo=timezone(timedelta(hours=-2))),
    tags=["a", "b"],
    lines=[Line(name="api", value=5), Line(name="bandwidth", value=12345)],
    first=Line(name="x", value=0),
)
ROWS = [Line(name="api", value=5), Line(name="bandwidth", value=12345)]


def text(result: object, format: str = "table") -> list[str]:
    return list(render.text(result, cast("render.Format", format)))


def test_a_card_is_key_and_value_for_grep() -> None:
    assert text(CARD) == [
        "id: in_1",
        "amount_minor: -1050 (-10.50 USD)",
        "currency: usd",
        "paid: true",
        "trial_end: 2026-02-01T01:30:00Z",
        "tags: a, b",
        "lines:",
        "  name       value",
        "  api            5",
        "  bandwidth  12345",
        "first:",
        "  name: x",
        "  value: 0",
    ]


def test_a_table_aligns_numbers_right_and_leaves_no_blanks_at_the_end() -> None:
    assert text(ROWS) == ["name       value", "api            5", "bandwidth  12345"]
    assert text([]) == ["none"]
    assert text([{"a": None, "b": ""}]) == ["a  b", "-"]
    assert text(["one", "two"]) == ["one", "two"]
    assert text("just words") == ["just words"]
    assert text(None) == []


def test_json_is_one_value_with_the_columns_as_keys() -> None:
    assert json.loads("\n".join(text(ROWS, "json"))) == [
        {"name": "api", "value": 5},
        {"name": "bandwidth", "value": 12345},
    ]
    one = json.loads("\n".join(text(CARD, "json")))
    assert list(one) == list(Card.__struct_fields__) and one["amount_minor"] == -1050
    assert text([], "json") == ["[]"]


def test_jsonl_is_one_object_a_line() -> None:
    assert [json.loads(line)["name"] for line in text(ROWS, "jsonl")] == ["api", "bandwidth"]
    assert len(text(CARD, "jsonl")) == 1


def test_streams_come_as_they_are() -> None:
    assert text(iter(["a", "b"])) == ["a", "b"]
    assert text(iter(["a"]), "jsonl") == ['"a"']
    assert text(iter([ROWS[0]]), "jsonl") == ['{"name":"api","value":5}']


def test_terminal_control_never_reaches_the_terminal() -> None:
    evil = "a\x1b]0;owned\x07\nb\u2028c\x9b"
    for lines in (text([{"x": evil}]), text(Line(name=evil, value=1)), text([{"x": [evil]}])):
        joined = "\n".join(lines)
        assert "\x1b" not in joined and "\x9b" not in joined and "\u2028" not in joined
        assert "a\\x1b]0;owned\\x07\\nb" in joined


@pytest.mark.parametrize("risky", ["=1+1", "+1", "-1", "@cmd", "\tx", "\rx"])
def test_csv_is_safe_in_a_spreadsheet(risky: str) -> None:
    header, line = csv.reader(io.StringIO("\n".join(text([{risky: risky}], "csv")), newline=""))
    assert header == line == [f"'{risky}"]


def test_csv_values() -> None:
    row = {
        "n": -5,
        "d": Decimal("-0.10"),
        "t": True,
        "none": None,
        "at": datetime(2026, 1, 1, tzinfo=UTC),
        "on": date(2026, 1, 1),
        "list": [1, 2],
    }
    assert text([row], "csv")[1] == '-5,-0.10,true,,2026-01-01T00:00:00Z,2026-01-01,"[1,2]"'
    assert text(ROWS, "csv") == ["name,value", "api,5", "bandwidth,12345"]
    assert text("words", "csv") == ["line", "words"]
    assert text([], "csv") == []


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12), min_size=1, max_size=4))
def test_csv_loses_nothing(cells: list[str]) -> None:
    """Quotes, commas, line ends of every sort: the reader gets back what was written, but for the safe mark."""
    written = "\n".join(text([dict(enumerate(cells))], "csv")) + "\n"
    read = list(csv.reader(io.StringIO(written, newline="")))
    assert len(read) == 2
    assert [cell.removeprefix("'") for cell in read[1]] == [cell.removeprefix("'") for cell in cells]


def test_what_speaks_for_itself() -> None:
    class Value(msgspec.Struct):
        value: str

        def plain(self) -> str:
            return self.value

        def remarks(self) -> list[str]:
            return ["odd"]

    assert text(Value("x")) == ["x"]
    assert text(Value("x"), "jsonl") == ['{"value":"x"}']
    assert render.remarks(Value("x")) == ["odd"] and render.remarks(CARD) == []
