"""Whatever is sent, the service answers it as its OpenAPI description says, never with 500, and goes on."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, cast

import pytest
import requests
import schemathesis
from hypothesis import given
from hypothesis import strategies as st
from schemathesis import checks
from schemathesis.config import SchemathesisConfig

from guided import Guided, guided
from metering import people, short, steady
from nself.app import App
from nself.core.entrypoint import Route
from nself.http import docs
from nself.registry import Registry
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


IDS: dict[str, Any] = {
    "charge": "ch_123",
    "customer": "cus_123",
    "invoice": "in_123",
    "metric": "api_calls",
    "month": "2026-01",
    "new_price": "price_new",
    "payment_intent": "pi_123",
    "payment_method": "pm_123",
    "period": "2026-01",
    "price": "price_456",
    "subscription": "sub_123",
    "tax_rate": "txr_123",
    "template": "receipt",
    "user": "user123",
}
"""What there is: a text by chance names nothing."""
CONFIG = SchemathesisConfig.from_dict({"generation": {"with-security-parameters": False, "allow-x00": True}})
REGISTRY = Registry()
DOCUMENT = docs.openapi(REGISTRY.rows(Route), REGISTRY)
OPERATIONS = {
    one.label: one for one in (found.ok() for found in schemathesis.openapi.from_dict(DOCUMENT, config=CONFIG).get_all_operations())
}  # fmt: skip
EXPECTED: list[Any] = [
    checks.not_a_server_error,
    *checks.CHECKS.get_by_names(
        [
            "status_code_conformance",
            "content_type_conformance",
            "response_schema_conformance",
            "negative_data_rejection",
        ]
    ),
]


@pytest.fixture(scope="module")
def target(server: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guided]:
    with guided(server, template, tmp_path_factory.mktemp("fuzz")) as made:
        yield made


@pytest.fixture(scope="module")
def session(target: Guided) -> Iterator[requests.Session]:
    with requests.Session() as made:
        made.headers["Authorization"] = f"Bearer {target.keys['admin']}"
        yield made


@pytest.mark.xdist_group("fuzz")
@pytest.mark.parametrize("mode", schemathesis.GenerationMode, ids=lambda mode: mode.value)
@pytest.mark.parametrize("label", OPERATIONS)
def test_every_route_answers_as_its_description_says(
    target: Guided, session: requests.Session, label: str, mode: schemathesis.GenerationMode
) -> None:
    """By chance, and with what there is: half of the routes would else never succeed."""
    right, operation = mode is schemathesis.GenerationMode.POSITIVE, OPERATIONS[label]
    if not (right or operation.query or operation.body):
        return  # any text is a path: there is nothing to be wrong
    expected = EXPECTED[:-1] if label == "POST /api/v1/usage" else EXPECTED  # each event is refused by itself

    @steady(12 if right else 6)
    @given(
        operation.as_strategy(generation_mode=mode),
        st.just(set(IDS)) | st.sets(st.sampled_from(sorted(IDS))),
    )
    def run(case: schemathesis.Case, names: set[str]) -> None:
        for place in (case.path_parameters, case.query, case.body) if right else ():
            if isinstance(place, dict):
                given = cast("dict[str, Any]", place)
                given.update({name: IDS[name] for name in names & given.keys()})
        case.validate_response(case.call(base_url=target.url, session=session), checks=expected)

    run()


@pytest.mark.xdist_group("fuzz")
def test_every_route_wants_a_key_that_may_do_it(target: Guided) -> None:
    for label in OPERATIONS:
        method, path = label.split(" ")
        where = target.url + path.format_map(IDS)
        scope = DOCUMENT["paths"][path][method.lower()]["security"][0]["key"][0]
        other = next(scopes for scopes in target.keys if scopes not in ("admin", scope))
        for header, status, code in (
            (None, 401, "invalid_api_key"),
            ("Bearer nsk_test_00000000_00000000000000000000000000000000", 401, "invalid_api_key"),
            (f"Bearer {target.keys[other]}", 403, "insufficient_permissions"),
        ):
            headers = {"Authorization": header} if header else {}
            answer = requests.request(method, where, json={} if method == "POST" else None, headers=headers, timeout=60)
            assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), (label, header, answer.text)
            assert (answer.headers.get("WWW-Authenticate") == "Bearer") == (status == 401)
