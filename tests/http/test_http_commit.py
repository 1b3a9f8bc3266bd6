"""Requests that wait together are committed together; what is wrong with one is its own affair."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from functools import partial
from typing import Any, cast

import msgspec
import psycopg
import pytest

from nself.app import App
from nself.db.server import DatabaseUnavailable
from nself.domains.api_key.model import ApiKey
from nself.domains.usage.model import Intake
from nself.domains.usage.service import record
from nself.http import answer, ingest
from nself.http.hot import Reply, resolve
from nself.http.ingest import Ingest
from nself.http.reading import Sent

NO_APP = cast(App, None)


class Commits:
    """Stands for `record.ingest`: notes what comes in one transaction, waits for `gate`, fails where it is told to."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, app: App, events: Sequence[bytes], source: str, written: object) -> record.Outcome:
        self.sizes.append(len(events))
        assert self.gate.wait(60)
        if b"poison" in events:
            raise ValueError("poison")
        if b"slow" in events:
            raise psycopg.errors.QueryCanceled("canceling statement due to statement timeout")
        if b"away" in events:
            raise DatabaseUnavailable(detail="gone")
        return record.Outcome({}, frozenset())


@pytest.fixture
def commits(monkeypatch: pytest.MonkeyPatch) -> Commits:
    made = Commits()
    monkeypatch.setattr(record, "ingest", made)
    return made


async def commit(service: Ingest, events: list[bytes]) -> Intake:
    """What is answered to a request of so many events."""
    future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
    service.commits.submit(Sent(events), partial(resolve, future))
    return msgspec.json.decode((await future).body, type=Intake)


def run(commits: Commits, requests: list[list[bytes]], behind: int = 2) -> list[Any]:
    """What each request is answered; `behind` requests are being committed while the others come in."""

    async def all_of_them() -> list[Any]:
        service = Ingest(NO_APP)
        commits.gate.clear()
        first = [asyncio.create_task(commit(service, [b"first"])) for _ in range(behind)]
        while not commits.sizes:
            assert not first[0].done(), first[0].exception()
            await asyncio.sleep(0)
        waiting = [asyncio.create_task(commit(service, one)) for one in requests]
        await asyncio.sleep(0)
        commits.gate.set()
        found = await asyncio.gather(*waiting, return_exceptions=True)
        await asyncio.gather(*first)
        assert await asyncio.wait_for(commit(service, [b"after"]), 60) == Intake(accepted=1, duplicate=0, rejected=[])
        return found

    return asyncio.run(all_of_them())


def test_requests_that_wait_share_a_commit(commits: Commits) -> None:
    found = run(commits, [[b"x"] * size for size in (1, 2, 3)])
    assert [one.accepted for one in found] == [1, 2, 3]
    assert 6 in commits.sizes


def test_a_request_that_fails_without_reason_fails_alone(commits: Commits) -> None:
    one, poison, other = run(commits, [[b"x"], [b"x", b"poison"], [b"x"] * 3])
    assert (one.accepted, other.accepted) == (1, 3)
    assert isinstance(poison, ValueError)


def test_a_database_that_is_away_is_told_to_all_and_the_next_are_tried_again(commits: Commits) -> None:
    found = run(commits, [[b"x"], [b"away"]])
    assert all(isinstance(one, DatabaseUnavailable) for one in found)


def test_a_database_that_is_too_slow_is_not_asked_again_by_each_request(commits: Commits) -> None:
    found = run(commits, [[b"x"]] * 5 + [[b"slow"]])
    assert all(isinstance(one, DatabaseUnavailable) for one in found)
    assert sorted(commits.sizes) == [1, 2, 6]


def test_a_commit_is_bounded_and_takes_at_least_one_request(commits: Commits, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "GROUP_EVENTS", 5)
    found = run(commits, [[b"x"] * size for size in (2, 3, 1, 9)])
    assert [one.accepted for one in found] == [2, 3, 1, 9]
    assert sorted(commits.sizes)[-2:] == [5, 9]


def test_a_second_commit_is_begun_only_for_enough_events(commits: Commits, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small commits cost most by their number; while one is under way the others wait, unless they are many."""
    monkeypatch.setattr(ingest, "ENOUGH_EVENTS", 4)

    async def begun(requests: list[list[bytes]]) -> list[int]:
        commits.gate.clear()
        commits.sizes.clear()
        service = Ingest(NO_APP)
        tasks = [asyncio.create_task(commit(service, [b"first"]))]
        while not commits.sizes:
            assert not tasks[0].done(), tasks[0].exception()
            await asyncio.sleep(0)
        tasks += [asyncio.create_task(commit(service, one)) for one in requests]
        for _ in range(3):
            await asyncio.sleep(0)
        under_way = service.commits.under_way
        commits.gate.set()
        await asyncio.gather(*tasks)
        return [under_way, *sorted(commits.sizes)]

    assert asyncio.run(begun([[b"x"], [b"x", b"x"]])) == [1, 1, 3]
    assert asyncio.run(begun([[b"x"], [b"x", b"x"], [b"x"]])) == [2, 1, 4]


def test_nothing_is_committed_for_nothing(commits: Commits) -> None:
    told: list[Reply | Exception] = []
    Ingest(NO_APP).way(())(
        b"[]", told.append, ApiKey("4fJ9xQ2a", "app", livemode=False, scopes=frozenset({"usage:write"}))
    )
    assert told == [ingest.NOTHING] and commits.sizes == []


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (psycopg.errors.AdminShutdown("terminating connection"), 503, "database_unavailable"),
        (psycopg.OperationalError("server closed the connection"), 503, "database_unavailable"),
        (psycopg.errors.QueryCanceled("statement timeout"), 503, "database_timeout"),
        (psycopg.errors.LockNotAvailable("lock timeout"), 503, "database_timeout"),
        (psycopg.errors.ReadOnlySqlTransaction("cannot execute"), 503, "database_unavailable"),
        (psycopg.errors.UndefinedTable("secret table"), 500, "internal_error"),
        (ValueError("secret value"), 500, "internal_error"),
    ],
)
def test_only_a_database_that_went_away_is_told_as_such(error: Exception, status: int, code: str) -> None:
    found = answer.failure(error, "req_1")
    assert (found.status_code, f'"code":"{code}"'.encode() in found.body) == (status, True)
    assert ("retry-after" in found.headers) == (status == 503)
    assert b"secret" not in found.body
