"""`POST /api/v1/usage`: what comes in, what is refused, and that the rest of a batch is never lost."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from metering import fresh, people, short, status
from nself.app import App
from nself.domains.usage.inputs import ShowUsage
from nself.domains.usage.service import show
from serving import Answer, Client, Service

PATH = "/api/v1/usage"
CHECK = "/api/v1/quota/check"
NDJSON = {"Content_Type": "application/x-ndjson"}


def event(user: str, value: object = 1, metric: str = "calls", **more: object) -> dict[str, object]:
    return {"user": user, "metric": metric, "value": value, **more}


def total(app: App, user: str) -> int:
    return show.show(app, ShowUsage(user=user, metric="calls"))[0].value


def told(answer: Answer) -> tuple[int, int, list[tuple[int, str]]]:
    """accepted, duplicate, and (index, code) of each that was rejected"""
    assert answer.status == 200, answer
    found = answer.json
    return found["accepted"], found["duplicate"], [(one["index"], one["code"]) for one in found["rejected"]]


# forms


def test_one_event(app: App, client: Client) -> None:
    (user,) = people(app)
    answer = client.post(PATH, event(user, 5))
    assert answer.json == {"accepted": 1, "duplicate": 0, "rejected": []}
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["request-id"].startswith("req_")
    assert total(app, user) == 5


def test_an_array(app: App, client: Client) -> None:
    (user,) = people(app)
    assert told(client.post(PATH, [event(user, value) for value in range(10)])) == (10, 0, [])
    assert total(app, user) == 45


@pytest.mark.parametrize("text", ["metrics: [", "metrics: {calls: [{from: 2026-13-01, unit: request}]}"])
def test_a_broken_metric_file_is_not_the_senders_fault(app: App, client: Client, text: str) -> None:
    (user,) = people(app)
    path = app.project.config / "usage-metrics.yml"
    whole = path.read_text()
    try:
        path.write_text(text)
        for route, body in ((PATH, event(user)), (CHECK, {"user": user, "metric": "calls"})):
            answer = client.post(route, body)
            assert (answer.status, answer.code) == (503, "broken_catalog") and answer.headers["retry-after"]
    finally:
        path.write_text(whole)
    assert client.post(PATH, event(user)).status == 200 and total(app, user) == 1


def test_an_empty_array_is_nothing(client: Client) -> None:
    assert told(client.post(PATH, [])) == (0, 0, [])


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n"])
def test_ndjson(app: App, client: Client, end: str) -> None:
    (user,) = people(app)
    body = end.join(json.dumps(event(user, value)) for value in range(10)) + end
    assert told(client.post(PATH, body.encode(), **NDJSON)) == (10, 0, [])
    assert total(app, user) == 45


def test_a_line_of_ndjson_that_is_no_json_is_refused_alone(app: App, client: Client) -> None:
    (user,) = people(app)
    good = json.dumps(event(user)).encode()
    lines = [good, b"{", good, b'{"user":"\xff"}', b"]", good, b"{}{}"]
    accepted, _, rejected = told(client.post(PATH, b"\n".join(lines), **NDJSON))
    assert (accepted, rejected) == (3, [(at, "unreadable_event") for at in (1, 3, 4, 6)])
    assert total(app, user) == 3


def test_the_content_type_of_json_does_not_matter(app: App, client: Client) -> None:
    (user,) = people(app)
    for kind in ("application/json; charset=utf-8", "text/plain", "application/x-www-form-urlencoded", "nonsense", ""):
        assert told(client.post(PATH, event(user), Content_Type=kind)) == (1, 0, [])
    assert total(app, user) == 5


# what is refused, event by event


def test_bad_events_are_named_by_index_and_the_rest_is_counted(app: App, client: Client) -> None:
    (user,) = people(app)
    bad: list[tuple[object, str]] = [
        ({"user": user, "metric": "calls"}, "parameter_missing"),
        (event(user, more=1), "parameter_unknown"),
        (event(user, 1.5), "parameter_invalid_integer"),
        (event(user, True), "parameter_invalid_integer"),
        (event(user, "1"), "parameter_invalid_integer"),
        (event(user, -1), "value_out_of_range"),
        (event(user, 2**63), "value_out_of_range"),
        (event(user, 10**40), "value_out_of_range"),
        (event(user, metric="no"), "no_such_metric"),
        (event(user, metric="nul\0"), "no_such_metric"),
        (event("nobody"), "no_such_user"),
        (event("nul\0"), "parameter_invalid"),
        (event(user, at="1999-12-31"), "timestamp_out_of_range"),
        (event(user, at="2999-01-01"), "timestamp_out_of_range"),
        (event(user, at="yesterday"), "parameter_invalid"),
        (event(user, at=""), "parameter_invalid"),
        (event(user, key=""), "key_invalid"),
        (17, "unreadable_event"),
    ]
    batch = [one for wrong, _ in bad for one in (event(user), wrong)]
    before = status(app)
    accepted, duplicate, rejected = told(client.post(PATH, batch))
    assert (accepted, duplicate) == (len(bad), 0)
    assert rejected == [(2 * at + 1, code) for at, (_, code) in enumerate(bad)]
    assert total(app, user) == len(bad)
    assert status(app).rejected - before.rejected == len(bad)


@pytest.mark.parametrize("number", ["1.5", "1e3", "1.0", "1e400", "-0.0", "9" * 5000, "0." + "1" * 5000], ids=short)
def test_a_number_that_is_no_whole_number_is_repeated_as_it_was_sent(app: App, client: Client, number: str) -> None:
    (user,) = people(app)
    answer = client.post(
        PATH, f'[{json.dumps(event(user))}, {{"user":"{user}","metric":"calls","value":{number}}}]'.encode()
    )
    assert told(answer) == (1, 0, [(1, "parameter_invalid_integer")])
    assert answer.json["rejected"][0]["message"] == f"Invalid integer: {number[:255]}"


def test_an_event_that_no_database_could_hold_spoils_nobody_elses_request(app: App, service: Service, key: str) -> None:
    """Requests that come at once share a transaction."""
    users = people(app, *(fresh() for _ in range(8)))
    poison = b'[{"user":"a\\u0000","metric":"b\\u0000","value":1,"\\u0000":"\xff"}]'

    def send(at: int) -> tuple[int, int]:
        good = bad = 0
        with service.client(key) as client:
            for _ in range(20):
                good += told(client.post(PATH, event(users[at])))[0]
                bad += len(told(client.post(PATH, poison))[2])
        return good, bad

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(send, range(8))) == [(20, 20)] * 8
    assert [total(app, user) for user in users] == [20] * 8


# keys


def test_the_same_key_counts_once_within_and_between_requests(app: App, client: Client) -> None:
    (user,) = people(app)
    assert told(client.post(PATH, [event(user, key="k"), event(user, key="k"), event(user)])) == (2, 1, [])
    assert told(client.post(PATH, [event(user, key="k"), event(user, 2, key="k")])) == (
        0,
        1,
        [(1, "idempotency_error")],
    )
    assert total(app, user) == 2


def test_events_without_a_key_count_each_time(app: App, client: Client) -> None:
    (user,) = people(app)
    for _ in range(3):
        client.post(PATH, [event(user), event(user)])
    assert total(app, user) == 6


def test_many_that_send_the_same_keys_at_once_count_each_once(app: App, service: Service, key: str) -> None:
    (user,) = people(app)
    batch = [event(user, at, key=f"k{at}", at="2026-01-05T00:00:00Z") for at in range(100)]

    def send(turn: int) -> int:
        mine = batch[turn * 7 :] + batch[: turn * 7]
        with service.client(key) as client:
            return sum(told(client.post(PATH, mine[start : start + 20]))[0] for start in range(0, 100, 20))

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(send, range(8))) == 100
    assert show.show(app, ShowUsage(user=user, metric="calls", period="2026-01"))[0].value == sum(range(100))


# requests that are refused as a whole


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"  ",
        b"{",
        b"[",
        b"nonsense",
        b"[1,]",
        b'{"user":NaN}',
        b"NaN",
        b"\xff\xfe",
        b"\x00",
        b"{}{}",
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
    ids=short,
)
def test_what_is_no_json_is_400(client: Client, body: bytes) -> None:
    answer = client.post(PATH, body)
    assert (answer.status, answer.code) == (400, "invalid_json")


@pytest.mark.parametrize("body", [b"", b"\n\n", b"{", b"nonsense\n{\n"])
def test_ndjson_of_which_no_line_can_be_read_is_400(client: Client, body: bytes) -> None:
    answer = client.post(PATH, body, **NDJSON)
    assert (answer.status, answer.code) == (400, "invalid_json")


@pytest.mark.parametrize("size", [1 << 20, 20 << 20])
def test_a_body_that_is_too_large_is_413_and_the_connection_goes_on(client: Client, size: int) -> None:
    answer = client.post(PATH, b" " * size + b"[]")
    assert (answer.status, answer.code) == (413, "body_too_large")
    assert told(client.post(PATH, [])) == (0, 0, [])


def test_the_largest_body_is_read(client: Client) -> None:
    assert told(client.post(PATH, b" " * ((1 << 20) - 2) + b"[]")) == (0, 0, [])


def test_too_many_events_are_413_and_none_is_counted(app: App, client: Client) -> None:
    (user,) = people(app)
    answer = client.post(PATH, [event(user)] * 501)
    assert (answer.status, answer.code) == (413, "batch_too_large")
    assert answer.json["error"]["message"] == "501 usage events in one request; the most is 500"
    assert told(client.post(PATH, [event(user)] * 500)) == (500, 0, [])
    assert total(app, user) == 500
