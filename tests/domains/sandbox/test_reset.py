"""`sandbox reset`, with the real stack: whatever was done before, afterwards everything is as the guide expects it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from nself.core.project import Project
from nself.domains.sandbox import rules
from nself.process.table import DEFAULT
from nself.spool.segments import Spool
from ports import free_port
from whole import Whole, whole

RESET = ("billing", "sandbox", "reset", "--fixtures", "guide", "--yes")


@pytest.fixture(scope="module")
def project() -> Iterator[Whole]:
    with whole() as found:
        yield found


def services(project: Whole) -> list[dict[str, Any]]:
    """Those that run by default: nginx, where it is installed, does not."""
    return [one for one in project.ask("status") if one["service"] != "nginx"]


def picture(project: Whole) -> dict[str, Any]:
    """What the guide's lines will find; instants left out."""
    return {
        "customer": project.ask("billing", "customer", "show", "cus_123")["user"],
        "invoices": sorted((one["id"], one["status"]) for one in project.ask("billing", "invoice", "list")),
        "usage": {
            one["metric"]: one["value"]
            for one in project.ask("billing", "usage", "show", "--user", "user123", "--period", "2026-01")
        },
        "quota": [
            (one["metric"], one["limit"], one["used"], one["allowed"])
            for one in project.ask("billing", "quota", "show", "--user", "user123")
        ],
        "events": [
            (one["event"], one["status"], one["attempts"]) for one in project.ask("billing", "webhook", "events")
        ],
        "settings": sorted((one["name"], one["origin"]) for one in project.ask("env", "list", "--changed")),
        "services": {one["service"]: (one["state"], one["changed"]) for one in services(project)},
        "mail": [(one["id"], one["type"]) for one in project.ask("billing", "email", "list", "--type", "invoice")],
        "law": project.ask("billing", "usage", "status")["balanced"],
    }


def test_whatever_was_done_a_reset_puts_everything_back(project: Whole) -> None:
    env = project.root / ".env"
    env.write_text(env.read_text() + "MY_OWN=kept\n")
    first = project.ask(*RESET)
    assert first["loaded"]["customer"] == 1 and first["loaded"]["webhook_endpoint"] == 1
    before = picture(project)
    assert before["usage"] == {"api_calls": 1500, "bandwidth": 30 * 2**20}
    assert before["quota"] == [("api_calls", rules.GUIDE_QUOTA[1], rules.GUIDE_NOW["api_calls"], True)]
    assert before["services"] == {row.name: ("running", False) for row in DEFAULT.rows if row.name != "nginx"}
    assert before["mail"] == [("msg_123", "invoice")]
    assert before["invoices"] == [("in_122", "paid"), ("in_123", "draft")] and before["law"]

    project.run(
        "env", "set", "STRIPE_SECRET_KEY=sk_test_another", "DB_QUERY_TIMEOUT=7s", "QUOTA_ENFORCEMENT_ENABLED=false"
    )
    project.run("billing", "sandbox", "faults", "add", "--fail", "500", "--times", "1000")
    project.run("billing", "sandbox", "clock", "advance", "40d")
    project.run("billing", "usage", "record", "--user", "user123", "--metric", "api_calls", "--value", "7")
    project.run("billing", "quota", "set", "--user", "user123", "--metric", "bandwidth", "--limit", "5")
    project.run("stop", "billing", "stripe-mock")
    again = project.ask(*RESET)
    assert set(again["settings"]) == {"STRIPE_SECRET_KEY", "DB_QUERY_TIMEOUT", "QUOTA_ENFORCEMENT_ENABLED"}
    assert picture(project) == before
    kept = project.root / again["settings_kept_in"]
    assert "DB_QUERY_TIMEOUT=7s" in (kept / ".env").read_text() and "sk_test_another" in (kept / ".secrets").read_text()
    assert {path.stat().st_mode & 0o077 for path in kept.iterdir()} == {0}
    assert "MY_OWN=kept" in env.read_text()


@pytest.mark.long
def test_what_waits_in_the_buffer_is_forgotten_and_never_counted(project: Whole) -> None:
    project.run(*RESET)
    project.run("stop", "usage-collector", "worker", "postgres")
    spool = Project(project.root).spool
    project.run(
        "billing", "usage", "record", "--user", "user123", "--metric", "api_calls", "--value", "1",
        DATABASE_URL=f"postgresql://nobody@127.0.0.1:{free_port()}/none",
    )  # fmt: skip
    assert any(path.stat().st_size for path in spool.glob("*.seg"))
    journal = Spool(Project(project.root).journal)
    journal.append(b"unreadable: it would stay", 1, 0, 10)
    project.run(*RESET)
    assert not any(path.stat().st_size for path in spool.glob("*.seg")) and journal.idle()
    assert picture(project)["quota"][0][2] == rules.GUIDE_NOW["api_calls"]


@pytest.mark.long
def test_the_users_own_fixtures_are_there_and_mirrored(project: Whole) -> None:
    folder = project.root / "services/billing/test/fixtures"
    folder.mkdir(parents=True)
    (folder / "customers.json").write_text('[{"object": "customer", "id": "cus_own", "email": "own@example.com"}]')
    try:
        project.run(*RESET)
        assert project.ask("billing", "customer", "show", "cus_own")["email"] == "own@example.com"
    finally:
        (folder / "customers.json").unlink()


@pytest.mark.long
def test_two_resets_at_once_are_one(project: Whole) -> None:
    running = [project.popen(*RESET) for _ in range(2)]
    said = [one.communicate(timeout=60) for one in running]
    codes = sorted(one.returncode for one in running)
    assert codes in ([0, 1], [0, 0]), said
    assert codes == [0, 0] or "Another command resets this sandbox" in "".join(err for _, err in said)
    assert picture(project)["law"]


def test_it_wants_to_be_confirmed_and_test_mode(project: Whole) -> None:
    refused = project.run(*RESET[:-1], code=4)
    assert "--yes is needed" in refused.stderr and RESET[-1] in refused.stderr
    assert "test mode only" in project.run(*RESET, code=4, STRIPE_MODE="live").stderr


@pytest.mark.long
def test_a_database_with_live_rows_is_never_emptied(project: Whole) -> None:
    project.run(*RESET)
    change = "UPDATE billing_customers SET livemode = {} WHERE customer_id = 'cus_123'"
    project.run("db", "query", "--write", change.format("true"))
    try:
        refused = project.run(*RESET, code=4)
        assert "billing_customers holds rows of live mode" in refused.stderr
        assert project.ask("billing", "usage", "show", "--user", "user123", "--period", "2026-01")[0]["value"] == 1500
        assert {one["state"] for one in services(project)} == {"running"}
    finally:
        project.run("db", "query", "--write", change.format("false"))
