"""A beating service: what becomes known of its end, of the database's absence, and of a clock that is set."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from metering_bench import Postgres, cluster, postgres

from metering import METRICS, app_on, people
from nself.app import App
from nself.core import clock as clocks
from nself.domains.uptime import store
from nself.domains.uptime.inputs import ShowUptime
from nself.domains.uptime.model import BEAT, MEMORY_KEPT, NoSuchRecord, Uptime
from nself.domains.uptime.service import heart as hearts
from nself.domains.uptime.service import show
from nself.domains.uptime.service.heart import Heart
from nself.domains.usage.inputs import UsageEvent
from nself.domains.usage.service import record
from nself.measure import measures
from nself.spool import refused
from nself.spool.errors import BufferFull
from serving import until

__all__ = ["cluster", "postgres"]
NOWHERE = "host=/nowhere user=nself dbname=nself"


def uptime(app: App, **given: Any) -> Uptime:
    return show.show(app, ShowUptime(**given))


def downtimes(app: App, **given: Any) -> list[tuple[str, str, int]]:
    return [(one.service, one.cause, one.seconds) for one in uptime(app, **given).downtimes]


class Beats:
    """Makes hearts that beat when the test says so."""

    def __init__(self, app: App, monkeypatch: pytest.MonkeyPatch) -> None:
        self.app, self.hearts = app, list[Heart]()
        self.boot = 0.0
        monkeypatch.setattr(clocks, "since_boot", lambda: self.boot)

    def begin(self, service: str = "http") -> Heart:
        made = Heart(self.app, service)
        made.thread = threading.Thread(target=int)  # beats when the test says so
        made.start()
        made.beat()
        self.hearts.append(made)
        return made

    def die(self, heart: Heart) -> None:
        """As kill -9 would: the lock goes with the process."""
        heart.paper.close()
        heart.app.close()

    def close(self) -> None:
        for one in self.hearts:
            self.die(one)


@pytest.fixture
def beats(app: App, monkeypatch: pytest.MonkeyPatch) -> Iterator[Beats]:
    made = Beats(app, monkeypatch)
    yield made
    made.close()


@pytest.fixture
def messages(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """Log lines in which the guide would find `restart`."""
    found: list[tuple[str, dict[str, Any]]] = []

    def note(message: str, **fields: Any) -> None:
        if "restart" in f"{message} {fields}":
            found.append((message, fields))

    for level in ("debug", "info", "warning", "error"):
        monkeypatch.setattr(hearts.log, level, note)
    return found


def test_nothing_recorded_is_said_so(app: App) -> None:
    found = uptime(app)
    assert (found.services, found.downtimes) == ([], []) and "nothing is known" in found.remarks()[0]
    with pytest.raises(NoSuchRecord):
        uptime(app, service="http")


def test_a_living_service_is_up_and_its_restart_in_order_is_a_short_downtime(
    app: App, beats: Beats, clock: Any, messages: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = beats.begin()
    assert messages == []  # the first start of all is none
    clock.now += timedelta(minutes=5)
    first.beat()
    assert uptime(app).services[0].up == "100.00%"
    monkeypatch.setattr(hearts, "_how", lambda app, service: "restarted")
    first.stop()
    clock.now += timedelta(seconds=2)
    beats.begin()
    assert downtimes(app) == [("http", "restarted", 2)]
    (message, fields) = messages[0]
    assert message == "service_restarted" and (fields["reason"], fields["down_seconds"]) == ("restarted", 2.0)


def test_a_service_that_was_stopped_for_good_is_started_not_restarted(
    beats: Beats, messages: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hearts, "_how", lambda app, service: "stopped")
    beats.begin().stop()
    beats.begin()
    beats.begin()  # and a second process beside the first neither
    assert [message for message, _ in messages] == []


def test_a_killed_service_is_told_at_once_and_a_machine_that_booted_apart(
    app: App, beats: Beats, clock: Any, messages: list[Any]
) -> None:
    beats.die(beats.begin())
    clock.now += timedelta(seconds=3)
    second = beats.begin()
    assert downtimes(app) == [("http", "killed", 3)] and messages[0][1]["reason"] == "killed"
    clock.now += timedelta(seconds=1)
    second.run.boot = "an earlier one"
    second.beat()
    beats.die(second)
    clock.now += timedelta(seconds=4)
    assert downtimes(app) == [("http", "killed", 3), ("http", "machine", 4)]  # without a successor
    beats.begin()
    assert [fields["reason"] for _, fields in messages] == ["killed", "machine"]


def test_the_database_that_was_away_shows_with_what_was_buffered_and_refused(
    app: App, beats: Beats, clock: Any
) -> None:
    (user,) = people(app)
    heart = beats.begin()
    with app_on(app.project.root, NOWHERE, clock, METRICS, USAGE_BUFFER_SIZE="2") as away:
        there, heart.app = heart.app, away
        clock.now += BEAT
        event = UsageEvent(user=user, metric="calls", value=1)
        record.ingest(away, [event, event], "http")
        assert not heart.beat()
        for _ in range(3):
            with pytest.raises(BufferFull):
                record.ingest(away, [event], "http")
        clock.now += BEAT
        heart.beat()
        heart.app = there
    clock.now += BEAT
    assert heart.beat()
    found = uptime(app)
    assert [(one.service, one.cause, one.seconds) for one in found.downtimes] == [("database", "database", 30)]
    assert found.downtimes[0].detail.endswith("2 events waited on disk")
    assert [(one.code, one.requests, one.events) for one in found.refused] == [("buffer_full", 3, 3)]
    assert refused.read(app.project.spool) is None
    assert {one.service: one.down_seconds for one in found.services} == {"http": 0, "database": 30}


def test_who_dies_while_the_database_is_away_is_known_to_have_lived_until_then(
    app: App, beats: Beats, clock: Any
) -> None:
    heart, began = beats.begin(), clock.now
    with app_on(app.project.root, NOWHERE, clock) as away:
        heart.app = away
        for _ in range(3):
            clock.now += BEAT
            heart.beat()
        beats.die(heart)
    clock.now += timedelta(minutes=1)
    beats.begin()
    found = uptime(app)
    assert [(one.service, one.start - began, one.cause) for one in found.downtimes] == [
        ("database", timedelta(0), "database"),
        ("http", 3 * BEAT, "killed"),
    ]


def test_an_orderly_end_without_the_database_is_told_by_the_next(
    app: App, beats: Beats, clock: Any, messages: list[Any]
) -> None:
    heart = beats.begin()
    with app_on(app.project.root, NOWHERE, clock) as away:
        heart.app = away
        clock.now += BEAT
        heart.stop()
    clock.now += BEAT
    beats.begin()
    assert ("http", "terminated", 10) in downtimes(app)


def test_a_clock_that_is_set_makes_no_downtime(app: App, beats: Beats, clock: Any) -> None:
    heart = beats.begin()
    for step in (timedelta(hours=1), timedelta(hours=-2), BEAT):
        clock.now += step
        beats.boot += BEAT.total_seconds()
        assert heart.beat()
    assert downtimes(app) == []
    beats.die(heart)
    clock.now += timedelta(minutes=1)
    assert downtimes(app) == [("http", "killed", 60)]


def test_a_process_that_was_paused_was_down(app: App, beats: Beats, clock: Any) -> None:
    heart = beats.begin()
    clock.now += timedelta(minutes=5)
    beats.boot += 300
    heart.beat()
    assert downtimes(app) == [("http", "frozen", 300)]


def test_refusals_are_kept_once_however_often_they_are_told(app: App, beats: Beats, clock: Any) -> None:
    folder = app.project.spool
    for minute in range(60):
        refused.note(folder, "buffer_full", 2, clock.now + timedelta(minutes=2 * minute))
    book = refused.read(folder)
    assert book and len(book.spans) == refused.MOST and sum(one.events for one in book.spans) == 120
    assert (folder / refused.NAME).stat().st_size == refused.SIZE
    beats.begin()
    refused.note(folder, "buffer_full", 1, clock.now)
    again = refused.read(folder)
    assert again and again.spans[0].number > book.spans[-1].number and again.origin == book.origin
    with app.db.transaction() as tx:  # a told span is told again, as after a kill before the file was written
        hearts.store.tell_refusals(tx, book.origin, book.spans)
    clock.now += timedelta(hours=3)
    found = uptime(app)
    assert sum(one.events for one in found.refused) == 120


WORKERS: dict[str, str] = {
    "worker": "nself.worker",
    "usage-collector": "nself.worker.collector",
    "pdf-generator": "nself.worker.pdf",
}


@pytest.mark.parametrize("service", WORKERS)
def test_a_real_process_killed_or_ended_is_told_apart(app: App, tmp_path: Path, service: str) -> None:
    environ = {**os.environ, "NSELF_PROJECT": str(app.project.root), "DATABASE_URL": app.db.conninfo}
    environ |= {"STRIPE_SECRET_KEY": "sk_test_bench"}
    app._clock = clocks.system_clock
    for number, cause in ((signal.SIGKILL, "killed"), (signal.SIGTERM, "terminated")):
        with (tmp_path / "log").open("ab") as sink:
            process = subprocess.Popen([sys.executable, "-m", WORKERS[service]], env=environ, stdout=sink, stderr=sink)
        try:
            until(lambda pid=process.pid: known(app, service, pid), what=(tmp_path / "log").read_text()[-3000:])
        finally:
            process.send_signal(number)
            process.wait(30)
        last = [one for one in uptime(app, service=service).downtimes if f"process {process.pid}" in one.detail]
        assert [one.cause for one in last] == [cause]
    assert "service_restarted" in (tmp_path / "log").read_text()


def known(app: App, service: str, pid: int) -> bool:
    with app.db.reading() as tx:
        statement = b"select count(*) from billing_service_runs where service = %(service)s and pid = %(pid)s"
        return tx.value(statement, service=service, pid=pid) == 1


def test_a_database_that_is_started_anew_between_two_beats_is_noticed(
    postgres: Postgres, tmp_path: Path, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with app_on(tmp_path / "project", postgres.conninfo, clock) as app:
        beats = Beats(app, monkeypatch)
        heart = beats.begin()
        postgres.end(signal.SIGKILL)
        postgres.start()
        clock.now += BEAT
        until(heart.beat)
        (found,) = uptime(app).downtimes
        assert (found.service, found.seconds) == ("database", 10) and "started anew" in found.detail
        beats.close()


def test_a_process_that_outgrows_its_memory_is_asked_to_end(
    app: App, beats: Beats, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once, and only where BILLING_MEMORY_LIMIT says so."""
    sent = list[tuple[int, int]]()
    monkeypatch.setattr(os, "kill", lambda pid, number: sent.append((pid, number)))
    heart = beats.begin()
    for limit, wanted in (("0", 0), ("100G", 0), ("1M", 1), ("1M", 1)):
        heart.app.environ = {**heart.app.environ, "BILLING_MEMORY_LIMIT": limit}
        heart.app.__dict__.pop("settings", None)
        heart._watch_memory()  # pyright: ignore[reportPrivateUsage]
        assert len(sent) == wanted
    assert sent == [(os.getpid(), signal.SIGTERM)]


def test_a_process_that_ended_with_more_than_a_limit_is_told(app: App, beats: Beats, clock: Any) -> None:
    heart = beats.begin()
    used = store.memory()
    assert show.outgrown(app, used // 2, clock.now - BEAT) == [], "it lives"
    heart.stop()
    (found,) = show.outgrown(app, used // 2, clock.now - BEAT)
    assert (found.service, found.times) == (heart.run.service, 1) and found.most >= used // 2
    assert show.outgrown(app, used * 100, clock.now - BEAT) == []
    assert show.outgrown(app, used // 2, clock.now + BEAT) == []


def test_each_minute_of_a_living_process_s_memory_is_kept_until_it_ends(app: App, beats: Beats, clock: Any) -> None:
    """The least and the most of each, also a peak between two beats; the next process begins anew."""
    clock.now = clock.now.replace(second=0, microsecond=0)
    measures.take()
    heart = beats.begin()
    bytearray(os.urandom(2**20)) * 200  # over before the next beat
    heart.most = min(heart.most, 2**20)  # whatever tests before this one took
    measures.observe("job", ("large", "ok"), 2.0)
    clock.now += BEAT
    heart.beat()
    clock.now += timedelta(minutes=1)
    heart.beat()
    ((first, second),) = show.memory(app)
    assert (first.service, first.pid, first.doing) == (heart.run.service, os.getpid(), "job large")
    assert first.low + 100 * 2**20 < first.high == store.most_memory()
    assert second.at - first.at == timedelta(minutes=1) and second.doing == ""
    clock.now += MEMORY_KEPT
    heart.beat()
    ((only,),) = show.memory(app)
    assert only.at == clock.now.replace(second=0)
    with app.db.reading() as tx:
        assert show.started_at(tx, heart.run.service, clock.now) == heart.run.started_at
        assert show.started_at(tx, "unheard", clock.now) is None
    heart.stop()
    assert show.memory(app) == []
