"""Every page in a real browser: on a desk and on a phone, in light and in dark, and read without JavaScript.

Screenshots are kept in build/screenshots.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from typing import Any

import pytest

from commanding import Commands
from nself.web.model import Page
from nself.web.pages import PAGES
from visiting import CHROMIUM, DIFFERENT, SHOTS, VIEWS, Person

pytestmark = [
    pytest.mark.skipif(not CHROMIUM.exists(), reason="no Chromium on this machine"),
    pytest.mark.xdist_group("browser"),  # one browser, and its event loop stays out of other tests
]
EXAMPLES = {"customers": "cus_123", "users": "user123", "subscriptions": "sub_123", "invoices": "in_123"}
ASKED = {"/usage": "?user=user123&period=2026-03", "/users/{id}": "?period=2026-03"}
"""What there is more to see with."""
EACH_TIME = {"/", "/customers/{id}", "/usage"}
"""Looked at by `make test`; the others need long."""
SAMPLE = {"/", "/users/{id}", "/incidents/{id}", "/webhooks"}
"""Looked at in all views; axe takes seconds for each."""
LARGEST = 100_000
"""Bytes of a page with all that it loads, compressed."""
OTHERS = {
    "deed": ("/do/billing/quota/set?user=user123", 200),
    "deed-of-money": ("/do/billing/invoice/pay?invoice=in_123", 200),
    "deed-refused": ("/do/billing/sandbox/reset", 403),
}
CHARTS = """[...document.querySelectorAll("figure.chart")].map(figure => {
  const canvas = figure.querySelector("canvas"), pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  return [figure.innerText.split("\\n")[0], JSON.parse(figure.dataset.chart).values, pixels.some(one => one)];
})"""


@pytest.fixture(scope="module")
def examples(project: Commands, incident: str) -> dict[str, str]:
    """Ids by the first word of their pages."""
    (event,) = project.json("billing", "webhook", "events", "--status", "processed", "--limit", "1")
    return {**EXAMPLES, "incidents": incident, "events": event["event"]}


def address(page: Page, examples: dict[str, str]) -> str:
    """Of the guide's object where the page is of one."""
    id = examples.get(page.path.split("/")[1], "")
    return page.path.replace("{id}", id) + ASKED.get(page.path, "")


def named(page: Page) -> str:
    return page.path.strip("/").replace("/{id}", "-one") or "overview"


every_page = pytest.mark.parametrize(
    "page",
    [pytest.param(one, marks=() if one.path in EACH_TIME else pytest.mark.long, id=named(one)) for one in PAGES],
)


@every_page
def test_a_page_has_nothing_to_complain_about(ada: Person, examples: dict[str, str], page: Page) -> None:
    ada.examine(address(page, examples), named(page), views=VIEWS if page.path in SAMPLE else DIFFERENT)


@pytest.mark.parametrize("name", OTHERS)
def test_a_form_and_a_refusal_are_pages_like_others(ada: Person, name: str) -> None:
    ada.examine(OTHERS[name][0], name, OTHERS[name][1], DIFFERENT)


@pytest.mark.long
def test_pages_before_signing_in_are_pages_like_others(visitor: Person, project: Commands, own_page: str) -> None:
    visitor.examine("/sign-in", "sign-in")
    visitor.examine(project.json("billing", "operator", "add", "eve", "--role", "support")["url"], "enrol")
    visitor.examine("/enrol?token=guessed", "refused", 403)
    visitor.examine(own_page, "own")


@pytest.fixture(scope="module")
def plain(chromium: Any, ada: Person, base: str) -> Iterator[Person]:
    """Ada without JavaScript."""
    made = Person(chromium, base, java_script_enabled=False, storage_state=ada.context.storage_state())
    yield made
    made.context.close()


@every_page
def test_a_page_is_read_without_javascript_and_is_small(plain: Person, examples: dict[str, str], page: Page) -> None:
    plain.page.goto(address(page, examples))
    late = plain.page.get_by_role("link", name="Look (this takes a moment)")
    assert late.count() == sum(panel.late for panel in page.panels)
    if late.count():
        late.first.click()
    for at, panel in enumerate(page.panels):
        told = plain.page.locator(f"#panel-{at}").inner_text()
        assert told.startswith(panel.title) and f"nself {panel.command}" in told
        assert plain.page.locator(f"#panel-{at}").get_by_role("alert").count() == 0, told
        if panel.chart:
            assert plain.page.locator(f"#panel-{at} tbody tr:visible").count() > 0
    assert weight(plain) < LARGEST


def weight(person: Person) -> int:
    """Of the page and of what it loads."""
    loaded = person.page.locator("link[rel=stylesheet], script[src]").evaluate_all(
        "found => found.map(one => one.getAttribute('href') || one.getAttribute('src'))"
    )
    sizes = [len(gzip.compress(person.context.request.get(one).body())) for one in loaded]
    assert len(sizes) >= 2 and all(sizes)
    return len(gzip.compress(person.page.content().encode())) + sum(sizes)


def test_a_quota_is_a_bar_of_its_limit(ada: Person, own_page: str) -> None:
    for path in ("/users/user123", own_page):
        ada.open(path)
        bar = ada.page.locator("#panel-0 .bars div", has_text="api_calls")
        assert bar.locator("meter").get_attribute("value") == "42"
        assert "420 of 1,000 (42 %)" in bar.inner_text()


def test_usage_is_drawn_one_metric_a_chart_with_the_values_of_the_table(ada: Person, project: Commands) -> None:
    ada.page.set_viewport_size({"width": 1280, "height": 800})
    ada.open("/users/user123?period=2026-03")
    assert ada.page.evaluate(CHARTS) == [
        ["api_calls, request by day", [7, 7], True],
        ["bandwidth, byte by day", [7000, 7000], True],
    ]
    rows = project.json("billing", "usage", "show", "--user", "user123", "--period", "2026-03", "--by", "day")
    assert [one["value"] for one in rows if one["metric"] == "bandwidth"] == [7000, 7000]
    chart = ada.page.locator("figure.chart").last
    assert "2 days with usage" in (chart.get_by_role("img").get_attribute("aria-label") or "")
    drawn = chart.locator(".u-over")
    drawn.hover(position={"x": drawn.bounding_box()["width"] - 4, "y": 20})
    assert "2026-03-07" in chart.inner_text() and "7,000" in chart.inner_text()
    ada.open("/usage?user=user123&period=2026-03&by=hour&metric=api_calls")
    of_all, of_one = ada.page.evaluate(CHARTS)
    assert of_all == of_one == ["api_calls, request by hour", [7, 7], True]
    ada.open("/usage?period=2026-02")
    assert "Give a user to look at." in ada.text() and ada.page.evaluate(CHARTS) == []


def test_revenue_is_drawn_with_the_values_of_the_table(ada: Person, project: Commands) -> None:
    rows = project.json("billing", "revenue")
    series = """[...document.querySelectorAll("figure.chart")].filter(one => JSON.parse(one.dataset.chart).months).map(figure => {
      const { months, series } = JSON.parse(figure.dataset.chart), canvas = figure.querySelector("canvas");
      const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
      return [months, series.map(one => one.values), pixels.some(one => one)];
    })"""
    for path in ("/", "/revenue"):
        ada.open(path)
        mrr, moved = ada.page.evaluate(series)
        months = sorted(one["month"] for one in rows)
        assert mrr == [months, [[one["mrr_minor"] for one in sorted(rows, key=lambda one: one["month"])]], True]
        assert moved[0] == months and len(moved[1]) == 5 and moved[2]
    drawn = ada.page.locator("figure.chart").first.locator(".u-over")
    drawn.hover(position={"x": drawn.bounding_box()["width"] - 2, "y": 20})
    assert months[-1] in ada.page.locator("figure.chart").first.inner_text()


def test_refunds_are_planned_approved_and_seen(ada: Person, project: Commands) -> None:
    (project.root / "affected.csv").write_text("charge,amount,currency\nch_123,100,usd\n")
    page = ada.page
    ada.open("/incidents")
    page.get_by_role("link", name="Plan refunds").click()
    page.fill("[name=reason]", "billing_error")
    page.locator("button.act").click()
    page.get_by_role("heading", name="The plan").wait_for()
    assert "1.00 USD" in ada.text() and ada.axe() == [] and not ada.overflows()
    page.screenshot(path=SHOTS / "refunds-planned.png", full_page=True)
    assert project.json("billing", "refund", "list") == []
    page.fill("[name=confirm_code]", ada.code(1))
    page.get_by_role("button", name="Approve: do it").click()
    page.get_by_role("heading", name="Done", exact=True).wait_for()
    assert (
        f"nself billing refund batch --input {project.root / 'affected.csv'} --reason billing_error --execute"
        in ada.text()
    )
    (made,) = project.json("billing", "refund", "list")
    assert made["amount_minor"] == 100 and (project.root / "affected.result.csv").exists()
    ada.open("/incidents")
    assert made["id"] in ada.text()


def test_an_event_is_looked_at_from_the_list_and_replayed(ada: Person, examples: dict[str, str]) -> None:
    page, event = ada.page, examples["events"]
    ada.open("/webhooks")
    page.get_by_role("link", name=event, exact=True).first.click()
    page.wait_for_url(f"**/events/{event}")
    assert f'"id": "{event}"' in ada.text() and "Attempts" in ada.text()
    page.get_by_role("link", name="Replay").click()
    assert page.locator("[name=event]").input_value() == event
    page.locator("button.act").click()
    page.get_by_role("heading", name="Done", exact=True).wait_for()
