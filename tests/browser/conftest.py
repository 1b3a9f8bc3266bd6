"""One project and one browser for each module here: while a browser is there, nothing else in its process may run an event loop."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from commanding import Commands, commanding
from visiting import CHROMIUM, FLAGS, Person


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(FLAGS))
        yield made
        made.close()


@pytest.fixture(scope="module")
def project() -> Iterator[Commands]:
    """The guide's objects, and an incident; usage of two metrics on two days."""
    with commanding() as made:
        made.nself("billing", "sandbox", "reset", "--fixtures", "guide", "--yes")
        usage = [
            json.dumps({"user": "user123", "metric": metric, "value": value, "at": at, "key": f"{metric} {at}"})
            for metric, value in (("api_calls", 7), ("bandwidth", 7000))
            for at in ("2026-03-05T10:00:00Z", "2026-03-07T10:00:00Z")
        ]
        (made.root / "usage.ndjson").write_text("\n".join(usage))
        made.nself("billing", "usage", "import", "usage.ndjson")
        yield made


@pytest.fixture(scope="module")
def incident(project: Commands) -> str:
    words = ("--type", "overcharge", "--severity", "critical", "--description", "Charged twice on 2026-01-30")
    return project.json("billing", "incident", "create", *words)["id"]


@pytest.fixture(scope="module")
def base(project: Commands) -> str:
    port = re.findall(r"BILLING_PORT=(\d+)", (project.root / ".env").read_text())[0]
    return f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def ada(chromium: Any, base: str, project: Commands) -> Iterator[Person]:
    """An owner who is signed in."""
    made = Person(chromium, base)
    made.enrol(project.json("billing", "operator", "add", "ada", "--role", "owner")["url"])
    made.sign_in("ada")
    yield made
    made.context.close()


@pytest.fixture
def visitor(chromium: Any, base: str) -> Iterator[Person]:
    made = Person(chromium, base)
    yield made
    made.context.close()


@pytest.fixture
def own_page(project: Commands) -> str:
    """Of the guide's user."""
    link = project.json("billing", "page-link", "create", "--user", "user123")["url"]
    return link[link.index("/me/") :]
