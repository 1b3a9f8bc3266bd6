"""Maintenance and exec as commands, with every service away; nginx where it is installed."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from commanding import Commands
from nself.app import App
from nself.core.errors import BillingError, InvalidParameter
from nself.core.project import Project
from nself.core.settings import Settings, Value
from nself.domains.operation import rules, store
from nself.domains.operation.inputs import Execute
from nself.domains.operation.model import Maintenance, NoSuchProgram, ProgramNotRun
from nself.domains.operation.service import execute
from nself.domains.stack import rules as stack_rules
from nself.domains.stack.model import Line
from nself.process import table
from nself.process.table import program
from nself.registry import Registry
from ports import free_port
from serving import until

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
needs_nginx = pytest.mark.skipif(program("nginx") is None, reason="nginx is not installed")


# maintenance


def test_maintenance_is_kept_without_a_database_and_told(commands: Commands):
    assert commands.json("maintenance", "status")["maintenance"] == "off"
    commands.nself("maintenance", "on", "--message", "Be right back")
    found = commands.json("maintenance", "status")
    assert (found["maintenance"], found["message"], found["until"]) == ("on", "Be right back", None)
    status = commands.json("billing", "status")
    assert "Be right back" in status["maintenance"]
    commands.nself("maintenance", "off")
    assert commands.json("billing", "status")["maintenance"] == "off"
    logged = commands.nself("logs", "billing", "--grep", "maintenance_(on|off)")
    assert logged.count("maintenance_") == 2 and "by=" in logged


def test_maintenance_ends_by_itself():
    assert rules.ends("2h", NOW, UTC) == NOW + timedelta(hours=2)
    assert rules.ends("2026-02-01", NOW, UTC) == datetime(2026, 2, 1, tzinfo=UTC)
    for wrong in ("2026-01-31", "0", "soon", "99999999999d"):
        with pytest.raises(InvalidParameter):
            rules.ends(wrong, NOW, UTC)
    found = Maintenance(message="m", since=NOW, by="b", until=NOW + timedelta(hours=1))
    assert rules.lasting(found, NOW + timedelta(minutes=59)) is found
    assert rules.lasting(found, NOW + timedelta(hours=1)) is None


def test_a_file_that_cannot_be_read_closes_too(tmp_path: Path):
    project = Project(tmp_path)
    assert store.maintenance(project) is None
    project.state.mkdir()
    (project.state / "maintenance.json").write_text("")
    assert store.maintenance(project)


# exec


def test_exec_gives_arguments_environment_and_folder_as_they_are(commands: Commands):
    show = "import os, sys, json; print(json.dumps([sys.argv[1:], os.getcwd(), os.environ['NSELF_PROJECT']]))"
    odd = ["$(touch owned)", "-s", "--format", "a b;c", "*"]
    printed = commands.nself("exec", "billing", sys.executable, "-c", show, *odd)
    root = str(commands.root.resolve())
    assert json.loads(printed) == [odd, root, root]
    assert not (commands.root / "owned").exists()
    commands.nself("exec", "billing", sys.executable, "-c", "import sys; sys.exit(17)", code=17)
    commands.nself("exec", "worker", sys.executable, "-c", "import os; os.kill(os.getpid(), 15)", code=143)
    commands.nself("exec", "billing", "no-such-program-here", code=1)
    commands.nself("exec", "no-such-service", "ls", code=1)
    commands.nself("exec", "billing", code=2)
    logged = commands.nself("logs", "billing", "--grep", "command_executed|command_ended")
    assert "touch owned" in logged and "exit_code=17" in logged


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        ("no-such-program-here", NoSuchProgram, "No such program: no-such-program-here"),
        ("/nonexistent", NoSuchProgram, "No such program: /nonexistent"),
        ("/proc/self/status", ProgramNotRun, "/proc/self/status cannot be run: Permission denied"),
    ],
)
def test_a_program_that_cannot_be_run_is_told_as_it_was_given(
    tmp_path: Path, name: str, error: type[BillingError], said: str
) -> None:
    with pytest.raises(error) as told:
        execute.execute(App(Project(tmp_path), Registry(), environ={}), Execute(service="http", command=[name]))
    assert (str(told.value), told.value.exit_code) == (said, 1)


def test_secrets_among_arguments_are_not_logged(commands: Commands):
    commands.nself("exec", "billing", "echo", "sk_test_" + "abcdefgh" * 3)
    assert "abcdefgh" not in (commands.root / ".nself/logs/cli.log").read_text()


def test_the_configuration_of_nginx_is_the_projects(commands: Commands):
    shown = commands.nself("exec", "nginx", "cat", "/etc/nginx/nginx.conf")
    assert shown == (commands.root / "nginx/nginx.conf").read_text()
    assert "proxy_read_timeout 60s;" in shown
    mine = commands.root / "nginx/nginx.conf"
    mine.write_text(shown.replace("proxy_read_timeout 60s", "proxy_read_timeout 90s"))
    assert "90s" in commands.nself("exec", "nginx", "cat", "/etc/nginx/nginx.conf"), "what users change stays"
    mine.write_text(shown)


def test_without_nginx_a_reload_says_so_and_the_configuration_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(table.shutil, "which", lambda *_, **__: None)  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
    app = App(Project(tmp_path), Registry(), environ={})
    given = Execute(service="nginx", command=["nginx", "-s", "reload"])
    assert execute.execute(app, given).exit_code == 0
    assert "not installed" in capfd.readouterr().out
    monkeypatch.undo()
    assert execute.execute(app, Execute(service="nginx", command=["cat", "/etc/nginx/nginx.conf"])).exit_code == 0
    assert "proxy_read_timeout 60s;" in capfd.readouterr().out


def test_a_service_whose_program_is_missing_does_not_exist(monkeypatch: pytest.MonkeyPatch):
    settings = Settings([{"NGINX_ENABLED": Value("true", "test")}])
    monkeypatch.setattr(table.shutil, "which", lambda *_, **__: "/usr/sbin/nginx")  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
    assert "nginx" in [row.name for row in table.DEFAULT.usual(settings)]
    assert "nginx" not in [row.name for row in table.DEFAULT.usual(Settings([]))]
    monkeypatch.setattr(table.shutil, "which", lambda *_, **__: None)  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
    assert "nginx" not in [row.name for row in table.DEFAULT.existing(settings)]
    assert "apt-get install nginx" in table.absent(table.DEFAULT.row("nginx"), settings)


def test_a_reload_while_it_does_not_run_tests_only(commands: Commands):
    printed = commands.nself("exec", "nginx", "nginx", "-s", "reload")
    assert "does not run" in printed or "not installed" in printed


def test_the_lines_of_nginx_have_their_time():
    said = "2026/01/31 10:00:00 [warn] 12#12: *1 upstream is slow"
    found = stack_rules.parse(said, "nginx")
    assert isinstance(found, Line) and found.level == "warning" and found.text == said
    said = '127.0.0.1 - - [31/Jan/2026:10:00:00 +0100] "GET / HTTP/1.1" 200 2 "-" "curl"'
    found = stack_rules.parse(said, "billing-access")
    assert isinstance(found, Line) and found.time == datetime(2026, 1, 31, 9, tzinfo=UTC)


def test_what_a_reload_is():
    assert rules.is_reload(["nginx", "-s", "reload"]) and rules.is_reload(["nginx", "-sreload"])
    assert not rules.is_reload(["nginx", "-s", "stop"]) and not rules.is_reload(["nginx", "reload"])


@needs_nginx
def test_a_broken_configuration_is_told_and_never_loaded(commands: Commands):
    mine = commands.root / "nginx/nginx.conf"
    commands.nself("exec", "nginx", "nginx", "-t")
    kept = mine.read_text()
    mine.write_text(kept.replace("keepalive_timeout 65s;", "keepalive_timeout never;"))
    try:
        commands.nself("exec", "nginx", "nginx", "-s", "reload", code=3)
        commands.nself("exec", "nginx", "nginx", "-t", code=1)
    finally:
        mine.write_text(kept)


class Upstream(BaseHTTPRequestHandler):
    """Stands for billing; /slow is answered when `go` is set, having set `asked`."""

    asked, go = threading.Event(), threading.Event()

    def do_GET(self) -> None:
        if self.path == "/slow":
            self.asked.set()
            self.go.wait(30)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


@pytest.fixture
def nginx(commands: Commands) -> Iterator[int]:
    """Its port."""
    port, upstream = free_port(), ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    thread = threading.Thread(target=upstream.serve_forever)
    thread.start()
    try:
        commands.nself("env", "set", f"NGINX_PORT={port}", f"BILLING_PORT={upstream.server_address[1]}")
        commands.nself("start", "nginx")
        yield port
        commands.nself("stop", "nginx")
    finally:
        upstream.shutdown()
        thread.join()
        upstream.server_close()


def ask(port: int, path: str) -> int:
    """The status; 0 where nobody answers."""
    try:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as line:
            line.request("GET", path)
            return line.getresponse().status
    except OSError:
        return 0


@needs_nginx
def test_a_reload_lets_open_requests_finish_and_webhooks_are_never_throttled(commands: Commands, nginx: int):
    until(lambda: ask(nginx, "/") == 200)
    pid, mine = commands.pid("nginx"), commands.root / "nginx/nginx.conf"
    kept = mine.read_text()
    mine.write_text(kept.replace("rate=100r/s", "rate=1r/m").replace("burst=200", "burst=1"))
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(ask, nginx, "/slow")
        assert Upstream.asked.wait(30)
        commands.nself("exec", "nginx", "nginx", "-s", "reload")
        until(lambda: ask(nginx, "/") == 429)
        Upstream.go.set()
        assert slow.result(60) == 200, "begun before the reload"
    assert commands.pid("nginx") == pid, "the same master"
    assert [ask(nginx, "/webhooks/stripe") for _ in range(20)] == [200] * 20
    until(lambda: "GET /webhooks/stripe" in commands.nself("logs", "nginx", "--tail", "100"))
    mine.write_text(kept)


@needs_nginx
def test_a_restart_does_not_end_nginx_for_a_configuration_that_it_refuses(commands: Commands, nginx: int):
    mine = commands.root / "nginx/nginx.conf"
    kept, pid = mine.read_text(), commands.pid("nginx")
    mine.write_text(kept.replace("keepalive_timeout 65s;", "keepalive_timeout never;"))
    try:
        commands.nself("restart", "nginx", code=3)
        assert (commands.pid("nginx"), ask(nginx, "/")) == (pid, 200)
    finally:
        mine.write_text(kept)
    commands.nself("restart", "nginx")
    until(lambda: ask(nginx, "/") == 200)
    assert commands.pid("nginx") != pid


@needs_nginx
def test_with_certificates_nginx_speaks_tls(commands: Commands, tmp_path: Path):
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost",
         "-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "cert.pem")],
        check=False, capture_output=True, env={**os.environ},
    )  # fmt: skip
    if made.returncode:
        pytest.skip("openssl makes no certificate here")
    names = {"NGINX_TLS_CERTIFICATE": "cert.pem", "NGINX_TLS_KEY": "key.pem"}
    commands.nself("env", "set", *(f"{name}={tmp_path / file}" for name, file in names.items()))
    commands.nself("exec", "nginx", "nginx", "-t")
    assert " ssl;" in (commands.root / ".nself/run/nginx/server.conf").read_text()
    commands.nself("env", "unset", *names)
