"""A sandbox as a process of its own, and the command line in a project that uses it."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from nself.cli import main
from ports import free_port
from serving import until
from stripe_openapi import validate_traffic

KEY = "sk_test_hands_of_an_operator"


class Sandbox(NamedTuple):
    port: int

    def admin(self, method: str, route: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        url = f"http://127.0.0.1:{self.port}/_sandbox/{route}"
        with urllib.request.urlopen(urllib.request.Request(url, data, method=method), timeout=60) as answer:
            return json.load(answer)

    def answers(self) -> bool:
        with suppress(OSError):
            return self.admin("GET", "health")["status"] == "ok"
        return False


class Ran(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)


Run = Callable[..., Ran]


@pytest.fixture(scope="session")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """All that goes over its wire is judged by Stripe's document in the end."""
    found, traffic = Sandbox(free_port()), tmp_path_factory.mktemp("sandbox") / "traffic.jsonl"
    line = [sys.executable, "-m", "stripe_sandbox", "--port", str(found.port), "--rate-limit", "0"]
    line += ["--traffic", str(traffic)]
    running = subprocess.Popen(line, stdin=subprocess.DEVNULL)
    until(found.answers)
    yield found
    running.terminate()
    assert running.wait(60) == 0
    assert traffic.stat().st_size and validate_traffic(traffic) == []


@pytest.fixture
def sandbox(process: Sandbox) -> Sandbox:
    """With the guide's objects, and nothing of an earlier test."""
    process.admin("POST", "reset", {})
    for one in process.admin("GET", "snapshots")["snapshots"]:
        process.admin("DELETE", f"snapshots/{one['name']}")
    process.admin("POST", "fixtures", {"set": "guide"})
    return process


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox, database: str) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / ".env").touch()
    monkeypatch.chdir(folder)
    settings = {
        "DATABASE_URL": database,
        "STRIPE_MOCK_ENABLED": "true",
        "STRIPE_MOCK_PORT": str(sandbox.port),
        "STRIPE_SECRET_KEY": KEY,
        "STRIPE_RATE_LIMIT": "1000",
        "BILLING_PORT": str(free_port()),
        "BILLING_TIMEZONE": "Europe/Berlin",
        "STRIPE_MAX_RETRIES": "0",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    return folder


@pytest.fixture
def run(project: Path, capfd: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """`run("clock", "show")`: a line of `nself billing sandbox` in this process."""
    kept = logging.getLogger("nself").handlers

    def run_line(*arguments: str) -> Ran:
        capfd.readouterr()
        code = main.run(["billing", "sandbox", *arguments])
        return Ran(code, *capfd.readouterr())

    yield run_line
    for handler in logging.getLogger("nself").handlers:
        if handler not in kept:
            handler.close()
    logging.getLogger("nself").handlers = kept


@pytest.fixture
def nself(project: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """A command line as a process of its own."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        line = [sys.executable, "-c", "from nself.cli.main import main; main()", *arguments]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen(line, cwd=project, env=os.environ.copy(), **pipes))  # pyright: ignore
        return started[-1]

    yield start
    for one in started:
        one.kill()
        one.communicate()


class Receiver:
    """Takes what the sandbox delivers."""

    def __init__(self, port: int = 0) -> None:
        self.taken: list[tuple[bytes, str]] = []
        taken = self.taken

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                taken.append((self.rfile.read(int(self.headers["Content-Length"])), self.headers["Stripe-Signature"]))
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.address = f"127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def receive() -> Iterator[Callable[..., Receiver]]:
    made: list[Receiver] = []

    def start(port: int = 0) -> Receiver:
        made.append(Receiver(port))
        return made[-1]

    yield start
    for one in made:
        one.close()
