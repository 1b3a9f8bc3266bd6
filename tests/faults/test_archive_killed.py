"""`archive-usage` is killed with -9 between any two messages to PostgreSQL and any two requests to the object store.

Whatever was under way, the next run finishes it: each event is in an archive once at least and comes back once, no half
archive counts as one, and no answer changes.
"""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from metering import METRICS, app_on, fresh, law
from nself.app import App
from nself.db.connect import Tx
from object_store import KEYS, Gate, Hang, Store, column, gate_to, moto

sys.path.insert(0, str(Path(__file__).parents[1] / "domains" / "archive"))
from history import BEFORE, answers, archive_all, bring_back, populate, raw

pytestmark = [pytest.mark.xdist_group("archive faults"), pytest.mark.timeout(400)]
MONTHS = ("2025-11", "2025-12")


class DatabaseGate:
    """A proxy before PostgreSQL that counts what clients send, and stops at a message: it and all later ones are lost."""

    def __init__(self, conninfo: str) -> None:
        parts = psycopg.conninfo.conninfo_to_dict(conninfo)
        self.target = f"{parts['host']}/.s.PGSQL.{parts.get('port', 5432)}"
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.conninfo = psycopg.conninfo.make_conninfo(
            conninfo, host="127.0.0.1", port=self.listener.getsockname()[1], sslmode="disable", gssencmode="disable"
        )
        self.lock, self.closed = threading.Lock(), False
        self.forget()
        threading.Thread(target=self.accept, daemon=True).start()

    def forget(self, stop_at: int | None = None) -> None:
        self.messages, self.stop_at, self.reached = 0, stop_at, threading.Event()

    def accept(self) -> None:
        while not self.closed:
            with suppress(OSError):
                client, _ = self.listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self.target)
                threading.Thread(target=self.upward, args=(client, server), daemon=True).start()
                threading.Thread(target=self.downward, args=(server, client), daemon=True).start()

    def upward(self, client: socket.socket, server: socket.socket) -> None:
        """A client that is gone takes its session along."""
        with client, server, suppress(OSError):
            while data := client.recv(1 << 16):
                with self.lock:
                    self.messages += 1
                    lost = self.stop_at is not None and self.messages >= self.stop_at
                if lost:
                    self.reached.set()
                else:
                    server.sendall(data)
            server.shutdown(socket.SHUT_RDWR)

    def downward(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(1 << 16):
                client.sendall(data)

    def close(self) -> None:
        self.closed = True
        self.listener.close()


class Bench:
    """A project with two months of usage, whose processes can be stopped anywhere."""

    def __init__(self, app: App, gate: Gate, database: DatabaseGate, objects: Store) -> None:
        self.app, self.gate, self.database, self.objects = app, gate, database, objects
        self.users = populate(app, users=2, each=20, months=(11, 12))
        self.stored, self.answers = raw(app), answers(app, self.users)

    def start(self) -> subprocess.Popen[bytes]:
        words = [
            "--project",
            str(self.app.project.root),
            "billing",
            "archive-usage",
            "--before",
            BEFORE,
            "--to-s3",
            "--execute",
        ]
        return subprocess.Popen(
            [sys.executable, "-c", "from nself.cli.main import main; main()", *words],
            env={**os.environ, **self.app.environ, "DATABASE_URL": self.database.conninfo},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def count(self) -> tuple[int, int]:
        """Messages and requests of a run that nobody stops, and that is not the first one."""
        self.run_through()
        return self.run_through()

    def run_through(self) -> tuple[int, int]:
        self.database.forget()
        self.gate.forget()
        process = self.start()
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 0, out
        found = self.database.messages, len(self.gate.requests)
        self.check("nothing")
        return found

    def kill_at(self, reached: threading.Event) -> bool:
        """Whether the run came so far."""
        process = self.start()
        assert process.stdout
        while process.poll() is None and not reached.wait(0.02):
            pass
        process.kill()
        process.communicate()
        return reached.is_set()

    def at_message(self, number: int) -> bool:
        """Whether the run had so many: some are the statements of a clock."""
        self.gate.forget()
        self.database.forget(number)
        came = self.kill_at(self.database.reached)
        self.database.forget()
        self.check(f"message {number}")
        return came

    def at_request(self, number: int, late: bool) -> None:
        self.database.forget()
        self.gate.forget()
        hang: Hang = self.gate.hang(number, late=late)
        assert self.kill_at(hang.reached)
        hang.release()
        self.gate.forget()
        self.check(f"request {number}{' answered' if late else ''}")

    def check(self, what: str) -> None:
        """Nothing is lost now, the next run finishes, and everything comes back."""
        app = self.app
        self.quiet()
        law(app)
        assert answers(app, self.users, MONTHS) == self.answers, what
        archive_all(app)
        assert (raw(app), law(app).archived) == ([], len(self.stored)), what
        assert answers(app, self.users, MONTHS) == self.answers, what
        with app.db.reading() as tx:
            states = column(tx, "select distinct state from billing_usage_archives order by 1")
            known = set(column(tx, "select location from billing_usage_archives where state = 'dropped'"))
        assert set(states) <= {"abandoned", "dropped"}, what
        found = self.objects.objects(app.settings.text("ARCHIVE_S3_BUCKET"))
        folders = {name.rpartition("/")[0].removeprefix("nself/") for name in found}
        assert folders == known, f"{what}: what was not finished is gone"
        for month in MONTHS:
            bring_back(app, month=month)
        assert (raw(app), law(app).archived) == (self.stored, 0), what
        self.forget_archives(list(found))

    def forget_archives(self, names: list[str]) -> None:
        """Everything is back; the next restore would read all of them."""
        for name in names:
            self.objects.client().delete_object(Bucket=self.app.settings.text("ARCHIVE_S3_BUCKET"), Key=name)
        with self.app.db.transaction() as tx:
            tx.connection.execute("delete from billing_usage_archives")

    def quiet(self) -> None:
        """The server has noticed that the killed process is gone."""
        with self.app.db.reading() as tx:
            while _others(tx):
                threading.Event().wait(0.01)


def _others(tx: Tx) -> list[Any]:
    return column(
        tx,
        "select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
        " and application_name = 'nself' and client_addr is null and xact_start is not null",
    )


@pytest.fixture(scope="module")
def objects() -> Iterator[Store]:
    with moto() as store:
        yield store


@pytest.fixture
def killing(database: str, tmp_path: Path, objects: Store) -> Iterator[Bench]:
    bucket = fresh("killed")
    objects.client().create_bucket(Bucket=bucket)
    gate_to_database = DatabaseGate(database)
    with gate_to(objects) as gate:
        environ = {"ARCHIVE_S3_BUCKET": bucket, "ARCHIVE_S3_ENDPOINT": gate.url, **KEYS}
        with app_on(tmp_path / "project", database, None, METRICS, **environ) as app:
            (app.project.config / "overage-tiers.yml").write_text('overage:\n  calls: {amount: "0.10"}\n')
            yield Bench(app, gate, gate_to_database, objects)
    gate_to_database.close()


@pytest.mark.long
def test_killed_at_any_request_to_the_object_store(killing: Bench) -> None:
    _, requests = killing.count()
    assert requests >= 2 * 4
    for number in range(1, requests + 1):
        killing.at_request(number, late=bool(number % 2))


def test_killed_at_messages_to_the_database(killing: Bench) -> None:
    messages, _ = killing.count()
    assert messages > 80
    killed = [killing.at_message(number) for number in range(20, messages, 41)]
    assert sum(killed) >= len(killed) - 1


@pytest.mark.long
def test_killed_at_any_message_to_the_database(killing: Bench) -> None:
    messages, requests = killing.count()
    killed = [killing.at_message(number) for number in range(10 + secrets.randbelow(7), messages, 7)]
    assert sum(killed) >= len(killed) - 5
    for number in range(1, requests + 1):
        killing.at_request(number, late=not number % 2)
