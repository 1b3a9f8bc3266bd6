"""CloudEvents on `POST /api/v1/usage`: structured, batched, binary."""

from __future__ import annotations

import json
from typing import Any

import pytest

from metering import fresh, people
from nself.app import App
from nself.domains.usage.inputs import ShowUsage
from nself.domains.usage.service import show
from serving import Client

PATH = "/api/v1/usage"
ONE = {"Content_Type": "application/cloudevents+json; charset=utf-8"}
BATCH = {"Content_Type": "application/cloudevents-batch+json"}


def event(user: str, value: object = 1, **more: object) -> dict[str, object]:
    made = {
        "specversion": "1.0",
        "id": fresh(),
        "source": "/app",
        "type": "calls",
        "subject": user,
        "data": {"value": value},
    }
    return made | more


def total(app: App, user: str, **given: Any) -> int:
    return show.show(app, ShowUsage(user=user, metric="calls", **given))[0].value


def rows(app: App, user: str) -> list[tuple[str, int, str | None]]:
    with app.db.reading() as tx:
        return tx.connection.execute(
            "select idempotency_key, value, properties from billing_usage where user_id = %s order by 1", (user,)
        ).fetchall()


def test_a_structured_event_is_a_usage_event(app: App, client: Client) -> None:
    (user,) = people(app)
    sent = event(
        user, id="k1", time="2026-01-05T10:00:00Z", data={"value": 7, "path": "/x", "a": [1, {"b": None}]}, region="eu"
    )
    for accepted in (1, 0):
        answer = client.post(PATH, sent | {"datacontenttype": "application/json"}, **ONE)
        assert answer.json == {"accepted": accepted, "duplicate": 1 - accepted, "rejected": []}
    (row,) = rows(app, user)
    assert row[:2] == ("k1", 7)
    assert json.loads(row[2] or "") == {"path": "/x", "a": [1, {"b": None}], "region": "eu"}
    assert total(app, user, period="2026-01") == 7


def test_it_is_the_same_event_as_the_product_s_own_form(app: App, client: Client) -> None:
    (user,) = people(app)
    client.post(PATH, {"user": user, "metric": "calls", "value": 2, "key": "k", "properties": {"b": 1, "a": 2}})
    assert client.post(PATH, event(user, id="k", data={"value": 2, "a": 2, "b": 1}), **ONE).json["duplicate"] == 1


def test_a_batch_names_each_event_that_is_refused(app: App, client: Client) -> None:
    (user,) = people(app)
    bad: list[tuple[object, str, str]] = [
        (event(user, data={}), "parameter_missing", "data.value"),
        (event(user, data=None), "parameter_missing", "data.value"),
        (event(user, subject=None), "parameter_missing", "subject"),
        ({name: value for name, value in event(user).items() if name != "id"}, "parameter_missing", "id"),
        ({name: value for name, value in event(user).items() if name != "source"}, "parameter_missing", "source"),
        ({name: value for name, value in event(user).items() if name != "type"}, "parameter_missing", "type"),
        (event(user, 1.5), "parameter_invalid_integer", "1.5"),
        (event(user, True), "parameter_invalid_integer", "true"),
        (event(user, "1"), "parameter_invalid_integer", '"1"'),
        (event(user, data=[1]), "unreadable_event", "data"),
        (event(user, id=5), "unreadable_event", "id"),
        (event(user, time=5), "unreadable_event", "time"),
        (event(user, specversion="0.3"), "unreadable_event", "specversion"),
        (event(user, -1), "value_out_of_range", "-1"),
        (event(user, type="no"), "no_such_metric", "no"),
        (event("nobody"), "no_such_user", "nobody"),
        (event(user, id=""), "key_invalid", "key"),
        (17, "unreadable_event", "object"),
    ]
    answer = client.post(PATH, [one for wrong, _, _ in bad for one in (event(user), wrong)], **BATCH)
    assert answer.status == 200
    found = answer.json
    assert (found["accepted"], found["duplicate"]) == (len(bad), 0)
    assert [(one["index"], one["code"]) for one in found["rejected"]] == [
        (2 * at + 1, code) for at, (_, code, _) in enumerate(bad)
    ]
    assert all(words in one["message"] for one, (_, _, words) in zip(found["rejected"], bad, strict=True))
    assert total(app, user) == len(bad)


def test_what_was_refused_is_kept_as_it_came_or_so_that_it_can_be_sent_again(app: App, client: Client) -> None:
    broken, unknown = fresh(), fresh()
    raw = f'{{ "specversion": "1.0", "id": "{broken}" }}'
    client.post(PATH, raw.encode(), **ONE)
    client.post(PATH, event("nobody", 3, id=unknown), **ONE)
    with app.db.reading() as tx:
        kept = [
            one[0]
            for word in (broken, unknown)
            for one in tx.connection.execute(
                "select event from billing_usage_rejected where event like %s", (f"%{word}%",)
            ).fetchall()
        ]
    assert kept[0] == raw
    assert {"user": "nobody", "metric": "calls", "value": 3, "key": unknown}.items() <= json.loads(kept[1]).items()


def test_binary_mode_has_the_attributes_in_headers(app: App, client: Client) -> None:
    (user,) = people(app, fresh("zoë"))
    headers = {
        "Content_Type": "application/json",
        "ce_specversion": "1.0",
        "ce_id": "k1",
        "ce_source": "/app",
        "ce_type": "calls",
        "CE_Subject": user.replace("ë", "%C3%AB"),
        "ce_time": "2026-01-05T10:00:00Z",
        "ce_region": "eu",
    }
    assert client.post(PATH, {"value": 4, "path": "/y"}, **headers).json["accepted"] == 1
    (row,) = rows(app, user)
    assert row[:2] == ("k1", 4) and json.loads(row[2] or "") == {"path": "/y", "region": "eu"}
    del headers["ce_id"]
    assert [one["code"] for one in client.post(PATH, {"value": 4}, **headers).json["rejected"]] == ["parameter_missing"]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"{", ONE),
        (b"", ONE),
        (b"[", BATCH),
        (b'{"specversion":"1.0"}', BATCH),
        (b"{}", {"Content_Type": "application/cloudevents+avro"}),
        (b"nonsense", {"Content_Type": "text/plain", "ce_specversion": "1.0"}),
    ],
)
def test_what_cannot_be_read_at_all_is_400(client: Client, body: bytes, kind: dict[str, str]) -> None:
    answer = client.post(PATH, body, **kind)
    assert (answer.status, answer.code) == (400, "invalid_json")


def test_the_document_names_them(client: Client) -> None:
    content = client.get("/openapi.json").json["paths"][PATH]["post"]["requestBody"]["content"]
    assert {"application/cloudevents+json", "application/cloudevents-batch+json"} <= content.keys()
