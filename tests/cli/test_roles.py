"""BILLING_TERMINAL_ROLES: who may what in the terminal."""

from __future__ import annotations

import pytest

from nself.app import App
from nself.cli import main
from nself.core.entrypoint import Command
from nself.core.roles import by_login
from nself.domains.operator import rules
from nself.domains.trail import service as trail
from nself.domains.trail.inputs import ShowLog
from nself.registry import Registry


def row(path: str) -> Command:
    (found,) = [one for one in Registry().rows(Command) if one.path == path]
    return found


def test_logins_have_roles_or_the_setting_is_refused() -> None:
    assert by_login(" ada=owner  *=read-only ") == {"ada": "owner", "*": "read-only"}
    for wrong in ("ada", "ada=king", "=owner", "ada=owner,bob=support"):
        with pytest.raises(ValueError, match="logins with roles"):
            by_login(wrong)


@pytest.mark.parametrize(
    ("path", "role"),
    [
        ("billing invoice list", "read-only"), ("billing doctor", "read-only"), ("billing webhook show-order", "read-only"), ("billing operator list", "read-only"),
        ("billing quota set", "support"), ("billing invoice send", "support"),
        ("billing refund create", "operator"), ("billing webhook replay", "operator"), ("stop", "operator"), ("billing sync all", "operator"),
        ("billing usage record", "operator"), ("billing export charges", "operator"), ("billing webhook show-secret", "operator"),
        ("billing operator add", "owner"), ("env set", "owner"), ("exec", "owner"), ("db restore", "owner"), ("billing api-key create", "owner"),
    ],
)  # fmt: skip
def test_what_a_command_takes(path: str, role: str) -> None:
    assert rules.in_terminal(path, row(path).audited) == role


def test_a_command_that_is_not_known_to_look_takes_an_operator() -> None:
    assert rules.in_terminal("billing something new", audited=False) == "operator"


def test_who_may_not_is_told_and_written_down_and_who_may_goes_on(
    app: App, database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {
        "NSELF_PROJECT": str(app.project.root),
        "DATABASE_URL": database,
        "SUDO_USER": "bob",
        "BILLING_TERMINAL_ROLES": "ada=owner bob=support",
    }.items():
        monkeypatch.setenv(name, value)
    app.ensure_project()
    assert main.run(["billing", "refund", "create", "--charge", "ch_1", "--reason", "duplicate"]) == 4
    told = capsys.readouterr().err
    assert "bob is support in the terminal (BILLING_TERMINAL_ROLES) and may not do this; it takes operator" in told
    assert "try: nself env get BILLING_TERMINAL_ROLES" in told
    (written, *_) = trail.show_log(app, ShowLog(since="3650d"))
    assert (written.actor, written.outcome) == ("bob", "failed: role_lacks")
    assert main.run(["billing", "refund", "list"]) == 0
    assert main.run(["billing", "usage", "record", "--user", "user1", "--metric", "api_calls", "--value", "1"]) == 4
    monkeypatch.setenv("SUDO_USER", "ada")
    capsys.readouterr()
    assert main.run(["billing", "refund", "create", "--charge", "ch_1", "--reason", "duplicate"]) == 4
    assert "STRIPE_SECRET_KEY is not set" in capsys.readouterr().err
    monkeypatch.setenv("BILLING_TERMINAL_ROLES", "ada:owner")
    assert main.run(["billing", "refund", "list"]) == 2
    assert "BILLING_TERMINAL_ROLES is 'ada:owner': logins with roles" in capsys.readouterr().err
