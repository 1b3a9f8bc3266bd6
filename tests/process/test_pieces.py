"""The pieces that the supervisor stands on: private files, locks, the table, the shim."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from harness import living, until

from nself.core.project import Project
from nself.core.settings import Settings, Value
from nself.process import listening, paths, shim, table, wanted


def project(folder: Path) -> Project:
    found = Project(folder)
    paths.run_folder(found).mkdir(parents=True)
    return found


def test_a_folder_that_is_not_private_is_refused(tmp_path: Path) -> None:
    good = paths.private(tmp_path / "good")
    assert good.stat().st_mode & 0o777 == 0o700
    assert paths.private(good) == good
    (tmp_path / "link").symlink_to(good)
    (tmp_path / "open").mkdir(mode=0o755)
    (tmp_path / "file").touch()
    for name in ("link", "open", "file"):
        with pytest.raises(paths.UnsafeFolder):
            paths.private(tmp_path / name)


def test_logs_lie_where_the_setting_says(tmp_path: Path) -> None:
    for given, place in (
        ("", tmp_path / ".nself/logs"),
        ("logs", tmp_path / "logs"),
        ("/var/log/x", Path("/var/log/x")),
    ):
        settings = Settings([{"BILLING_LOG_DIR": Value(given, "test")}])
        assert paths.log_folder(Project(tmp_path), settings) == place


def test_private_files_are_replaced_at_once_and_only_when_they_change(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert paths.write_changed(path, "one")
    before = path.stat()
    assert not paths.write_changed(path, "one")
    assert path.stat().st_ino == before.st_ino
    assert paths.write_changed(path, "two")
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("two", 0o600)
    assert [found.name for found in tmp_path.iterdir()] == ["file"]


def test_the_lock_names_its_holder_and_goes_with_it(tmp_path: Path) -> None:
    found = project(tmp_path)
    lock = paths.run_folder(found) / "stack.lock"
    assert not paths.is_locked(lock)
    with paths.locked(found, "restart billing"):
        assert paths.is_locked(lock)
        told = f"process {os.getpid()}: restart billing"
        with pytest.raises(paths.Busy, match=told), paths.locked(found, "stop", limit=0.05):
            pass
    assert not paths.is_locked(lock)


def test_wishes_survive_a_round_trip_and_rubbish(tmp_path: Path) -> None:
    wishes = {"http": wanted.Wish(3, {"BILLING_LOG_LEVEL": "debug"}), "worker": wanted.Wish(1, {})}
    wanted.save(tmp_path, wishes)
    assert wanted.load(tmp_path) == wishes
    assert [wanted.next_generation(tmp_path), wanted.next_generation(tmp_path)] == [4, 5]
    for rubbish in ("", "[]", "null", '{"http": 1}', '{"http": {"generation": "x"}}'):
        (tmp_path / wanted.FILE).write_text(rubbish)
        assert wanted.load(tmp_path) == {}


def settings(**values: str) -> Settings:
    return Settings([{name: Value(text, ".env") for name, text in values.items()}])


def test_the_table_answers_by_service_and_group() -> None:
    rows = table.DEFAULT
    assert [row.name for row in rows.named(["billing"])] == ["http", "worker", "usage-collector", "pdf-generator"]
    assert [row.name for row in rows.with_needs(rows.named(["worker"]), settings())] == ["postgres", "worker"]
    external = settings(DATABASE_URL="postgresql://x")
    assert [row.name for row in rows.with_needs(rows.named(["worker"]), external)] == ["worker"]
    assert "stripe-mock" not in [row.name for row in rows.usual(settings())]
    assert "stripe-mock" in [row.name for row in rows.usual(settings(STRIPE_MOCK_ENABLED="true"))]
    with pytest.raises(table.NoSuchService, match="postgres, stripe-mock, billing, http"):
        rows.named(["billing", "htpp"])


def test_a_rows_command_line_has_the_settings_of_now(tmp_path: Path) -> None:
    row = table.DEFAULT.row("stripe-mock")
    for rate, wanted_rate in (("0", "25"), ("7", "7")):
        line = table.argv(row, Project(tmp_path), settings(STRIPE_MOCK_PORT="99", STRIPE_RATE_LIMIT=rate))
        assert line[-8:] == [
            "--port", "99", "--data", str(tmp_path / ".nself" / "stripe-sandbox.sqlite"), "--rate-limit", wanted_rate,
            "--traffic", "",
        ]  # fmt: skip


def test_the_hash_changes_with_what_matters_only() -> None:
    sandbox, worker = table.DEFAULT.row("stripe-mock"), table.DEFAULT.row("worker")
    plain, debug = settings(), settings(BILLING_LOG_LEVEL="debug")
    assert table.settings_hash(sandbox, plain) == table.settings_hash(sandbox, debug)
    assert table.settings_hash(worker, plain) != table.settings_hash(worker, debug)


def test_only_settings_are_forwarded() -> None:
    given = {"BILLING_ANYTHING": "1", "STRIPE_MODE": "live", "PATH": "/bin", "AWS_SECRET": "x"}
    assert table.forwarded(given) == {"BILLING_ANYTHING": "1", "STRIPE_MODE": "live"}


def test_the_table_left_for_the_launcher_is_the_table(tmp_path: Path) -> None:
    found = project(tmp_path)
    table.save(found, table.DEFAULT)
    assert table.load(paths.run_folder(found)) == table.DEFAULT


def test_a_port_is_held_by_who_listens_only() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert listening.answers("127.0.0.1", port) and listening.holds(os.getpid(), port)
        assert not listening.holds(os.getppid(), port)
        assert listening.free_above("127.0.0.1", port) > port
    assert not listening.holds(os.getpid(), port)


def test_a_shimmed_child_dies_with_its_parent() -> None:
    child = shim.command(["sleep", "300"], shim.Fate(signal.SIGINT))
    program = f"import subprocess, time; print(subprocess.Popen({child!r}).pid, flush=True); time.sleep(300)"
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    pid = int(parent.stdout.readline())
    until(lambda: Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"sleep"))
    parent.kill()
    parent.communicate()
    until(lambda: not living(pid))


def test_a_shim_whose_parent_is_gone_already_starts_nothing() -> None:
    line = shim.command(["echo", "started"], shim.Fate(parent=1))
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "the parent 1 is gone" in done.stderr
