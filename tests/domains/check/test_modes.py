"""Two modes never mix: what show-mode tells, and what is refused in live mode, command by command."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

import pytest
from money_bench import Bench

from nself import log
from nself.cli import main
from nself.core.entrypoint import Command
from nself.domains.check.inputs import ShowMode
from nself.domains.check.model import ModeShown
from nself.domains.check.service import mode
from nself.registry import Registry

LIVE = {"STRIPE_MODE": "live", "STRIPE_SECRET_KEY": "sk_live_of_the_bench"}
CARD = "4242424242424242"


def show(bench: Bench, **more: str) -> ModeShown:
    return mode.show_mode(bench.app(**more), ShowMode())


def test_everything_in_test_mode_agrees(bench: Bench) -> None:
    app = bench.app(STRIPE_PUBLISHABLE_KEY="pk_test_bench")
    bench.create(app, "one")
    bench.listen(app, "http://127.0.0.1:9")
    found = mode.show_mode(app, ShowMode())
    assert found.problems == [] and found.agree
    assert (found.mode, found.live_rows, found.test_rows) == ("test", 0, 1)
    assert found.secret_key.startswith("test mode: ") and "sk_test_bench" not in str(found)
    assert found.webhook_endpoint.startswith("test mode: we_")
    assert found.sandbox.startswith("used, calls go to http://127.0.0.1:")


@pytest.mark.parametrize(
    ("settings", "cause"),
    [
        ({"STRIPE_SECRET_KEY": "sk_live_of_the_bench"}, "using live API key: STRIPE_SECRET_KEY is a live mode key"),
        ({"STRIPE_PUBLISHABLE_KEY": "pk_live_bench"}, "using live API key: STRIPE_PUBLISHABLE_KEY is a live mode key"),
        ({"STRIPE_SECRET_KEY": "pk_test_bench"}, "wrong environment variable: STRIPE_SECRET_KEY holds another kind"),
        ({"STRIPE_SECRET_KEY": ""}, "wrong environment variable: STRIPE_SECRET_KEY is not set"),
        ({"STRIPE_API_KEY": "sk_test_bench"}, "wrong environment variable: STRIPE_API_KEY is read by nobody"),
        ({"STRIPE_MODE": "live"}, "key leaked to production: STRIPE_SECRET_KEY is a test mode key"),
    ],
)  # fmt: skip
def test_what_differs_is_named_with_its_command(bench: Bench, settings: dict[str, str], cause: str) -> None:
    found = show(bench, **settings)
    (told,) = [one for one in found.problems if one.startswith(cause)]
    assert not found.agree and " - nself " in told
    for key in settings.values():
        assert not key.startswith(("sk_", "pk_")) or key not in str(found)


def test_a_mode_that_is_not_set_and_rows_of_the_other_mode(bench: Bench) -> None:
    app = bench.app()
    bench.create(app, "one")
    app.environ = {name: value for name, value in app.environ.items() if name != "STRIPE_MODE"}
    app.__dict__.pop("settings", None)
    bench.sql("update billing_customers set livemode = true")
    found = mode.show_mode(app, ShowMode())
    assert [one.partition(":")[0] for one in found.problems] == ["mode not set", "production data under test mode"]
    assert found.live_rows == 1
    bench.sql("update billing_customers set livemode = false")
    assert any(one.startswith("test data in production: 1 rows") for one in show(bench, **LIVE).problems)


# ---- What test mode alone may do ----

TEST_ONLY = {
    "billing seed run": "",
    "billing seed customers": "",
    "billing seed subscriptions": "",
    "billing seed invoices": "",
    "billing seed clear": "--confirm",
    "billing test-data create": "--customers 1",
    "billing test": "--use-mock",
    "billing test-payment": f"--card {CARD} --amount 1000",
    "billing payment-method create": f"--customer cus_1 --card-number {CARD} --exp-month 12 --exp-year 2030 --cvc 123",
    "billing sandbox demo": "",
    "billing sandbox reset": "--yes",
    "billing sandbox clock show": "",
    "billing sandbox clock advance": "1d",
    "billing sandbox clock set": "2030-01-01",
    "billing sandbox faults list": "",
    "billing sandbox faults add": "--fail 500",
    "billing sandbox faults clear": "",
    "billing sandbox keys revoke": "sk_test_1",
    "billing sandbox keys expire": "sk_test_1",
    "billing sandbox keys restrict": "rk_test_1 --allow customers=read",
    "billing sandbox edit": "customer cus_1 --set name=x",
    "billing sandbox deliveries": "",
    "billing sandbox resend": "evt_1",
    "billing sandbox seed": "",
    "billing sandbox snapshots": "",
    "billing sandbox save": "one",
    "billing sandbox restore": "one",
    "billing sandbox trigger": "invoice.paid",
    "billing sandbox listen": "",
    "billing sandbox retrieve": "customers cus_1",
    "billing sandbox confirm": "pi_1",
    "billing sandbox load": "fixture.json",
}  # fmt: skip
LOOKS = {"billing seed status"}


@pytest.fixture
def line(bench: Bench, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[Any]:
    """A command in this process, with more settings in its environment."""
    for name, value in bench.environ(NSELF_PROJECT=str(bench.folder)).items():
        monkeypatch.setenv(name, value)

    def run(words: str, **more: str) -> tuple[int, str, str]:
        for name, value in more.items():
            monkeypatch.setenv(name, value)
        capfd.readouterr()
        code = main.run(shlex.split(words))
        return (code, *capfd.readouterr())

    yield run
    log.close()


def test_each_command_of_test_mode_is_refused_in_live_mode(bench: Bench, line: Any) -> None:
    (bench.folder / "fixture.json").write_text("[]")
    groups = ("billing seed", "billing sandbox", "billing test")
    known = {row.path for row in Registry().rows(Command) if row.path.startswith(groups)} - LOOKS
    assert known <= TEST_ONLY.keys(), known - TEST_ONLY.keys()
    before = bench.sandbox.events(), bench.intents()
    for path, words in TEST_ONLY.items():
        code, out, err = line(f"{path} {words}", **LIVE)
        assert (code, out) == (4, "") and err.startswith("Error: ") and "test mode: no real" not in err, (path, err)
        assert CARD[:6] not in err
    assert (bench.sandbox.events(), bench.intents()) == before


def test_a_command_says_that_it_works_in_test_mode(bench: Bench, line: Any) -> None:
    for words in (
        "billing customer list --format json", "billing seed run", "billing invoice list", "db status", "db query 'select 1'",
        "maintenance status", "cache clear 'billing:*'", "alert send --severity info --message hello",
    ):  # fmt: skip
        code, out, err = line(words)
        assert code == 0 and f"note: test mode: no real money (127.0.0.1:{bench.sandbox.port})\n" in err, err
        assert "test mode" not in out
    code, _, err = line("billing customer list", **LIVE)
    assert code == 0 and "test mode" not in err
