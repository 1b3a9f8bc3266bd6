"""The short way of the ingest route, byte by byte: whatever a connection does, it is answered as on the long way."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from metering import people
from nself.app import App
from nself.domains.usage.inputs import ShowUsage
from nself.domains.usage.service import show
from serving import Service, until

PATH = "/api/v1/usage"


class Link:
    """One connection."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.file = self.socket.makefile("rb")

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        """The next answer. Raises EOFError where the service closed the connection."""
        line = self.file.readline()
        if not line:
            raise EOFError
        headers: dict[str, str] = {}
        while (row := self.file.readline()) != b"\r\n":
            name, _, value = row.decode().partition(": ")
            headers[name] = value.rstrip("\r\n")
        return int(line.split()[1]), headers, self.file.read(int(headers.get("content-length", 0)))


@contextmanager
def link(service: Service) -> Iterator[Link]:
    made = Link(service.port)
    try:
        yield made
    finally:
        made.file.close()
        made.socket.close()


def request(key: str, body: bytes, path: str = PATH, version: str = "1.1", length: bool = True, **more: str) -> bytes:
    headers = {"Host": "x", "Authorization": f"Bearer {key}"} | {
        name.replace("_", "-"): value for name, value in more.items()
    }
    if length:
        headers["Content-Length"] = str(len(body))
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST {path} HTTP/{version}\r\n{head}\r\n".encode() + body


def event(user: str, value: int = 1) -> bytes:
    return json.dumps({"user": user, "metric": "calls", "value": value}).encode()


def total(app: App, user: str) -> int:
    return show.show(app, ShowUsage(user=user, metric="calls"))[0].value


def test_one_connection_carries_many_requests(app: App, service: Service, key: str) -> None:
    (user,) = people(app)
    with link(service) as made:
        for _ in range(5):
            made.send(request(key, event(user)))
            status, headers, body = made.answer()
            assert (status, json.loads(body)["accepted"]) == (200, 1)
            assert headers.keys() == {"date", "request-id", "content-length", "content-type"}
    assert total(app, user) == 5


def test_the_short_and_the_long_way_answer_alike(app: App, service: Service, key: str) -> None:
    (user,) = people(app)
    with link(service) as made:
        for body in (event(user), b"{", b"[]", event("nobody"), b"[" + b",".join([event(user)] * 501) + b"]"):
            found = []
            for path in (PATH, "/api/v1/%75sage", f"{PATH}?x=1"):
                made.send(request(key, body, path))
                status, headers, text = made.answer()
                identity = headers.pop("request-id")
                found.append((status, [*headers], text.replace(identity.encode(), b"ID")))
            assert found[0] == found[1] == found[2]
        for wrong in ("nsk_test_00000000_00000000000000000000000000000000", "nonsense"):
            made.send(request(wrong, event(user)))
            status, headers, _ = made.answer()
            assert (status, headers["www-authenticate"]) == (401, "Bearer")
    assert total(app, user) == 3


def test_pipelined_requests_are_answered_in_their_order(app: App, service: Service, key: str) -> None:
    (user,) = people(app)
    other = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
    with link(service) as made:
        made.send(request(key, event(user)) + other + request(key, b"{") + request(key, event(user, 2)) + other)
        found = [made.answer() for _ in range(5)]
        assert [status for status, _, _ in found] == [200, 200, 400, 200, 200]
        assert [b"accepted" in body for _, _, body in found] == [True, False, False, True, False]
        made.send(request(key, event(user, 4)))
        assert made.answer()[0] == 200
    assert total(app, user) == 7


def test_a_slow_sender_is_waited_for(app: App, service: Service, key: str) -> None:
    (user,) = people(app)
    whole = request(key, event(user))
    with link(service) as made:
        for _ in range(2):
            for at in range(len(whole)):
                made.send(whole[at : at + 1])
                if at % 40 == 0:
                    time.sleep(0.002)
            assert made.answer()[0] == 200
    assert total(app, user) == 2


def test_a_chunked_body(app: App, service: Service, key: str) -> None:
    (user,) = people(app)
    body = event(user)
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:5], body[5:6], body[6:])) + b"0\r\n\r\n"
    with link(service) as made:
        for _ in range(2):
            made.send(request(key, b"", length=False, Transfer_Encoding="chunked") + chunks)
            assert made.answer()[0] == 200
    assert total(app, user) == 2


def test_expect_100_continue(app: App, service: Service, key: str) -> None:
    (user,) = people(app)
    head, _, body = request(key, event(user), Expect="100-continue").partition(b"\r\n\r\n")
    with link(service) as made:
        made.send(head + b"\r\n\r\n")
        assert made.answer()[0] == 100
        made.send(body)
        assert made.answer()[0] == 200
    assert total(app, user) == 1


@pytest.mark.parametrize(("version", "more"), [("1.0", {}), ("1.1", {"Connection": "close"})])
def test_a_connection_that_shall_end_ends_after_the_answer(
    app: App, service: Service, key: str, version: str, more: dict[str, str]
) -> None:
    (user,) = people(app)
    with link(service) as made:
        made.send(request(key, event(user), version=version, **more))
        status, headers, _ = made.answer()
        assert (status, headers["connection"]) == (200, "close")
        with pytest.raises(EOFError):
            made.answer()
    assert total(app, user) == 1


def test_a_body_that_is_too_large_in_chunks_is_413_and_the_connection_goes_on(
    app: App, service: Service, key: str
) -> None:
    (user,) = people(app)
    part = b"%x\r\n%b\r\n" % (1 << 16, b" " * (1 << 16))
    with link(service) as made:
        made.send(request(key, b"", length=False, Transfer_Encoding="chunked") + part * 20 + b"0\r\n\r\n")
        assert made.answer()[0] == 413
        made.send(request(key, event(user)))
        assert made.answer()[0] == 200
    assert total(app, user) == 1


@pytest.mark.parametrize("path", [PATH, "/api/v1/quota/check", "/api/v1/invoices", f"{PATH}?long=way"])
def test_a_body_that_is_declared_too_large_is_refused_before_it_comes(service: Service, key: str, path: str) -> None:
    with link(service) as made:
        made.send(request(key, b"", path=path, length=False, Content_Length="200000000"))
        status, _, body = made.answer()
        assert (status, json.loads(body)["error"]["code"]) == (413, "body_too_large")


def test_after_a_body_that_was_declared_too_large_the_connection_goes_on(app: App, service: Service, key: str) -> None:
    (user,) = people(app)
    size = 3 << 20
    with link(service) as made:
        made.send(request(key, b"", length=False, Content_Length=str(size)))
        assert made.answer()[0] == 413
        made.send(b" " * size + request(key, event(user)))
        assert made.answer()[0] == 200
    assert total(app, user) == 1


@pytest.mark.parametrize(
    "broken",
    [b"nonsense\r\n\r\n", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: a\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"],
)
def test_what_is_no_http_is_told_as_every_error_and_ends_the_connection(service: Service, broken: bytes) -> None:
    with link(service) as made:
        made.send(broken)
        status, headers, body = made.answer()
        assert (status, headers["content-type"], headers["connection"]) == (400, "application/json", "close")
        error = json.loads(body)["error"]
        assert (error["code"], error["request_id"]) == ("invalid_http", headers["request-id"])
        with pytest.raises(EOFError):
            made.answer()


def test_who_goes_away_in_the_middle_of_a_body_has_sent_nothing(app: App, service: Service, key: str) -> None:
    (user,) = people(app)
    whole = request(key, event(user))
    for stop in (30, len(whole) - 1):
        with link(service) as made:
            made.send(whole[:stop])
    with link(service) as made:
        made.send(request(key, b"[]"))
        assert made.answer()[0] == 200
    assert total(app, user) == 0


def test_who_does_not_wait_for_the_answer_has_sent_it(app: App, service: Service, key: str) -> None:
    one, other = people(app, *(f"{name}-{time.monotonic_ns()}" for name in "ab"))
    with link(service) as made:
        made.send(request(key, event(one)))
        made.socket.shutdown(socket.SHUT_WR)
    with link(service) as made:
        made.send(request(key, event(other)))
    until(lambda: total(app, one) == 1 and total(app, other) == 1)


def test_who_reads_no_answers_gets_all_of_them_later(app: App, service: Service, key: str) -> None:
    (user,) = people(app)
    refused = b"[" + b",".join([b"1"] * 500) + b"]"
    with link(service) as made:
        made.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        made.socket.settimeout(0.3)
        sent = b""
        for _ in range(200):
            sent = request(key, refused)
            try:
                made.send(sent)
            except TimeoutError:
                break
            time.sleep(0.002)
        made.socket.settimeout(10)
        assert made.answer()[0] == 200
    with link(service) as made:
        made.send(request(key, event(user)))
        assert made.answer()[0] == 200


def test_other_methods_and_paths_go_the_long_way(service: Service, key: str) -> None:
    with link(service) as made:
        for method, path, status in (("GET", PATH, 400), ("PUT", PATH, 405), ("POST", f"{PATH}x", 404)):
            made.send(request(key, b"{}", path).replace(b"POST", method.encode(), 1))
            assert made.answer()[0] == status
