"""Somebody at Debian's Chromium, and what is asked of every page that they see."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from nself.domains.operator import rules

CHROMIUM = Path("/usr/bin/chromium")
SHOTS = Path(__file__).parents[1] / "build" / "screenshots"
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PASSWORD = "correct horse battery"
VIEWS = tuple(
    (f"{name}-{scheme}", {"width": width, "height": height}, scheme)
    for name, width, height in (("desk", 1280, 800), ("phone", 390, 844))
    for scheme in ("light", "dark")
)
DIFFERENT = (VIEWS[0], VIEWS[3])
"""As unlike as two can be."""
SOON = 15
"""Seconds, in which a busy machine looks at a code."""
PATIENCE = 120_000
"""Milliseconds."""


class Person:
    """Everything that the pages complain about or ask of others is noted."""

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

    def text(self) -> str:
        return self.page.locator("main").inner_text()

    def code(self, ahead: int) -> str:
        """Of a step that does not end before it is looked at."""
        left = rules.STEP - time.time() % rules.STEP
        if left < SOON:
            time.sleep(left)
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

    def examine(self, path: str, name: str, status: int = 200, views: Any = VIEWS) -> None:
        """In each view: it answers, complains about nothing, is accessible, and fits. A picture is kept."""
        SHOTS.mkdir(parents=True, exist_ok=True)
        for view, size, scheme in views:
            self.page.emulate_media(color_scheme=scheme)
            self.page.set_viewport_size(size)
            self.complaints.clear()
            assert self.open(path) == status
            told = [one for one in self.complaints if not (status >= 400 and f"status of {status}" in one)]
            assert told == [], view
            self.page.screenshot(path=SHOTS / f"{name}-{view}.png", full_page=True)
            assert self.axe() == [], view
            assert not self.overflows(), f"{view} scrolls sideways"
            self.page.goto("about:blank")  # axe leaves styles behind, which a refresh would copy


def tabbed_to(page: Any, selector: str) -> None:
    """By keyboard; whatever has the focus on the way shows it."""
    for _ in range(80):
        page.keyboard.press("Tab")
        shown = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert shown != "none", page.evaluate("document.activeElement.outerHTML")
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"{selector} is not reached")
