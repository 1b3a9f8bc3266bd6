"""The HTTP service as a process of its own, and a client that asks it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, NamedTuple

from nself.app import App
from nself.domains.api_key import service as api_key
from nself.domains.api_key.inputs import CreateApiKey
from ports import free_port

PATIENCE = 60


def new_key(app: App, scopes: str = "usage:write,usage:read,quota", user: str | None = None) -> str:
    return api_key.create(app, CreateApiKey(name="test", scopes=scopes, user=user)).key


def until(true: Callable[[], object], seconds: float = PATIENCE, what: str = "it did not become true") -> None:
    limit = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < limit, what
        time.sleep(0.02)


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str | None:
        """The error's code."""
        return self.json["error"]["code"] if self.status >= 400 else None


class Client:
    """One connection that is opened anew when it breaks; `key` is an API key."""

    def __init__(self, port: int, key: str | None, timeout: float = PATIENCE) -> None:
        self.connection = HTTPConnection("127.0.0.1", port, timeout=timeout)
        self.key = key

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        """Anything but bytes is sent as JSON. Raises OSError or HTTPException where no answer came."""
        sent = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        known = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        try:
            self.connection.request(
                method, path, sent, {**known, **{name.replace("_", "-"): text for name, text in headers.items()}}
            )
            response = self.connection.getresponse()
            return Answer(
                response.status, {name.lower(): text for name, text in response.getheaders()}, response.read()
            )
        except (OSError, HTTPException):
            self.connection.close()
            raise

    def post(self, path: str, body: object = None, **headers: str) -> Answer:
        return self.ask("POST", path, body, **headers)

    def get(self, path: str) -> Answer:
        return self.ask("GET", path)


class Service:
    """`python -m nself.http` of the project in `folder`."""

    def __init__(self, folder: Path, conninfo: str, **settings: str) -> None:
        self.port = free_port()
        self.log = folder.parent / f"{folder.name}-http.log"
        self.environ = {
            **os.environ,
            "NSELF_PROJECT": str(folder),
            "DATABASE_URL": conninfo,
            "BILLING_PORT": str(self.port),
            **settings,
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as sink:
            line = [sys.executable, "-m", "nself.http"]
            self.process = subprocess.Popen(line, env=self.environ, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink)
        until(self.answers, what=self.log.read_text()[-3000:])

    def answers(self) -> bool:
        assert self.process
        assert self.process.poll() is None, self.log.read_text()[-3000:]
        try:
            with Client(self.port, None) as client:
                return client.get("/health").status == 200
        except (OSError, HTTPException):
            return False

    def kill(self) -> None:
        assert self.process
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        assert self.process
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(PATIENCE)
        finally:
            self.process.kill()
            self.process.wait()

    def client(self, key: str | None, timeout: float = PATIENCE) -> Client:
        return Client(self.port, key, timeout)


@contextmanager
def serving(folder: Path, conninfo: str, **settings: str) -> Iterator[Service]:
    service = Service(folder, conninfo, **settings)
    service.start()
    try:
        yield service
    finally:
        service.stop()
