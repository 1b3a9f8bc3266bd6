"""A hand-made server for answers that no well-behaved stand-in for Stripe would give, and settings for it."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

from nself.core.settings import Settings, Value

KEY = "sk_test_51PlantedSecretThatMustNeverShow"
CUSTOMER = {"id": "cus_123", "object": "customer", "livemode": False}


def settings(base: str, **given: str) -> Settings:
    """Settings whose values come from `test`, with a working key and a generous rate limit."""
    values = {
        "STRIPE_SECRET_KEY": KEY,
        "STRIPE_API_BASE": base,
        "STRIPE_RATE_LIMIT": "10000",
        "STRIPE_TIMEOUT": "2s",
        **given,
    }
    return Settings([{name: Value(text, "test") for name, text in values.items()}])


@dataclass(frozen=True)
class Seen:
    """A request as it arrived; header names in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    sent: str
    """The form or query as it was sent."""
    peer: tuple[str, int]
    at: float

    @property
    def params(self) -> dict[str, str]:
        return dict(parse_qsl(self.sent, keep_blank_values=True))


@dataclass(frozen=True)
class Reply:
    """What to answer: `lose` closes without a word, `half` sends half and closes; `wait` in s."""

    status: int = 200
    body: Any = field(default_factory=lambda: CUSTOMER)
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    wait: float = 0.0
    lose: bool = False
    half: bool = False


def refusal(status: int, message: str = "Something is wrong", **error: Any) -> Reply:
    headers = error.pop("headers", {})
    return Reply(status, {"error": {"message": message, **error}}, {"Request-Id": "req_1", **headers})


class Scripted(ThreadingHTTPServer):
    """Answers with the next line of its script; with the last one for ever after."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script: list[Reply | Callable[[Seen], Reply]] = [Reply()]
        self.seen: list[Seen] = []
        self.guard = threading.Lock()

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def next(self, seen: Seen) -> Reply:
        with self.guard:
            self.seen.append(seen)
            line = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        return line(seen) if callable(line) else line

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is what some tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Scripted  # pyright: ignore[reportIncompatibleVariableOverride]

    def _answer(self) -> None:
        path, _, query = self.path.partition("?")
        body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
        headers = {name.lower(): value for name, value in self.headers.items()}
        reply = self.server.next(
            Seen(self.command, path, headers, body or query, self.client_address, time.monotonic())
        )
        time.sleep(reply.wait)
        if reply.lose:
            reset = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
            self.close_connection = True
            self.connection.close()
            return
        content = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        self.send_response(reply.status)
        self.send_header("Content-Length", str(len(content)))
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if reply.half else content)
        self.close_connection = self.close_connection or reply.half

    do_GET = do_POST = do_DELETE = _answer

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""
