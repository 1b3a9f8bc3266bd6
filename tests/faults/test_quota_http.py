"""Quotas over HTTP with real processes: services and PostgreSQL are killed while clients reserve and commit."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path

import psycopg
import pytest
from metering_bench import Postgres, collecting

from metering import METRICS, app_on, fresh, law, people
from nself.app import App
from nself.domains.quota.inputs import SetQuota
from nself.domains.quota.service import limits
from nself.domains.quota.service.ask import states
from serving import Answer, Service, new_key, serving, until

pytestmark = pytest.mark.xdist_group("metering faults")
QUOTA = "/api/v1/quota"
CLIENTS = 8
SETTINGS = {"QUOTA_RESERVATION_TTL": "1h", "BILLING_DB_POOL_TIMEOUT": "2s", "USAGE_BUFFER_SIZE": "1000000"}
OPEN = {**SETTINGS, "QUOTA_FAIL_MODE": "open"}


class Place:
    """A project on `postgres` with a key and users with a limit each."""

    def __init__(self, folder: Path, postgres: Postgres, users: int, limit: int) -> None:
        self.folder, self.postgres, self.limit = folder, postgres, limit
        with app_on(folder, postgres.conninfo, metrics=METRICS) as app:
            self.key, self.users = new_key(app), people(app, *(fresh() for _ in range(users)))
            for user in self.users:
                limits.set_quota(app, SetQuota(user=user, metric="calls", limit=limit, period="year"))

    @contextmanager
    def app(self, **settings: str) -> Iterator[App]:
        with app_on(self.folder, self.postgres.conninfo, **settings) as app:
            yield app

    def granted(self) -> dict[str, int]:
        """Units that are held or were committed, by user, from the reservations themselves."""
        with psycopg.connect(self.postgres.conninfo) as connection:
            rows = connection.execute(
                "select user_id, sum(case state when 'held' then amount when 'committed' then settled_value else 0 end)::bigint"
                " from billing.billing_quota_reservations where user_id = any(%s) group by user_id",
                (list(self.users),),
            ).fetchall()
        return dict(rows)

    def figures(self, user: str) -> tuple[int, int]:
        """Used and held."""
        with self.app() as app:
            law(app)
            (found,) = states(app, user, "calls", 0, "look")
            return found.used, found.held


class Clients:
    """Each reserves units of any user and ends most of what it got. What was answered is noted."""

    def __init__(self, place: Place, services: list[Service]) -> None:
        self.place, self.services = place, services
        self.stopping = threading.Event()
        self.committed: list[tuple[str, int]] = []
        self.odd: list[str] = []
        self.threads = [threading.Thread(target=self.run, args=(seed,)) for seed in range(CLIENTS)]

    def run(self, seed: int) -> None:
        chance, wanted = random.Random(seed), list(self.place.users)
        while wanted and not self.stopping.is_set() and not self.odd:
            user, value = chance.choice(wanted), chance.choice((1, 1, 2))
            found = self.ask("reserve", {"user": user, "metric": "calls", "value": value}, (200, 429), chance)
            if found is None or (found.status == 429 and value > 1):
                continue
            if found.status == 429:
                wanted.remove(user)
                continue
            fate = chance.choice(("commit", "commit", "commit", "release", "leave"))
            ended = fate != "leave" and self.ask(fate, {"reservation": found.json["reservation"]}, (200,), chance)
            if ended and fate == "commit":
                self.committed.append((user, value))

    def ask(self, what: str, body: object, wanted: tuple[int, ...], chance: random.Random) -> Answer | None:
        """Until it is answered: an end is asked for again, since again is the same as once; a lost reserve stays held."""
        while not self.stopping.is_set():
            try:
                with chance.choice(self.services).client(self.place.key, timeout=20) as client:
                    answer = client.post(f"{QUOTA}/{what}", body)
            except (OSError, HTTPException):
                time.sleep(0.02)
                continue
            if answer.status in wanted:
                return answer
            if answer.status != 503 or "retry-after" not in answer.headers:
                self.odd.append(f"{what} {answer.status} {answer.body!r}")
                return None
            time.sleep(0.05)
        return None

    def progress(self, commits: int = 20) -> None:
        wanted = len(self.committed) + commits
        until(lambda: len(self.committed) >= wanted or self.odd, seconds=60, what="no progress")

    @contextmanager
    def at_work(self) -> Iterator[None]:
        for thread in self.threads:
            thread.start()
        try:
            yield
        finally:
            self.stopping.set()
            self.join()
        assert self.odd == []

    def join(self) -> None:
        for thread in self.threads:
            thread.join(300)
            assert not thread.is_alive()


def race(place: Place, kills: int) -> None:
    """Two services that coalesce, eight clients, kills: what was granted is the limit, exactly."""
    with (
        serving(place.folder, place.postgres.conninfo, **SETTINGS) as one,
        serving(place.folder, place.postgres.conninfo, **SETTINGS) as other,
    ):
        clients, chance = Clients(place, [one, other]), random.Random(kills)
        for thread in clients.threads:
            thread.start()
        killed = 0
        while killed < kills and any(thread.is_alive() for thread in clients.threads):
            time.sleep(chance.uniform(0.2, 0.6))
            victim = chance.choice((one, other))
            victim.kill()
            victim.start()
            killed += 1
        clients.join()
    assert killed and clients.odd == []
    assert place.granted() == dict.fromkeys(place.users, place.limit)
    for user in place.users[:10]:
        used, held = place.figures(user)
        assert used + held == place.limit
        assert sum(value for owner, value in clients.committed if owner == user) <= used


def test_eight_clients_race_for_the_last_units_through_services_that_are_killed(
    tmp_path: Path, postgres: Postgres
) -> None:
    race(Place(tmp_path / "project", postgres, users=30, limit=12), kills=4)


@pytest.mark.long
@pytest.mark.timeout(1500)
def test_a_thousand_quotas_through_services_that_are_killed(tmp_path: Path, postgres: Postgres) -> None:
    race(Place(tmp_path / "project", postgres, users=1000, limit=8), kills=20)


@pytest.mark.parametrize(
    "also", [pytest.param(False, id="database", marks=pytest.mark.long), pytest.param(True, id="database and service")]
)
def test_open_goes_on_without_the_database_and_counts_once(tmp_path: Path, postgres: Postgres, also: bool) -> None:
    place = Place(tmp_path / "project", postgres, users=3, limit=1_000_000)
    with serving(place.folder, postgres.conninfo, **OPEN) as service:
        clients = Clients(place, [service])
        with collecting(place.folder, postgres.conninfo, **OPEN), clients.at_work():
            clients.progress()
            for number in (signal.SIGKILL, signal.SIGQUIT):
                postgres.end(number)
                clients.progress()
                told = journal_status(place)
                assert (told["fail_mode"], told["database"] != "answers") == ("open", True)
                assert told["waiting_requests"] > 0 and told["oldest_at"]
                if also:
                    service.kill()
                postgres.start()
                if also:
                    service.start()
                clients.progress()
            until(lambda: journal_status(place)["waiting_requests"] == 0, what="the journal was not settled")
        # What the last commits were answered is counted at once.
        for user in place.users:
            assert place.figures(user)[0] == sum(value for owner, value in clients.committed if owner == user)
        assert "Traceback" not in service.log.read_text()


def journal_status(place: Place) -> dict[str, object]:
    line = [Path(sys.executable).with_name("nself"), "--project", place.folder, "billing", "quota", "journal"]
    environ = {**os.environ, **OPEN, "DATABASE_URL": place.postgres.conninfo}
    told = subprocess.run([*line, "--format", "json"], env=environ, check=True, capture_output=True, text=True).stdout
    return json.loads(told)


def test_closed_tells_to_come_again_and_forgets_nothing(tmp_path: Path, postgres: Postgres) -> None:
    place = Place(tmp_path / "project", postgres, users=1, limit=10)
    (user,) = place.users
    asked = {"user": user, "metric": "calls", "value": 3}
    with serving(place.folder, postgres.conninfo, **SETTINGS) as service, service.client(place.key) as client:
        made = client.post(f"{QUOTA}/reserve", asked).json["reservation"]
        postgres.end(signal.SIGKILL)
        for what, body in (("check", asked), ("reserve", asked), ("commit", {"reservation": made})):
            began = time.monotonic()
            answer = client.post(f"{QUOTA}/{what}", body)
            assert (answer.status, answer.code) == (503, "database_unavailable") and answer.headers["retry-after"]
            assert time.monotonic() - began < 30
        postgres.start()
        until(lambda: client.post(f"{QUOTA}/commit", {"reservation": made}).status == 200)
    assert place.figures(user) == (3, 0)
