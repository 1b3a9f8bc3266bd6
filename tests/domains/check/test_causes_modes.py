"""Root causes of test mode and the sandbox: each is told apart from its neighbours."""

from __future__ import annotations

from pathlib import Path

import pytest
from money_bench import Bench

from nself.diagnosis import Look
from nself.domains.check.service.causes import CAUSES
from ports import free_port

LIVE = {
    "STRIPE_MODE": "live",
    "STRIPE_SECRET_KEY": "sk_live_1234567890",
    "STRIPE_PUBLISHABLE_KEY": "pk_live_1234567890",
}


def found(bench: Bench, **settings: str) -> list[str]:
    app = bench.app(**{"STRIPE_MODE": "test", **settings})
    try:
        look = Look(app)
        return [one.id for one in CAUSES if one.detect(look)]
    finally:
        app.close()


def test_a_healthy_project_has_none(bench: Bench) -> None:
    assert found(bench, STRIPE_PUBLISHABLE_KEY="pk_test_1234567890") == []


@pytest.mark.parametrize(
    "settings, causes",
    [
        ({"STRIPE_SECRET_KEY": "sk_live_1234567890"}, ["9.1.1"]),
        ({"STRIPE_PUBLISHABLE_KEY": "pk_live_1234567890"}, ["9.1.1"]),
        ({"STRIPE_SECRET_KEY": ""}, ["9.1.2"]),
        ({"STRIPE_SECRET_KEY": "pk_test_1234567890"}, ["9.1.2"]),
        ({"STRIPE_API_KEY": "sk_test_1234567890"}, []),
        ({"STRIPE_MODE": "live", "STRIPE_PUBLISHABLE_KEY": "pk_test_1234567890"}, ["9.1.4"]),
        ({"STRIPE_MODE": "live", "STRIPE_PUBLISHABLE_KEY": "pk_live_1234567890"}, []),
        ({"STRIPE_API_BASE": "http://127.0.0.1:{free}"}, ["9.3.2"]),
        ({"STRIPE_API_BASE": "http://nowhere.invalid:1"}, []),
        (LIVE, ["9.3.3"]),
        ({**LIVE, "STRIPE_MOCK_ENABLED": "false"}, []),
        ({"STRIPE_MOCK_ENABLED": "false", "STRIPE_API_BASE": "http://127.0.0.1:{mock}"}, ["9.3.3"]),
    ],
)  # fmt: skip
def test_settings_that_do_not_agree(bench: Bench, settings: dict[str, str], causes: list[str]) -> None:
    given = {name: text.format(free=free_port(), mock=bench.sandbox.port) for name, text in settings.items()}
    assert found(bench, **given) == causes


def test_a_mode_that_nobody_set(bench: Bench) -> None:
    app = bench.app()
    app.environ = {name: text for name, text in app.environ.items() if name != "STRIPE_MODE"}
    assert [one.id for one in CAUSES if one.detect(Look(app))] == ["9.1.3"]


def test_a_sandbox_that_does_not_run(bench: Bench) -> None:
    assert found(bench, STRIPE_MOCK_PORT=str(free_port()), STRIPE_API_BASE="http://localhost:12111") == ["9.3.1"]


@pytest.mark.parametrize(
    "text, causes", [(None, ["9.3.4"]), ("[{", ["9.3.4"]), ("7", ["9.3.4"]), ('[{"object": "coupon", "id": "a"}]', [])]
)
def test_fixtures_of_the_project(bench: Bench, text: str | None, causes: list[str]) -> None:
    folder: Path = bench.app().project.fixtures
    folder.mkdir(parents=True)
    if text is not None:
        (folder / "customers.json").write_text(text)
    assert found(bench) == causes
