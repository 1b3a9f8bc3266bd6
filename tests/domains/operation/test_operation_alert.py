"""Operators are told, whatever else fails."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from commanding import Commands
from metering import app_on, database_on
from nself.core.errors import Unavailable
from nself.domains.notification.inputs import ListNotifications
from nself.domains.notification.service import outbox
from nself.domains.operation.inputs import SendAlert
from nself.domains.operation.service import alert
from telling import Mailbox, Receiver, send_all, settings

GIVEN = SendAlert(severity="critical", message="Billing system failure\nsince noon")


def test_without_any_channel_the_log_is_told_and_it_succeeds(commands: Commands):
    told = commands.json("alert", "send", "--severity", "critical", "--message", "All is lost")
    assert [one["channel"] for one in told["sent"]] == ["log"]
    logged = commands.nself("logs", "billing", "--level", "error", "--grep", "All is lost")
    assert "alert" in logged and "severity=critical" in logged
    assert commands.nself("alert", "send", "--severity", "loud", "--message", "x", code=2) == ""


def test_with_everything_stopped_the_chat_is_told_at_once(commands: Commands, receiver: Receiver):
    address = f"http://127.0.0.1:{receiver.server_address[1]}/T0/secret-part"
    commands.nself("env", "set", f"BILLING_ALERT_WEBHOOK_URL={address}")
    try:
        told = commands.json("alert", "send", "--severity", "info", "--message", 'It says "hello"')
        assert told["sent"][1] == {"channel": "webhook", "result": "sent: 200"}
        assert json.loads(receiver.taken[0][0])["text"].startswith('[info] It says "hello"\n')
        receiver.status = 500
        told = commands.json("alert", "send", "--severity", "info", "--message", "again")
        assert told["sent"][1]["result"].startswith("failed: answered with 500"), "told, and exit 0 all the same"
        receiver.shutdown()
        receiver.server_close()
        told = commands.nself("alert", "send", "--severity", "info", "--message", "and again")
        assert "failed" in told and "secret-part" not in told
    finally:
        commands.nself("env", "unset", "BILLING_ALERT_WEBHOOK_URL")


def runs(*_: object) -> bool:
    return True


@pytest.fixture
def set_up(mailbox: Mailbox, receiver: Receiver) -> dict[str, Any]:
    chat = f"http://127.0.0.1:{receiver.server_address[1]}/chat"
    return {**settings(mailbox, receiver), "BILLING_ALERT_EMAIL": "ops@example.com", "BILLING_ALERT_WEBHOOK_URL": chat}


def test_through_the_outbox_each_channel_is_told_once(
    server: str, template: str, tmp_path: Path, set_up: dict[str, Any], mailbox: Mailbox, receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
):  # fmt: skip
    monkeypatch.setattr(alert, "_runs", runs)
    with database_on(server, template) as conninfo, app_on(tmp_path / "project", conninfo, **set_up) as app:
        receiver.status = 500
        told = alert.send(app, GIVEN)
        assert [one.result[:6] for one in told.sent[1:]] == ["queued", "queued"]
        send_all(app)
        [waiting] = outbox.list_notifications(app, ListNotifications(state="queued"))
        assert waiting.channel == "webhook", "it is sent again until it arrives"
        [mail] = mailbox.mails
        assert mail["To"] == "ops@example.com" and mail["Subject"] == "[critical] Billing system failure since noon"
        assert [json.loads(body) for body, signed in receiver.taken if signed is None] == [
            {"text": f"[critical] {GIVEN.message}\ntest mode, {app.project.root}, by {app.operator()}"}
        ], "nothing went to NOTIFY_WEBHOOK_URL, which signs"


def test_a_database_that_refuses_is_no_obstacle(
    server: str, template: str, tmp_path: Path, set_up: dict[str, Any], mailbox: Mailbox, receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
):  # fmt: skip
    def away(*_: object) -> None:
        raise Unavailable(detail="away")

    monkeypatch.setattr(alert, "_runs", runs)
    monkeypatch.setattr(outbox, "queue", away)
    with database_on(server, template) as conninfo, app_on(tmp_path / "project", conninfo, **set_up) as app:
        told = alert.send(app, GIVEN)
    assert [one.result[:5] for one in told.sent[1:]] == ["sent:", "sent:"]
    assert len(mailbox.mails) == len(receiver.taken) == 1
