"""The webhook routes on the short way past ASGI, in a process as it is run."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from test_http_protocol import link

from metering import fresh
from nself.app import App
from nself.core.clock import system_clock
from serving import Service, serving, until
from serving_fixtures import LIMITS

PATH, SECRET = "/webhooks/stripe", "whsec_over_http"


@pytest.fixture(scope="module")
def stripes(project: App) -> Iterator[Service]:
    """A service that knows Stripe's secret."""
    settings = {**LIMITS, "STRIPE_WEBHOOK_SECRET": SECRET, "WEBHOOK_MAX_BODY": "64K"}
    with serving(project.project.root, project.db.conninfo, **settings) as running:
        yield running
        assert "Traceback" not in running.log.read_text(), running.log


def event(id: str, **more: Any) -> bytes:
    thing = {"id": f"thing_{id}", "object": "thing"}
    whole = {"id": id, "type": "thing.changed", "created": 1, "livemode": False, "data": {"object": thing}, **more}
    return json.dumps(whole).encode()


def sign(body: bytes, secret: str = SECRET) -> str:
    at = int(system_clock().timestamp())
    return f"t={at},v1={hmac.new(secret.encode(), f'{at}.'.encode() + body, hashlib.sha256).hexdigest()}"


def stored(app: App, like: str) -> list[tuple[str, int]]:
    with app.db.reading() as tx:
        return tx.connection.execute(
            "select event_id, deliveries from billing_webhook_events where event_id like %s order by event_id",
            (f"{like}%",),
        ).fetchall()


def request(body: bytes, header: str | None, path: str = PATH, **more: str) -> bytes:
    named = {"Host": "x", "Content-Length": str(len(body)), **({"Stripe-Signature": header} if header else {}), **more}
    head = "".join(f"{name}: {text}\r\n" for name, text in named.items())
    return f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + body


@pytest.mark.parametrize("path", [PATH, "/api/webhooks/stripe"])
def test_an_event_is_answered_after_it_is_stored(stripes: Service, app: App, path: str):
    id = fresh("evt_")
    with stripes.client(None) as client:
        for duplicate in (False, True):
            body = event(id)
            answer = client.post(path, body, Stripe_Signature=sign(body))
            assert (answer.status, answer.json) == (200, {"received": True, "event": id, "duplicate": duplicate})
            assert answer.headers["request-id"].startswith("req_")
        assert client.ask("HEAD", path).status == 200
        refused = client.get(path)
        assert (refused.status, refused.code, refused.headers["allow"]) == (405, "method_not_allowed", "HEAD, POST")
    assert stored(app, id) == [(id, 2)]


def test_what_is_refused_closes_nothing(stripes: Service, app: App):
    """Each on the same connection: the next one is served."""
    id = fresh("evt_")
    with link(stripes) as made:
        for body, header, status in (
            (b'{"type":"ping"}', None, 400),
            (event(id), sign(event(id), "whsec_wrong"), 400),
            (b"[]", sign(b"[]"), 400),
            (b"x" * (2**16 + 1), None, 413),
            (event(id), sign(event(id)), 200),
        ):
            made.send(request(body, header))
            assert made.answer()[0] == status
    assert stored(app, id) == [(id, 1)]


def test_an_api_key_is_neither_asked_for_nor_in_the_way(stripes: Service):
    body = event(fresh("evt_"))
    with link(stripes) as made:
        made.send(request(body, sign(body), Authorization="Bearer nsk_test_wrong"))
        assert made.answer()[0] == 200


def test_pipelined_chunked_and_split_requests_are_taken_too(stripes: Service, app: App):
    name = fresh("evt_").replace("-", "_")
    first, second, third = (event(f"{name}_{number}") for number in range(3))
    with link(stripes) as made:
        made.send(request(first, sign(first)) + request(second, sign(second)))
        assert [made.answer()[0] for _ in range(2)] == [200, 200]
        head = (
            f"POST {PATH} HTTP/1.1\r\nHost: x\r\nStripe-Signature: {sign(third)}\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        made.send(head.encode())
        for part in (third[:10], third[10:]):
            made.send(f"{len(part):x}\r\n".encode() + part + b"\r\n")
        made.send(b"0\r\n\r\n")
        assert made.answer()[0] == 200
    assert [id for id, _ in stored(app, name)] == [f"{name}_{number}" for number in range(3)]


def test_many_at_once_are_each_answered_for_itself(stripes: Service, app: App):
    """Good ones, copies and bad ones in the same groups."""
    name = fresh("evt_").replace("-", "_")

    def deliver(number: int) -> tuple[int, int, bool | None]:
        body = event(f"{name}_{number // 3}")  # three copies of each
        with stripes.client(None) as client:
            bad = number % 7 == 0
            answer = client.post(PATH, body, Stripe_Signature=sign(body, "whsec_wrong" if bad else SECRET))
        return number, answer.status, answer.json.get("duplicate")

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(deliver, range(210)))
    assert {status for number, status, _ in answers if number % 7 == 0} == {400}
    good = [(number, duplicate) for number, status, duplicate in answers if number % 7 and status == 200]
    assert len(good) == 180
    for group in range(70):
        copies = [duplicate for number, duplicate in good if number // 3 == group]
        assert sorted(map(bool, copies)) == [False] + [True] * (len(copies) - 1)
    assert sum(deliveries for _, deliveries in stored(app, name)) == 180

    def recorded() -> int:
        with app.db.reading() as tx:
            return int(
                tx.connection.execute(
                    "select coalesce(sum(times), 0) from billing_webhook_refusals where event_id like %s", (f"{name}%",)
                ).fetchall()[0][0]
            )

    until(lambda: recorded() == 30)


def test_with_a_whitelist_only_stripes_addresses_are_taken(project: App) -> None:
    settings = {
        **LIMITS, "STRIPE_WEBHOOK_SECRET": SECRET, "STRIPE_ENABLE_IP_WHITELIST": "true",
        "STRIPE_WEBHOOK_NETWORKS": "192.0.2.0/24,2001:db8::/32",
    }  # fmt: skip
    with serving(project.project.root, project.db.conninfo, **settings) as running, running.client(None) as client:
        body = event("evt_whitelist")
        for source, wanted in (
            ("192.0.2.7", 200), ("198.51.100.1", 403), ("198.51.100.1, 192.0.2.7", 200), ("192.0.2.7, 198.51.100.1", 403),
            ("2001:db8::1", 200), ("nonsense", 403), (None, 403),
        ):  # fmt: skip
            headers = {"Stripe-Signature": sign(body), **({"X-Forwarded-For": source} if source else {})}
            assert client.post(PATH, body, **headers).status == wanted, source
        unsigned = client.post(
            PATH, body, **{"Stripe-Signature": sign(body, "whsec_wrong"), "X-Forwarded-For": "192.0.2.7"}
        )
        assert unsigned.status == 400
    assert stored(project, "evt_whitelist") == [("evt_whitelist", 3)]


def test_an_address_that_a_proxy_tells_counts_only_of_trusted_ones(project: App) -> None:
    settings = {
        **LIMITS, "STRIPE_WEBHOOK_SECRET": SECRET, "STRIPE_ENABLE_IP_WHITELIST": "true",
        "STRIPE_WEBHOOK_NETWORKS": "192.0.2.0/24", "BILLING_TRUSTED_PROXIES": "203.0.113.9",
    }  # fmt: skip
    with serving(project.project.root, project.db.conninfo, **settings) as running, running.client(None) as client:
        body = event("evt_untrusted_proxy")
        headers = {"Stripe-Signature": sign(body), "X-Forwarded-For": "192.0.2.7"}
        assert client.post(PATH, body, **headers).status == 403
