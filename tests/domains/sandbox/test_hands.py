"""Clock, faults, keys, edits, deliveries, seeds, snapshots: each command and each of its refusals."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from domains.sandbox.conftest import KEY, Run, Sandbox
from nself.core.entrypoint import Command
from nself.registry import Registry
from ports import free_port
from serving import until


def test_the_clock_goes_forward_and_tells_what_happened(run: Run, sandbox: Sandbox) -> None:
    assert run("clock", "show", "--format", "json").json["ahead"] == 0
    moved = run("clock", "advance", "30d", "--format", "json").json
    before, now = (datetime.fromisoformat(moved[name]) for name in ("before", "now"))
    assert 30 * 86400 <= (now - before).total_seconds() <= 30 * 86400 + 600
    counts = {one["type"]: one["count"] for one in moved["events"]}
    assert counts["invoice.created"] == counts["invoice.paid"] == 1, "sub_123 was renewed"
    assert 0 <= run("clock", "show", "--format", "json").json["ahead"] - 30 * 86400 <= 5
    shown = run("clock", "advance", "1h")
    assert "events: none" in shown.out and shown.out.startswith("before: ")


def test_dates_of_the_clock_are_in_the_projects_time_zone(run: Run, sandbox: Sandbox) -> None:
    year = datetime.now().year + 1
    moved = run("clock", "set", f"{year}-03-01", "--format", "json").json
    assert moved["now"].startswith(f"{year}-02-28T23:00:0") or moved["now"].startswith(f"{year}-02-29T23:00:0")


REFUSALS = [
    ("clock advance soon", 2, "Invalid duration: soon"),
    ("clock set 2020-01-01", 2, "Time only goes forward; it is 20"),
    ("clock set someday", 2, "Invalid date: someday"),
    ("faults add", 2, "One of --fail, --drop, --delay, --until and --webhooks is needed"),
    ("faults add --fail 418", 2, "'418' is not one of"),
    ("faults add --fail 503 --webhooks lose", 2, "--fail does not go together with --webhooks"),
    ("faults add --drop --events invoice.paid", 2, "--events does not go together with --fail, --drop or --delay"),
    ("faults add --since 2030-01-01", 2, "One of --fail"),
    ("faults add --until 10m --fail 500", 2, "An outage answers 503"),
    ("faults add --until 2020-01-01", 2, "until must be later than since"),
    ("faults add --until later", 2, "Invalid date: later"),
    ("faults add --fail 503 --path (", 2, "not a regular expression"),
    ("faults add --fail 429 --after", 2, "only 500 and drop can follow finished work"),
    ("faults add --delay never", 2, "Invalid delay: never"),
    ("faults add --drop --times 0", 2, "times"),
    ("faults clear fault_none", 1, "No such fault: fault_none"),
    ("keys revoke sk_live_real", 2, "one that begins with sk_test_ or rk_test_"),
    ("keys restrict", 2, "Only a restricted key (rk_test_…) has permissions"),
    ("keys restrict rk_test_x --allow customers=all", 2, "write customers=read"),
    ("edit customer cus_none --set name=x", 1, "No such customer: 'cus_none'"),
    ("edit customer cus_123", 2, "Exactly one of --set and --delete is needed"),
    ("edit customer cus_123 --set name", 2, "write path=value"),
    ("edit customer cus_123 --set name=a --set name.b=c", 2, "name has a value already"),
    ("edit customer cus_123 --set balance=abc", 2, "balance: must be a whole number"),
    ("edit customer cus_123 --set id=cus_9", 2, "no field that can be changed: id"),
    ("edit invoiceitem ii_none --delete", 1, "No such invoiceitem"),
    ("resend evt_none", 1, "No such event: 'evt_none'"),
    ("seed --customers 0", 2, "customers"),
    ("save a/b", 2, "name"),
    ("restore none", 1, "No such snapshot: none"),
    ("trigger no.such", 1, "No recipe for no.such. There are: charge.dispute.created, "),
    ("retrieve customers cus_none", 1, "No such customer: cus_none"),
    ("retrieve ../_sandbox x", 2, "kind"),
    ("retrieve nonsense x", 1, "Unrecognized request URL"),
    ("confirm pi_none", 1, "pi_none"),
    ("listen --forward-to //", 2, "Invalid --forward-to"),
    ("load", 1, "There is no JSON file in"),
    ("load none.json", 2, "none.json: No such file"),
]


def test_what_is_refused(run: Run) -> None:
    """The exit code and the words; nothing goes to stdout. One project for all: each costs a database."""
    for line, code, says in REFUSALS:
        done = run(*line.split())
        assert (done.code, done.out) == (code, ""), (line, done)
        assert says in done.err, line


LINES = [
    row.example.removeprefix("nself billing sandbox ").split()
    for row in Registry().rows(Command)
    if row.path.startswith("billing sandbox ") and not row.path.endswith((" demo", " reset"))
]


def test_live_mode_and_a_sandbox_that_is_away(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path("services/billing/test/fixtures")
    folder.mkdir(parents=True)
    (folder / "one.json").write_text("[]")
    monkeypatch.setenv("STRIPE_MOCK_PORT", str(free_port()))
    for line in LINES:
        away = run(*line)
        assert away.code == 3 and "nself start stripe-mock" in away.err, (line, away)
    monkeypatch.setenv("STRIPE_MODE", "live")
    for line in LINES:
        live = run(*line)
        assert live.code == 4 and "test mode only" in live.err, (line, live)


def test_the_port_of_another_program(run: Run, monkeypatch: pytest.MonkeyPatch, receive: Any) -> None:
    monkeypatch.setenv("STRIPE_MOCK_PORT", receive().address.partition(":")[2])
    assert run("clock", "show").code != 0
    assert run("save", "x").code == 3


def test_calls_fail_and_recover(run: Run) -> None:
    added = run("faults", "add", "--fail", "503", "--path", "/v1/customers", "--method", "GET", "--times", "2")
    assert "where: GET /v1/customers" in added.out and "remaining: 2" in added.out
    assert run("retrieve", "prices", "price_123").code == 0
    for _ in range(2):
        assert run("retrieve", "customers", "cus_123").code == 3
    assert run("retrieve", "customers", "cus_123").json["id"] == "cus_123"
    assert run("faults", "list").out == "none\n"


def test_an_outage_between_two_times(run: Run) -> None:
    run("faults", "add", "--until", "10m", "--path", "/v1/customers")
    (listed,) = run("faults", "list", "--format", "json").json
    assert (listed["on"], listed["remaining"]) == ("outage", None) and listed["what"].startswith("503 from ")
    for _ in range(2):
        assert run("retrieve", "customers", "cus_123").code == 3
    run("clock", "advance", "11m")
    assert run("retrieve", "customers", "cus_123").code == 0
    year = datetime.now().year + 1
    later = run("faults", "add", "--drop", "--since", f"{year}-03-01", "--until", "1h", "--format", "json").json
    assert later["what"] == f"no answer from {year}-02-28T23:00:00Z until {year}-03-01T00:00:00Z"
    assert run("retrieve", "customers", "cus_123").code == 0
    assert run("faults", "clear", later["id"]).out == "cleared: 1\n"
    assert run("faults", "clear").out == "cleared: 1\n"


def test_faults_of_deliveries(run: Run, sandbox: Sandbox) -> None:
    for what in ("lose", "double", "delay", "reorder", "badly-sign"):
        more = ["--seconds", "30s"] if what == "delay" else []
        added = run("faults", "add", "--webhooks", what, "--events", "invoice.paid", *more, "--format", "json").json
        assert added["what"] == what.replace("-", " ") + (" 30 s" if more else "")
        assert added["where"] == "events invoice.paid"
    actions = [one["action"] for one in sandbox.admin("GET", "faults")["faults"]]
    assert actions == ["lose", "double", "delay", "reorder", "badly_sign"]


def test_keys_are_refused_from_now_on(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("keys", "expire", "--format", "json").json["standing"] == "expired"
    expired = run("retrieve", "customers", "cus_123")
    assert expired.code == 4 and "expired" in expired.err.lower()
    revoked = run("keys", "revoke", KEY)
    assert revoked.code == 0 and KEY not in revoked.out
    assert run("retrieve", "customers", "cus_123").code == 4
    monkeypatch.setenv("STRIPE_SECRET_KEY", "rk_test_restricted_one")
    shown = run("keys", "restrict", "--allow", "customers=read", "--format", "json").json
    assert shown["permissions"] == {"customers": "read"}
    assert run("retrieve", "customers", "cus_123").code == 0
    assert run("retrieve", "prices", "price_123").code == 4


def events(sandbox: Sandbox) -> int:
    return sandbox.admin("GET", "state")["objects"]["event"]


def test_a_change_by_hand_with_and_without_its_webhook(run: Run, sandbox: Sandbox) -> None:
    before = events(sandbox)
    edit = ["edit", "customer", "cus_123"]
    silent = run(*edit, "--set", "email=new@example.com", "--set", "metadata.plan=pro", "--no-webhook").json
    assert (silent["email"], silent["metadata"]["plan"]) == ("new@example.com", "pro")
    assert events(sandbox) == before
    assert run(*edit, "--set", "balance=-500", "--set", 'name="123"').json["name"] == "123"
    assert events(sandbox) == before + 1
    assert run(*edit, "--delete").json["deleted"] is True
    assert run("retrieve", "customers", "cus_123").json["deleted"] is True


def test_deliveries_and_sending_again(run: Run, sandbox: Sandbox, receive: Any) -> None:
    receiver = receive()
    endpoint = {
        "object": "webhook_endpoint",
        "id": "we_1",
        "url": f"http://{receiver.address}/x",
        "enabled_events": ["*"],
        "status": "enabled",
    }
    sandbox.admin("POST", "fixtures", {"objects": [endpoint]})
    sent = run("resend", "evt_123", "--format", "json").json
    assert len(sent["deliveries"]) == 1
    until(lambda: sandbox.admin("GET", "state")["deliveries_waiting"] == 0)
    (listed,) = run("deliveries", "--event", "evt_123", "--format", "json").json
    assert listed["state"] == "delivered"
    assert (listed["last"], listed["attempts"], listed["endpoint"]) == ("200", 1, "we_1")
    assert len(receiver.taken) == 1
    assert run("deliveries", "--state", "pending").out == "none\n"


def test_seeds_and_snapshots(run: Run, sandbox: Sandbox) -> None:
    assert run("save", "before", "--format", "json").json["saved"] == "before"
    made = run("seed", "--customers", "20", "--seed", "3", "--format", "json").json["made"]
    assert made["customer"] == 20
    again = run("seed", "--customers", "20", "--seed", "3")
    assert again.code == 1 and "planted already" in again.err
    assert [one["name"] for one in run("snapshots", "--format", "json").json] == ["before"]
    restored = run("restore", "before")
    assert restored.code == 0 and "only the sandbox was put back" in restored.err
    assert sandbox.admin("GET", "state")["objects"]["customer"] == 1
