"""Whatever is sent, the service answers it, never with 500, and goes on."""

from __future__ import annotations

import json
import socket
from contextlib import suppress
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering import people, short, steady
from nself.app import App
from serving import Answer, Client, Service

USAGE, CHECK = "/api/v1/usage", "/api/v1/quota/check"

TEXTS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        [
            "",
            "USER",
            "calls",
            "seats",
            "\0",
            "\u202e",
            "a" * 300,
            "2026-01-01",
            "2026-01",
            "9999-12",
            "0000-00",
            "-1",
            "1e3",
            "%00",
        ]
    ),
)
NUMBERS = st.one_of(st.integers(), st.floats(allow_nan=True), st.sampled_from([-1, 0, 1, 10**15, 2**63, 10**30]))
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
FIELDS = ("user", "metric", "value", "at", "key", "properties", "limit", "period")


@st.composite
def events(draw: st.DrawFn) -> object:
    """Mostly right, with some fields wrong, missing or more."""
    made: dict[str, object] = {"user": "USER", "metric": "calls", "value": 1}
    for name in draw(st.lists(st.sampled_from(FIELDS), max_size=3)):
        made[name] = draw(VALUES)
    for name in draw(st.lists(st.sampled_from(FIELDS[:3]), max_size=1)):
        made.pop(name, None)
    return made


def damaged(body: bytes, at: int, kind: str) -> bytes:
    """A byte of `body` is cut out, changed, doubled, or the rest is cut off."""
    at %= len(body) + 1
    return {
        "whole": body,
        "cut": body[:at],
        "lost": body[:at] + body[at + 1 :],
        "other": body[:at] + b"\xff" + body[at + 1 :],
        "nul": body[:at] + b"\0" + body[at:],
        "doubled": body[:at] + body[at : at + 1] * 2 + body[at + 1 :],
    }[kind]


BODIES = st.one_of(
    st.binary(max_size=60),
    st.builds(
        damaged,
        st.builds(lambda one: json.dumps(one).encode(), st.one_of(events(), st.lists(events(), max_size=4), VALUES)),
        st.integers(0, 400),
        st.sampled_from(["whole", "whole", "cut", "lost", "other", "nul", "doubled"]),
    ),
)
KINDS = st.sampled_from(
    ["application/json", "application/x-ndjson", "text/csv", "application/x-ndjson; charset=latin-1"]
)


def assert_civil(answer: Answer) -> None:
    """Answered, not with 500; an error says all that it should."""
    assert answer.status < 500, answer
    if answer.status >= 400 and answer.status != 429:
        error = answer.json["error"]
        assert {"type", "code", "message", "request_id"} <= error.keys()
        assert len(error["message"]) < 5000


def test_any_body_is_answered(app: App, client: Client) -> None:
    (user,) = people(app)

    @steady(250)
    @given(BODIES, st.sampled_from([USAGE, USAGE, CHECK]), KINDS)
    def run(body: bytes, path: str, kind: str) -> None:
        answer = client.post(path, body.replace(b"USER", user.encode()), Content_Type=kind)
        assert_civil(answer)
        if path == USAGE and answer.status == 200:
            found = answer.json
            assert all(one["message"] and one["code"] for one in found["rejected"])
            assert len({one["index"] for one in found["rejected"]}) == len(found["rejected"])

    run()


def test_any_question_is_answered(app: App, client: Client) -> None:
    (user,) = people(app)

    @steady(150)
    @given(st.dictionaries(st.sampled_from([*FIELDS, "by", "month", "x"]), TEXTS, max_size=4))
    def run(asked: dict[str, str]) -> None:
        asked = {"user": user} | asked
        assert_civil(
            client.get(
                f"{USAGE}?"
                + "&".join(f"{name}={quote(text.encode('utf-8', 'replace'))}" for name, text in asked.items())
            )
        )

    run()


@pytest.mark.parametrize(
    "raw",
    [
        b"nonsense\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /api/v1/usage HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /api/v1/usage HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n{}",
        b"POST /api/v1/usage HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /api/v1/usage HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
        b"POST /api/v1/usage HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \xff\xfe\r\nContent-Length: 2\r\n\r\n[]",
        b"GET /api/v1/usage?user=%ZZ%00&user=\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
    ids=short,
)
def test_raw_bytes_that_are_no_request_leave_the_service_alive(service: Service, client: Client, raw: bytes) -> None:
    with socket.create_connection(("127.0.0.1", service.port), timeout=60) as link:
        link.sendall(raw)
        link.shutdown(socket.SHUT_WR)
        with suppress(OSError):
            assert b" 500 " not in link.recv(4096).split(b"\r\n", 1)[0]
    assert client.post(USAGE, []).status == 200
