"""The way to Stripe: each step, broken for real, is the one that is named, with its cause and a command."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from money_bench import KEY, Bench

from nself.domains.connection.inputs import ShowRate, ShowRateLimits, TestConnection, TestKey
from nself.domains.connection.model import ConnectionTest
from nself.domains.connection.service import rates, walk
from nself.domains.measurement import service as measurement
from nself.gateway import api
from nself.gateway.errors import RateLimited
from ports import free_port
from secure_mail import make_certificate


def walked(bench: Bench, **settings: str) -> ConnectionTest:
    app = bench.app(**settings)
    try:
        return walk.test_connection(app, TestConnection())
    finally:
        app.close()


def broken(found: ConnectionTest) -> tuple[str, str]:
    """Name of the failed step and the cause; those before it went well, those after it were not tried."""
    (failed,) = [one for one in found.steps if one.state == "failed"]
    at = found.steps.index(failed)
    assert all(one.state in ("ok", "skipped") for one in found.steps[:at])
    assert all(one.state == "skipped" for one in found.steps[at + 1 :])
    assert not found.ok
    assert found.cause
    assert found.help
    return failed.step, found.cause


@contextmanager
def peer(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server on a free port that treats each connection as it likes."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    link, _ = server.accept()
                    with link, suppress(OSError):
                        answer(link)

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def test_all_steps_go_well(bench: Bench) -> None:
    bench.sandbox.post("/v1/webhook_endpoints", url="https://example.com/webhooks/stripe", enabled_events=["*"])
    found = walked(bench)
    assert {one.step: one.state for one in found.steps} == {
        **dict.fromkeys(("key", "resolve", "connect", "answer", "clock", "permissions", "webhook"), "ok"),
        **dict.fromkeys(("proxy", "tls"), "skipped"),
    }
    assert found.ok
    assert found.account
    assert found.account.startswith("acct_")
    assert (found.mode, found.api_version) == ("test", api.STRIPE_VERSION)
    assert found.skew_seconds is not None
    assert abs(found.skew_seconds) <= 60
    assert KEY not in str(found)


def test_without_an_endpoint_it_goes_well_and_says_so(bench: Bench) -> None:
    found = walked(bench)
    assert found.ok
    assert found.steps[-1].state == "warning"
    assert "none is enabled and sends to /webhooks/stripe" in found.steps[-1].detail


@pytest.mark.parametrize(
    "settings, step, cause",
    [
        ({"STRIPE_SECRET_KEY": ""}, "key", "STRIPE_SECRET_KEY is not set"),
        ({"STRIPE_SECRET_KEY": "sk_test_bad key"}, "key", "blanks or invisible characters"),
        ({"STRIPE_SECRET_KEY": "sk_live_123", "STRIPE_MODE": "live"}, "key", "A live key is never sent to"),
        ({"STRIPE_SECRET_KEY": "pk_test_123"}, "key", "a publishable key"),
        ({"STRIPE_API_BASE": "http://nowhere.invalid:80"}, "resolve", "DNS does not know nowhere.invalid"),
        ({"STRIPE_API_BASE": "http://127.0.0.1:{free}"}, "connect", "nothing listens at 127.0.0.1"),
        (
            {"STRIPE_API_BASE": "https://stripe.invalid", "HTTPS_PROXY": "http://127.0.0.1:{free}"},
            "connect",
            "HTTPS_PROXY: 127.0.0.1",
        ),
        (
            {"STRIPE_API_BASE": "https://stripe.invalid", "HTTPS_PROXY": "http://proxy.invalid:1"},
            "resolve",
            "HTTPS_PROXY: the name proxy.invalid",
        ),
    ],
)
def test_a_broken_step_is_named(bench: Bench, settings: dict[str, str], step: str, cause: str) -> None:
    found = walked(bench, **{name: text.format(free=free_port()) for name, text in settings.items()})
    at, told = broken(found)
    assert at == step
    assert cause in told


def test_a_key_that_stripe_refuses(bench: Bench) -> None:
    bench.sandbox.admin("keys/revoke", key="sk_test_gone", standing="revoked")
    step, cause = broken(walked(bench, STRIPE_SECRET_KEY="sk_test_gone"))
    assert step == "answer"
    assert "key" in cause
    app = bench.app(STRIPE_SECRET_KEY="sk_test_gone")
    found = walk.test_key(app, TestKey())
    assert (found.valid, found.account, found.kind) == (False, None, "secret key, test mode")
    assert found.cause
    assert found.help


@pytest.mark.parametrize(
    "line, step, cause",
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "proxy", "407 Proxy Authentication Required"),
        (b"HTTP/1.1 200 OK\r\n\r\n", "tls", "No TLS was agreed on"),
        (b"", "proxy", "the proxy answered nothing"),
    ],
)
def test_a_proxy_that_refuses_and_one_that_leads_nowhere(bench: Bench, line: bytes, step: str, cause: str) -> None:
    def answer(link: socket.socket) -> None:
        link.recv(4096)
        link.sendall(line)

    with peer(answer) as port:
        found = walked(bench, STRIPE_API_BASE="https://stripe.invalid", HTTPS_PROXY=f"http://127.0.0.1:{port}")
    at, told = broken(found)
    assert at == step
    assert cause in told


def test_a_certificate_that_is_not_stripes(bench: Bench, tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*make_certificate(tmp_path))

    def answer(link: socket.socket) -> None:
        with context.wrap_socket(link, server_side=True) as secured:
            secured.recv(1)

    with peer(answer) as port:
        step, cause = broken(walked(bench, STRIPE_API_BASE=f"https://localhost:{port}"))
    assert step == "tls"
    assert "something intercepts the connection" in cause


@pytest.mark.parametrize("ahead, state", [(0, "ok"), (120, "warning"), (-600, "warning")])
def test_a_clock_that_is_wrong_is_told(bench: Bench, monkeypatch: pytest.MonkeyPatch, ahead: int, state: str) -> None:
    real = api.wall_seconds
    monkeypatch.setattr(api, "wall_seconds", lambda: real() + ahead)
    found = walked(bench)
    assert found.ok
    (clock,) = [one for one in found.steps if one.step == "clock"]
    assert clock.state == state
    assert found.skew_seconds is not None
    assert abs(found.skew_seconds - ahead) <= 60
    assert ("webhook signatures look too old" in clock.detail) is (ahead == -600)


def test_how_wrong_a_clock_may_be_is_the_tolerance_of_signatures(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    real = api.wall_seconds
    monkeypatch.setattr(api, "wall_seconds", lambda: real() + 600)
    said = [
        next(one.detail for one in walked(bench, BILLING_WEBHOOK_SIGNATURE_TOLERANCE=text).steps if one.step == "clock")
        for text in ("300", "1h")
    ]
    assert "signatures look too old" in said[0] and "refused from more than 3600 s" in said[1]


def test_a_restricted_key_tells_what_it_lacks(bench: Bench) -> None:
    allowed = {"*": "write", "refunds": "read", "invoices": "none"}
    bench.sandbox.admin("keys/restrict", key="rk_test_some", permissions=allowed)
    app = bench.app(STRIPE_SECRET_KEY="rk_test_some")
    before = len(bench.sandbox.events())
    found = walk.test_key(app, TestKey())
    assert found.valid
    assert found.kind == "restricted key, test mode"
    assert found.lacks == ["write refunds", "read invoices", "write invoices"]
    steps = {one.step: one for one in walk.test_connection(app, TestConnection()).steps}
    assert steps["permissions"].state == "warning"
    assert steps["permissions"].detail == "it may not write refunds, read invoices, write invoices"
    assert len(bench.sandbox.events()) == before  # trying changed nothing


def test_calls_are_counted_over_processes(bench: Bench) -> None:
    for app in bench.apps[:2]:
        for _ in range(3):
            app.stripe.account()
    bench.sandbox.fault("/v1/account", method="GET", status=429, times=10)
    with pytest.raises(RateLimited):
        bench.apps[0].stripe.account()
    measurement.flush(bench.apps[0])
    app = bench.app(STRIPE_RATE_LIMIT="20", STRIPE_RATE_LIMIT_BUFFER="0.5")
    found = rates.rate_limits(app, ShowRateLimits())
    assert (found.stripe_allows, found.nself_allows) == (20, 10)
    assert found.calls_last_hour >= 7
    assert found.refused_last_hour >= 1
    assert "Stripe refused calls" in found.note
    minutes = rates.show_rate(app, ShowRate())
    assert sum(one.calls for one in minutes) >= 7
    assert minutes == sorted(minutes, key=lambda one: one.minute, reverse=True)
