"""`nself env`: where values go, what is refused, what is told."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path

import pytest

from nself.app import App
from nself.core.errors import BillingError, Invalid, InvalidParameter
from nself.core.project import Project
from nself.core.settings import DECLARED, InvalidSetting, NoSuchSetting
from nself.domains.setting import service
from nself.domains.setting.inputs import GetSetting, ListSettings, SetSettings, UnsetSettings
from nself.domains.setting.model import NothingRead, SettingsNotWritten, UnknownSetting, WrittenSetting
from nself.registry import Registry


def app_in(root: Path, **environ: str) -> App:
    return App(Project(root), Registry(("setting",)), environ=environ)


def put(app: App, *assignments: str) -> list[WrittenSetting]:
    return service.set_values(app, SetSettings(assignments=list(assignments)))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_secrets_and_others_go_to_their_files(tmp_path: Path) -> None:
    app = app_in(tmp_path)
    secret, plain = put(app, "STRIPE_SECRET_KEY=sk_test_0123456789abcdef", "STRIPE_MAX_RETRIES=7")
    assert (secret.file, secret.value) == (".secrets", "sk_test_***cdef")
    assert (plain.file, plain.value, plain.in_force) == (".env", "7", True)
    assert "nself restart billing" in plain.note
    assert "history" in secret.note
    assert "0123456789" not in (tmp_path / ".env").read_text()
    assert mode(tmp_path / ".secrets") == 0o600
    ignored = (tmp_path / ".gitignore").read_text().splitlines()
    assert {"/.secrets", "/.env.local", "/.nself/"} <= set(ignored)
    fresh = app_in(tmp_path)
    assert service.get(fresh, GetSetting(name="STRIPE_MAX_RETRIES")).value == "7"
    assert service.get(fresh, GetSetting(name="STRIPE_SECRET_KEY")).value == "sk_test_***cdef"
    assert service.get(fresh, GetSetting(name="STRIPE_SECRET_KEY", reveal=True)).value == "sk_test_0123456789abcdef"


def test_the_same_app_sees_what_it_wrote(tmp_path: Path) -> None:
    app = app_in(tmp_path)
    assert app.settings.integer("STRIPE_MAX_RETRIES") == 3
    put(app, "STRIPE_MAX_RETRIES=7")
    assert app.settings.integer("STRIPE_MAX_RETRIES") == 7
    service.unset(app, UnsetSettings(names=["STRIPE_MAX_RETRIES"]))
    assert app.settings.integer("STRIPE_MAX_RETRIES") == 3


def test_gitignore_of_an_old_project_is_completed(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("STRIPE_MODE=test\n")
    (tmp_path / ".gitignore").write_text("node_modules\n/.secrets")
    put(app_in(tmp_path), "STRIPE_SECRET_KEY=sk_test_1")
    lines = (tmp_path / ".gitignore").read_text().splitlines()
    assert lines[:2] == ["node_modules", "/.secrets"]
    assert {"/.env.local", "/.nself/"} <= set(lines) and lines.count("/.secrets") == 1


def test_env_local_is_changed_where_it_defines_the_name(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("BILLING_PORT=1\n")
    (tmp_path / ".env.local").write_text("BILLING_PORT=2 # mine\nSTRIPE_SECRET_KEY=sk_test_old\n")
    (tmp_path / ".env.local").chmod(0o644)
    port, key = put(app_in(tmp_path), "BILLING_PORT=3", "STRIPE_SECRET_KEY=sk_test_new")
    assert port.file == key.file == ".env.local"
    assert ".env.local defined it" in port.note
    assert "chmod 600 .env.local" in key.note
    assert (tmp_path / ".env.local").read_text() == "BILLING_PORT=3 # mine\nSTRIPE_SECRET_KEY=sk_test_new\n"
    assert (tmp_path / ".env").read_text() == "BILLING_PORT=1\n"
    assert not (tmp_path / ".secrets").exists()


def test_a_stronger_place_is_told(tmp_path: Path) -> None:
    (tmp_path / ".secrets").write_text("BILLING_HOST=0.0.0.0\n")
    app = app_in(tmp_path, STRIPE_MAX_RETRIES="9")
    retries, host = put(app, "STRIPE_MAX_RETRIES=4", "BILLING_HOST=127.0.0.1")
    assert not retries.in_force and "overridden by environment, which says 9" in retries.note
    assert not host.in_force and "overridden by .secrets, which says 0.0.0.0" in host.note
    assert "restart" not in retries.note
    assert (tmp_path / ".env").read_text().endswith("STRIPE_MAX_RETRIES=4\nBILLING_HOST=127.0.0.1\n")


def test_an_old_secret_in_env_is_told(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("STRIPE_WEBHOOK_SECRET=whsec_old\n")
    (one,) = put(app_in(tmp_path), "STRIPE_WEBHOOK_SECRET=whsec_new")
    assert one.file == ".secrets" and "an older value still stands in .env" in one.note
    assert app_in(tmp_path).settings.notes == (
        "STRIPE_WEBHOOK_SECRET of .env does not count: .secrets has another one",
    )
    (tmp_path / ".env").write_text("STRIPE_WEBHOOK_SECRET=whsec_new\n")
    assert app_in(tmp_path).settings.notes == ()


@pytest.mark.parametrize(
    ("assignment", "error", "words"),
    [
        ("STRIPE_MAX_RETRIES=often", InvalidSetting, "often"),
        ("STRIPE_MAX_RETRIES=-1", InvalidSetting, "0 or more"),
        ("STRIPE_MODE=prod", InvalidSetting, "one of test, live"),
        ("WEBHOOK_TIMEOUT=soon", InvalidSetting, "duration"),
        ("USAGE_AGGREGATION_INTERVAL=0", InvalidSetting, "more than 0 is needed"),
        ("USAGE_AGGREGATION_INTERVAL=99999999999999999999d", InvalidSetting, "366 days or less are needed"),
        ("DB_QUERY_TIMEOUT=25d", InvalidSetting, "24 days or less are needed"),
        ("API_MAX_BODY=0", InvalidSetting, "more than 0 is needed"),
        ("QUOTA_WARNING_THRESHOLDS=a,b", InvalidSetting, "percents from 1 to 1000"),
        ("QUOTA_WARNING_THRESHOLDS=-5,50", InvalidSetting, "percents from 1 to 1000"),
        ("NOTIFY_WEBHOOK_URL=nonsense", InvalidSetting, "an address like https://"),
        ("BILLING_TIMEZONE=Mars/Olympus", InvalidSetting, "time zone"),
        ("BILLING_CURRENCY=dollars", InvalidSetting, "three letters"),
        ("STRIPE_MAX_RETRY=3", UnknownSetting, "did you mean STRIPE_MAX_RETRIES"),
        ("stripe_mode=test", UnknownSetting, "did you mean STRIPE_MODE"),
        ("BILLING_MADE_UP_THING=1", UnknownSetting, "nothing was written"),
        ("STRIPE_MODE", InvalidParameter, "NAME=VALUE is needed, not STRIPE_MODE"),
        ("A B=1", InvalidParameter, "Invalid name"),
        ("=1", InvalidParameter, "Invalid name"),
        ("OWN=\udcff", InvalidParameter, "not text"),
    ],
)
def test_refused_before_anything_is_written(
    tmp_path: Path, assignment: str, error: type[BillingError], words: str
) -> None:
    with pytest.raises(error, match=words) as caught:
        put(app_in(tmp_path), "BILLING_PORT=8081", assignment)
    assert caught.value.exit_code == Invalid.exit_code
    assert not list(tmp_path.iterdir())


def test_a_refusal_does_not_repeat_a_secret(tmp_path: Path) -> None:
    with pytest.raises(InvalidParameter) as caught:
        put(app_in(tmp_path), "STRIPE_MODE=test", "sk_test_0123456789abcdef")
    assert "0123456789" not in caught.value.message


def test_unknown_names_of_other_programs_are_kept(tmp_path: Path) -> None:
    (own,) = put(app_in(tmp_path), "MY_APP_COLOR=dark blue")
    assert own.in_force and "not a setting of nself" in own.note
    assert service.get(app_in(tmp_path), GetSetting(name="MY_APP_COLOR")).value == "dark blue"
    (typo,) = put(app_in(tmp_path), "STRPE_MODE=live")
    assert "did you mean STRIPE_MODE" in typo.note


@pytest.mark.parametrize(
    ("text", "kept", "told"),
    [
        (" 5 ", "5", "whitespace"),
        ('"5"', "5", "quotes"),
        (" '5' ", "5", "whitespace around the value was removed; quotes around the value were removed"),
        ("5\r", "5", "whitespace"),
    ],
)
def test_what_cannot_be_seen_is_removed_and_told(tmp_path: Path, text: str, kept: str, told: str) -> None:
    (one,) = put(app_in(tmp_path), f"STRIPE_MAX_RETRIES={text}")
    assert one.value == kept and told in one.note


def test_invisible_characters_in_a_file_are_told(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        "STRIPE_PUBLISHABLE_KEY=pk_test_\u200b1\nBILLING_PORT='\" 80\"'\nMAIL_FROM=\"a 'b'\"\n"
    )
    app = app_in(tmp_path)
    assert "invisible" in (service.get(app, GetSetting(name="STRIPE_PUBLISHABLE_KEY")).odd or "")
    port = service.get(app, GetSetting(name="BILLING_PORT"))
    assert port.value == "80" and "quotes" in (port.odd or "")
    assert service.get(app, GetSetting(name="MAIL_FROM")).value == "a 'b'"


def test_get_says_only_the_value_and_remarks_apart(tmp_path: Path) -> None:
    app = app_in(tmp_path)
    zone = service.get(app, GetSetting(name="BILLING_TIMEZONE"))
    assert (zone.plain(), zone.remarks(), zone.origin) == ("UTC", [], "default")
    sender = service.get(app, GetSetting(name="MAIL_FROM"))
    assert sender.plain() == "" and "no value" in sender.remarks()[0]
    with pytest.raises(NoSuchSetting, match="did you mean BILLING_TIMEZONE"):
        service.get(app, GetSetting(name="BILLING_TIMEZON"))


def test_a_wrong_value_in_a_file_can_still_be_looked_at(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("STRIPE_MAX_RETRIES=often\n")
    found = service.get(app_in(tmp_path), GetSetting(name="STRIPE_MAX_RETRIES"))
    assert found.value == "often" and "whole number" in (found.odd or "")


def test_list_filters(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("STRIPE_REQUIRE_2FA=true\nOTHER_TOKEN=hush-hush\n")
    app = app_in(tmp_path, BILLING_PORT="81")
    shown = {row.name: row for row in service.list_settings(app, ListSettings())}
    assert shown.keys() == {one.name for one in DECLARED} | {"OTHER_TOKEN"}
    assert shown["BILLING_PORT"].origin == "environment" and shown["STRIPE_REQUIRE_2FA"].origin == ".env"
    assert shown["OTHER_TOKEN"].value == "***"
    changed = [row.name for row in service.list_settings(app, ListSettings(changed=True))]
    assert sorted(changed) == ["BILLING_PORT", "OTHER_TOKEN", "STRIPE_REQUIRE_2FA"]


def test_unset_removes_from_every_file(tmp_path: Path) -> None:
    for name in (".env", ".env.local", ".secrets"):
        (tmp_path / name).write_text(f"# {name}\nBILLING_PORT=1\nKEEP=1\n")
    port, unknown = service.unset(
        app_in(tmp_path, BILLING_PORT="9"), UnsetSettings(names=["BILLING_PORT", "STRIPE_MOD"])
    )
    assert port.file == ".env, .env.local, .secrets" and not port.in_force
    assert "environment still sets it" in port.note
    assert "stood in no file" in unknown.note and "STRIPE_MODE" in unknown.note
    for name in (".env", ".env.local", ".secrets"):
        assert (tmp_path / name).read_text() == f"# {name}\nKEEP=1\n"
    assert mode(tmp_path / ".secrets") == 0o600


def test_key_of_the_other_mode_and_wrong_kind_are_told(tmp_path: Path) -> None:
    (live,) = put(app_in(tmp_path), "STRIPE_SECRET_KEY=sk_live_0123456789abcdef")
    assert "STRIPE_MODE is test" in live.note
    (kind,) = put(app_in(tmp_path), "STRIPE_SECRET_KEY=pk_test_0123456789abcdef")
    assert "starts with sk_test_ or sk_live_ or rk_test_ or rk_live_" in kind.note
    (hook,) = put(app_in(tmp_path), "STRIPE_WEBHOOK_SECRET=whsec_a,nothing")
    assert "whsec_" in hook.note


def test_stdin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("whsec_from_a_pipe\n"))
    (one,) = service.set_values(app_in(tmp_path), SetSettings(assignments=["STRIPE_WEBHOOK_SECRET"], stdin=True))
    assert "history" not in one.note
    assert (tmp_path / ".secrets").read_text() == "STRIPE_WEBHOOK_SECRET=whsec_from_a_pipe\n"
    for wrong in (["A", "B"], ["A=1"]):
        with pytest.raises(InvalidParameter, match="one NAME"):
            service.set_values(app_in(tmp_path), SetSettings(assignments=wrong, stdin=True))


@pytest.mark.parametrize("nothing", ["", "\n"])
def test_an_empty_pipe_erases_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nothing: str) -> None:
    put(app_in(tmp_path), "STRIPE_SECRET_KEY=sk_test_kept")
    monkeypatch.setattr("sys.stdin", io.StringIO(nothing))
    with pytest.raises(NothingRead, match="nothing was written"):
        service.set_values(app_in(tmp_path), SetSettings(assignments=["STRIPE_SECRET_KEY"], stdin=True))
    assert "sk_test_kept" in (tmp_path / ".secrets").read_text()


def test_a_port_has_an_end(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match="65535 or less"):
        put(app_in(tmp_path), "BILLING_PORT=65536")


def test_links_modes_and_owners_stay(tmp_path: Path) -> None:
    real = tmp_path / "elsewhere" / "env"
    real.parent.mkdir()
    real.write_text("BILLING_PORT=1\n")
    real.chmod(0o640)
    project = tmp_path / "project"
    project.mkdir()
    (project / ".env").symlink_to("../elsewhere/env")
    (project / ".secrets").write_text("")
    (project / ".secrets").chmod(0o644)
    put(app_in(project), "BILLING_PORT=2", "STRIPE_SECRET_KEY=sk_test_1")
    assert (project / ".env").is_symlink() and real.read_text() == "BILLING_PORT=2\n"
    assert mode(real) == 0o640 and mode(project / ".secrets") == 0o600
    assert [path.name for path in real.parent.iterdir()] == ["env"]


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("BILLING_PORT=1\n")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SettingsNotWritten, match="No space left"):
        put(app_in(tmp_path), "BILLING_PORT=2")
    assert (tmp_path / ".env").read_text() == "BILLING_PORT=1\n"
    assert not list(tmp_path.glob(".nself-new*"))
