"""Deeds that read and write files, and those that plan before they do."""

from __future__ import annotations

import re
from typing import Any

import pytest

from browsing import Browser, hidden
from nself.app import App
from nself.domains.payment.inputs import RefundFile
from nself.domains.payment.service import batch
from nself.domains.trail import service as trail
from nself.domains.trail.inputs import ShowLog
from nself.web import asking

REFUND = "/do/billing/refund/batch"


def form(browser: Browser, **more: str) -> dict[str, str]:
    return {
        "csrf": hidden(browser.get(REFUND).text, "csrf"),
        "input": "affected.csv",
        "reason": "billing_error",
        **more,
    }


@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd",
        "../affected.csv",
        ".env",
        ".nself/x.csv",
        "a/b.csv",
        "billing.yml",
        ".x.csv",
        "a.csv\n",
        "a.csv/../b.csv",
        "",
    ],
)
def test_a_form_names_no_file_outside_the_projects_folder(owner: Browser, app: App, name: str) -> None:
    read = owner.post(REFUND, form(owner, input=name, dry_run="true"))
    assert read.status_code == 400 and "root:" not in read.text
    if name.strip() == name and name:
        written = owner.post("/do/billing/audit/charges", {"csrf": form(owner)["csrf"], "since": "24h", "output": name})
        assert written.status_code == 400 and "Invalid output" in written.text
    assert {path.name for path in app.project.root.iterdir()} <= {
        ".env",
        ".gitignore",
        ".nself",
        "services",
        ".secrets",
    }


def test_a_plan_needs_no_code_and_its_approval_does(owner: Browser, app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[RefundFile]()

    def refund_file(app: App, given: RefundFile) -> Any:
        asked.append(given)
        return batch._result(given, "abcdef", [], executed=not given.dry_run, note="seen")  # pyright: ignore[reportPrivateUsage]

    monkeypatch.setattr(asking, "_use", lambda app, command: refund_file)
    blank = owner.get(f"{REFUND}?input=affected.csv&dry_run=true").text
    assert 'name="dry_run" value="true" checked' in blank and 'autocomplete="one-time-code"></p>' in blank
    plan = owner.post(REFUND, form(owner, dry_run="true"))
    path = str(app.project.root / "affected.csv")
    assert plan.status_code == 200, re.findall(r"alert.>[^<]*|code>[^<]*", plan.text)
    assert asked == [RefundFile(input=path, reason="billing_error", dry_run=True)]
    assert f"nself billing refund batch --input {path} --reason billing_error --dry-run" in plan.text
    assert "The plan</h2>" in plan.text and "Approve: do it" in plan.text
    assert 'name="execute" value="true" checked' in plan.text and 'name="dry_run" value="true" checked' not in plan.text
    assert 'autocomplete="one-time-code" required></p>' in plan.text
    assert 'name="plan" value="abcdef"' in plan.text
    refused = owner.post(REFUND, form(owner, execute="true"))
    assert refused.status_code == 400 and len(asked) == 1, "without a code no money moves"
    done = owner.post(REFUND, form(owner, execute="true", confirm_code=owner.code()))
    assert done.status_code == 200 and asked[1].execute and "Done</h2>" in done.text
    told = [(one.command, one.actor) for one in trail.show_log(app, ShowLog()) if "refund batch" in one.command]
    assert {actor for _, actor in told} == {"ada (dashboard)"} and len(told) == 2
