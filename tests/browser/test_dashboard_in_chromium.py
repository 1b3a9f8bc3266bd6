"""The dashboard in a real browser: every page on a desk in light and on a phone in dark; flows by mouse and by keyboard; outages.

Screenshots of every page are kept in build/screenshots.
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from commanding import Commands, commanding
from nself.domains.operator import rules
from nself.web.pages import PAGES

CHROMIUM = Path("/usr/bin/chromium")
pytestmark = [
    pytest.mark.skipif(not CHROMIUM.exists(), reason="no Chromium on this machine"),
    pytest.mark.xdist_group("browser"),  # one browser, and its event loop stays out of other tests
]
SHOTS = Path(__file__).parents[2] / "build" / "screenshots"
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PASSWORD = "correct horse battery"
EXAMPLES = {"customers": "cus_123", "users": "user123", "subscriptions": "sub_123", "invoices": "in_123"}
VIEWS = (("desk", 1280, 800, "light"), ("phone", 390, 844, "dark"))
PATIENCE = 30_000
"""Milliseconds."""


class Person:
    """Somebody at a browser; everything that the pages complain about or ask of others is noted."""

    def __init__(self, browser: Any, base: str, **options: Any) -> None:
        self.base, self.complaints = base, list[str]()
        self.context = browser.new_context(base_url=base, **options)
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.page.on("console", lambda said: said.type in ("error", "warning") and self.complaints.append(said.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on(
            "request",
            lambda asked: asked.url.startswith((base, "data:", "about:")) or self.complaints.append(asked.url),
        )

    def open(self, path: str) -> int:
        """Until late panels are there, too."""
        answer = self.page.goto(path)
        late = self.page.locator("[hx-trigger=load]")
        while late.count():
            late.first.wait_for(state="detached")
        return answer.status

    def code(self, ahead: int) -> str:
        return rules.totp(self.secret, int(time.time()) // rules.STEP + ahead)

    def enrol(self, link: str) -> None:
        page = self.page
        page.goto(link)
        self.secret = page.locator("input[name=totp]").input_value()
        page.fill("#password", PASSWORD)
        page.fill("#code", self.code(-1))
        page.get_by_role("button", name="Go on").click()
        page.wait_for_url("**/sign-in**")

    def sign_in(self, name: str) -> None:
        page = self.page
        page.goto("/sign-in")
        page.fill("#name", name)
        page.fill("#password", PASSWORD)
        page.fill("#code", self.code(0))
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(f"{self.base}/")

    def axe(self) -> list[str]:
        from axe_playwright_python.sync_playwright import Axe

        found = Axe().run(self.page).response["violations"]
        return [f"{one['id']}: {one['help']} ({one['nodes'][0]['html'][:200]})" for one in found]

    def overflows(self) -> bool:
        return self.page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(FLAGS))
        yield made
        made.close()


@pytest.fixture(scope="module")
def project() -> Iterator[Commands]:
    with commanding() as made:
        made.nself("billing", "sandbox", "reset", "--fixtures", "guide", "--yes")
        yield made


@pytest.fixture(scope="module")
def base(project: Commands) -> str:
    port = re.findall(r"BILLING_PORT=(\d+)", (project.root / ".env").read_text())[0]
    return f"http://127.0.0.1:{port}"


def invited(project: Commands, name: str, role: str) -> str:
    return project.json("billing", "operator", "add", name, "--role", role)["url"]


@pytest.fixture(scope="module")
def ada(browser: Any, base: str, project: Commands) -> Iterator[Person]:
    made = Person(browser, base)
    made.enrol(invited(project, "ada", "owner"))
    made.sign_in("ada")
    yield made
    made.context.close()


def addresses() -> list[str]:
    """Of each page, one of the guide's objects where it takes one."""
    return [page.path.replace("{id}", EXAMPLES.get(page.path.split("/")[1], "1")) for page in PAGES]


@pytest.mark.parametrize("path", addresses())
def test_a_page_has_nothing_to_complain_about(ada: Person, path: str) -> None:
    name = path.strip("/").replace("/", "-") or "overview"
    ada.complaints.clear()
    for view, width, height, scheme in VIEWS:
        ada.page.emulate_media(color_scheme=scheme)
        ada.page.set_viewport_size({"width": width, "height": height})
        status = ada.open(path)
        assert "incidents/1" in path or ada.complaints == []
        SHOTS.mkdir(parents=True, exist_ok=True)
        ada.page.screenshot(path=SHOTS / f"{name}-{view}-{scheme}.png", full_page=True)
        assert status == 200 or "incidents/1" in path
        assert ada.axe() == []
        assert not ada.overflows(), f"{view} scrolls sideways"
        ada.page.goto("about:blank")  # axe leaves styles behind, which a refresh would copy
        ada.complaints.clear()


@pytest.fixture
def visitor(browser: Any, base: str) -> Iterator[Person]:
    made = Person(browser, base)
    yield made
    made.context.close()


def test_somebody_is_invited_chooses_a_password_and_may_only_look(visitor: Person, project: Commands) -> None:
    page = visitor.page
    visitor.open("/customers")
    assert page.url.endswith("/sign-in?to=%2Fcustomers") and visitor.axe() == []
    link = invited(project, "reader", "read-only")
    visitor.open(link)
    assert visitor.axe() == []
    visitor.enrol(link)
    visitor.open(link)
    assert page.get_by_role("alert").is_visible() and visitor.axe() == []  # it works once
    page.goto("/sign-in")
    page.fill("#name", "reader")
    page.fill("#password", "something else")
    page.fill("#code", visitor.code(0))
    page.get_by_role("button", name="Sign in").click()
    assert page.get_by_role("alert").is_visible()
    visitor.sign_in("reader")
    visitor.open("/customers/cus_123")
    assert page.locator("a[href^='/do/']").count() == 0
    assert visitor.open("/do/billing/customer/update?customer=cus_123") == 403 and visitor.axe() == []
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
    assert ada.axe() == []
    tabbed_to(page, "[name=email]")
    page.keyboard.press("Control+A")
    page.keyboard.type("keyboard@example.com")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Done", exact=True).wait_for()
    assert "nself billing customer update cus_123" in page.locator("main").inner_text()
    assert ada.axe() == []
    assert project.json("billing", "customer", "show", "cus_123")["email"] == "keyboard@example.com"
    assert "keyboard@example.com" in project.nself("billing", "audit", "log", "--format", "json")


def tabbed_to(page: Any, selector: str) -> None:
    """Whatever has the focus on the way shows it."""
    for _ in range(80):
        page.keyboard.press("Tab")
        shown = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert shown != "none", page.evaluate("document.activeElement.outerHTML")
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"{selector} is not reached")


def test_a_panel_looks_again_by_itself(ada: Person) -> None:
    with ada.page.expect_response(lambda answer: "panel=" in answer.url and answer.ok, timeout=PATIENCE):
        ada.open("/jobs")


def test_everything_is_read_without_javascript(browser: Any, ada: Person, base: str) -> None:
    plain = Person(browser, base, java_script_enabled=False, storage_state=ada.context.storage_state())
    plain.page.goto("/doctor")
    plain.page.get_by_role("link", name="Look (this takes a moment)").first.click()
    assert "none\n\nnself billing doctor\n" in plain.page.locator("main").inner_text()
    plain.page.goto("/invoices/in_123")
    assert "37.50 USD" in plain.page.locator("main").inner_text()
    plain.context.close()


def test_a_user_sees_their_own_page(visitor: Person, project: Commands, base: str) -> None:
    link = project.json("billing", "page-link", "create", "--user", "user123")["url"]
    for view, width, height, scheme in VIEWS:
        visitor.page.emulate_media(color_scheme=scheme)
        visitor.page.set_viewport_size({"width": width, "height": height})
        assert visitor.open(link[link.index("/me/") :]) == 200
        assert "api_calls" in visitor.page.locator("main").inner_text() and visitor.complaints == []
        visitor.page.screenshot(path=SHOTS / f"own-{view}-{scheme}.png", full_page=True)
        assert visitor.axe() == [] and not visitor.overflows()
        visitor.page.goto("about:blank")
        visitor.complaints.clear()


def test_pages_say_what_is_away_and_come_back(ada: Person, project: Commands) -> None:
    main = ada.page.locator("main")
    project.nself("stop", "stripe-mock", "worker")
    assert ada.open("/") == 200 and ada.open("/customers/cus_123") == 200
    assert "keyboard@example.com" in main.inner_text() or "cus_123" in main.inner_text()
    assert ada.open("/sync") == 200
    project.nself("start", "stripe-mock", "worker")
    os.kill(project.pid("postgres"), signal.SIGKILL)
    limit = time.monotonic() + 60
    while (status := ada.open("/customers")) != 200:
        assert status == 503 and main.inner_text(), "words"
        assert time.monotonic() < limit
        time.sleep(0.5)
    assert "cus_123" in main.inner_text()
