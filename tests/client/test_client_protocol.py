"""What answers mean, how long is waited, and what a service that misbehaves does to what waits."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering import steady
from nself.client import Client, ServiceUnreachable, Unavailable, UnreadableAnswer, protocol
from nself.client.model import MAX_NAME, MAX_VALUE
from nself.client.protocol import Answer, Later, Refused, Request, Settled
from nself.client.segments import Queue
from nself.core.clock import monotonic
from nself.domains.usage import errors as usage
from serving import until

USAGE = Request(protocol.USAGE, b"[]")
COMMIT = Request("/api/v1/quota/commit", b"{}")


def answer(status: int, body: object, **headers: str) -> Answer:
    return Answer(status, headers, body if isinstance(body, bytes) else json.dumps(body).encode())


def error(status: int, code: str) -> Answer:
    return answer(status, {"error": {"type": "x", "code": code, "message": "because {of} it", "hint": ["nself {x}"]}})


def intake(accepted: int, duplicate: int = 0, *rejected: int) -> Answer:
    reasons = [{"index": at, "code": "c", "message": "m"} for at in rejected]
    return answer(200, {"accepted": accepted, "duplicate": duplicate, "rejected": reasons, "new_field": 1})


def test_the_limits_are_the_services() -> None:
    assert (MAX_VALUE, MAX_NAME) == (usage.MAX_VALUE, usage.MAX_NAME) and MAX_NAME == usage.MAX_KEY


@pytest.mark.parametrize(
    ("said", "count", "meant"),
    [
        (intake(3), 3, Settled),
        (intake(1, 1, 2), 3, Settled),
        (intake(2), 3, Later),
        (intake(2, 0, 3), 3, Later),
        (intake(1, 0, 1, 1), 3, Later),
        (answer(200, b"<html>welcome to the hotel</html>"), 1, Later),
        (answer(200, {}), 1, Later),
        (answer(204, b""), 1, Later),
        (answer(301, b""), 1, Later),
        (error(400, "invalid_json"), 1, Refused),
        (answer(400, b"<html>a proxy</html>"), 1, Later),
        (error(401, "invalid_api_key"), 1, Later),
        (error(403, "insufficient_permissions"), 1, Later),
        (error(404, "no_such_route"), 1, Later),
        (answer(404, b"nginx"), 1, Later),
        (error(413, "batch_too_large"), 1, Refused),
        (answer(413, b"nginx"), 1, Refused),
        (error(422, "strange"), 1, Refused),
        (answer(429, b"slow down", **{"retry-after": "7"}), 1, Later),
        (error(500, "internal_error"), 1, Later),
        (error(503, "database_unavailable"), 1, Later),
        (answer(502, b"\xff\xfe"), 1, Later),
    ],
    ids=lambda value: str(getattr(value, "status", value))[:12],
)
def test_what_an_answer_to_usage_means(said: Answer, count: int, meant: type) -> None:
    found = protocol.outcome(USAGE, count, said)
    assert isinstance(found, meant), found
    if isinstance(found, Later):
        assert found.wait == (7 if said.status == 429 else None)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (error(404, "no_such_reservation"), Refused),
        (error(404, "no_such_route"), Later),
        (error(409, "reservation_settled"), Refused),
        (answer(200, b"{}"), Later),
        (answer(429, b"slow down"), Later),
        (error(503, "database_unavailable"), Later),
    ],
    ids=lambda value: str(getattr(value, "status", value))[:12],
)
def test_what_an_answer_to_a_commit_means(said: Answer, meant: type) -> None:
    assert isinstance(protocol.outcome(COMMIT, 1, said), meant)


def test_an_error_keeps_its_words() -> None:
    told = protocol.failure(error(404, "no_such_user"))
    assert (told.code, told.message, told.hint, told.status) == ("no_such_user", "because {of} it", ("nself {x}",), 404)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "5"}, 5),
        ({"retry-after": " 0 "}, 0),
        ({"retry-after": "999999999999999999"}, 3600),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Tue, 10 Feb 2026 12:00:30 GMT"}, None),
        ({"retry-after": "Tue, 10 Feb 2026 12:00:30 GMT", "date": "Tue, 10 Feb 2026 12:00:00 GMT"}, 30),
        ({"retry-after": "Tue, 10 Feb 2026 11:00:30 GMT", "date": "Tue, 10 Feb 2026 12:00:00 GMT"}, 0),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert protocol.retry_after(headers) == seconds


@steady(300)
@given(st.integers(1, 10_000), st.none() | st.floats(0, 3600), st.floats(0, 1))
def test_pauses_grow_to_a_minute_and_are_never_shorter_than_asked_for(
    failures: int, wait: float | None, luck: float
) -> None:
    pause = protocol.pause(failures, wait, luck)
    assert 0.25 <= pause <= 60 or pause == wait
    assert pause >= (wait or 0)
    assert protocol.pause(failures + 1, wait, luck) >= pause


@steady(200)
@given(st.lists(st.booleans(), min_size=1, max_size=20))
def test_events_go_together_and_commits_alone(kinds: list[bool]) -> None:
    payloads = [b'{"reservation":"r","value":1}' if commit else b'{"user":"u"}' for commit in kinds]
    sent, left = list[bytes](), payloads
    while left:
        count = protocol.alike(left)
        request = protocol.delivery(left[:count])
        if left[0].startswith(protocol.COMMIT):
            assert count == 1 and request == (COMMIT.path, left[0])
        else:
            assert json.loads(request.body) == [{"user": "u"}] * count
        sent, left = sent + left[:count], left[count:]
    assert sent == payloads


# A service that does as it is told


Said = Answer | None | Callable[[Any], Answer | None]


class Scripted:
    """Answers in turn, the last one for ever; None cuts the connection, a function is asked. Keeps what came, and when."""

    def __init__(self, *script: Said) -> None:
        self.script = list(script)
        self.came: list[tuple[float, list[Any]]] = []

    def next(self, body: bytes) -> Answer | None:
        self.came.append((monotonic(), json.loads(body)))
        said = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        return said(self.came[-1][1]) if callable(said) else said


@contextmanager
def scripted(*script: Said) -> Iterator[tuple[Scripted, str]]:
    told = Scripted(*script)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            said = told.next(self.rfile.read(int(self.headers["content-length"])))
            if said is None:
                self.close_connection = True
                return
            self.send_response(said.status)
            for name, text in said.headers.items():
                self.send_header(name, text)
            self.send_header("Content-Length", str(len(said.body)))
            self.end_headers()
            self.wfile.write(said.body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield told, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_retry_after_is_waited_for_and_the_same_is_sent_again(tmp_path: Path) -> None:
    away = error(503, "database_unavailable")._replace(headers={"Retry-After": "2"})
    with scripted(away, intake(1)) as (told, url), Client(url, "k", buffer=str(tmp_path), linger=0) as client:
        key = client.record("user", "calls")
        assert client.flush(60)
        (first, one), (second, again) = told.came
        assert one == again and one[0]["key"] == key and second - first >= 2


def test_failures_are_waited_out_longer_each_time(tmp_path: Path) -> None:
    with scripted(None, answer(502, b""), intake(7), intake(1)) as (told, url):
        with Client(url, "k", buffer=str(tmp_path), linger=0) as client:
            client.record("user", "calls")
            assert client.flush(60)
        times = [at for at, _ in told.came]
        assert (
            len(times) == 4 and times[1] - times[0] >= 0.25 and times[2] - times[1] >= 0.5 and times[3] - times[2] >= 1
        )


def test_an_event_that_poisons_its_batch_is_found_and_set_aside(tmp_path: Path) -> None:
    """Here a whole request is refused for one event, as no service of ours does."""

    def poisoned(events: list[dict[str, int]]) -> Answer:
        return error(400, "poison") if any(one["value"] == 13 for one in events) else intake(len(events))

    with scripted(poisoned) as (told, url):
        with Client(url, "k", buffer=str(tmp_path), linger=0.2) as client:
            for value in range(40):
                client.record("user", "calls", value)
            assert client.flush(60)
            assert [(one.event["value"], one.code) for one in client.rejected()] == [(13, "poison")]
            assert (client.status().accepted, client.status().rejected) == (39, 1)
        taken = [one["value"] for _, events in told.came for one in events if not any(e["value"] == 13 for e in events)]
        assert sorted(taken) == [at for at in range(40) if at != 13]


def test_who_cannot_deliver_holds_nothing_of_the_dead(tmp_path: Path) -> None:
    with scripted(error(401, "invalid_api_key")) as (told, url):
        with Client(url, "k", buffer=str(tmp_path)) as dead:
            dead.record("user", "calls")
        with Client(url, "k", buffer=str(tmp_path)) as heir:
            until(lambda: heir.status().error_code == "invalid_api_key")
            until(lambda: heir.status().pending == 0)
            told.script[:] = [intake(1)]
            with Client(url, "other", buffer=str(tmp_path)) as other:
                until(lambda: other.status().accepted + heir.status().accepted == 1)


def test_what_a_process_left_and_nobody_can_read_keeps_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with scripted(lambda events: intake(len(events))) as (_, url):
        root = Client(url, "k", buffer=str(tmp_path))._folder.root
        for name in ("1-a/0000000001.seg", "2-b"):
            (root / "queues" / name).mkdir(parents=True)
        with Client(url, "k", buffer=str(tmp_path)) as client:
            client.record("user", "calls")
            assert client.flush(60)
        assert "1-a cannot be read" in caplog.text and not (root / "queues/2-b").exists()


def test_a_queue_that_fails_while_it_is_read_keeps_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with Client("http://127.0.0.1:9", "k", buffer=str(tmp_path)) as dead:
        dead.record("user", "calls", 1)
    real, others = Queue.head, list[Queue]()

    def head(queue: Queue, most: int) -> object:
        if queue.segment_bytes == 0:  # one of the dead
            others.append(queue)
            raise OSError(5, "Input/output error")
        return real(queue, most)

    monkeypatch.setattr(Queue, "head", head)
    with scripted(lambda events: intake(len(events))) as (told, url):
        (old,) = tmp_path.iterdir()
        client = Client(url, "k", buffer=str(tmp_path))
        old.rename(client._folder.root)
        with client:
            client.record("user", "calls", 2)
            assert client.flush(60) and others
            assert [one["value"] for _, events in told.came for one in events] == [2]
            assert "Input/output error" in caplog.text
            assert len(list((client._folder.root / "queues").iterdir())) == 2


def test_close_does_not_wait_for_a_service_that_is_away(tmp_path: Path) -> None:
    client = Client("http://127.0.0.1:9", "k", buffer=str(tmp_path), linger=0)
    client.record("user", "calls")
    until(lambda: client.status().error_code == "service_unreachable")
    began = monotonic()
    assert not client.close(60)
    assert monotonic() - began < 50 and not client.close(60)


# Quota calls


def decided(allowed: bool) -> Answer:
    state = {
        "user": "u", "metric": "m", "allowed": allowed, "limit": 5, "used": 5, "held": 0, "remaining": 0, "percent": "100",
        "state": "exceeded", "mode": "hard", "period": "month", "source": "user", "resets_at": "2026-03-01T00:00:00Z",
    }  # fmt: skip
    return answer(200 if allowed else 429, state, **({} if allowed else {"Retry-After": "30"}))


def test_a_question_is_asked_again_within_its_time(tmp_path: Path) -> None:
    with scripted(None, answer(502, b""), decided(False)) as (told, url):
        client = Client(url, "k", buffer=str(tmp_path))
        found = client.check("u", "m")
        assert (found.allowed, found.retry_after, len(told.came)) == (False, 30, 3)
    later = error(503, "database_unavailable")._replace(headers={"Retry-After": "30"})
    with scripted(later) as (told, url), pytest.raises(Unavailable) as raised:
        Client(url, "k", buffer=str(tmp_path), timeout=9).check("u", "m")
    assert raised.value.code == "database_unavailable" and len(told.came) == 1
    with scripted(answer(200, b"[]")) as (told, url), pytest.raises(UnreadableAnswer):
        Client(url, "k", buffer=str(tmp_path)).check("u", "m")


def test_a_reserve_is_asked_again_under_its_key(tmp_path: Path) -> None:
    with scripted(None, answer(502, b""), decided(True), decided(True), decided(True)) as (told, url):
        client = Client(url, "k", buffer=str(tmp_path))
        client.reserve("u", "m")
        client.reserve("u", "m")
        client.reserve("u", "m", key="mine")
        keys = [question["key"] for _, question in cast("list[tuple[float, Any]]", told.came)]
    assert len({*keys[:3]}) == 1 and len({*keys}) == 3 and keys[4] == "mine"


def test_an_answer_that_is_late_is_told_as_lost(tmp_path: Path) -> None:
    def slow(_: object) -> None:
        stop.wait(60)

    stop = threading.Event()
    with scripted(slow) as (told, url):
        with pytest.raises(ServiceUnreachable) as raised:
            Client(url, "k", buffer=str(tmp_path), timeout=0.5).reserve("u", "m")
        assert raised.value.lost and len(told.came) == 1
        stop.set()
