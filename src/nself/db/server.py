"""Brings PostgreSQL up: DATABASE_URL, else the embedded server. Callers get a libpq connection string."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from nself.core.clock import monotonic
from nself.core.errors import Unavailable
from nself.db import embedded
from nself.db.probe import probe
from nself.process import shim

READY_SECONDS = 120
POLL_SECONDS = 0.01


class DatabaseUnavailable(Unavailable):
    code, guide = "database_unavailable", "2.1"
    text = "Database connection failed: {detail}"
    hints = ("nself db status", "nself status postgres", "nself logs postgres --tail 50")


def conninfo(sockets: Path, database: str = embedded.DATABASE) -> str:
    return f"host={sockets} user={embedded.USER} dbname={database}"


def _wait(process: subprocess.Popen[bytes], sockets: Path, log: Path) -> None:
    """Until a session is granted. Raises DatabaseUnavailable with the log's end."""
    import time

    limit = monotonic() + READY_SECONDS
    while not probe(sockets, embedded.USER, embedded.DATABASE).ready:
        if process.poll() is not None or monotonic() > limit:
            tail = log.read_text(errors="replace")[-2000:]
            raise DatabaseUnavailable(detail=f"the server ended or never got ready:\n{tail}")
        time.sleep(POLL_SECONDS)


@contextmanager
def temporary_server(directory: Path, binaries: Path | None = None) -> Generator[str]:
    """A server for tests, gone at the end: no supervisor, no fsync. Yields the connection string.

    `binaries` is a `bin` folder, default the wheel's. Run as root, data lie in /tmp, where the server's
    user can reach them, and the log in `directory`.
    """
    user = embedded.service_user()
    home = Path(tempfile.mkdtemp(prefix="nself-pg-", dir="/tmp"))
    log = directory / "postgres.log"
    try:
        if user is not None:
            shutil.chown(home, user)
        data = (directory if user is None else home) / "data"
        found = embedded.inspect(binaries) if binaries else embedded.find_binaries(data)
        found = embedded.readable_by(found, user)
        embedded.create(found, data, user, durable=False)
        embedded.write_configuration(found, data, home, durable=False)
        line = shim.command(
            [found.folder / "postgres", "-D", data], shim.Fate(signal.SIGINT, user, os.getpid())
        )
        with log.open("ab") as sink:
            process = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, cwd="/")
        try:
            _wait(process, home, log)
            yield conninfo(home)
        finally:
            process.send_signal(signal.SIGQUIT)
            process.wait()
    finally:
        shutil.rmtree(home, ignore_errors=True)
