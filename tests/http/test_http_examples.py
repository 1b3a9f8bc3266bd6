"""The examples of /docs do what they show, as they are printed, on a service with the guide's objects."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterator
from html import unescape
from typing import Any
from uuid import uuid4

import pytest
import requests

from guided import Guided, guided
from nself.core.entrypoint import Route
from nself.http.docs import INGEST
from nself.registry import Registry

ROWS = (INGEST, *Registry().rows(Route))
Ask = Callable[..., Any]


@pytest.fixture(scope="module")
def target(server: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guided]:
    with guided(
        server, template, tmp_path_factory.mktemp("examples"), MAIL_ENABLED="true", MAIL_FROM="billing@example.com"
    ) as made:
        yield made


@pytest.fixture(scope="module")
def lines(target: Guided) -> dict[str, str]:
    """Each operation's line, as the page prints it."""
    page = requests.get(f"{target.url}/docs", timeout=60).text
    found = re.findall(r"<code>(\w+ /[^<]*)</code></h2>.*?<pre>(.*?)</pre>", page, re.DOTALL)
    return {unescape(name): unescape(line) for name, line in found}


@pytest.fixture
def ask(target: Guided) -> Ask:
    """Do what curl would: `ask(line, name=instead)`."""

    def run(line: str, **instead: str) -> requests.Response:
        assert target.url in line
        for old, new in {"$KEY": target.keys["admin"], **instead}.items():
            assert old in line
            line = line.replace(old, new)
        curl, _, header, url, *rest = shlex.split(line)
        assert (curl, rest[:1]) in (("curl", []), ("curl", ["-d"]))
        headers = dict([header.split(": ")])
        if not rest:
            return requests.get(url, headers=headers, timeout=60)
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        return requests.post(url, rest[1].encode(), headers=headers, timeout=60)

    return run


def test_each_operation_has_one(lines: dict[str, str], target: Guided) -> None:
    assert lines.keys() == {f"{row.method} {row.path}" for row in ROWS}
    document = requests.get(f"{target.url}/openapi.json", timeout=60).json()
    for row in ROWS:
        one, example = document["paths"][row.path][row.method.lower()], json.loads(row.example)
        given = {found["name"]: found["example"] for found in one.get("parameters", []) if "example" in found}
        if row.method == "POST":
            given |= one["requestBody"]["content"]["application/json"]["example"]
        assert given == example


def held(ask: Ask, lines: dict[str, str]) -> dict[str, str]:
    reserved = ask(lines["POST /api/v1/quota/reserve"], **{"request-4711": uuid4().hex})
    return {"rsv_123": reserved.json()["reservation"]}


def another_open(ask: Ask, lines: dict[str, str]) -> dict[str, str]:
    made = ask(lines["POST /api/v1/invoices"], **{"setup-4711": "another"}).json()["id"]
    assert ask(lines["POST /api/v1/invoices/{invoice}/finalize"], in_123=made).json()["status"] == "open"
    return {"in_123": made}


BEFORE: dict[str, Callable[[Ask, dict[str, str]], dict[str, str]]] = {
    "POST /api/v1/quota/commit": held,
    "POST /api/v1/quota/release": held,
    "POST /api/v1/invoices/{invoice}/void": another_open,
}
"""What the guide does not have, and what is then put in its place."""


def test_one_after_the_other_they_do_what_they_show(lines: dict[str, str], ask: Ask) -> None:
    """In the order of the page: a draft is finalised before it is paid."""
    for name, line in lines.items():
        answer = ask(line, **(BEFORE[name](ask, lines) if name in BEFORE else {}))
        assert answer.status_code == 200, (name, answer.text)
        if name.endswith("/pdf"):
            assert answer.content.startswith(b"%PDF")
        else:
            assert answer.json(), name
    again = ask(lines["POST /api/v1/usage"]).json()
    assert (again["accepted"], again["duplicate"]) == (0, 1)
