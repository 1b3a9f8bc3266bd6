"""Root causes of the key, the rate and the network: each is told apart from its neighbours."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from money_bench import NOW, Bench

from nself.diagnosis import Look
from nself.domains.connection.rules import pressure
from nself.domains.connection.service.causes import CAUSES
from nself.domains.measurement.model import MINUTE, Minute
from ports import free_port

LIVE = {"STRIPE_MODE": "live", "STRIPE_PUBLISHABLE_KEY": "pk_live_1234567890"}
TEST = {"STRIPE_MODE": "live", "STRIPE_PUBLISHABLE_KEY": "pk_test_1234567890"}
FAR = "http://127.0.0.2:{free}"


def found(bench: Bench, **settings: str) -> list[str]:
    app = bench.app(**settings)
    try:
        look = Look(app)
        return [one.id for one in CAUSES if one.detect(look)]
    finally:
        app.close()


def test_a_healthy_connection_has_none(bench: Bench) -> None:
    assert found(bench) == []


@pytest.mark.parametrize(
    "settings, causes",
    [
        (LIVE, ["1.1.1"]),
        (TEST, []),
        ({"STRIPE_API_BASE": FAR}, ["1.4.1"]),
        ({"STRIPE_API_BASE": "http://127.0.0.1:{free}"}, []),
        ({"STRIPE_API_BASE": "http://nowhere.invalid:80"}, ["1.4.2"]),
        ({"STRIPE_API_BASE": FAR, "HTTP_PROXY": "http://127.0.0.2:{free}"}, ["1.4.3"]),
        ({"STRIPE_API_BASE": "http://nowhere.invalid:80", "HTTP_PROXY": "http://nobody.invalid:1"}, ["1.4.3"]),
    ],
)
def test_settings_that_break_it(bench: Bench, settings: dict[str, str], causes: list[str]) -> None:
    assert found(bench, **{name: text.format(free=free_port()) for name, text in settings.items()}) == causes


def minutes(refused: int, looked_up: int = 0, at: Sequence[int] = (0,)) -> list[Minute]:
    rows = [Minute(NOW - ago * MINUTE, ["get", "customers", "rate_limit"], refused) for ago in at]
    return [*rows, Minute(NOW, ["get", "prices", "ok"], looked_up), Minute(NOW, ["post", "invoices", "ok"], 50)]


@pytest.mark.parametrize(
    "settings, rows, causes",
    [
        ({}, minutes(0), []),
        ({"STRIPE_RATE_LIMIT_BUFFER": "1"}, minutes(0), []),
        ({"STRIPE_MAX_RETRIES": "0"}, minutes(2), []),
        ({}, minutes(5), []),
        ({}, minutes(5, at=(1, 2, 3, 4, 5)), ["1.3.1"]),
        ({}, minutes(5, at=(1, 2, 4, 5, 6)), []),
        ({"STRIPE_RATE_LIMIT_BUFFER": "1"}, minutes(5), ["1.3.1"]),
        ({"STRIPE_MAX_RETRIES": "0"}, minutes(5), ["1.3.2"]),
        ({"STRIPE_RETRY_BACKOFF": "constant"}, minutes(5), ["1.3.2"]),
        ({"STRIPE_BATCH_SIZE": "1"}, minutes(5), ["1.3.3"]),
        ({"STRIPE_ENABLE_CACHE": "true", "STRIPE_BATCH_REQUESTS": "false"}, minutes(5), ["1.3.3"]),
        ({}, minutes(5, 300), ["1.3.4"]),
        ({}, minutes(0, 300), []),
        ({"STRIPE_ENABLE_CACHE": "true"}, minutes(5, 300), []),
    ],
)
def test_refused_calls_and_what_made_them_likely(
    bench: Bench, settings: dict[str, str], rows: list[Minute], causes: list[str]
) -> None:
    app = bench.app(**settings)
    assert list(pressure(app.settings, rows, NOW).odd) == causes
