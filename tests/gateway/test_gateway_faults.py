"""The live gateway, with the official SDK over HTTP, against a peer that misbehaves."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from scripted_stripe import CUSTOMER, KEY, Reply, Scripted, Seen, refusal, settings

from nself.core.errors import Invalid, NotFound, Unavailable
from nself.gateway import api, errors, live
from nself.gateway.api import Stripe
from nself.gateway.live import connect

Opener = Callable[..., Stripe]
pytestmark = pytest.mark.usefixtures("quick")


def keys(peer: Scripted) -> list[str | None]:
    return [seen.headers.get("idempotency-key") for seen in peer.seen]


def test_a_request_is_what_stripe_expects(peer: Scripted, stripe: Stripe) -> None:
    params = {
        "email": "a@b.example",
        "metadata": {"user": "u1", "gone": ""},
        "preferred_locales": ["de", "en"],
        "invoice_settings": {"rendering_options": {"amount_tax_display": "exclude_tax"}},
        "name": None,
    }
    found = stripe.change("customers", params=params, key="key-1")
    assert found == CUSTOMER
    assert type(found) is dict
    [seen] = peer.seen
    assert (seen.method, seen.path) == ("POST", "/v1/customers")
    assert seen.params == {
        "email": "a@b.example",
        "metadata[user]": "u1",
        "metadata[gone]": "",
        "preferred_locales[0]": "de",
        "preferred_locales[1]": "en",
        "invoice_settings[rendering_options][amount_tax_display]": "exclude_tax",
        "expand[0]": "tax_ids",
    }
    assert seen.headers["authorization"] == f"Bearer {KEY}"
    assert seen.headers["stripe-version"] == "2026-05-27.dahlia"
    assert seen.headers["idempotency-key"] == "key-1"
    assert "x-stripe-client-telemetry" not in seen.headers
    assert "telemetry_id" not in seen.headers["x-stripe-client-user-agent"]


def test_fractions_stay_exact(peer: Scripted, stripe: Stripe) -> None:
    peer.script = [Reply(body=b'{"id": "price_1", "object": "price", "unit_amount_decimal": "0.1", "percent": 0.10}')]
    assert stripe.fetch("price", "price_1") == {
        "id": "price_1",
        "object": "price",
        "unit_amount_decimal": "0.1",
        "percent": "0.10",
    }


def test_texts_are_such_that_postgresql_can_hold_them(peer: Scripted, stripe: Stripe) -> None:
    escaped = rb'{"id": "cus_1", "object": "customer", "metadata": {"a\u0000b": ["\ud83d", "\uD83D\uDE00", "\\u0000"]}}'
    peer.script = [Reply(body=escaped)]
    assert stripe.fetch("customer", "cus_1")["metadata"] == {"a\ufffdb": ["\ufffd", "\U0001f600", "\\u0000"]}


@pytest.mark.parametrize(
    "fault",
    [
        refusal(500),
        refusal(503),
        Reply(502, b"<html>bad gateway</html>"),
        refusal(429, code="rate_limit"),
        refusal(429, code="lock_timeout"),
        refusal(409, code="idempotency_key_in_use"),
        Reply(lose=True),
        Reply(half=True),
        Reply(body=b"<html>a captive portal</html>"),
        Reply(body={"hello": "world"}),
        Reply(body=["no", "object"]),
    ],
)
def test_what_may_pass_is_tried_again_with_the_same_key(peer: Scripted, stripe: Stripe, fault: Reply) -> None:
    peer.script = [fault, fault, Reply()]
    assert stripe.change("customers", params={"name": "x"}, key="key-1") == CUSTOMER
    assert keys(peer) == ["key-1"] * 3
    assert len({tuple(seen.params.items()) for seen in peer.seen}) == 1


def test_a_slow_answer_is_tried_again_then_told(peer: Scripted, opened: Opener) -> None:
    peer.script = [Reply(wait=2)]
    stripe = opened(STRIPE_TIMEOUT="0.5s", STRIPE_MAX_RETRIES="9")
    with pytest.raises(errors.TimedOut) as found:
        stripe.change("customers", params={}, key="key-1")
    assert found.value.outcome_unknown
    assert "no answer from 127.0.0.1" in found.value.message
    assert 2 <= len(peer.seen) <= 3
    with pytest.raises(errors.TimedOut) as found:
        stripe.fetch("customer", "cus_123")
    assert not found.value.outcome_unknown


@pytest.mark.parametrize(
    ("fault", "kind", "unknown"),
    [
        (Reply(lose=True), errors.NoAnswer, True),
        (Reply(half=True), errors.NoAnswer, True),
        (refusal(500), errors.StripeDown, True),
        (Reply(504, b"gateway timeout"), errors.StripeDown, True),
        (Reply(body=b"garbage"), errors.StripeDown, True),
        (refusal(429), errors.RateLimited, False),
        (refusal(409, code="lock_timeout"), errors.ObjectLocked, False),
        (refusal(409, code="idempotency_key_in_use"), errors.IdempotencyKeyInUse, True),
    ],
)
def test_when_tries_run_out(
    peer: Scripted, opened: Opener, fault: Reply, kind: type[errors.StripeFailure], unknown: bool
) -> None:
    peer.script = [fault]
    with pytest.raises(kind) as found:
        opened(STRIPE_MAX_RETRIES="2").change("invoices", "in_1", "pay", params={}, key="key-1")
    assert (len(peer.seen), found.value.outcome_unknown) == (3, unknown)


@pytest.mark.parametrize(
    "fault",
    [
        refusal(400, code="parameter_missing"),
        refusal(401),
        refusal(402, type="card_error"),
        refusal(403),
        refusal(404),
        refusal(501, code="sandbox_unsupported"),
        refusal(500, headers={"Stripe-Should-Retry": "false"}),
        refusal(500, headers={"Idempotent-Replayed": "true"}),
        Reply(302, b"", {"Location": "https://evil.example/"}),
        Reply(307, b"", {"Location": "/elsewhere"}),
    ],
)
def test_what_cannot_pass_is_sent_once(peer: Scripted, stripe: Stripe, fault: Reply) -> None:
    peer.script = [fault]
    with pytest.raises(errors.StripeFailure):
        stripe.change("customers", params={}, key="key-1")
    assert len(peer.seen) == 1


def test_a_stored_500_is_recognised_when_it_comes_back(peer: Scripted, stripe: Stripe) -> None:
    peer.script = [refusal(500), refusal(500, headers={"Idempotent-Replayed": "true"})]
    with pytest.raises(errors.StripeDown) as found:
        stripe.change("customers", params={}, key="key-1")
    assert (found.value.stored, found.value.outcome_unknown, len(peer.seen)) == (True, True, 2)
    assert found.value.request_id == "req_1"


def test_a_lost_answer_followed_by_a_refused_key_stays_unknown(peer: Scripted, stripe: Stripe) -> None:
    peer.script = [Reply(lose=True), refusal(401)]
    with pytest.raises(errors.InvalidApiKey) as found:
        stripe.change("invoices", "in_1", "pay", params={}, key="key-1")
    assert found.value.outcome_unknown


def test_a_lost_answer_to_a_deletion_is_settled_by_not_found(peer: Scripted, stripe: Stripe) -> None:
    gone = refusal(404, "No such invoice: 'in_1'", code="resource_missing")
    peer.script = [Reply(lose=True), gone]
    assert stripe.remove("invoices", "in_1", params={}, key="key-1") == {
        "id": "in_1",
        "object": "invoice",
        "deleted": True,
    }
    with pytest.raises(NotFound, match="No such invoice: in_1"):
        stripe.remove("invoices", "in_1", params={}, key="key-2")


def test_a_connection_that_never_came_about_changed_nothing() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        stripe = connect(settings(f"http://127.0.0.1:{unused.getsockname()[1]}", STRIPE_MAX_RETRIES="1"))
        with pytest.raises(errors.SandboxUnreachable, match="Connection refused") as found:
            stripe.change("customers", params={}, key="key-1")
    assert (found.value.outcome_unknown, found.value.exit_code) == (False, 3)
    assert found.value.hint == ("nself status", "nself start stripe-mock")


def test_a_name_that_does_not_resolve_is_told() -> None:
    stripe = connect(settings("http://stripe.invalid", STRIPE_MAX_RETRIES="0"))
    with pytest.raises(errors.NoAnswer, match=r"stripe\.invalid") as found:
        stripe.change("customers", params={}, key="key-1")
    assert not found.value.outcome_unknown
    assert found.value.hint == ("nself billing stripe test-connection",)


def test_a_peer_that_speaks_no_tls_was_sent_nothing(peer: Scripted) -> None:
    stripe = connect(settings(peer.base.replace("http:", "https:"), STRIPE_MAX_RETRIES="0"))
    with pytest.raises(Unavailable):
        stripe.change("customers", params={}, key="key-1")
    assert not peer.seen


def test_an_open_transaction_is_refused_before_each_request(peer: Scripted) -> None:
    open_now = [False, True]

    def outside() -> None:
        assert not open_now.pop(0), "a transaction is open"

    stripe = connect(settings(peer.base), outside=outside)
    stripe.fetch("customer", "cus_123")
    with pytest.raises(AssertionError, match="transaction"):
        stripe.fetch("customer", "cus_123")
    assert len(peer.seen) == 1
    stripe.close()


@pytest.mark.parametrize("key", ["", "x" * 256, "a\r\nAuthorization: Bearer x"])
def test_no_change_without_a_usable_key(peer: Scripted, stripe: Stripe, key: str) -> None:
    with pytest.raises(Invalid):
        stripe.change("customers", params={}, key=key)
    assert not peer.seen


@pytest.mark.parametrize("id", ["cus_1?expand=x", "cus_1#x", "cus_1/../../account", "cus_1%2F..%2F", "a\\b"])
def test_an_id_cannot_reach_another_path(peer: Scripted, stripe: Stripe, id: str) -> None:
    stripe.fetch("customer", id)
    [seen] = peer.seen
    assert (seen.path, seen.params) == (f"/v1/customers/{quote(id, safe='')}", {"expand[0]": "tax_ids"})


@pytest.mark.parametrize("id", ["", "..", "../account"])
def test_what_cannot_be_an_id_is_not_sent(peer: Scripted, stripe: Stripe, id: str) -> None:
    with pytest.raises(NotFound, match="No such customer"):
        stripe.fetch("customer", id)
    assert not peer.seen


@pytest.mark.parametrize(
    "body",
    [{**CUSTOMER, "livemode": True}, {"object": "list", "data": [CUSTOMER, {**CUSTOMER, "livemode": True}]}],
)
def test_objects_of_the_other_mode_are_refused(peer: Scripted, stripe: Stripe, body: dict[str, Any]) -> None:
    peer.script = [Reply(body=body, headers={"Request-Id": "req_7"})]
    with pytest.raises(errors.LiveModeMismatch) as found:
        list(stripe.listed("customers")) if "data" in body else stripe.fetch("customer", "cus_123")
    assert found.value.request_id == "req_7"


def pages(total: int) -> Callable[[Seen], Reply]:
    """A list of `total` objects `x_0`, `x_1`, … as Stripe pages it."""

    def reply(seen: Seen) -> Reply:
        first = int(seen.params.get("starting_after", "x_-1").removeprefix("x_")) + 1
        last = min(total, first + int(seen.params["limit"]))
        data = [{"id": f"x_{at}", "object": "line_item", "livemode": False} for at in range(first, last)]
        return Reply(body={"object": "list", "data": data, "has_more": last < total, "url": seen.path})

    return reply


@pytest.mark.parametrize(("total", "calls"), [(0, 1), (1, 1), (100, 1), (101, 2), (250, 3)])
def test_lists_page_through_everything(peer: Scripted, stripe: Stripe, total: int, calls: int) -> None:
    peer.script = [pages(total)]
    assert [one["id"] for one in stripe.listed("invoices", customer="cus_1")] == [f"x_{at}" for at in range(total)]
    assert len(peer.seen) == calls
    assert all(seen.params["customer"] == "cus_1" for seen in peer.seen)


def test_lists_are_lazy_and_have_an_end(peer: Scripted, stripe: Stripe, monkeypatch: pytest.MonkeyPatch) -> None:
    peer.script = [pages(1000)]
    assert len(list(islice(stripe.listed("events"), 100))) == 100
    assert len(peer.seen) == 1
    monkeypatch.setattr(live, "MAX_OBJECTS", 3 * api.PAGE)
    with pytest.raises(errors.TooManyObjects, match="300"):
        list(stripe.listed("events"))
    assert len(peer.seen) == 4


def test_a_list_that_is_none_is_not_taken_for_an_empty_one(peer: Scripted, stripe: Stripe) -> None:
    peer.script = [Reply()]
    with pytest.raises(errors.StripeDown):
        list(stripe.listed("customers"))


@pytest.mark.parametrize(("total", "calls"), [(2, 1), (230, 4)])
def test_an_invoice_has_all_its_lines(peer: Scripted, stripe: Stripe, total: int, calls: int) -> None:
    page = pages(total)

    def reply(seen: Seen) -> Reply:
        if seen.path.endswith("/lines"):
            return page(seen)
        lines = page(replace(seen, sent="limit=10")).body
        return Reply(body={"id": "in_1", "object": "invoice", "livemode": False, "lines": lines})

    peer.script = [reply]
    lines = stripe.fetch("invoice", "in_1")["lines"]
    assert [one["id"] for one in lines["data"]] == [f"x_{at}" for at in range(total)]
    assert lines["has_more"] is False
    assert len(peer.seen) == calls


def test_threads_share_connections_that_stay_open(peer: Scripted, stripe: Stripe) -> None:
    answers: list[api.Snapshot] = []
    start = threading.Barrier(8)

    def work(number: int) -> None:
        start.wait(60)
        answers.extend(
            stripe.change("customers", params={"name": str(at)}, key=f"key-{number}-{at}") for at in range(25)
        )

    for _ in range(2):  # new threads find the connections of those that ended
        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert len(answers) == 400
    assert all(one == CUSTOMER for one in answers)
    assert len({seen.peer for seen in peer.seen}) <= 8
    assert stripe.counters().calls == 400


def test_a_429_slows_the_whole_gateway_down(peer: Scripted, opened: Opener) -> None:
    stripe = opened(STRIPE_RATE_LIMIT="100", STRIPE_RATE_LIMIT_BUFFER="1")
    peer.script = [refusal(429, code="rate_limit"), Reply()]
    stripe.fetch("customer", "cus_123")
    counters = stripe.counters()
    assert (counters.calls, counters.rate_limited, counters.limit, counters.full) == (2, 1, 50, 100)
    peer.script = [refusal(429, code="lock_timeout"), Reply()]
    stripe.fetch("customer", "cus_123")
    assert stripe.counters().rate_limited == 1


def test_the_limit_holds_on_the_wire(peer: Scripted, opened: Opener) -> None:
    stripe = opened(STRIPE_RATE_LIMIT="20", STRIPE_RATE_LIMIT_BUFFER="1", STRIPE_TIMEOUT="10s")
    threads = [
        threading.Thread(target=lambda: [stripe.fetch("customer", "cus_123") for _ in range(7)]) for _ in range(6)
    ]
    start = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    at = sorted(seen.at - start for seen in peer.seen)
    assert len(at) == 42
    # Arrivals are not departures, and are never earlier: whatever delays one, these hold.
    assert at[20] >= 1
    assert at[40] >= 2


def test_the_log_tells_real_causes_and_no_secret(
    peer: Scripted, opened: Opener, caplog: pytest.LogCaptureFixture
) -> None:
    leaky = f"Invalid API Key provided: {KEY}"
    peer.script = [
        refusal(401, leaky),
        refusal(429, code="rate_limit"),
        Reply(wait=3),
        refusal(400, f"{leaky} whsec_planted1234"),
    ]
    stripe = opened(STRIPE_TIMEOUT="1s", STRIPE_MAX_RETRIES="0")
    caplog.set_level("DEBUG")
    raised: list[errors.StripeFailure] = []
    for _ in range(4):
        with pytest.raises(errors.StripeFailure) as found:
            stripe.change("customers", params={"email": "private@example.com"}, key="key-1")
        raised.append(found.value)
    lines = [record for record in caplog.records if record.name == "nself"]
    assert [record.getMessage() for record in lines] == [
        "authentication failed",
        "rate_limit",
        "timeout",
        "stripe_error",
    ]
    fields: list[dict[str, Any]] = [getattr(record, "fields", {}) for record in lines]
    assert [one["request_id"] for one in fields] == ["req_1", "req_1", None, "req_1"]
    assert [one["retry"] for one in fields] == [False] * 4
    everything = f"{fields} {[(str(one), one.body(), one.hint) for one in raised]} {caplog.text}"
    for secret in (KEY, KEY[8:], "planted1234", "private@example.com"):
        assert secret not in everything


def test_a_proxy_is_used_for_others_and_never_for_the_loopback(peer: Scripted) -> None:
    proxied = connect(settings("http://stripe.invalid", HTTP_PROXY=peer.base))
    assert proxied.fetch("customer", "cus_123") == CUSTOMER
    assert [seen.path for seen in peer.seen] == ["http://stripe.invalid/v1/customers/cus_123"]
    exempt = connect(
        settings("http://stripe.invalid", HTTP_PROXY=peer.base, NO_PROXY=".invalid", STRIPE_MAX_RETRIES="0")
    )
    with pytest.raises(errors.NoAnswer):
        exempt.fetch("customer", "cus_123")
    direct = connect(settings(peer.base, HTTP_PROXY="http://127.0.0.1:1", HTTPS_PROXY="http://127.0.0.1:1"))
    assert direct.fetch("customer", "cus_123") == CUSTOMER
    for one in (proxied, exempt, direct):
        one.close()


@pytest.fixture
def netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login someone password else\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))


@pytest.mark.usefixtures("netrc")
def test_the_users_netrc_cannot_replace_the_key(peer: Scripted, stripe: Stripe) -> None:
    stripe.fetch("customer", "cus_123")
    assert peer.seen[0].headers["authorization"] == f"Bearer {KEY}"
