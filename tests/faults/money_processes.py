"""Real processes for the money tests: the sandbox, the HTTP service and the worker of one project."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from money_bench import Sandbox, until

from ports import free_port

STOP_SECONDS = 20


def answers(url: str) -> bool:
    with suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:
        return answer.status == 200
    return False


def spawn(log: Path, *words: str, environ: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
    with log.open("ab") as sink:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", *words],
            env={**os.environ, **(environ or {})},
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            cwd="/",
        )


def end(process: subprocess.Popen[bytes]) -> int:
    process.terminate()
    try:
        return process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


@contextmanager
def running(
    log: Path, *words: str, environ: dict[str, str] | None = None, url: str = ""
) -> Iterator[subprocess.Popen[bytes]]:
    """A process of ours, ready once `url` answers; it ends in order when it is asked to."""
    process = spawn(log, *words, environ=environ)
    try:
        if url:
            until(lambda: answers(url) or process.poll() is not None, what=f"{words} does not answer at {url}")
        assert process.poll() is None, f"{words} ended:\n{log.read_text()[-2000:]}"
        yield process
    finally:
        ran = process.poll() is None
        status = end(process)
    assert not ran or status in (0, -signal.SIGTERM), f"{words}: exit status {status}\n{log.read_text()[-2000:]}"


@contextmanager
def sandbox_process(folder: Path, traffic: Path, *more: str) -> Iterator[Sandbox]:
    port = free_port()
    words = (
        "stripe_sandbox",
        "--port",
        str(port),
        "--rate-limit",
        "0",
        "--retry-delay",
        "0.1",
        "--traffic",
        str(traffic),
        *more,
    )
    with running(folder / "sandbox.log", *words, url=f"http://127.0.0.1:{port}/_sandbox/health"):
        yield Sandbox(f"http://127.0.0.1:{port}")
