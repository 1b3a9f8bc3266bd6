"""Nothing leaves when key, mode and host do not agree."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from nself.core.errors import Denied, Invalid, NotFound
from nself.core.settings import InvalidSetting, Settings, Value
from nself.gateway import errors, guard
from nself.gateway.live import connect

TEST_KEY, LIVE_KEY = "sk_test_51Hxabcdefghijk", "sk_live_51Hxabcdefghijk"
STRIPE, SANDBOX = "https://api.stripe.com", "http://127.0.0.1:12111"


def settings(key: str, base: str = STRIPE, mode: str = "test", odd: str | None = None, **more: str) -> Settings:
    values = {"STRIPE_API_BASE": base, "STRIPE_MODE": mode, **more}
    layer = {name: Value(text, ".env") for name, text in values.items()}
    return Settings([{**layer, "STRIPE_SECRET_KEY": Value(key, ".secrets", odd)}])


@pytest.mark.parametrize(
    ("base", "enabled", "where"),
    [
        ("http://localhost:12111", "true", "http://127.0.0.1:9"),
        ("http://127.0.0.1:12111/v1/", "true", "http://127.0.0.1:9"),
        ("http://localhost:12112", "true", "http://localhost:12112"),
        ("http://localhost:12111", "false", "http://localhost:12111"),
        (STRIPE, "true", STRIPE),
    ],
)
def test_the_mocks_usual_address_is_the_sandbox_while_that_is_enabled(base: str, enabled: str, where: str) -> None:
    found = settings(TEST_KEY, base, STRIPE_MOCK_ENABLED=enabled, STRIPE_MOCK_PORT="9")
    assert found.stripe_api_base == where


@pytest.mark.parametrize(
    ("key", "base", "mode"),
    [
        (TEST_KEY, STRIPE, "test"),
        (TEST_KEY, SANDBOX, "test"),
        ("rk_test_abc", STRIPE + "/v1/", "test"),
        ("sk_test_PLACEHOLDER", SANDBOX, "test"),
        (LIVE_KEY, STRIPE, "live"),
        ("rk_live_abc", "https://api.stripe.com:443", "live"),
    ],
)
def test_what_agrees_may_pass(key: str, base: str, mode: str) -> None:
    access = guard.access(settings(key, base, mode))
    assert (access.key, access.live) == (key, mode == "live")


@pytest.mark.parametrize(
    "base",
    [
        SANDBOX,
        "http://api.stripe.com",
        "https://stripe.example.com",
        "https://api.stripe.com.example.com",
        "https://notstripe.com",
        "https://api.stripe.com:8443",
        "https://api.stripe.com/../x",
    ],
)
@pytest.mark.parametrize("mode", ["test", "live"])
def test_a_live_key_never_goes_elsewhere(base: str, mode: str) -> None:
    with pytest.raises(errors.LiveKeyKeptBack) as found:
        guard.access(settings(LIVE_KEY, base, mode))
    assert found.value.exit_code == 4
    assert "51Hx" not in found.value.message


@pytest.mark.parametrize("base", ["https://api.stripe.com@evil.example", "https://evil.example\\@api.stripe.com"])
def test_an_address_that_can_be_read_in_two_ways_is_refused(base: str) -> None:
    with pytest.raises(InvalidSetting):
        guard.access(settings(LIVE_KEY, base, "live"))


@pytest.mark.parametrize("base", ["", "api.stripe.com", "ftp://api.stripe.com", "http://", "http://host:port"])
def test_an_address_must_be_one(base: str) -> None:
    with pytest.raises(InvalidSetting, match="STRIPE_API_BASE"):
        guard.access(settings(TEST_KEY, base))


@pytest.mark.parametrize(("key", "mode"), [(LIVE_KEY, "test"), (TEST_KEY, "live")])
def test_key_and_mode_agree(key: str, mode: str) -> None:
    with pytest.raises(errors.LiveModeMismatch, match=f"STRIPE_MODE is {mode}") as found:
        guard.access(settings(key, STRIPE, mode))
    assert (found.value.exit_code, "51Hxabc" in found.value.message) == (4, False)


def test_the_sandbox_forces_test_mode() -> None:
    live = settings(LIVE_KEY, mode="live", STRIPE_MOCK_ENABLED="true")
    live.values["STRIPE_API_BASE"] = Value(STRIPE, "default")
    with pytest.raises(errors.LiveKeyKeptBack, match=r"127\.0\.0\.1:12111"):
        guard.access(live)


@pytest.mark.parametrize("key", ["", "sk_test_PLACEHOLDER_key", "sk_live_placeholder"])
def test_a_placeholder_is_not_configured(key: str) -> None:
    with pytest.raises(errors.NotConfigured, match="Invalid API key provided") as found:
        guard.access(settings(key, mode="live" if "live" in key else "test"))
    assert found.value.exit_code == 4


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("pk_test_51Hxabcdefghijk", "publishable"),
        ("sk_test_51Hx abcdefghijk", "blanks or invisible"),
        ("sk_test_51Hx\u200babcdefghijk", "blanks or invisible"),
        ("hello", "keys begin with"),
        ("sk_test_", "keys begin with"),
    ],
)
def test_a_malformed_key_is_told_without_being_shown(key: str, told: str) -> None:
    with pytest.raises(errors.InvalidApiKey, match=told) as found:
        guard.access(settings(key))
    assert "51Hx" not in found.value.message


def test_a_repaired_key_is_told(caplog: pytest.LogCaptureFixture) -> None:
    guard.access(settings(TEST_KEY, odd="whitespace around the value was removed"))
    fields = [getattr(record, "fields", {}) for record in caplog.records]
    assert {
        "setting": "STRIPE_SECRET_KEY",
        "origin": ".secrets",
        "odd": "whitespace around the value was removed",
    } in fields


def test_connecting_opens_nothing_before_the_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    def touched(*_: object, **__: object) -> None:
        raise AssertionError("network touched")

    monkeypatch.setattr(socket, "create_connection", touched)
    monkeypatch.setattr(socket, "getaddrinfo", touched)
    with pytest.raises(Denied):
        connect(settings(LIVE_KEY, SANDBOX, "live"))
    connect(settings(TEST_KEY)).close()


@pytest.mark.parametrize("id", ["", ".", "..", "../customers", "cus 1", "cus\n1", "é", "x" * 256])
def test_an_id_that_cannot_be_one_is_not_found(id: str) -> None:
    with pytest.raises(NotFound, match="No such customer"):
        guard.object_id("customer", id)


@pytest.mark.parametrize("key", ["", None, "a b", "x" * 256, "é"])
def test_a_change_needs_a_usable_key(key: str | None) -> None:
    with pytest.raises(Invalid):
        guard.idempotency_key(key)
    assert guard.idempotency_key("invoice:2026-01:user/1") == "invoice:2026-01:user/1"


@pytest.mark.parametrize(("live", "livemode"), [(True, False), (False, True)])
def test_an_object_of_the_other_mode_is_refused(live: bool, livemode: bool) -> None:
    with pytest.raises(errors.LiveModeMismatch) as found:
        guard.same_mode(
            {"id": "cus_1", "object": "customer", "livemode": livemode},
            live,
            changing=True,
            request_id="req_1",
        )
    assert (found.value.outcome_unknown, found.value.request_id) == (True, "req_1")
    guard.same_mode({"id": "acct_1", "object": "account"}, live, changing=False, request_id=None)


def test_only_the_live_gateway_costs_the_import_of_the_sdk() -> None:
    light = "from nself.gateway import api, budget, errors, guard, retry, signature"
    code = f"import sys; {light}; print({{'stripe', 'requests', 'urllib3'}} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True, timeout=30) == "set()\n"
