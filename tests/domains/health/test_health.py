"""One look at everything: each part that is broken for real is named, the others are not, and there is a command."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from money_bench import REGISTRY, Bench

from cli_parsing import parser
from nself.app import App
from nself.cli import main
from nself.domains.health import rules, store
from nself.domains.health.inputs import (
    Component,
    ListErrors,
    ShowHealth,
    ShowMetrics,
    ShowOverview,
    ShowPerformance,
    ShowRequests,
)
from nself.domains.health.model import Check
from nself.domains.health.service import checks, measured, overview
from nself.domains.health.store import Room
from nself.domains.measurement import service as measurement
from nself.domains.measurement.model import Total
from nself.domains.setting import service as setting
from nself.domains.setting.inputs import UnsetSettings
from nself.gateway.errors import StripeFailure
from nself.measure import BOUNDS, Measures


def looked(app: App, component: Component) -> list[Check]:
    return checks.health(app, ShowHealth(component=component)).checks


def wrong(app: App, component: Component) -> list[str]:
    found = [one for one in looked(app, component) if one.state != "ok"]
    assert all(one.help for one in found)
    return [one.check for one in found]


def test_each_part_is_looked_at_and_nothing_is_started(bench: Bench) -> None:
    app = bench.app()
    found = checks.health(app, ShowHealth())
    assert {one.component for one in found.checks} == set(checks.LOOKS)
    down = [one for one in found.checks if one.component == "services" and one.check != "maintenance"]
    assert {one.state for one in down} == {"failed"}  # nothing runs here
    assert not found.healthy
    assert found.failed >= len(down)
    assert found.warnings == sum(one.state == "warning" for one in found.checks)


@pytest.mark.parametrize("component", ["database", "stripe", "jobs", "mail", "documents"])
def test_a_sound_part_is_healthy(bench: Bench, component: Component) -> None:
    found = checks.health(bench.app(), ShowHealth(component=component))
    assert found.healthy, found.checks
    assert found.checks


def test_a_refused_key_is_named(bench: Bench) -> None:
    bench.sandbox.admin("keys/revoke", key="sk_test_gone", standing="revoked")
    assert "answer" in wrong(bench.app(STRIPE_SECRET_KEY="sk_test_gone"), "stripe")


def test_failing_calls_are_named(bench: Bench) -> None:
    app = bench.app()
    measures = Measures()
    measures.observe("stripe_request", ("get", "customers", "ok"), 0.1, times=4)
    measures.observe("stripe_request", ("get", "customers", "api_error"), 0.1)
    with app.db.transaction() as tx:
        measurement.write(tx, measures.take(), app.clock())
    assert wrong(app, "stripe") == ["calls"]


def test_changes_that_wait_or_were_refused_are_named(bench: Bench) -> None:
    app = bench.app()
    with pytest.raises(StripeFailure):
        bench.create(app, "user", "pm_card_chargeDeclined")
    assert wrong(app, "stripe") == ["changes"]


@pytest.mark.parametrize(
    ("held", "help"),
    [
        ({"BILLING_SAFE_MODE": "true"}, "nself env set BILLING_SAFE_MODE=false"),
        (
            {"BILLING_AUTO_PAYMENT": "false", "BILLING_QUEUE_PAYMENTS": "true"},
            "nself env set BILLING_AUTO_PAYMENT=true BILLING_QUEUE_PAYMENTS=false",
        ),
    ],
)
def test_a_switch_of_an_emergency_that_was_left_on_is_named(bench: Bench, held: dict[str, str], help: str) -> None:
    (found,) = [one for one in looked(bench.app(**held), "stripe") if one.check == "charging"]
    assert (found.state, found.help) == ("warning", help) and "0 payments wait" in found.detail
    assert all(name in found.detail for name in held)


def test_quotas_that_are_not_enforced_are_named(bench: Bench) -> None:
    assert "enforcement" in wrong(bench.app(QUOTA_ENFORCEMENT_ENABLED="false"), "quotas")


def test_settings_that_nothing_can_be_done_with_are_named(bench: Bench) -> None:
    """Each with a command that mends it; typing errors in names of ours too, other programs' names not."""
    assert wrong(bench.app(), "settings") == []
    env = bench.folder / ".env"
    env.write_text(
        "BILLING_AUTO_SYNC=perhaps\nBILLING_PROT=1\nPORT=7\nBILLING_COMPANY_NAME=A\nBILLING_COMPANY_NAME=B\nX Y\n"
    )
    found = {one.check: one for one in looked(bench.app(), "settings")}
    assert (found["BILLING_AUTO_SYNC"].state, found["BILLING_PROT"].state) == ("failed", "warning")
    assert "BILLING_PORT" in found["BILLING_PROT"].detail and "PORT" not in found
    details = [one.detail for one in looked(bench.app(), "settings") if one.check == "files"]
    assert details == [
        ".env, line 6: not NAME=VALUE, ignored",
        ".env, line 5: BILLING_COMPANY_NAME again, this value counts",
    ]
    for name in ("BILLING_AUTO_SYNC", "BILLING_PROT"):
        assert found[name].help == f"nself env unset {name}"
        setting.unset(bench.app(), UnsetSettings(names=[name]))
    env.write_text(env.read_text().split("BILLING_COMPANY_NAME")[0])
    assert wrong(bench.app(), "settings") == []


def test_configuration_that_is_no_yaml_is_named(bench: Bench) -> None:
    """Where stripe.yml is, nothing else stops; prices that cannot be read are told before an invoice needs them."""
    for name in ("stripe.yml", "overage-tiers.yml"):
        (bench.folder / "services" / "billing" / "config" / name).write_text("a: [b\n  c: }\n")
    found = [one for one in looked(bench.app(), "settings") if one.state != "ok"]
    assert found[0].detail == "stripe.yml, line 2: no YAML, the whole file is ignored"
    assert "overage-tiers.yml cannot be used" in found[1].detail


def test_a_part_that_cannot_be_looked_at_does_not_hide_the_others(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(app: App) -> object:
        raise RuntimeError("no figures")

    monkeypatch.setitem(checks.LOOKS, "database", broken)
    found = checks.health(bench.app(), ShowHealth())
    (database,) = [one for one in found.checks if one.component == "database"]
    assert (database.state, database.detail) == ("failed", "no figures")
    assert any(one.component == "machine" for one in found.checks)


@pytest.mark.parametrize("percent, state", [(50, "ok"), (9, "warning"), (2, "failed")])
def test_room_that_runs_out_is_told(bench: Bench, monkeypatch: pytest.MonkeyPatch, percent: int, state: str) -> None:
    monkeypatch.setattr(store, "disk", lambda folder: Room(percent, 100))
    (disk,) = [one for one in looked(bench.app(), "machine") if one.check == "disk"]
    assert disk.state == state
    assert bool(disk.help) is (state != "ok")
    if disk.help:
        parser(main.command(REGISTRY), REGISTRY)(disk.help)


def test_the_database_s_own_file_system_is_looked_at(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a project that root runs, it is another than the project's."""
    data = bench.app().project.state / "postgres"
    with TemporaryDirectory(dir="/dev/shm") as other:
        data.parent.mkdir(exist_ok=True)
        data.symlink_to(other)
        monkeypatch.setattr(store, "disk", lambda folder: Room(0 if folder == data else 50, 100))
        assert wrong(bench.app(), "machine") == ["database disk"]
        data.unlink()
    assert wrong(bench.app(), "machine") == []


def test_the_overview_counts_what_waits(bench: Bench) -> None:
    app = bench.app()
    bench.create(app, "user")
    measurement.flush(app)
    found = overview.overview(app, ShowOverview())
    assert found.not_running  # nothing runs here
    assert found.services.startswith("0 of")
    if found.stripe_calls_1h is not None:
        assert found.stripe_calls_1h >= 1


def lines(app: App, service: str, *texts: str) -> None:
    folder: Path = app.project.logs
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{service}.log").write_text("".join(f"{one}\n" for one in texts))


def test_errors_of_a_kind_are_one_row(bench: Bench) -> None:
    app = bench.app()
    at = app.clock()

    def line(level: str, message: str, minutes: int, **more: str) -> str:
        fields = {
            "time": f"{at - timedelta(minutes=minutes):%Y-%m-%dT%H:%M:%S.000Z}",
            "level": level,
            "service": "http",
        }
        return json.dumps({**fields, "message": message, **more})

    lines(
        app,
        "http",
        line("error", "request_failed", 50, detail="one"),
        line("info", "usage_recorded", 40),
        line("error", "request_failed", 30, detail="two"),
        line("warning", "stripe_error", 20, code="api_error"),
        line("error", "request_failed", 60 * 30, detail="long ago"),
        "not json at all",
    )
    found = overview.errors(app, ListErrors(last="24h"))
    assert [(one.error, one.times) for one in found] == [("stripe_error api_error", 1), ("request_failed", 2)]
    assert found[1].example == "two"
    assert found[1].help == "nself logs billing --since 24h --grep request_failed"
    assert [one.times for one in overview.errors(app, ListErrors(last="40m"))] == [1, 1]
    assert overview.errors(app, ListErrors(last="1m")).notes == ["no error in the last 1m"]


def observed(app: App, seconds: float, *, route: str = "/api/v1/usage", status: str = "200", times: int = 10) -> None:
    measures = Measures()
    measures.observe("http_request", ("POST", route, status), seconds, times=times)
    with app.db.transaction() as tx:
        measurement.write(tx, measures.take(), app.clock())


def test_metrics_add_up_over_outcomes(bench: Bench) -> None:
    app = bench.app()
    observed(app, 0.01)
    observed(app, 0.01, status="500", times=2)
    observed(app, 0.01, status="404", times=3)
    (found,) = measured.metrics(app, ShowMetrics(show_percentiles=True))
    assert (found.measure, found.what, found.count, found.errors) == ("http_request", "POST /api/v1/usage", 15, 2)
    assert found.average_ms == Decimal("10.0")
    assert found.p99_ms
    assert 10 <= found.p99_ms <= 15
    (plain,) = measured.metrics(app, ShowMetrics())
    assert plain.p99_ms is None
    assert len(measured.requests(app, ShowRequests())) == 1
    (minute,) = measured.metrics(app, ShowMetrics(last="1s"))
    assert (minute.count, minute.per_minute) == (15, 15)  # a minute counts as a whole


def test_performance_compares_with_the_time_of_the_last_look(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    app = bench.app()
    now = app.clock()
    monkeypatch.setattr(app, "_clock", lambda: now)
    first = measured.performance(app, ShowPerformance(compare=True))
    assert "this is the first look" in " ".join(first.notes)
    now += timedelta(days=1)
    observed(app, 0.01)
    measured.performance(app, ShowPerformance())
    now += timedelta(hours=3)
    observed(app, 0.08)
    rows = {one.what: one for one in measured.performance(app, ShowPerformance(compare=True))}
    requests = rows["HTTP requests"]
    assert requests.before_p95_ms
    assert 10 <= requests.before_p95_ms <= 15
    assert requests.p95_ms
    assert 80 <= requests.p95_ms <= 115
    assert requests.note == "slower"
    assert rows["POST /api/v1/usage"].change_percent == requests.change_percent
    assert rows["calls to Stripe"].count >= 0


@pytest.mark.parametrize("outcome, bad", [("200", False), ("404", False), ("429", False), ("500", True), ("503", True)])
def test_what_a_caller_did_wrong_is_no_error_of_ours(outcome: str, bad: bool) -> None:
    one = Total("http_request", ["GET", "/", outcome], 1, 0.1, [0] * (len(BOUNDS) + 1))
    assert rules.is_error(one) is bad
