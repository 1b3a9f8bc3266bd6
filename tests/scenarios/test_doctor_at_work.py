"""The doctor on a whole system: silent while it is healthy and busy; finds, mends and rehearses what is broken."""

from __future__ import annotations

import json
import re
import threading
import urllib.request
from collections.abc import Iterator

import pytest

from commanding import Commands, commanding
from nself.app import App
from nself.core.project import Project
from nself.domains.doctor.service import examine
from nself.registry import Registry

RUNS = 100
RESET = ("billing", "sandbox", "reset", "--fixtures", "guide", "--yes")


@pytest.fixture(scope="module")
def project() -> Iterator[Commands]:
    with commanding() as made:
        made.nself(*RESET)
        yield made


class Traffic(threading.Thread):
    """An app that records usage and asks for quotas all the time."""

    def __init__(self, project: Commands) -> None:
        super().__init__(daemon=True)
        port = re.findall(r"BILLING_PORT=(\d+)", (project.root / ".env").read_text())[0]
        self.base, self.over, self.sent = f"http://127.0.0.1:{port}/api/v1", threading.Event(), 0
        made = project.json("billing", "api-key", "create", "--name", "busy", "--scopes", "usage:write,quota")
        self.headers = {"Authorization": f"Bearer {made['key']}", "Content-Type": "application/json"}

    def run(self) -> None:
        while not self.over.wait(0.02):
            events = [
                {"user": "user123", "metric": "api_calls", "value": 1, "key": f"busy-{self.sent + at}"}
                for at in range(5)
            ]
            self.post("usage", events)
            self.post("quota/check", {"user": "user123", "metric": "api_calls"})
            self.sent += 5

    def post(self, path: str, body: object) -> None:
        request = urllib.request.Request(f"{self.base}/{path}", json.dumps(body).encode(), self.headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            answer.read()


def looked(project: Commands) -> list[str]:
    """What is found or could not be looked at, in words."""
    app = App(Project(project.root), Registry(), environ={})
    try:
        report = examine.examine(app, list(examine.all_causes(app)))
    finally:
        app.close()
    return [f"{one.cause}: {one.evidence}" for one in report.findings] + [
        f"{one.causes}: {one.reason}" for one in report.unseen
    ]


@pytest.mark.long
def test_a_healthy_busy_system_is_found_healthy_a_hundred_times(project: Commands) -> None:
    """Usage and quotas are asked for all the time, subscriptions renew, cards and addresses change, webhooks come in."""
    project.nself(*RESET)
    project.nself("billing", "test-data", "create", "--customers", "10", "--subscriptions", "10", "--invoices", "5", "--seed", "3")  # fmt: skip
    traffic = Traffic(project)
    traffic.start()
    found: dict[str, int] = {}
    for run in range(RUNS):
        if run % 20 == 10:
            project.nself("billing", "sandbox", "clock", "advance", "31d")
        if run % 10 == 5:
            project.nself("billing", "customer", "update", "cus_123", "--email", f"user{run}@example.com")
        for told in looked(project):
            found[f"run {run}: {told}"] = run
    traffic.over.set()
    traffic.join(60)
    assert list(found) == [] and traffic.sent > RUNS


@pytest.mark.long
def test_a_stopped_collector_is_found_mended_and_found_no_more(project: Commands) -> None:
    project.nself(*RESET)
    project.nself("stop", "usage-collector")
    report = json.loads(
        project.nself("billing", "doctor", "--symptom", "usage not recorded", "--format", "json", code=3)
    )
    (found,) = [one for one in report["findings"] if not one["because"]]
    assert found["cause"] == "2.1.1" and found["fix"] == "nself billing doctor fix 2.1.1"
    assert "2.1.1" in project.nself("billing", "doctor", code=3)
    project.nself("billing", "doctor", "fix", "2.1.1", "--dry-run")
    project.nself("billing", "doctor", "--issue", "2.1", code=3)
    project.nself("billing", "doctor", "fix", "2.1.1")
    project.nself("billing", "doctor")
    assert "nself billing doctor fix 2.1.1 " in project.nself("billing", "audit", "log")


@pytest.mark.long
def test_somebody_is_let_find_what_was_planted(project: Commands) -> None:
    project.nself("billing", "drill", "check", code=1)
    project.nself("billing", "drill", "plant", "1.1.4", code=4)
    told = project.nself("billing", "drill", "plant", "1.1.4", "--yes")
    assert "whitespace" not in told.lower() and "HTTP 401" in told
    project.nself("billing", "drill", "check", code=3)
    project.nself("env", "set", "STRIPE_SECRET_KEY=sk_test_PLACEHOLDER_new_key")
    project.nself("restart", "billing")
    project.nself("billing", "drill", "check")
    project.nself("billing", "drill", "clear", "--yes")
    project.nself("billing", "drill", "check", code=1)


@pytest.mark.long
def test_a_rehearsal_tells_each_step(project: Commands) -> None:
    rows = project.nself("billing", "drill", "run", "1.1.4", "--yes", "--format", "jsonl").splitlines()
    drill, summary = map(json.loads, rows)
    assert all(drill[one] for one in ("shown", "named", "alone", "mended", "gone")) and summary["failed"] == 0
    assert (drill["cause"], summary["passed"]) == ("1.1.4", 1)


def test_rehearsals_are_for_test_mode_at_the_sandbox(project: Commands) -> None:
    project.nself("env", "set", "STRIPE_MODE=live", "STRIPE_SECRET_KEY=sk_live_PLACEHOLDER")
    project.nself("billing", "drill", "plant", "1.1.4", "--yes", code=4)
    project.nself("billing", "drill", "run", "--all", "--yes", code=4)
    project.nself("env", "set", "STRIPE_MODE=test", "STRIPE_SECRET_KEY=sk_test_PLACEHOLDER_guide")
