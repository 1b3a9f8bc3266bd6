"""Ingest over HTTP while PostgreSQL or the service is killed: what was answered with 2xx is there exactly once."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path

import psycopg
import pytest

from metering import METRICS, app_on, fresh, law, people
from nself.db import embedded
from nself.db.binaries import find_binaries, readable_by
from nself.db.server import conninfo
from nself.domains.usage.inputs import ShowUsage
from nself.domains.usage.service import show
from nself.process import shim
from serving import Service, new_key, serving, until

USAGE, CHECK = "/api/v1/usage", "/api/v1/quota/check"
CLIENTS, BATCH = 4, 10
pytestmark = pytest.mark.xdist_group("metering faults")  # one server for all of them
IMPATIENT = {"BILLING_DB_POOL_TIMEOUT": "500ms"}


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
        """Until a session is granted; what is left of a killed server may hold its memory for a moment."""

        def ready() -> bool:
            if self.process is None or self.process.poll() is not None:
                line = shim.command(
                    [self.binaries.folder / "postgres", "-D", self.data],
                    shim.Fate(signal.SIGINT, self.user, os.getpid()),
                )
                with (self.home / "postgres.log").open("ab") as sink:
                    self.process = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, cwd="/")
            try:
                psycopg.connect(self.conninfo, connect_timeout=2).close()
            except psycopg.OperationalError:
                return False
            return True

        until(ready, seconds=60, what="PostgreSQL did not come back")

    def end(self, number: signal.Signals) -> None:
        assert self.process
        self.process.send_signal(number)
        self.process.wait()


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    folder = Path(tempfile.mkdtemp(prefix="nself-pg-", dir="/tmp"))
    made = None
    try:
        made = Postgres(folder)
        yield made
    finally:
        if made and made.process:
            made.end(signal.SIGQUIT)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def running(postgres: Postgres, tmp_path: Path) -> Iterator[tuple[Service, str]]:
    """The service on that server, with a key. At the end the law holds."""
    folder = tmp_path / "project"
    with app_on(folder, postgres.conninfo, metrics=METRICS) as app:
        key = new_key(app)
    with serving(folder, postgres.conninfo, **IMPATIENT) as service:
        yield service, key
        assert service.process
        assert service.process.poll() is None
    with app_on(folder, postgres.conninfo) as app:
        law(app)


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


@pytest.fixture
def senders(running: tuple[Service, str], postgres: Postgres, tmp_path: Path) -> Iterator[Senders]:
    folder = tmp_path / "project"
    with app_on(folder, postgres.conninfo) as app:
        users = people(app, *(fresh() for _ in range(3)))
    made = Senders(*running, users)
    yield made
    made.assert_counted_once(folder, postgres.conninfo)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGQUIT], ids=["kill -9", "immediate"])
def test_a_database_that_is_killed_under_ingest_loses_and_doubles_nothing(
    senders: Senders, postgres: Postgres, number: signal.Signals
) -> None:
    with senders.at_work():
        postgres.end(number)
        postgres.start()


def test_a_service_that_is_killed_under_ingest_loses_and_doubles_nothing(senders: Senders) -> None:
    with senders.at_work():
        senders.service.kill()
        senders.service.start()


def test_a_service_that_is_asked_to_stop_answers_what_it_took(senders: Senders) -> None:
    with senders.at_work():
        assert senders.service.stop() in (0, -signal.SIGTERM)  # uvicorn ends by the signal that it was sent
        senders.service.start()


def test_while_the_database_is_away_the_service_says_so_lives_and_recovers(
    running: tuple[Service, str], postgres: Postgres, tmp_path: Path
) -> None:
    service, key = running
    with app_on(tmp_path / "project", postgres.conninfo) as app:
        (user,) = people(app)
    event, question = {"user": user, "metric": "calls", "value": 1}, {"user": user, "metric": "calls"}
    asked = [("POST", USAGE, event), ("GET", f"{USAGE}?user={user}", None), ("POST", CHECK, question)]
    with service.client(key) as client:
        assert [client.ask(*one).status for one in asked] == [200] * 3
        postgres.end(signal.SIGQUIT)
        for _ in range(2):
            for one in asked:
                answer = client.ask(*one)
                assert (answer.status, answer.code) == (503, "database_unavailable"), answer
                assert int(answer.headers["retry-after"]) > 0
                assert answer.json["error"]["hint"][0] == "nself db status"
        assert client.get("/health").status == 200
        postgres.start()
        for one in asked:
            until(lambda one=one: client.ask(*one).status == 200, seconds=10)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(3))
def test_many_faults_one_after_another_lose_and_double_nothing(senders: Senders, postgres: Postgres, seed: int) -> None:
    with senders.at_work():
        for turn in range(6):
            match (turn + seed) % 3:
                case 0:
                    postgres.end(signal.SIGKILL)
                    postgres.start()
                case 1:
                    senders.service.kill()
                    senders.service.start()
                case _:
                    postgres.end(signal.SIGQUIT)
                    senders.service.kill()
                    postgres.start()
                    senders.service.start()
            senders.progress(10)
