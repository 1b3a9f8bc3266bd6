"""A browser that nobody has signed in with, and one of an owner."""

from __future__ import annotations

from typing import Any

import pytest

from browsing import Browser
from nself.app import App


@pytest.fixture
def browser(app: App, clock: Any) -> Browser:
    return Browser(app, clock)


@pytest.fixture
def owner(browser: Browser) -> Browser:
    browser.enrol("ada", "owner")
    assert browser.sign_in("ada").status_code == 303
    return browser
