"""The usage buffer with real processes: PostgreSQL, the service and collectors are killed while usage comes in."""

from __future__ import annotations

import json
import resource
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from metering_bench import BATCH, USAGE, Collector, Postgres, Senders, collecting

from metering import METRICS, app_on, fresh, law, people
from nself.app import App
from nself.domains.job.service import LEASE
from nself.domains.usage.inputs import ShowCollector, ShowUsage, SkipDamage, UsageStatus
from nself.domains.usage.model import CollectorStatus
from nself.domains.usage.service import collector, record, show
from serving import Answer, Service, new_key, serving, until

pytestmark = pytest.mark.xdist_group("metering faults")
NOWHERE = "host=/nowhere user=nself dbname=nself"
QUICK = 20.0  # seconds
HELD = 2 * LEASE.total_seconds()
SETTINGS = {"USAGE_BUFFER_SIZE": "1000000", "USAGE_AGGREGATION_INTERVAL": "1s"}


class Place:
    """A project on `postgres` with a key and users."""

    def __init__(self, folder: Path, postgres: Postgres) -> None:
        self.folder, self.postgres = folder, postgres
        with app_on(folder, postgres.conninfo, metrics=METRICS) as app:
            self.key, self.users = new_key(app), people(app, *(fresh() for _ in range(3)))
            with app.db.reading() as tx:  # what a collector that another test killed holds for a minute yet
                tx.connection.execute("update billing_jobs set lease_until = now() where state = 'running'")

    @contextmanager
    def app(self, conninfo: str | None = None) -> Iterator[App]:
        with app_on(self.folder, conninfo or self.postgres.conninfo, **SETTINGS) as app:
            yield app

    def status(self) -> CollectorStatus:
        with self.app() as app:
            return collector.status(app, ShowCollector())

    def drained(self) -> None:
        with self.app() as app:
            until(lambda: app.spool.idle(), seconds=60, what="the buffer was not drained")

    def event(self, value: int = 1, **more: object) -> dict[str, object]:
        return {"user": self.users[0], "metric": "calls", "value": value, **more}

    def total(self) -> tuple[int, int]:
        with self.app() as app:
            law(app)
            found = show.show(app, ShowUsage(user=self.users[0], metric="calls"))[0]
        return found.value, found.events


@pytest.fixture
def place(tmp_path: Path, postgres: Postgres) -> Iterator[Place]:
    made = Place(tmp_path / "project", postgres)
    yield made
    with made.app() as app:
        law(app)


@pytest.fixture
def service(place: Place) -> Iterator[Service]:
    with serving(place.folder, place.postgres.conninfo, **SETTINGS) as running:
        yield running
        assert running.process
        assert running.process.poll() is None
        assert "Traceback" not in running.log.read_text()


class Fresh:
    """Asks over a new connection each time: an idle one ends while PostgreSQL starts."""

    def __init__(self, service: Service, key: str) -> None:
        self.service, self.key = service, key

    def post(self, path: str, body: object, **headers: str) -> Answer:
        with self.service.client(self.key) as client:
            return client.post(path, body, **headers)


def logged(path: Path, message: str) -> list[dict[str, object]]:
    lines = [json.loads(line) for line in path.read_text().splitlines() if line.startswith("{")]
    return [line for line in lines if line["message"] == message]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGQUIT], ids=["kill -9", "immediate"])
def test_ingest_goes_on_without_the_database_and_counts_once(
    place: Place, service: Service, postgres: Postgres, number: signal.Signals
) -> None:
    senders = Senders(service, place.key, place.users)
    with collecting(place.folder, postgres.conninfo, **SETTINGS) as running:
        with senders.at_work():
            postgres.end(number)
            began = time.monotonic()
            senders.progress(20)
            took = time.monotonic() - began
            with place.app(NOWHERE) as app:
                assert app.spool.waiting(app.spool.first()).events >= 10 * BATCH
            postgres.start()
        assert took < 4 * QUICK
        place.drained()
        assert logged(service.log, "usage_buffered")
        until(lambda: logged(running.log, "usage_drained"), what="no word of what was drained")
        assert not logged(service.log, "buffer_full")
        # A fold that the server's end broke off holds its lease; the next one comes when that is over.
        until(lambda: place.status().last_aggregation_at, HELD, what="nothing was folded")
        until(lambda: place.status().problems == [], HELD, what=str(place.status()))
        found = place.status()
        assert (found.collector, found.pid, found.buffered_events) == ("running", running.process.pid, 0)
        assert found.last_drain_at
    senders.assert_counted_once(place.folder, postgres.conninfo)
    assert [one.code for one in place.status().problems] == ["collector_not_running"]


def test_a_service_answers_soon_and_knows_whom_it_saw_before(
    place: Place, service: Service, postgres: Postgres
) -> None:
    with place.app() as app:
        stranger = new_key(app)
    client = Fresh(service, place.key)
    unseen = Fresh(service, stranger)
    assert client.post(USAGE, place.event(key="seen")).status == 200
    time.sleep(3.5)  # longer than a proof of a key is good while the database answers
    postgres.end(signal.SIGQUIT)
    for at in range(10):
        began = time.monotonic()
        sent = [place.event(key="seen"), place.event(2, key=f"k{at}"), place.event(metric="nothing")]
        answer = client.post(USAGE, sent)
        assert (answer.status, answer.json["accepted"], answer.json["buffered"]) == (200, 2, 2)
        assert [one["code"] for one in answer.json["rejected"]] == ["no_such_metric"]
        assert time.monotonic() - began < QUICK
    began = time.monotonic()
    for _ in range(5):
        answer = unseen.post(USAGE, place.event())
        assert (answer.status, answer.code) == (503, "database_unavailable") and answer.headers["retry-after"]
        assert unseen.post(USAGE, place.event(), Authorization="Bearer rubbish").status == 401
    assert time.monotonic() - began < 2 * QUICK
    found = place_status_while_away(place)
    assert found.buffered_events == 30 and found.oldest_at
    assert {"database_unavailable", "collector_not_running"} <= {one.code for one in found.problems}
    postgres.start()
    until(lambda: unseen.post(USAGE, place.event(0)).status == 200)
    until(lambda: "buffered" not in client.post(USAGE, place.event(0)).json)
    with collecting(place.folder, postgres.conninfo, **SETTINGS):
        place.drained()
    value, _ = place.total()
    assert value == 1 + 10 * 2


def place_status_while_away(place: Place) -> CollectorStatus:
    with place.app(NOWHERE) as app:
        return collector.status(app, ShowCollector())


def test_a_service_that_is_started_while_the_database_is_away_says_so_soon(place: Place, postgres: Postgres) -> None:
    postgres.end(signal.SIGQUIT)
    with serving(place.folder, postgres.conninfo, NSELF_SERVICE="test", **SETTINGS) as late:
        client = Fresh(late, place.key)
        began = time.monotonic()
        for _ in range(5):
            assert client.post(USAGE, place.event()).code == "database_unavailable"
        assert time.monotonic() - began < QUICK
        postgres.start()
        until(lambda: client.post(USAGE, place.event(key="first")).status == 200)
    assert place.total() == (1, 1)


def test_a_full_buffer_says_so_and_loses_nothing(place: Place, postgres: Postgres) -> None:
    settings = {**SETTINGS, "USAGE_BUFFER_SIZE": "20"}
    with serving(place.folder, postgres.conninfo, **settings) as service:
        client = Fresh(service, place.key)
        assert client.post(USAGE, place.event(0)).status == 200
        postgres.end(signal.SIGQUIT)
        kept = 0
        for at in range(8):
            answer = client.post(USAGE, [place.event(key=f"{at}-{part}") for part in range(3)])
            kept += 3 * (answer.status == 200)
            if answer.status != 200:
                assert (answer.status, answer.code) == (503, "buffer_full"), answer
                assert answer.headers["retry-after"] and answer.json["error"]["guide"] == "2.4"
        assert kept == 18
        assert len(logged(service.log, "buffer_full")) == 2
        postgres.start()
        with collecting(place.folder, postgres.conninfo, **settings):
            place.drained()
        assert place.total() == (kept, kept + 1)
        until(lambda: "buffered" not in client.post(USAGE, place.event(0)).json)
        postgres.end(signal.SIGQUIT)
        assert client.post(USAGE, [place.event()] * 20).json["buffered"] == 20
        postgres.start()
    with collecting(place.folder, postgres.conninfo, **SETTINGS):
        place.drained()
    assert place.total()[0] == kept + 20


def test_a_full_disk_says_so_and_loses_nothing(place: Place, service: Service, postgres: Postgres) -> None:
    """The service may write no file beyond a limit, as on a disk that is full."""
    client = Fresh(service, place.key)
    assert client.post(USAGE, place.event(0)).status == 200
    postgres.end(signal.SIGQUIT)
    assert service.process
    limit = 300_000
    resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    assert client.post(USAGE, place.event(1)).json["buffered"] == 1
    large = [place.event(1, key=f"{at}", properties={"text": "x" * 1000}) for at in range(400)]
    answer = client.post(USAGE, large)
    assert (answer.status, answer.code) == (503, "buffer_full"), answer
    assert "File too large" in answer.json["error"]["message"]
    assert client.post(USAGE, place.event(1)).json["buffered"] == 1
    resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert client.post(USAGE, large).json["buffered"] == 400
    postgres.start()
    with collecting(place.folder, postgres.conninfo, **SETTINGS):
        place.drained()
    assert place.total() == (402, 403)


def test_collectors_that_are_killed_while_they_drain_count_once(place: Place, postgres: Postgres) -> None:
    """Two at a time, killed later and later after they began, until one gets to the end."""
    count = 0
    with place.app(NOWHERE) as away:
        for turn in range(120):
            events = [
                json.dumps(place.event(1, key=f"{turn}-{at}", properties={"text": "x" * 300})).encode()
                for at in range(300)
            ]
            record.ingest(away, events, "http")
            count += len(events)
    assert place.status().buffered_events == count
    partly, patience = 0, 0.0
    while (left := place.status().buffered_events) and patience < 30:
        partly += left != count
        pair = [Collector(place.folder, postgres.conninfo, **SETTINGS) for _ in range(2)]
        try:
            until(lambda pair=pair: all(one.told.exists() for one in pair), what="the collectors did not start")
            time.sleep(patience)
        finally:
            for one in pair:
                one.kill()
        patience += 0.2
        assert place.total()[1] <= count
    assert partly, "no collector was killed in the middle"
    assert place.total() == (count, count)


@pytest.mark.long
def test_both_are_killed_while_the_buffer_is_written_and_drained(
    place: Place, service: Service, postgres: Postgres
) -> None:
    senders = Senders(service, place.key, place.users)
    with senders.at_work():
        for turn in range(3):
            postgres.end(signal.SIGQUIT)
            senders.progress(5)
            if turn == 1:
                # Nobody is known to a service that starts without its database: it says 503 until then.
                service.kill()
                service.start()
            running = Collector(place.folder, postgres.conninfo, **SETTINGS)
            try:
                postgres.start()
                senders.progress(5)
            finally:
                running.kill()
    with collecting(place.folder, postgres.conninfo, **SETTINGS):
        place.drained()
    senders.assert_counted_once(place.folder, postgres.conninfo)


def test_a_damaged_buffer_is_told_and_folding_goes_on(place: Place, postgres: Postgres) -> None:
    with place.app(NOWHERE) as away:
        for value in (1, 2, 4):
            record.ingest(away, [json.dumps(place.event(value)).encode()], "http")
        data = bytearray(away.spool.path(1).read_bytes())
        data[-5] ^= 1
        away.spool.path(1).write_bytes(data)
    with collecting(place.folder, postgres.conninfo, **SETTINGS) as running:
        until(lambda: "buffer_damaged" in {one.code for one in place.status().problems}, what=str(place.status()))
        found = place.status()
        assert found.buffered_events == 1 and found.last_error_mend == "nself billing usage collector-skip"
        assert logged(running.log, "work_paused")[0]["code"] == "buffer_damaged"
        with place.app() as app:
            # What waits for the damage is all that is not folded.
            until(lambda: show.status(app, UsageStatus()).pending == 1, what="nothing was folded")
            skipped = collector.skip(app, SkipDamage(segment=1, confirm=True))
        assert skipped.events == 1
        until(lambda: place.status().problems == [], what=str(place.status()))
    assert place.total() == (3, 2)
