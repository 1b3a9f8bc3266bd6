"""What takes long is told in the log of billing in words that the guide looks for: timeout, took … ms."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from typing import Any, NoReturn

import httpx
import pytest

from nself.app import App
from nself.db.server import DatabaseTimeout
from nself.domains.api_key import service as api_key
from nself.domains.job import service as job
from nself.http import application
from nself.log import JsonFormatter
from nself.measure import measures

WORDS = re.compile(r"timeout|took.*ms")


def lines(caplog: pytest.LogCaptureFixture, message: str) -> list[str]:
    return [JsonFormatter("http").format(one) for one in caplog.records if one.getMessage() == message]


def ask(app: App, path: str = "/api/v1/usage?user=u") -> httpx.Response:
    async def run() -> httpx.Response:
        transport = httpx.ASGITransport(app=application.application(app))
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return await client.get(path)

    return asyncio.run(run())


def allow(seconds: float, error: Exception | None = None) -> Any:
    def slow(*_: object) -> NoReturn:
        time.sleep(seconds)
        raise error or KeyError("nobody waits for this")

    return slow


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "nself")
    return caplog


def test_a_request_beyond_its_time_is_a_timeout(
    app: App, told: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(app.environ, "API_TIMEOUT", "50ms")  # pyright: ignore[reportArgumentType]
    vars(app).pop("settings", None)
    monkeypatch.setattr(api_key, "allow", allow(1))
    try:
        assert ask(app).status_code == 504
    finally:
        monkeypatch.undo()
        vars(app).pop("settings", None)
    [line] = lines(told, "timeout")
    assert '"took_ms": 50' in line and WORDS.search(line)


def test_a_slow_request_and_a_database_that_took_too_long(
    app: App, told: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(application, "SLOW_SECONDS", 0.02)
    monkeypatch.setattr(api_key, "allow", allow(0.03, DatabaseTimeout(detail="canceling statement")))
    answer = ask(app)
    assert answer.status_code == 503
    [slow], [late] = lines(told, "slow_request"), lines(told, "timeout")
    assert WORDS.search(slow) and "canceling statement" in late
    assert answer.headers["request-id"] in slow and answer.headers["request-id"] in late


def test_slow_scheduled_work(app: App, told: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(job, "SLOW_SECONDS", 0.0)
    job.ensure(app)
    while job.run_due(app):
        pass
    assert all(WORDS.search(line) for line in lines(told, "slow_job")) and lines(told, "slow_job")


def test_a_page_of_the_dashboard_is_counted_and_told_as_a_request_is(
    app: App, told: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(application, "SLOW_SECONDS", 0)
    measures.take()
    page = ask(app, "/sign-in")
    assert page.status_code == 200
    assert ("GET", "/sign-in", "200") in [one.labels for one in measures.take() if one.name == "http_request"]
    (line,) = lines(told, "slow_request")
    assert '"route": "/sign-in", "took_ms": ' in line and f'"request_id": "{page.headers["Request-Id"]}"' in line
