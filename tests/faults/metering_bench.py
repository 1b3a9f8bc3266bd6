"""A PostgreSQL to be killed, and clients that know what they were answered."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path

import psycopg
import pytest

from memory import memory
from metering import app_on, law
from nself.db import embedded
from nself.db.binaries import find_binaries, readable_by
from nself.db.server import conninfo
from nself.domains.usage.inputs import ShowUsage
from nself.domains.usage.service import show
from nself.process import shim
from serving import Service, until

USAGE, CHECK = "/api/v1/usage", "/api/v1/quota/check"
CLIENTS, BATCH = 4, 10


class Postgres:
    """A server with the configuration that is shipped, to be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.user, self.home = embedded.service_user(), folder
        if self.user:
            shutil.chown(folder, self.user)
        self.data = folder / "data"
        self.binaries = readable_by(find_binaries(self.data), self.user)
        embedded.create(self.binaries, self.data, self.user)
        embedded.write_configuration(self.binaries, self.data, folder)
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def conninfo(self) -> str:
        return conninfo(self.home)

    def start(self) -> None:
        """Until a session is granted, if none is.

        What is left of a killed server may hold its memory for a moment, and what it had written is synchronised again file
        by file, which a busy disk takes minutes for.
        """
        log = self.home / "postgres.log"

        def ready() -> bool:
            if self.process is None or self.process.poll() is not None:
                line = shim.command(
                    [self.binaries.folder / "postgres", "-D", self.data],
                    shim.Fate(signal.SIGINT, self.user, os.getpid()),
                )
                with log.open("ab") as sink:
                    self.process = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, cwd="/")
            try:
                psycopg.connect(self.conninfo, connect_timeout=2).close()
            except psycopg.OperationalError:
                return False
            return True

        try:
            until(ready, seconds=300)
        except AssertionError:
            raise AssertionError(f"PostgreSQL did not come back: {log.read_text()[-3000:]}") from None

    def end(self, number: signal.Signals) -> None:
        assert self.process
        self.process.send_signal(number)
        self.process.wait()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Postgres]:
    folder = Path(tempfile.mkdtemp(prefix="nself-pg-", dir=memory() or "/tmp"))
    made = None
    try:
        made = Postgres(folder)
        yield made
    finally:
        if made and made.process:
            made.end(signal.SIGQUIT)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres(cluster: Postgres) -> Postgres:
    """At work, also where the test before failed while it was killed."""
    cluster.start()
    return cluster


class Collector:
    """`python -m nself.worker.collector` of the project in `folder`."""

    def __init__(self, folder: Path, conninfo: str, **settings: str) -> None:
        self.log = folder.parent / f"{folder.name}-collector.log"
        environ = {**os.environ, "NSELF_PROJECT": str(folder), "DATABASE_URL": conninfo, **settings}
        with self.log.open("ab") as sink:
            line = [sys.executable, "-m", "nself.worker.collector"]
            self.process = subprocess.Popen(line, env=environ, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink)
        self.told = folder / ".nself" / "spool" / f"collector-{self.process.pid}.json"
        """Is there once it works; from then on it stops when it is asked to."""

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        self.process.terminate()
        try:
            return self.process.wait(30)
        finally:
            self.kill()


@contextmanager
def collecting(folder: Path, conninfo: str, **settings: str) -> Iterator[Collector]:
    collector = Collector(folder, conninfo, **settings)
    try:
        until(collector.told.exists, what="the collector did not start")
        yield collector
        assert collector.process.poll() is None, collector.log.read_text()[-3000:]
        assert collector.stop() == 0
    finally:
        collector.kill()


class Senders:
    """Clients that send keys of their own and keys that all of them send, each batch until it is answered with 200."""

    def __init__(self, service: Service, key: str, users: tuple[str, ...]) -> None:
        self.service, self.key, self.users = service, key, users
        self.stopping = threading.Event()
        self.answered: list[tuple[str, str, int]] = []
        self.odd: list[str] = []
        self.threads = [threading.Thread(target=self.run, args=(number,)) for number in range(CLIENTS)]
        self.threads += [threading.Thread(target=self.ask) for _ in range(2)]

    def run(self, number: int) -> None:
        turn = 0
        while not self.stopping.is_set():
            batch = [
                {
                    "user": self.users[at % len(self.users)],
                    "metric": "calls",
                    "value": turn + 1,
                    "key": f"{turn}-{at}-{number if at % 2 else 'all'}",
                }
                for at in range(BATCH)
            ]
            if not self.until_answered(batch):
                return
            self.answered += [(str(one["user"]), str(one["key"]), turn + 1) for one in batch]
            turn += 1

    def until_answered(self, batch: list[dict[str, object]]) -> bool:
        """A sender never gives up, since only an answer tells what was kept; False where it is told to stop."""
        while True:
            try:
                with self.service.client(self.key, timeout=20) as client:
                    answer = client.post(USAGE, batch)
            except (OSError, HTTPException):
                if self.stopping.wait(0.02):
                    return False
                continue
            if answer.status == 200 and not answer.json["rejected"]:
                return True
            if answer.status != 503 or "retry-after" not in answer.headers:
                self.odd.append(f"{answer.status} {answer.body!r}")
                return False

    def ask(self) -> None:
        """Questions are answered, or told to come again later."""
        while not self.stopping.is_set():
            for method, path, body in (
                ("GET", f"{USAGE}?user={self.users[0]}&by=day", None),
                ("POST", CHECK, {"user": self.users[1], "metric": "calls"}),
            ):
                try:
                    with self.service.client(self.key, timeout=20) as client:
                        answer = client.ask(method, path, body)
                except (OSError, HTTPException):
                    self.stopping.wait(0.02)
                    continue
                if answer.status not in (200, 503):
                    self.odd.append(f"{answer.status} {answer.body!r}")

    def progress(self, batches: int = 6) -> None:
        """Wait for that many more answers."""
        wanted = len(self.answered) + batches * BATCH
        until(lambda: len(self.answered) >= wanted or self.odd, what="no progress")

    @contextmanager
    def at_work(self) -> Iterator[None]:
        for thread in self.threads:
            thread.start()
        try:
            self.progress()
            yield
            self.progress()
        finally:
            self.stopping.set()
            for thread in self.threads:
                thread.join(60)

    def assert_counted_once(self, folder: Path, conninfo: str) -> None:
        assert self.odd == []
        contents = {(user, key): value for user, key, value in self.answered}
        with app_on(folder, conninfo) as app:
            for user in self.users:
                with app.db.reading() as tx:
                    rows = tx.connection.execute(
                        "select idempotency_key, value from billing_usage where user_id = %s", (user,)
                    ).fetchall()
                assert len(rows) == len(dict(rows)), "a key was counted twice"
                missing = {key for owner, key in contents if owner == user} - dict(rows).keys()
                assert not missing, f"answered with 200 and not there: {sorted(missing)[:5]}"
                shown = show.show(app, ShowUsage(user=user, metric="calls"))[0]
                assert (shown.value, shown.events) == (sum(dict(rows).values()), len(rows))
            law(app)
