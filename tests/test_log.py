"""No secret and no card number ever reaches a log."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from nself import log
from nself.log import redact

SECRETS = [
    "sk_test_51H8xPLANTEDkey0123",
    "rk_live_PLANTEDrestricted99",
    "whsec_PLANTEDwebhooksecret",
    "nsk_test_ab12cd34_PLANTEDapikeysecret0123456789",
    "postgresql://nself:PLANTEDpassword@db.example.com/nself",
    "pi_3Abc_secret_PLANTEDclientsecret",
    "4242424242424242",
    "4000 0025 0000 3155",
    "4000-0000-0000-9995",
]
HARMLESS = [
    "in_4242424242424242x",
    "1234567890123456",
    "2026-01-15T10:00:00.000Z",
    "user 66.249.73.135 sent 2747282740 bytes",
]


@pytest.fixture
def logs(tmp_path: Path) -> Iterator[Path]:
    log.configure("cli", "debug", tmp_path)
    yield tmp_path
    log.close()


@pytest.mark.parametrize("secret", SECRETS)
def test_a_planted_secret_is_not_found_in_any_file(secret: str, logs: Path) -> None:
    log.info(f"webhook_received {secret}", field=secret, nested={"deep": [secret]})
    try:
        raise ValueError(f"refused: {secret}")
    except ValueError:
        log.failure("command_failed")
    log.close()
    written = [path.read_text() for path in logs.iterdir()]
    assert sum(text.count("webhook_received") for text in written) == 2  # cli.log and billing-webhooks.log
    planted = secret.replace("-", "").replace(" ", "") if secret[0] == "4" else "PLANTED"
    assert not any(planted in text.replace("-", "").replace(" ", "") for text in written)


@pytest.mark.parametrize("text", HARMLESS)
def test_what_only_looks_like_a_secret_is_kept(text: str) -> None:
    assert redact(text) == text


def test_each_line_is_one_json_object(logs: Path) -> None:
    log.warning("quota_enforcement", user="a\nb", limit=3)
    log.close()
    [line] = (logs / "cli.log").read_text().splitlines()
    assert json.loads(line) | {"time": ""} == {
        "time": "", "level": "warning", "service": "cli", "message": "quota_enforcement", "user": "a\nb", "limit": 3,
    }  # fmt: skip


def test_work_goes_on_when_the_log_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("in the way")
    log.configure("cli", "info", tmp_path / "file")
    log.info("anything")
    log.close()
    assert capsys.readouterr() == ("", "")


def test_lines_are_written_where_an_operator_made_the_shared_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = tmp_path / "shared"
    monkeypatch.setattr(log, "SHARED", shared)
    log.configure("cli", "info", tmp_path / "own")
    log.info("webhook_received", event="evt_1")
    assert not shared.exists()
    shared.mkdir()
    log.configure("cli", "info", tmp_path / "own")
    log.info("webhook_received", event="evt_2")
    log.info("usage_recorded")
    log.close()
    assert [json.loads(line)["message"] for line in (shared / "billing.log").read_text().splitlines()] == [
        "webhook_received",
        "usage_recorded",
    ]
    assert "evt_2" in (shared / "billing-webhooks.log").read_text()


def test_a_full_disk_fails_no_command(tmp_path: Path) -> None:
    """Not when a line is written, nor when the file that could not take it is closed."""
    (tmp_path / "cli.log").symlink_to("/dev/full")
    log.configure("cli", "INFO", tmp_path)
    log.info("usage_recorded", user="user123")
    log.close()
