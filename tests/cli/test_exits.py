"""Exit codes and the text of errors, for whatever rows exist."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, cast

import msgspec
import psycopg
import pytest

from metering import database_on
from nself.cli import main
from nself.core.entrypoint import Command
from nself.core.errors import NotFound
from nself.core.project import Project
from nself.present import fields
from nself.registry import Registry

ROWS = Registry().rows(Command)


class Ran(Protocol):
    code: int
    out: str
    err: str


Run = Callable[..., Ran]


def fields_of(row: Command) -> list[fields.Field]:
    return list(fields.fields(cast("type[msgspec.Struct]", Registry(()).resolve(row.input))))


def flag(field: fields.Field) -> str:
    return f"--{field.name.replace('_', '-')}"


NEEDING = [row for row in ROWS if any(field.required for field in fields_of(row))]
COUNTING = [(row, field) for row in ROWS for field in fields_of(row) if field.kind is int and not field.positional]


@pytest.mark.parametrize("row", NEEDING, ids=lambda row: row.path)
def test_a_missing_parameter_exits_2_and_is_named(run: Run, row: Command) -> None:
    ran = run(*row.path.split())
    assert ran.code == 2 and not ran.out
    missing = [field for field in fields_of(row) if field.required]
    assert any(
        (field.metavar or field.name.upper() if field.positional else flag(field)) in ran.err for field in missing
    )
    assert "Usage: nself " + row.path in ran.err


@pytest.mark.parametrize(
    ("row", "field"), COUNTING, ids=lambda one: getattr(one, "path", None) or getattr(one, "name", "")
)
def test_a_bad_integer_is_told_before_what_is_missing(run: Run, row: Command, field: fields.Field) -> None:
    for bad in ("1.5", "10.00", "1e3", "", "0x1", "١", "9" * 20):
        ran = run(*row.path.split(), flag(field), bad)
        assert (ran.code, ran.out) == (2, "")
        assert f"Error: Invalid integer: {bad}" in ran.err.splitlines()[0]


def test_there_are_counting_and_needing_commands() -> None:
    assert len(COUNTING) > 3 and len(NEEDING) > 5


def test_the_guides_two_lines(run: Run) -> None:
    assert "Invalid integer: 1.5" in run("billing", "usage", "record", "--value", "1.5").err
    ran = run("billing", "usage", "record", "--value", "2")
    assert ran.code == 2 and "--user" in ran.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("bogus",), "No such command 'bogus'"),
        (("env", "bogus"), "No such command 'bogus'"),
        (("env", "list", "--bogus"), "No such option"),
        (("env", "list", "--format", "xml"), "'xml' is not one of"),
        (("env", "list", "extra"), "unexpected extra argument"),
        (("env", "--changed", "list"), "No such option"),
        (("db", "query", "select 1", "--limit", "0"), "Invalid limit"),
        (("db", "query", "select 1", "--limit", "--write"), "--write stands where a whole number is needed"),
        (("env", "set", "BILLING_PORT", "-5"), "give a number as --option=-5"),
        (("env", "set", "STRIPE_MAX_RETRIES=often"), "STRIPE_MAX_RETRIES is 'often'"),
    ],
)
def test_wrong_input_exits_2(run: Run, arguments: tuple[str, ...], words: str) -> None:
    ran = run(*arguments)
    assert ran.code == 2 and not ran.out
    assert words in ran.err and "Traceback" not in ran.err


def test_wrong_input_leads_to_the_commands_help(run: Run) -> None:
    ran = run("billing", "usage", "record", "--user", "u", "--metric", "m", "--value", "1.5")
    assert ran.err == "Error: Invalid integer: 1.5\n  try: nself billing usage record --help\n  guide: 10.8\n"
    ran = run("db", "query", "select 1", "--limit", "0")
    assert ran.err == "Error: Invalid limit: 1 or more is needed\n  try: nself db query --help\n"


def test_an_error_prints_its_hints_and_its_section(run: Run) -> None:
    ran = run("env", "get", "STRIPE_MODES")
    assert ran.code == 1
    assert ran.err == "Error: No such setting: STRIPE_MODES (did you mean STRIPE_MODE?)\n  try: nself env list\n"
    refused = run("db", "query", "TRUNCATE TABLE billing_transactions CASCADE")
    assert refused.code == 4 and "seed clear --confirm" in refused.err and "guide: 8.1" in refused.err


def test_a_database_that_takes_too_long_exits_3_and_names_the_way_out(
    run: Run, monkeypatch: pytest.MonkeyPatch, server: str, template: str
) -> None:
    with database_on(server, template) as conninfo, psycopg.connect(conninfo) as holder:
        holder.execute("lock table billing.billing_usage_rollups in access exclusive mode")
        monkeypatch.setenv("DATABASE_URL", conninfo)
        monkeypatch.setenv("DB_QUERY_TIMEOUT", "200ms")
        ran = run("billing", "usage", "status")
    assert ran.code == 3 and not ran.out
    assert ran.err.startswith("Error: The database took too long: canceling statement due to statement timeout")
    assert "try: nself env set DB_QUERY_TIMEOUT=60s" in ran.err and "guide: 8.2" in ran.err


def test_a_check_that_fails_exits_3_with_its_result(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "host=/nowhere/at/all")
    ran = run("db", "test-connection")
    assert ran.code == 3 and "ok: false" in ran.out.splitlines()
    unavailable = run("db", "ping")
    assert unavailable.code == 3 and "Database connection failed" in unavailable.err and not unavailable.out


def test_without_arguments_help_is_shown(run: Run) -> None:
    for arguments in ((), ("env",), ("billing", "usage")):
        ran = run(*arguments)
        assert ran.code == 0 and "Commands:" in ran.out and not ran.err


def test_project_option(run: Run, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / ".env").write_text("BILLING_PORT=81\n")
    assert run("--project", str(other), "env", "get", "BILLING_PORT").out == "81\n"
    assert run("env", "get", "BILLING_PORT").out == "8080\n"
    missing = run("--project", str(tmp_path / "none"), "env", "list")
    assert missing.code == 1 and "No such directory" in missing.err


def test_env_commands_end_to_end(run: Run, tmp_path: Path) -> None:
    first = run("env", "set", "STRIPE_MAX_RETRIES=7", "STRIPE_SECRET_KEY=sk_test_0123456789abcdef")
    assert first.code == 0 and not first.err, "a new project's first command says nothing but its result"
    assert run("env", "get", "STRIPE_MAX_RETRIES") == (0, "7\n", "")
    shown = run("env", "get", "MAIL_FROM", "--format", "json")
    assert json.loads(shown.out)["value"] == "" and "note: MAIL_FROM" in shown.err
    everything = run("env", "list")
    assert "sk_test_***cdef" in everything.out and "0123456789" not in everything.out
    assert run("env", "unset", "STRIPE_MAX_RETRIES").code == 0
    assert run("env", "get", "STRIPE_MAX_RETRIES").out == "3\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == [".env", ".gitignore", ".nself", ".secrets"]


def test_looking_creates_nothing(run: Run, tmp_path: Path) -> None:
    assert run("env", "list").code == 0
    assert not list(tmp_path.iterdir())


# ---- As a process: readers that leave, and Ctrl-C ----

PATCHED = """
import itertools, sys, time
from nself.cli import main
from nself.domains.setting import service
def slow(app, given):
    print("started", flush=True)
    time.sleep(60)
def endless(app, given):
    return (f"line {at}" for at in itertools.count())
service.list_settings = globals()[sys.argv.pop(1)]
main.main()
"""


def start(root: Path, *line: str) -> subprocess.Popen[str]:
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.Popen(line, cwd=root, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_reader_that_leaves_is_no_failure(tmp_path: Path) -> None:
    code = "import sys\nfrom nself.cli.main import main\nmain()"
    with start(tmp_path, sys.executable, "-c", code, "env", "list") as process:
        assert process.stdout and process.stderr
        process.stdout.close()
        assert (process.wait(30), process.stderr.read()) == (0, "")
    with start(tmp_path, sys.executable, "-c", PATCHED, "endless", "env", "list") as process:
        assert process.stdout and process.stderr
        assert process.stdout.readline() == "line 0\n"
        process.stdout.close()
        assert (process.wait(30), process.stderr.read()) == (0, "")


def test_ctrl_c_exits_130_without_a_traceback(tmp_path: Path) -> None:
    with start(tmp_path, sys.executable, "-c", PATCHED, "slow", "env", "list") as process:
        assert process.stdout and process.stderr
        assert process.stdout.readline() == "started\n"
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(30) == 130
        assert process.stderr.read().strip() == "Interrupted"


@pytest.mark.parametrize("stream", ["<&-", ">&-", "2>&-"])
@pytest.mark.parametrize("line", ["env list", "env set STRIPE_SECRET_KEY --stdin"])
def test_closed_streams_are_no_failure_of_the_program(tmp_path: Path, stream: str, line: str) -> None:
    code = "from nself.cli.main import main; main()"
    ran = subprocess.run(
        ["/bin/sh", "-c", f'exec "$0" -c "$1" {line} {stream}', sys.executable, code],
        cwd=tmp_path, input="", capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert ran.returncode == (2 if "--stdin" in line else 0)
    assert "Traceback" not in ran.stderr and "unexpected" not in ran.stderr


def test_folders_that_are_gone_or_too_long_or_closed(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = run("--project", "x" * 5000, "status")
    assert long.code == 1 and long.err.startswith("Error: No such directory: ") and len(long.err) < 300
    (tmp_path / "closed").write_text("a file where a folder is needed")
    monkeypatch.setattr(Project, "state", property(lambda project: project.root / "closed" / "state"))
    closed = run("env", "set", "BILLING_PORT=1")
    assert closed.code == 3 and "cannot be written: Not a directory" in closed.err and "traceback" not in closed.err
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert run("status").err == "Error: No such directory: the current folder was deleted\n"


def test_hints_are_safe_to_paste_and_to_print() -> None:
    class Odd(NotFound):
        code, text, hints = "odd", "No such thing: {name}", ("nself env get {name}",)

    assert Odd(name='$(id) "x').hint == ("nself env get '$(id) \"x'",)
    assert main.explain(Odd(name="a\x1b[31m\n")) == (
        "Error: No such thing: a\\x1b[31m\n\n  try: nself env get 'a\\x1b[31m\n'"
    )
