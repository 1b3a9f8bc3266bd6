"""What is refused leaves its cause behind, and each root cause is named by a command."""

from __future__ import annotations

import http.client
import json
import logging
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from money_bench import NOW, SECRET, Bench, post, served, signed, until

from nself.app import App
from nself.core.clock import system_clock
from nself.domains.webhook.inputs import ListEndpoints, ListFailures, ShowSecret, TestSignature, WebhookStatus
from nself.domains.webhook.service import endpoints, refuse, rotate, show
from nself.domains.webhook.service.status import status

EVENT = {"id": "evt_1", "type": "a.b", "created": 1, "livemode": False, "data": {"object": {"id": "x_1"}}}
BODY = json.dumps(EVENT).encode()


@pytest.fixture
def app(bench: Bench) -> App:
    return bench.app()


@pytest.fixture
def url(app: App) -> Iterator[str]:
    with served(app) as address:
        yield f"{address}/webhooks/stripe"


def refusals(bench: Bench) -> list[tuple[Any, ...]]:
    return bench.sql("select reason, skew, event_id, times from billing_webhook_refusals order by id")


OVERLONG = b"x" * (2**20 + 1)
CASES: dict[str, tuple[bytes, str | None, tuple[Any, ...]]] = {
    "a stranger's ping": (b'{"type":"ping"}', None, ("unsigned", None, None, 1)),
    "wrong secret": (BODY, signed(BODY, "whsec_wrong"), ("wrong_secret", None, "evt_1", 1)),
    "clock ahead": (BODY, signed(BODY, at=NOW - timedelta(seconds=400)), ("clock_skew", 400, "evt_1", 1)),
    "clock behind": (BODY, signed(BODY, at=NOW + timedelta(seconds=301)), ("clock_skew", -301, "evt_1", 1)),
    "no event": (b"[]", signed(b"[]"), ("webhook_unreadable", None, None, 1)),
    "too large": (OVERLONG, None, ("body_too_large", None, None, 1)),
    "our own test": (
        BODY.replace(b"evt_1", b"evt_nself_1"),
        signed(BODY, "whsec_wrong"),
        ("own_test", None, "evt_nself_1", 1),
    ),
}


def announced(url: str, size: int) -> int:
    """The status of a request whose body never comes: who is refused before sending it all may not read the answer."""
    place = urlsplit(url)
    with closing(http.client.HTTPConnection(place.netloc, timeout=60)) as connection:
        connection.putrequest("POST", place.path)
        connection.putheader("Content-Length", str(size))
        connection.endheaders()
        return connection.getresponse().status


@pytest.mark.parametrize("case", CASES)
def test_each_cause_is_kept_and_nothing_of_the_body(
    bench: Bench, url: str, case: str, caplog: pytest.LogCaptureFixture
):
    body, header, kept = CASES[case]
    with caplog.at_level(logging.WARNING, "nself"):
        assert (announced(url, len(body)) if body is OVERLONG else post(url, body, header).status) in (400, 413)
    until(lambda: refusals(bench))
    assert refusals(bench) == [kept]
    said = {"webhook_unreadable": "webhook_refused", "body_too_large": "webhook_refused"}.get(
        kept[0], "webhook signature"
    )
    assert [record.message for record in caplog.records] == [said]
    assert bench.events() == []


def test_a_secret_with_quotes_in_it_is_named(bench: Bench):
    app = bench.app(STRIPE_WEBHOOK_SECRET=f'\\"{SECRET}\\"')
    with served(app) as address:
        answer = post(f"{address}/webhooks/stripe", BODY, signed(BODY))
    assert answer.status == 400
    assert "holds quotes, blanks or backslashes" in answer.body["error"]["message"]
    assert [row[0] for row in refusals(bench)] == ["secret_not_escaped"]
    (shown,) = rotate.show_secret(app, ShowSecret())
    assert "not properly escaped" in shown.note
    causes = [one.cause for one in status(app, WebhookStatus()).problems]
    assert any("not properly escaped" in cause for cause in causes)


def test_a_flood_of_strangers_fills_nothing(bench: Bench, app: App, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(refuse, "KEPT", 5)
    with served(app) as address:
        for number in range(30):
            body = BODY.replace(b"evt_1", b"evt_%d" % number)
            assert post(f"{address}/webhooks/stripe", body, signed(body, "whsec_wrong")).status == 400
    assert [row[2] for row in refusals(bench)] == [f"evt_{number}" for number in range(25, 30)]


def test_while_the_database_is_away_a_refusal_is_only_logged(bench: Bench, caplog: pytest.LogCaptureFixture):
    app = bench.app(DATABASE_URL="postgresql://nobody@127.0.0.1:9/none")
    app.__dict__.pop("db").close()
    with caplog.at_level(logging.WARNING, "nself"), served(app) as address:
        assert post(f"{address}/webhooks/stripe", BODY, "t=1,v1=0").status == 400
        assert post(f"{address}/webhooks/stripe", BODY, signed(BODY)).status == 503
    assert "webhook signature" in [record.message for record in caplog.records]


def test_failures_say_why_in_the_guides_words(bench: Bench, url: str, app: App):
    post(url, BODY, signed(BODY, "whsec_wrong"))
    until(lambda: len(refusals(bench)) == 1)
    post(url, BODY, signed(BODY, at=NOW - timedelta(seconds=400)))
    until(lambda: len(refusals(bench)) == 2)
    found = show.failures(app, ListFailures(last=100))
    assert [one.cause for one in found] == [
        "clock skew between servers: our clock is 400 s ahead of the signature's (date -u)",
        "wrong webhook secret: it was signed with another one than STRIPE_WEBHOOK_SECRET",
    ]
    assert len(show.failures(app, ListFailures(last=1))) == 1


# The status


def here(app: App, address: str) -> None:
    app.environ = {**app.environ, "BILLING_PORT": address.rpartition(":")[2]}
    app.__dict__.pop("settings", None)


def causes(app: App) -> list[str]:
    return [one.cause for one in status(app, WebhookStatus()).problems]


def test_a_sound_endpoint_has_no_problem(bench: Bench):
    app = bench.app(clock=system_clock)
    with served(app) as address:
        bench.listen(app, address)
        bench.sandbox.post("/v1/customers", email="a@example.com")
        until(lambda: bench.events())
        bench.work(app)
        found = status(app, WebhookStatus())
    assert (found.state, found.problems, found.refused_24h, found.received_1h) == ("enabled", [], 0, 1)
    assert [(one.step, one.ok) for one in found.checks] == [("dns", True), ("tcp", True), ("http", True)]


def test_each_root_cause_has_its_name(bench: Bench):
    app = bench.app(clock=system_clock)
    assert "no webhook endpoint at Stripe is ours" not in causes(app)  # Stripe has none at all
    with served(app) as address:
        bench.listen(app, address)
        (one,) = bench.sandbox.get("/v1/webhook_endpoints")
        bench.sandbox.post(f"/v1/webhook_endpoints/{one['id']}", disabled=True)
        assert causes(app) == ["endpoint disabled in Stripe"]
        bench.sandbox.post(f"/v1/webhook_endpoints/{one['id']}", disabled=False)
        other = bench.sandbox.post("/v1/webhook_endpoints", url=one["url"], enabled_events=["*"])
        assert causes(app) == ["multiple webhook endpoints configured"]
        assert [bool(row.note) for row in endpoints.list_endpoints(app, ListEndpoints())] == [True, True]
        bench.sandbox.post("/v1/customers", email="a@example.com")  # the other one signs with a secret of its own
        until(lambda: refusals(bench))
        assert any(cause.startswith("multiple webhook endpoints configured: ") for cause in causes(app))
        bench.sandbox.client.raw_request("delete", f"/v1/webhook_endpoints/{other['id']}")

        def quiet() -> bool:  # what was on its way comes after all
            bench.sql("truncate billing_webhook_refusals")
            bench.work(app)
            return causes(app) == []

        until(quiet)
    assert causes(app) == ["endpoint unreachable: nothing listens"]
    app.environ = {**app.environ, "STRIPE_WEBHOOK_SECRET": ""}
    app.__dict__.pop("settings", None)
    assert "STRIPE_WEBHOOK_SECRET is not set" in causes(app)


def test_a_second_endpoint_is_seen_by_whatever_name_it_sends_here(bench: Bench):
    app = bench.app(clock=system_clock)
    with served(app) as address:
        bench.listen(app, address)
        (one,) = bench.sandbox.get("/v1/webhook_endpoints")
        alias = one["url"].replace("127.0.0.1", "localhost").replace("/webhooks", "/api/webhooks")
        bench.sandbox.post("/v1/webhook_endpoints", url=alias, enabled_events=["*"])
        assert causes(app) == ["multiple webhook endpoints configured"]


def test_what_was_mended_is_told_with_the_deliveries_accepted_since(bench: Bench):
    app = bench.app(clock=system_clock)
    with served(app) as address:
        bench.listen(app, address)
        post(f"{address}/webhooks/stripe", BODY, signed(BODY, "whsec_wrong", at=app.clock()))
        until(lambda: refusals(bench))
        (problem,) = status(app, WebhookStatus()).problems
        assert (problem.cause[:20], "accepted" in problem.detail) == ("wrong webhook secret", False)
        here(app, address)
        endpoints.test_signature(app, TestSignature())  # signed by ourselves: proves nothing
        assert not any("accepted" in one.detail for one in status(app, WebhookStatus()).problems)
        bench.sandbox.post("/v1/customers", email="a@example.com")
        until(lambda: [row for row in bench.events() if "nself" not in row[0]])
        found = status(app, WebhookStatus()).problems
    assert any("since then others were accepted" in one.detail for one in found)


def test_an_endpoint_that_answers_something_else_is_not_ours(bench: Bench):
    app = bench.app(clock=system_clock)
    url = f"{bench.sandbox.url}/webhooks/stripe"
    bench.sandbox.post("/v1/webhook_endpoints", url=url, enabled_events=["invoice.paid"])
    assert causes(app) == ["endpoint unreachable: it is not our receiver that answers"]


def test_stripe_away_is_a_problem_and_the_rest_is_told(bench: Bench):
    app = bench.app(STRIPE_MAX_RETRIES="0")
    bench.sandbox.fault("/v1/webhook_endpoints.*", method="GET", status=500, times=1)
    found = status(app, WebhookStatus())
    assert [one.cause for one in found.problems] == ["Stripe cannot be asked for its endpoints"]
    assert found.events == 0


def test_our_own_test_is_no_wrong_secret(bench: Bench):
    app = bench.app(clock=system_clock)
    with served(app) as address:
        bench.listen(app, address)
        here(app, address)
        assert endpoints.test_signature(app, TestSignature()).passed
        until(lambda: refusals(bench))
        bench.work(app)
        assert causes(app) == []
    assert [row[0] for row in refusals(bench)] == ["own_test"]
