"""How results read on a page: shares of limits, charts, numbers, names."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

import nself.web
from browsing import Browser
from nself.web import showing
from nself.web.model import QUOTA, REVENUE, USAGE, Panel
from nself.web.words import label

ROOT = Path(__file__).parents[2]
DAY = datetime(2026, 1, 5, tzinfo=UTC)
LARGEST = 100_000


class Quota(msgspec.Struct):
    metric: str
    used: int
    limit: int
    state: str = "ok"


class Day(msgspec.Struct):
    metric: str
    value: int
    unit: str
    period_start: datetime
    period_end: datetime


class Charge(msgspec.Struct):
    amount_minor: int
    currency: str
    note: str | None = None
    paid: bool = True


@pytest.mark.parametrize(
    "used, limit, text, share",
    [
        (420, 1000, "420 of 1,000 (42 %)", 42),
        (999, 1000, "999 of 1,000 (99.9 %)", 99),
        (99_999, 100_000, "99,999 of 100,000 (99.9 %)", 99),
        (2500, 1000, "2,500 of 1,000 (250 %)", 100),
        (0, 1000, "0 of 1,000 (0 %)", 0),
        (3, 0, "3 of 0 (100 %)", 100),
        (0, 0, "0 of 0 (0 %)", 0),
        (10**18, -1, "1,000,000,000,000,000,000, unlimited", None),
    ],
)
def test_a_bar_is_a_share_of_its_own_limit(used: int, limit: int, text: str, share: int | None) -> None:
    rows = [Quota("api_calls", used, limit), Quota("bandwidth", 10**15, 10**15)]
    bar = showing.show(rows, Panel("Quotas", "billing quota status", bars=QUOTA)).bars[0]
    assert (bar.name, bar.text, bar.share) == ("api_calls", text, share)


@pytest.mark.parametrize("state, colour", [("ok", "good"), ("warning", "wait"), ("exceeded", "bad")])
def test_a_bar_has_the_colour_of_its_state(state: str, colour: str) -> None:
    (bar,) = showing.show([Quota("api_calls", 1, 2, state)], Panel("", "", bars=QUOTA)).bars
    assert bar.state == colour


def test_metrics_are_drawn_apart_with_the_values_of_the_table() -> None:
    rows = [
        Day(metric, value, unit, DAY + timedelta(days=n), DAY + timedelta(days=n + 1))
        for n in (0, 2)
        for metric, value, unit in (("api_calls", n + 1, "request"), ("bandwidth", 10**9 + n, "byte"))
    ]
    found = showing.show(rows, Panel("", "", chart=USAGE))
    assert [one.caption for one in found.charts] == ["api_calls, request by day", "bandwidth, byte by day"]
    data: list[dict[str, Any]] = [json.loads(one.data) for one in found.charts]
    assert [one["values"] for one in data] == [[1, 3], [10**9, 10**9 + 2]]
    assert data[0]["at"] == [int((DAY + timedelta(days=n, hours=12)).timestamp()) for n in (0, 2)]
    assert data[0]["step"] == 86_400
    assert "2 days with usage, 2026-01-05 00:00 to 2026-01-08 00:00" in found.charts[0].summary
    assert "the most is 3 from 2026-01-07 00:00 on" in found.charts[0].summary
    assert found.table and len(found.table.rows) == 4


def test_hours_are_called_hours_and_nothing_is_no_chart() -> None:
    hour = Day("api_calls", 5, "request", DAY, DAY + timedelta(hours=1))
    (chart,) = showing.show([hour], Panel("", "", chart=USAGE)).charts
    assert chart.caption == "api_calls, request by hour"
    assert showing.show([], Panel("", "", chart=USAGE)) == showing.Shown(text="none")


def test_a_table_shows_money_at_the_right_and_leaves_out_what_says_nothing() -> None:
    table = showing.show([Charge(3750, "usd"), Charge(5, "usd")]).table
    assert table and table.names == ["Amount", "Paid"] and table.kinds == ["num", ""]
    assert [[str(cell) for cell in line] for line in table.rows] == [["37.50 USD", "yes"], ["0.05 USD", "yes"]]


def test_a_long_table_says_how_much_of_it_is_not_here() -> None:
    table = showing.show([Quota("api_calls", n, 10**6) for n in range(1, 1000)]).table
    assert table and (len(table.rows), table.left) == (showing.MOST, 999 - showing.MOST)
    assert showing.show([Quota("api_calls", 1, 2)] * showing.MOST).table.left == 0  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "name, text",
    [("created_at", "Created at"), ("id", "ID"), ("pdf_generator", "PDF generator"), ("total_minor", "Total minor")],
)
def test_names_read_as_words(name: str, text: str) -> None:
    assert label(name) == text
    assert label("total_minor", {"currency": "usd"}) == "Total"


def test_a_field_that_is_needed_and_not_given_is_asked_for(owner: Browser) -> None:
    page = owner.get("/usage").text
    assert "Give a user to look at." in page and 'role="alert"' not in page
    assert "<option selected>day</option>" in page
    assert "<option selected>hour</option>" in owner.get("/usage?by=hour").text


def test_what_is_shipped_of_others_is_what_make_assets_made() -> None:
    static = Path(nself.web.__file__).parent / "static"
    for line in (ROOT / "assets" / "sha256sums").read_text().splitlines():
        digest, name = line.split()
        assert hashlib.sha256((static / name).read_bytes()).hexdigest() == digest, name


def test_what_a_page_loads_is_compressed_and_small(owner: Browser) -> None:
    size = 0
    for name in ("htmx.js", "uplot.js", "charts.js", "nself.css", "uplot.css"):
        packed = owner.get(f"/static/{name}", headers={"accept-encoding": "gzip"})
        assert packed.headers["content-encoding"] == "gzip"
        plain = owner.get(f"/static/{name}", headers={"accept-encoding": "identity"})
        assert "content-encoding" not in plain.headers and plain.content == packed.content
        size += len(gzip.compress(plain.content))
    assert size < LARGEST / 2


class Month(msgspec.Struct):
    month: str
    currency: str
    mrr_minor: int
    new_minor: int = 0
    expansion_minor: int = 0
    reactivated_minor: int = 0
    contraction_minor: int = 0
    churned_minor: int = 0


def test_revenue_is_drawn_by_currency_oldest_first_in_minor_units() -> None:
    rows = [
        Month("2026-02", "usd", 500, churned_minor=-100),
        Month("2026-02", "jpy", 7),
        Month("2026-01", "usd", 600, 600),
    ]
    found = showing.show(rows, Panel("Revenue", "billing revenue", chart=REVENUE))
    assert [one.caption for one in found.charts] == [
        f"{title}, {currency} by month" for currency in ("USD", "JPY") for title in ("MRR", "What moved MRR")
    ]
    mrr, moved, yen, _ = (json.loads(one.data) for one in found.charts)
    assert (mrr["months"], mrr["digits"], yen["digits"]) == (["2026-01", "2026-02"], 2, 0)
    assert mrr["series"] == [{"name": "MRR", "values": [600, 500]}]
    assert {one["name"]: one["values"] for one in moved["series"]} == {
        "New": [600, 0], "Expansion": [0, 0], "Reactivated": [0, 0], "Contraction": [0, 0], "Churned": [0, -100],
    }  # fmt: skip
    assert "2 months, 2026-01 to 2026-02; in the last MRR 5.00 USD" in found.charts[0].summary
    assert found.table and len(found.table.rows) == 3


def test_what_has_no_figure_is_in_the_table_alone() -> None:
    rows = [
        Day("peak", None, "byte", DAY, DAY + timedelta(days=1)),
        Day("api_calls", 1, "request", DAY, DAY + timedelta(days=1)),
    ]  # type: ignore[arg-type]
    found = showing.show(rows, Panel("", "", chart=USAGE))
    assert [one.caption for one in found.charts] == ["api_calls, request by day"]
    assert found.table and len(found.table.rows) == 2


def test_what_one_panel_is_asked_for_is_no_wrong_word_for_another(owner: Browser) -> None:
    page = owner.get("/usage?by=user")
    assert page.status_code == 200 and "Invalid" not in page.text
    assert re.findall(r"<option[^>]*>user</option>", page.text) == []


def test_content_is_shown_as_json_over_several_lines() -> None:
    class Event(msgspec.Struct):
        payload: object

    shown = showing.show(Event({"a": ["<b>", "\x1b[1m"]}), Panel("", "", within="payload"))
    assert shown.text == '{\n  "a": [\n    "<b>",\n    "\\u001b[1m"\n  ]\n}'
