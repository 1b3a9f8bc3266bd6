"""The quota routes: requests that wait together are decided together, and each is answered by itself."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from metering import people
from nself.app import App
from nself.db.server import DatabaseUnavailable
from nself.domains.api_key.model import ApiKey
from nself.domains.quota.errors import NoSuchReservation
from nself.domains.quota.inputs import SetQuota
from nself.domains.quota.model import Ask, Decision
from nself.domains.quota.service import limits
from nself.domains.quota.service.ask import states
from nself.domains.quota.service.decide import Answer
from nself.http import quota
from nself.http.hot import Reply
from nself.http.quota import quota_routes
from serving import Client, Service

QUOTA = "/api/v1/quota"
PEOPLE = 8
CALLER = ApiKey("4fJ9xQ2a", "app", livemode=False, scopes=frozenset({"quota"}))


def limited(app: App, most: int, period: str = "hour") -> str:
    (user,) = people(app)
    limits.set_quota(app, SetQuota(user=user, metric="calls", limit=most, period=period))  # type: ignore[arg-type]
    return user


def figures(app: App, user: str) -> tuple[int, int]:
    (found,) = states(app, user, "calls", 0, "look")
    return found.used, found.held


def test_a_reservation_from_its_beginning_to_its_end(app: App, client: Client) -> None:
    user = limited(app, 10)
    made = client.post(f"{QUOTA}/reserve", {"user": user, "metric": "calls", "value": 4})
    assert (made.status, made.json["held"], made.json["remaining"]) == (200, 4, 6)
    body = {"reservation": made.json["reservation"], "value": 3}
    for _ in range(2):  # again is the same as once
        done = client.post(f"{QUOTA}/commit", body)
        assert (done.status, done.json["used"], done.json["held"]) == (200, 3, 0)
    wrong = client.post(f"{QUOTA}/release", {"reservation": body["reservation"]})
    assert (wrong.status, wrong.code) == (409, "reservation_settled")
    none = client.post(f"{QUOTA}/commit", {"reservation": "rsv_none"})
    assert (none.status, none.code, none.json["error"]["param"]) == (404, "no_such_reservation", "reservation")
    other = client.post(f"{QUOTA}/reserve", {"user": user, "metric": "calls", "value": 7}).json["reservation"]
    assert client.post(f"{QUOTA}/release", {"reservation": other}).json["remaining"] == 7
    assert figures(app, user) == (3, 0)


def test_a_reserve_that_is_repeated_with_its_key_holds_once(app: App, client: Client) -> None:
    user = limited(app, 10)
    body = {"user": user, "metric": "calls", "value": 4}
    made = client.post(f"{QUOTA}/reserve", {**body, "key": "order 7"})
    by_field = client.post(f"{QUOTA}/reserve", {**body, "key": "order 7"})
    by_header = client.post(f"{QUOTA}/reserve", body, **{"Idempotency-Key": "order 7"})
    assert {one.json["reservation"] for one in (made, by_field, by_header)} == {made.json["reservation"]}
    assert figures(app, user) == (0, 4)
    other = client.post(f"{QUOTA}/reserve", {**body, "value": 5}, **{"Idempotency-Key": "order 7"})
    assert (other.status, other.code, other.json["error"]["type"]) == (409, "idempotency_error", "idempotency_error")
    both = client.post(f"{QUOTA}/reserve", {**body, "key": "order 8"}, **{"Idempotency-Key": "order 7"})
    assert (both.status, both.code) == (400, "parameters_exclusive")
    for key in ("", "k" * 256):
        wrong = client.post(f"{QUOTA}/reserve", {**body, "key": key})
        assert (wrong.status, wrong.json["error"]["param"]) == (400, "key")
        wrong = client.post(f"{QUOTA}/reserve", body, **{"Idempotency-Key": key})
        assert (wrong.status, wrong.json["error"]["param"]) == (400, "key")
    assert figures(app, user) == (0, 4)


@pytest.mark.parametrize("what", ["check", "reserve"])
def test_a_refusal_says_all_that_a_client_needs(app: App, client: Client, what: str) -> None:
    user = limited(app, 5)
    client.post(f"{QUOTA}/reserve", {"user": user, "metric": "calls", "value": 3})
    answer = client.post(f"{QUOTA}/{what}", {"user": user, "metric": "calls", "value": 3})
    found = answer.json
    assert answer.status == 429
    assert (found["allowed"], found["limit"], found["used"], found["held"], found["remaining"]) == (False, 5, 0, 3, 2)
    assert found["reservation"] is None
    resets = datetime.fromisoformat(found["resets_at"])
    left = (resets - datetime.now(UTC)).total_seconds()
    assert left - 5 <= int(answer.headers["retry-after"]) <= left + 5
    assert (answer.headers["x-ratelimit-limit"], answer.headers["x-ratelimit-remaining"]) == ("5", "2")
    assert int(answer.headers["x-ratelimit-reset"]) == resets.timestamp()
    assert answer.headers["request-id"].startswith("req_")


def test_a_long_wait_is_told_as_an_hour(app: App, client: Client) -> None:
    user = limited(app, 0, "year")
    answer = client.post(f"{QUOTA}/check", {"user": user, "metric": "calls"})
    assert (answer.status, answer.headers["retry-after"]) == (429, "3600") or datetime.now(UTC).month == 12


def test_who_has_no_limit_is_told_none(app: App, client: Client) -> None:
    (user,) = people(app)
    answer = client.post(f"{QUOTA}/check", {"user": user, "metric": "calls"})
    assert (answer.status, answer.json["limit"]) == (200, -1)
    assert "x-ratelimit-limit" not in answer.headers and "retry-after" not in answer.headers


def test_a_hard_limit_is_never_passed_by_requests_that_come_together(app: App, service: Service, key: str) -> None:
    user, other = limited(app, 25), limited(app, 3)

    def want(number: int) -> list[tuple[int, str]]:
        found: list[tuple[int, str]] = []
        with service.client(key) as client:
            for at in range(12):
                who = other if at % 3 == 0 else user
                answer = client.post(f"{QUOTA}/reserve", {"user": who, "metric": "calls", "value": 1 + at % 2})
                assert answer.json["user"] == who  # its own answer
                found.append((answer.status, who))
                if answer.status == 200:
                    assert client.post(f"{QUOTA}/commit", {"reservation": answer.json["reservation"]}).status == 200
        return found

    with ThreadPoolExecutor(PEOPLE) as pool:
        answers = [one for part in pool.map(want, range(PEOPLE)) for one in part]
    assert len(answers) == 12 * PEOPLE and {status for status, _ in answers} == {200, 429}
    assert figures(app, user) == (25, 0) and figures(app, other) == (3, 0)


class SimpleApp:
    """What the routes ask of an app before they decide."""

    def clock(self) -> datetime:
        return datetime.now(UTC)


class Decisions:
    """Stands for `decide_or_fail`: notes who is decided together, waits for `gate`, fails where it is told to."""

    def __init__(self) -> None:
        self.groups: list[list[str]] = []
        self.gate = threading.Event()

    def __call__(self, app: App, asks: Sequence[Ask]) -> list[Answer]:
        users = [ask.user for ask in asks]
        self.groups.append(users)
        assert self.gate.wait(60)
        if "poison" in users:
            raise ValueError("poison")
        if "away" in users:
            raise DatabaseUnavailable(detail="gone")
        return [NoSuchReservation(reservation="r") if one == "wrong" else decision(one) for one in users]


def decision(user: str) -> Decision:
    return Decision(
        user=user, metric="calls", allowed=True, limit=-1, used=0, held=0, remaining=-1, percent="0.0", state="ok",
        mode="hard", period="month", source="none", resets_at=datetime(2030, 1, 1, tzinfo=UTC),
    )  # fmt: skip


def run(monkeypatch: pytest.MonkeyPatch, users: list[str]) -> tuple[list[Any], list[list[str]]]:
    """Answers to requests that came while others were decided, and the groups."""
    decisions = Decisions()
    monkeypatch.setattr(quota, "decide_or_fail", decisions)

    async def all_of_them() -> list[Any]:
        app = SimpleApp()
        route = next(one for one in quota_routes(cast(App, app)) if one.path.endswith("/check"))
        loop, found = asyncio.get_running_loop(), list[asyncio.Future[Any]]()

        def ask(user: str) -> None:
            future = loop.create_future()
            route.way(())(f'{{"user":"{user}","metric":"calls"}}'.encode(), future.set_result, CALLER)
            found.append(future)

        ask("first")
        while not decisions.groups:
            await asyncio.sleep(0)
        for user in users:
            ask(user)
        decisions.gate.set()
        answers = await asyncio.gather(*found)
        return answers[1:]

    return asyncio.run(all_of_them()), decisions.groups[1:]


def test_requests_that_wait_are_decided_together_and_answered_each(monkeypatch: pytest.MonkeyPatch) -> None:
    answers, groups = run(monkeypatch, ["a", "b", "wrong", "c"])
    assert groups == [["a", "b", "wrong", "c"]]
    assert isinstance(answers.pop(2), NoSuchReservation)
    assert all(isinstance(one, Reply) and one.status == 200 for one in answers)
    assert [one.body.split(b'"')[3] for one in answers] == [b"a", b"b", b"c"]


def test_a_request_that_fails_without_reason_fails_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    answers, groups = run(monkeypatch, ["a", "poison", "b"])
    assert groups == [["a", "poison", "b"], ["a"], ["poison"], ["b"]]
    assert [isinstance(one, Reply) for one in answers] == [True, False, True]


def test_a_database_that_is_away_is_told_to_all_of_a_group(monkeypatch: pytest.MonkeyPatch) -> None:
    answers, groups = run(monkeypatch, ["a", "away", "b"])
    assert groups == [["a", "away", "b"]]
    assert all(isinstance(one, DatabaseUnavailable) for one in answers)


def test_a_group_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quota, "GROUP", 2)
    answers, groups = run(monkeypatch, ["a", "b", "c", "d", "e"])
    assert sorted(len(one) for one in groups) == [1, 2, 2] and len(answers) == 5
