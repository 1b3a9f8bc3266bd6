"""The routes beside ingest: keys, reading usage, asking for quota, errors, the document."""

from __future__ import annotations

import gzip
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import jsonschema_rs
import pytest

from metering import people, short
from nself.app import App
from nself.domains.api_key import service as api_key
from nself.domains.api_key.inputs import RevokeApiKey
from nself.domains.quota.inputs import SetQuota
from nself.domains.quota.service import limits as quota
from nself.domains.usage.inputs import UsageEvent
from nself.domains.usage.service import record
from serving import Answer, Client, Service, new_key, until

USAGE, CHECK = "/api/v1/usage", "/api/v1/quota/check"


def use(app: App, user: str, value: int, at: str | None = None, metric: str = "calls") -> None:
    assert not record.ingest(app, [UsageEvent(user=user, metric=metric, value=value, at=at)], "test").refused


def error(answer: Answer) -> dict[str, Any]:
    return answer.json["error"]


# keys


@pytest.mark.parametrize(("method", "path"), [("POST", USAGE), ("GET", f"{USAGE}?user=u"), ("POST", CHECK)])
def test_without_a_valid_key_nothing_is_done(app: App, service: Service, method: str, path: str) -> None:
    stranger = "nsk_test_00000000_" + "0" * 32
    for key in (None, "nonsense", stranger):
        with service.client(key) as client:
            answer = client.ask(method, path, [])
        assert (answer.status, answer.code, answer.headers["www-authenticate"]) == (401, "invalid_api_key", "Bearer")


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [("POST", USAGE, "usage:write"), ("GET", f"{USAGE}?user=u", "usage:read"), ("POST", CHECK, "quota")],
)
def test_each_route_wants_its_own_scope(app: App, service: Service, method: str, path: str, scope: str) -> None:
    others = ",".join({"usage:write", "usage:read", "quota", "invoice:read"} - {scope})
    for scopes, wanted in ((others, 403), (scope, None), ("admin", None)):
        with service.client(new_key(app, scopes)) as client:
            answer = client.ask(method, path, [])
        assert (answer.status == 403) == (wanted == 403), answer
    with service.client(new_key(app, others)) as client:
        assert client.ask(method, path, []).code == "insufficient_permissions"


def test_a_revoked_key_is_refused_within_seconds(app: App, service: Service) -> None:
    key = new_key(app, "usage:write")
    with service.client(key) as client:
        assert client.post(USAGE, []).status == 200
        api_key.revoke(app, RevokeApiKey(id=key))
        until(lambda: client.post(USAGE, []).status == 401)


# reading usage


def test_usage_of_a_month_is_exact_to_its_borders(app: App, client: Client) -> None:
    (user,) = people(app)
    for value, at in (
        (1, "2025-12-31T23:59:59.999999Z"),
        (2, "2026-01-01T00:00:00Z"),
        (4, "2026-01-31T23:59:59.999999Z"),
        (8, "2026-02-01"),
    ):
        use(app, user, value, at)
    (row,) = client.get(f"{USAGE}?user={user}&metric=calls&period=2026-01").json
    assert row == {
        "user": user,
        "metric": "calls",
        "value": 6,
        "unit": "request",
        "events": 2,
        "period_start": "2026-01-01T00:00:00Z",
        "period_end": "2026-02-01T00:00:00Z",
        "last_at": "2026-01-31T23:59:59.999999Z",
    }


@pytest.mark.parametrize(
    ("by", "wanted"),
    [
        ("day", [("2026-01-05T00:00:00Z", 3), ("2026-01-06T00:00:00Z", 4)]),
        ("hour", [("2026-01-05T10:00:00Z", 1), ("2026-01-05T11:00:00Z", 2), ("2026-01-06T00:00:00Z", 4)]),
    ],
)
def test_usage_by_hour_and_day(app: App, client: Client, by: str, wanted: list[tuple[str, int]]) -> None:
    (user,) = people(app)
    for value, at in ((1, "2026-01-05T10:59:59Z"), (2, "2026-01-05T11:00:00Z"), (4, "2026-01-06T00:00:00Z")):
        use(app, user, value, at)
    rows = client.get(f"{USAGE}?user={user}&period=2026-01&by={by}").json
    assert [(row["period_start"], row["value"]) for row in rows] == wanted


def test_what_was_answered_with_200_is_in_the_next_answer(app: App, client: Client) -> None:
    (user,) = people(app)
    for turn in range(1, 6):
        assert client.post(USAGE, {"user": user, "metric": "calls", "value": 10}).status == 200
        assert client.get(f"{USAGE}?user={user}&metric=calls").json[0]["value"] == 10 * turn


@pytest.mark.parametrize(
    ("query", "status", "code", "param"),
    [
        ("", 400, "parameter_missing", "user"),
        ("user=nobody", 404, "no_such_user", "user"),
        ("user=nobody&metric=no", 404, "no_such_metric", "metric"),
        ("user=nobody&period=2026-1", 400, "parameter_invalid", "period"),
        ("user=nobody&period=9999-12", 400, "parameter_invalid", "period"),
        ("user=nobody&by=week", 400, "parameter_invalid", "by"),
        ("user=nobody&colour=red", 400, "parameter_unknown", "colour"),
        ("user=%00", 400, "parameter_invalid", "user"),
        ("user=", 400, "parameter_invalid", "user"),
        ("user=+a", 400, "parameter_invalid", "user"),
        ("user=%ff&metric=%00", 400, "parameter_invalid", "metric"),
    ],
)
def test_a_question_that_makes_no_sense(client: Client, query: str, status: int, code: str, param: str) -> None:
    answer = client.get(f"{USAGE}?{query}")
    assert (answer.status, answer.code, error(answer).get("param")) == (status, code, param)


# quota


def test_quota_is_allowed_up_to_the_limit_and_refused_with_the_same_body(app: App, client: Client) -> None:
    (user,) = people(app)
    quota.set_quota(app, SetQuota(user=user, metric="calls", limit=10, period="hour"))
    use(app, user, 8)
    asked = {"user": user, "metric": "calls", "value": 2}
    allowed, refused = client.post(CHECK, asked), client.post(CHECK, {**asked, "value": 3})
    assert (allowed.status, refused.status) == (200, 429)
    assert allowed.json | {"allowed": False} == refused.json
    assert {name: refused.json[name] for name in ("allowed", "limit", "used", "held", "remaining", "state")} == {
        "allowed": False,
        "limit": 10,
        "used": 8,
        "held": 0,
        "remaining": 2,
        "state": "warning",
    }
    resets_at = datetime.fromisoformat(refused.json["resets_at"])
    wait = int(refused.headers["retry-after"])
    assert "retry-after" not in allowed.headers
    assert datetime.now(UTC) + timedelta(seconds=wait + 1) >= resets_at - timedelta(seconds=1)
    assert 1 <= wait <= 3600


@pytest.mark.parametrize(
    ("body", "status", "code", "param"),
    [
        (b"", 400, "parameter_missing", "user"),
        (b"{", 400, "invalid_json", None),
        (b"[]", 400, "parameter_invalid", None),
        (b"[" * 100_000, 400, "invalid_json", None),
        (b'{"user":"\xff"}', 400, "invalid_json", None),
        (b'{"user":"u","metric":"calls","value":1.5}', 400, "parameter_invalid_integer", "value"),
        (b'{"user":"u","metric":"calls","value":true}', 400, "parameter_invalid_integer", "value"),
        (b'{"user":"u","metric":"calls","value":"1"}', 400, "parameter_invalid_integer", "value"),
        (b'{"user":"u","metric":"calls","value":-1}', 400, "parameter_invalid", "value"),
        (b'{"user":"u","metric":"calls","value":9223372036854775808}', 400, "parameter_invalid", "value"),
        (b'{"user":"u","metric":"calls","value":' + b"9" * 5000 + b"}", 400, None, None),
        (b'{"user":"u","metric":"calls","colour":"red"}', 400, "parameter_unknown", "colour"),
        (b'{"user":7,"metric":"calls"}', 400, "parameter_invalid", "user"),
        (b'{"user":"u\\u0000","metric":"calls"}', 400, "parameter_invalid", "user"),
        (b'{"user":"nobody","metric":"no"}', 404, "no_such_metric", "metric"),
        (b'{"user":"nobody","metric":"calls"}', 404, "no_such_user", "user"),
        (b'{"user":"","metric":"calls"}', 400, "parameter_invalid", "user"),
        (b'{"user":"' + b"x" * 256 + b'","metric":"calls"}', 400, "parameter_invalid", "user"),
    ],
    ids=short,
)
def test_a_quota_check_that_makes_no_sense(
    client: Client, body: bytes, status: int, code: str | None, param: str | None
) -> None:
    answer = client.post(CHECK, body)
    assert answer.status == status
    assert (answer.code, error(answer).get("param")) == (code, param) or code is None


def test_a_compressed_body_is_told_as_such(client: Client) -> None:
    body = gzip.compress(b'{"user":"u","metric":"calls","value":1}')
    for path in (USAGE, CHECK):
        answer = client.post(path, body)
        assert (answer.status, answer.code) == (400, "invalid_json")
        assert error(answer)["message"] == "Invalid JSON: the body is compressed; send it plain"


def test_a_choice_is_told_with_what_there_is(client: Client) -> None:
    message = error(client.get(f"{USAGE}?user=nobody&by=week"))["message"]
    assert message == "Invalid by: 'week' is none of day, hour"


def test_a_bound_is_told_in_words(client: Client) -> None:
    answer = client.post(CHECK, {"user": "u", "metric": "calls", "value": -1})
    assert error(answer)["message"] == "Invalid value: 0 or more is needed"
    assert (
        error(client.post(CHECK, {"user": 7, "metric": "calls"}))["message"]
        == "Invalid user: Expected `str`, got `int`"
    )


# errors


def test_an_error_has_all_that_helps(client: Client) -> None:
    answer = client.get(f"{USAGE}?user=nobody")
    assert error(answer) == {
        "type": "invalid_request_error",
        "code": "no_such_user",
        "message": "No such user: nobody",
        "param": "user",
        "hint": ["nself billing customer create --user nobody --email user@example.com"],
        "guide": "2.1",
        "request_id": answer.headers["request-id"],
    }


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/nothing"),
        ("GET", "/api/v1/nothing"),
        ("POST", f"{USAGE}/"),
        ("GET", f"{USAGE}/"),
    ],
)
def test_an_unknown_route_is_404_with_its_name(client: Client, method: str, path: str) -> None:
    answer = client.ask(method, path)
    assert (answer.status, answer.code) == (404, "no_such_route")
    assert error(answer)["message"] == f"No such route: {method} {path}"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", USAGE, "GET, HEAD, POST"),
        ("DELETE", USAGE, "GET, HEAD, POST"),
        ("GET", CHECK, "POST"),
        ("POST", "/health", "GET, HEAD"),
    ],
)
def test_another_method_is_405_and_told_which_are_answered(
    client: Client, method: str, path: str, allowed: str
) -> None:
    answer = client.ask(method, path)
    assert (answer.status, answer.code, answer.headers["allow"]) == (405, "method_not_allowed", allowed)
    assert error(answer)["message"] == f"{path} does not answer {method}, only {allowed}"


def test_health_is_answered_without_a_key(service: Service) -> None:
    with service.client(None) as client:
        assert client.get("/health").json == {"status": "ok", "mode": "test"}


# the document


@pytest.fixture(scope="module")
def document(service: Service) -> dict[str, Any]:
    with service.client(None) as client:
        return client.get("/openapi.json").json


def validator(document: dict[str, Any], schema: dict[str, Any]) -> Any:
    return jsonschema_rs.validator_for({**schema, "components": document["components"]}, validate_formats=True)


def response_schema(document: dict[str, Any], path: str, method: str, status: str = "200") -> dict[str, Any]:
    return document["paths"][path][method]["responses"][status]["content"]["application/json"]["schema"]


def test_the_document_names_each_route_and_the_page_shows_it(document: dict[str, Any], service: Service) -> None:
    with service.client(None) as client:
        page = client.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "<script" not in page.body.decode().lower()
    for path, methods in document["paths"].items():
        for method in methods:
            assert f"{method.upper()} {path}" in page.body.decode()
    assert {USAGE, CHECK} <= set(document["paths"])
    rows = re.findall(r"<tr><td><code>(\w+)</code><td>(?:required)?<td>([^<]*)", page.body.decode())
    assert len(rows) > 20 and [name for name, what in rows if not what] == []


def test_the_lines_of_the_page_go_where_the_service_is(service: Service) -> None:
    """A line that is copied must not take a key to whoever listens on the usual port."""
    with service.client(None) as client:
        page = client.get("/docs").body.decode()
    assert page.count("curl -H") == page.count(f"http://127.0.0.1:{service.port}/api/") > 20


def test_answers_agree_with_their_schemas(app: App, client: Client, document: dict[str, Any]) -> None:
    (user,) = people(app)
    intake = client.post(USAGE, [{"user": user, "metric": "calls", "value": 1}, {"user": user}])
    validator(document, response_schema(document, USAGE, "post")).validate(intake.json)
    for by in ("", "&by=day", "&by=hour"):
        validator(document, response_schema(document, USAGE, "get")).validate(
            client.get(f"{USAGE}?user={user}{by}").json
        )
    quota.set_quota(app, SetQuota(user=user, metric="calls", limit=1))
    for value, status in ((0, "200"), (5, "429")):
        answer = client.post(CHECK, {"user": user, "metric": "calls", "value": value})
        assert str(answer.status) == status
        validator(document, response_schema(document, CHECK, "post", status)).validate(answer.json)


@pytest.mark.parametrize(
    "body",
    [
        {"user": "USER", "metric": "calls", "value": 1},
        {
            "user": "USER",
            "metric": "calls",
            "value": 1,
            "at": "2026-01-15T10:00:00Z",
            "key": "k",
            "properties": {"a": [1]},
        },
        [{"user": "USER", "metric": "calls", "value": 1}],
        [],
        {"user": "USER", "metric": "calls"},
        {"user": "USER", "metric": "calls", "value": 1.5},
        {"user": "USER", "metric": "calls", "value": "1"},
        {"user": "USER", "metric": "calls", "value": 1, "colour": "red"},
        {"user": "USER", "metric": "calls", "value": 1, "key": 7},
    ],
)
def test_what_the_schema_of_a_request_allows_is_what_is_taken(
    app: App, client: Client, document: dict[str, Any], body: object
) -> None:
    (user,) = people(app)
    filled = json.loads(json.dumps(body).replace("USER", user))
    schema = document["paths"][USAGE]["post"]["requestBody"]["content"]["application/json"]["schema"]
    answer = client.post(USAGE, filled)
    assert answer.status == 200
    assert validator(document, schema).is_valid(filled) == (answer.json["rejected"] == [])
