"""A real S3-compatible server (moto) as a process, and a proxy before it that can stop, lie and refuse."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import boto3
from botocore.config import Config

from nself.db.connect import Tx
from serving import free_port, until

KEYS = {"ARCHIVE_S3_ACCESS_KEY_ID": "test-key", "ARCHIVE_S3_SECRET_ACCESS_KEY": "test-secret"}


class Store(NamedTuple):
    """Where the server listens."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, service: str = "s3") -> Any:
        """Another program than the product's, to look from outside."""
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="other",
            aws_secret_access_key="other",
            config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
        )

    def objects(self, bucket: str) -> dict[str, bytes]:
        client = self.client()
        found = client.list_objects_v2(Bucket=bucket).get("Contents", [])
        return {one["Key"]: client.get_object(Bucket=bucket, Key=one["Key"])["Body"].read() for one in found}


@contextmanager
def moto(**environ: str) -> Iterator[Store]:
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        env={**os.environ, **environ},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until(lambda: _answers(port), what="moto did not start")
        yield Store(port)
    finally:
        process.kill()
        process.wait()


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


class Request(NamedTuple):
    """`number` from 1."""

    number: int
    method: str
    path: str
    signature: str
    """AWS's, version 4."""


Answer = tuple[int, bytes]
Rule = Callable[[Request], Answer | None]


class Gate:
    """Forwards to the server. `before` may answer instead, or wait; `after` may change what the server answered."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.requests: list[Request] = []
        self.before: Rule = lambda _: None
        self.after: Callable[[Request, Answer], Answer] = lambda _, answer: answer
        self.lock = threading.Lock()
        gate = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                with gate.lock:
                    request = Request(
                        len(gate.requests) + 1, self.command, self.path, self.headers.get("Authorization", "")
                    )
                    gate.requests.append(request)
                try:
                    status, data = gate.before(request) or gate.after(request, self.forward(body))
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(data)))
                    for name, value in self.kept:
                        self.send_header(name, value)
                    self.end_headers()
                    if self.command != "HEAD":
                        self.wfile.write(data)
                except (Hung, ConnectionError):
                    self.close_connection = True

            kept: tuple[tuple[str, str], ...] = ()

            def forward(self, body: bytes) -> Answer:
                upstream = HTTPConnection("127.0.0.1", gate.store.port, timeout=30)
                try:
                    upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                    for name, value in self.headers.items():
                        upstream.putheader(name, value)
                    upstream.endheaders(body)
                    answer = upstream.getresponse()
                    wanted = ("etag", "last-modified", "content-type")
                    self.kept = tuple((name, text) for name, text in answer.getheaders() if name.lower() in wanted)
                    return answer.status, answer.read()
                finally:
                    upstream.close()

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_any

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def hang(self, number: int, *, late: bool = False) -> Hang:
        """From request `number` on nothing is answered; where `late` that one still reached the server."""
        return Hang(self, number, late)

    def forget(self) -> None:
        """Count from 1 again and behave."""
        with self.lock:
            self.requests.clear()
        self.before, self.after = lambda _: None, lambda _, answer: answer

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class Hung(Exception):
    """The request is never answered."""


class Hang:
    """`reached` is set when the request came."""

    def __init__(self, gate: Gate, number: int, late: bool) -> None:
        self.reached, self.released = threading.Event(), threading.Event()

        def stop() -> None:
            self.reached.set()
            self.released.wait(60)
            raise Hung

        def before(request: Request) -> Answer | None:
            if request.number > number or (request.number == number and not late):
                stop()
            return None

        def after(request: Request, answer: Answer) -> Answer:
            if request.number == number and late:
                stop()
            return answer

        gate.before, gate.after = before, after

    def release(self) -> None:
        self.released.set()


@contextmanager
def gate_to(store: Store) -> Iterator[Gate]:
    gate = Gate(store)
    try:
        yield gate
    finally:
        gate.close()


def column(tx: Tx, query: str, *values: object) -> list[Any]:
    return [row[0] for row in tx.connection.execute(query.encode(), values).fetchall()]
