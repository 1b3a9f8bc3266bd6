"""Flows in a real browser, by mouse and by keyboard; what is away is told, and comes back."""

from __future__ import annotations

import os
import signal
import time

import pytest

from commanding import Commands
from visiting import CHROMIUM, Person, tabbed_to

pytestmark = [
    pytest.mark.skipif(not CHROMIUM.exists(), reason="no Chromium on this machine"),
    pytest.mark.xdist_group("browser"),  # one browser, and its event loop stays out of other tests
]


def test_somebody_is_invited_chooses_a_password_and_may_only_look(visitor: Person, project: Commands) -> None:
    page = visitor.page
    visitor.open("/customers")
    assert page.url.endswith("/sign-in?to=%2Fcustomers")
    link = project.json("billing", "operator", "add", "reader", "--role", "read-only")["url"]
    visitor.enrol(link)
    visitor.open(link)
    assert page.get_by_role("alert").is_visible()  # it works once
    page.goto("/sign-in")
    page.fill("#name", "reader")
    page.fill("#password", "something else")
    page.fill("#code", visitor.code(0))
    page.get_by_role("button", name="Sign in").click()
    assert page.get_by_role("alert").is_visible() and visitor.axe() == []
    visitor.sign_in("reader")
    visitor.open("/customers/cus_123")
    assert page.locator("a[href^='/do/']").count() == 0
    assert visitor.open("/do/billing/customer/update?customer=cus_123") == 403
    assert page.locator("nav a", has_text="Operators").count() == 0 and visitor.open("/operators") == 403
    page.get_by_role("button", name="Sign out").click()
    visitor.open("/customers")
    assert "/sign-in" in page.url


def test_a_deed_by_keyboard_alone_is_done_and_written_down(ada: Person, project: Commands) -> None:
    page = ada.page
    page.set_viewport_size({"width": 1280, "height": 800})
    ada.open("/customers/cus_123")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    tabbed_to(page, "a[href^='/do/billing/customer/update']")
    page.keyboard.press("Enter")
    page.wait_for_url("**/do/billing/customer/update**")
    tabbed_to(page, "[name=email]")
    page.keyboard.press("Control+A")
    page.keyboard.type("keyboard@example.com")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Done", exact=True).wait_for()
    assert "nself billing customer update cus_123" in ada.text()
    assert ada.axe() == []
    assert project.json("billing", "customer", "show", "cus_123")["email"] == "keyboard@example.com"
    assert "keyboard@example.com" in project.nself("billing", "audit", "log", "--format", "json")


@pytest.mark.long
def test_a_quota_is_set_by_keyboard_alone_and_what_is_wrong_can_be_mended(ada: Person, project: Commands) -> None:
    page = ada.page
    ada.open("/users/user123")
    tabbed_to(page, "a[href^='/do/billing/quota/set']")
    page.keyboard.press("Enter")
    page.wait_for_url("**/do/billing/quota/set**")
    for name, typed in (("metric", "storage"), ("limit", "many")):
        tabbed_to(page, f"[name={name}]")
        page.keyboard.type(typed)
    tabbed_to(page, "[name=period]")
    page.keyboard.type("day")
    tabbed_to(page, "button.act")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Not done").wait_for()
    assert "Invalid limit" in page.get_by_role("alert").inner_text() and ada.axe() == []
    tabbed_to(page, "[name=limit]")
    page.keyboard.press("Control+A")
    page.keyboard.type("5000")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Done", exact=True).wait_for()
    (quota,) = [one for one in project.json("billing", "quota", "status", "--user", "user123") if one["metric"] == "storage"]  # fmt: skip
    assert (quota["limit"], quota["period"]) == (5000, "day")


@pytest.mark.long
def test_what_changes_is_seen_without_loading_the_page_again(ada: Person, project: Commands) -> None:
    ada.open("/usage")
    ada.page.evaluate("window.loadedOnce = true")
    counted = ada.page.locator("section", has=ada.page.get_by_role("heading", name="The law")).locator("dl.card > div", has_text="Accepted").locator("dd")  # fmt: skip
    before = int(counted.inner_text().replace(",", ""))
    project.nself(*"billing usage record --user user123 --metric api_calls --value 1 --key seen-1".split())
    counted.filter(has_text=f"{before + 1:,}").wait_for()
    assert ada.page.evaluate("window.loadedOnce") is True


@pytest.mark.long
def test_a_panel_that_looks_again_leaves_what_is_typed_and_where_one_is(ada: Person) -> None:
    page = ada.page
    page.set_viewport_size({"width": 390, "height": 844})
    ada.open("/jobs")
    table = page.locator("#panel-0 .scroll")
    table.evaluate("table => { table.scrollLeft = 100 }")
    page.locator("#ask-0-type").click()
    page.keyboard.type("syn")
    for _ in range(2):  # the second one is asked after the first has been shown
        with page.expect_response(lambda answer: "panel=0" in answer.url and answer.ok):
            pass
    page.keyboard.type("c")
    assert page.locator("#ask-0-type").input_value() == "sync"
    assert table.evaluate("table => table.scrollLeft") == 100


@pytest.mark.long
def test_a_worker_that_is_away_is_told_and_everything_is_read_and_recorded(ada: Person, project: Commands) -> None:
    project.nself("stop", "worker")
    try:
        for path in ("/", "/customers/cus_123", "/users/user123", "/webhooks", "/jobs", "/sync"):
            assert ada.open(path) == 200
        ada.open("/")
        told = ada.page.locator("#panel-0").inner_text()
        assert "5 of 6 run" in told and "worker" in told
        page = ada.page
        ada.open("/do/billing/usage/record?user=user123&metric=api_calls&value=1&key=without-worker")
        page.get_by_role("button", name="Record usage").click()
        page.get_by_role("heading", name="Done", exact=True).wait_for()
    finally:
        project.nself("start", "worker")
    ada.open("/")
    assert "6 of 6 run" in ada.page.locator("#panel-0").inner_text()


@pytest.mark.long
def test_stripe_that_is_away_is_told_and_what_was_asked_of_it_can_be_done_later(ada: Person, project: Commands) -> None:
    page = ada.page
    deed = "/do/billing/customer/update?customer=cus_123&email=later@example.com"
    project.nself("stop", "stripe-mock")
    try:
        for path in ("/", "/customers/cus_123", "/invoices/in_123", "/subscriptions/sub_123", "/sync"):
            assert ada.open(path) == 200
        ada.open("/customers/cus_123")
        assert "Jane Doe" in page.locator("#panel-0").inner_text()
        ada.open(deed)
        page.get_by_role("button", name="Update").click()
        page.get_by_role("heading", name="Not done").wait_for(timeout=120_000)
        assert "Connection refused" in page.get_by_role("alert").inner_text()
    finally:
        project.nself("start", "stripe-mock")
    ada.open(deed)
    page.get_by_role("button", name="Update").click()
    page.get_by_role("heading", name="Done", exact=True).wait_for(timeout=120_000)
    assert project.json("billing", "customer", "show", "cus_123")["email"] == "later@example.com"


@pytest.mark.long
def test_a_database_that_is_killed_is_told_and_comes_back(ada: Person, project: Commands) -> None:
    os.kill(project.pid("postgres"), signal.SIGKILL)
    limit = time.monotonic() + 60
    while (status := ada.open("/customers")) != 200:
        assert status == 503 and ada.text(), "words"
        assert time.monotonic() < limit
        time.sleep(0.5)
    assert "cus_123" in ada.text()
