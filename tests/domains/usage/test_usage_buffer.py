"""Usage that came while the database was away: on disk at once, counted once later, and nothing of it lost."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from killing import forked, run_and_kill
from metering import METRICS, app_on, fresh, law, people
from nself.app import App
from nself.core.errors import MissingParameter
from nself.db.server import DatabaseUnavailable
from nself.domains.repair.inputs import ReplayRejected
from nself.domains.repair.service import replay
from nself.domains.usage.errors import NothingDamaged
from nself.domains.usage.inputs import RecordUsage, ShowCollector, ShowUsage, SkipDamage, UsageEvent
from nself.domains.usage.model import CollectorStatus, Drained
from nself.domains.usage.service import collector, record, show, spooled
from nself.spool import segments
from nself.spool.errors import BufferDamaged, BufferFull

NOWHERE = "host=/nowhere user=nself dbname=nself"


@pytest.fixture
def away(app: App, clock: Any) -> Iterator[App]:
    """The same project while its database is away."""
    with app_on(app.project.root, NOWHERE, clock, METRICS) as made:
        yield made


def event(user: str, value: int = 1, **more: object) -> bytes:
    return json.dumps({"user": user, "metric": "calls", "value": value, **more}).encode()


def total(app: App, user: str) -> tuple[int, int]:
    found = show.show(app, ShowUsage(user=user, metric="calls"))[0]
    return found.value, found.events


def collector_status(app: App) -> CollectorStatus:
    return collector.status(app, ShowCollector())


def rejected(app: App, code: str) -> list[str]:
    with app.db.reading() as tx:
        return tx.values(b"select event from billing_usage_rejected where code = %(code)s order by id", code=code)


def test_what_came_while_the_database_was_away_is_counted_once_later(app: App, away: App) -> None:
    (user,) = people(app)
    sent = [
        event(user, 2, key="a"),
        event(user, 3),
        event(user, 4, at="2026-02-01T10:00:00", properties={"b": 1.50, "a": "ü"}),
    ]
    outcome = record.ingest(away, sent, "http")
    answer = outcome.part(0, 3)
    assert (answer.accepted, answer.duplicate, answer.rejected, answer.buffered) == (3, 0, [], 3)
    assert law(app).buffered == 3 and total(app, user) == (0, 0)
    assert collector.drain(app) == Drained(events=3, counted=3)
    assert law(app).buffered == 0 and total(app, user) == (9, 3)
    assert collector.drain(app) == Drained()
    with app.db.reading() as tx:
        stored = tx.values(b"select properties from billing_usage where user_id = %(user)s and value = 4", user=user)
    assert stored == ['{"a":"ü","b":1.5}']
    # The same keys again, by either way: known.
    again = record.ingest(app, [event(user, 2, key="a")], "http").part(0, 1)
    assert (again.duplicate, again.buffered) == (1, record.msgspec.UNSET)
    record.ingest(away, [event(user, 2, key="a")], "http")
    assert collector.drain(app) == Drained(events=1, duplicate=1)
    assert total(app, user) == (9, 3)


def test_what_only_the_database_can_judge_is_judged_at_the_drain(app: App, away: App) -> None:
    (user,), stranger = people(app), fresh("stranger")
    record.ingest(app, [event(user, 1, key="k")], "http")
    sent = [event(user, 2, key="k"), event(stranger, 5, key="s"), event(user, 7)]
    assert record.ingest(away, sent, "http").part(0, 3).accepted == 3
    before = law(app).rejected
    assert collector.drain(app) == Drained(events=3, counted=1, rejected=2)
    assert law(app).rejected == before + 2
    assert total(app, user) == (8, 2)
    assert json.loads(rejected(app, "no_such_user")[-1]) == json.loads(sent[1]) | {"at": None, "properties": None}
    assert json.loads(rejected(app, "idempotency_error")[-1])["key"] == "k"


def test_what_is_wrong_in_itself_is_refused_at_once_and_noted_later(app: App, away: App) -> None:
    (user,) = people(app)
    sent = [event(user, metric="nothing"), event(user, -1), b'{"half', event(user, 3)]
    answer = record.ingest(away, sent, "http").part(0, 4)
    assert [(one.index, one.code) for one in answer.rejected] == [
        (0, "no_such_metric"),
        (1, "value_out_of_range"),
        (2, "unreadable_event"),
    ]
    assert (answer.accepted, answer.buffered) == (1, 1)
    assert collector.drain(app) == Drained(events=4, counted=1, rejected=3)
    assert rejected(app, "unreadable_event")[-1] == '{"half'


def test_a_commit_whose_outcome_is_unknown_counts_once(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """It happened, its answer was lost, and the same events went to disk: also those that brought no key."""
    (user,) = people(app)
    real = app.db.transact

    def lost(work: Callable[[Any], Any]) -> Any:
        real(work)
        raise DatabaseUnavailable(detail="the connection was lost in COMMIT")

    record.ingest(app, [event(user)], "http")  # its month is made
    monkeypatch.setattr(app.db, "transact", lost)
    assert record.ingest(app, [event(user, 2, key="a"), event(user, 3)], "http").part(0, 2).buffered == 2
    monkeypatch.undo()
    assert total(app, user) == (6, 3)
    assert collector.drain(app) == Drained(events=2, duplicate=2)
    assert total(app, user) == (6, 3)


def test_the_clock_may_be_stepped_back_before_the_drain(app: App, away: App, clock: Any) -> None:
    (user,) = people(app)
    record.ingest(away, [event(user, 2, key="a"), event(user, 3, at=clock.now.isoformat())], "http")
    clock.now -= timedelta(hours=1)
    record.ingest(away, [event(user, 4)], "http")
    assert collector_status(app).oldest_age_seconds == 0
    assert collector.drain(app) == Drained(events=3, counted=3)
    record.ingest(app, [event(user, 2, key="a")], "http")
    assert total(app, user) == (9, 3)


def test_a_change_of_the_time_zone_changes_nothing_that_was_taken(app: App, away: App, clock: Any) -> None:
    (user,) = people(app)
    sent = event(user, 2, key="a", at="2026-02-01 00:30:00")
    record.ingest(away, [sent], "http")
    with app_on(app.project.root, app.db.conninfo, clock, BILLING_TIMEZONE="Asia/Tokyo") as tokyo:
        assert collector.drain(tokyo) == Drained(events=1, counted=1)
    assert record.ingest(app, [sent], "http").duplicates == {0}


def test_without_the_buffer_it_is_told_as_before(app: App, clock: Any) -> None:
    with app_on(app.project.root, NOWHERE, clock, USAGE_ENABLE_BUFFER="false") as strict:
        with pytest.raises(DatabaseUnavailable):
            record.ingest(strict, [event("user")], "http")
        assert strict.spool.idle()
        assert collector_status(app).buffer == "on" and collector_status(strict).buffer == "off"


def test_a_full_buffer_is_told_and_keeps_what_it_took(app: App, clock: Any) -> None:
    (user,) = people(app)
    with app_on(app.project.root, NOWHERE, clock, USAGE_BUFFER_SIZE="3") as small:
        record.ingest(small, [event(user)] * 2, "http")
        with pytest.raises(BufferFull) as caught:
            record.ingest(small, [event(user)] * 2, "http")
        assert (caught.value.code, caught.value.status, caught.value.guide) == ("buffer_full", 503, "2.4")
        record.ingest(small, [event(user)], "http")
        found = collector_status(small)
        assert (found.buffered_events, found.capacity) == (3, 3)
        assert {"database_unavailable", "buffer_full", "collector_not_running"} == {one.code for one in found.problems}
    assert collector.drain(app).counted == 3
    assert total(app, user) == (3, 3)


def test_the_command_line_says_that_it_waits(app: App, away: App) -> None:
    (user,) = people(app)
    given = RecordUsage(user=user, metric="calls", value=2, key="k")
    done = record.record(away, given)
    assert done.result == "buffered" and "collector-status" in done.remarks()[0]
    collector.drain(app)
    assert record.record(app, given).result == "duplicate"


def damage(app: App, path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(data)


def test_what_cannot_be_read_stops_the_drain_until_the_operator_goes_on(app: App, away: App) -> None:
    (user,) = people(app)
    sizes = [0]
    for value in (1, 2, 4):
        record.ingest(away, [event(user, value)] * 2, "http")
        sizes.append(away.spool.path(1).stat().st_size)
    damage(app, app.spool.path(1), sizes[2] - 5)
    for _ in range(2):
        with pytest.raises(BufferDamaged, match=f"Segment 1 .* byte {sizes[1]}: the record's checksum is wrong"):
            collector.drain(app)
    assert total(app, user) == (2, 2)
    assert law(app).buffered == 4
    record.ingest(away, [event(user, 8)], "http")  # goes on being taken
    unsure = collector.skip(app, SkipDamage())
    assert "--segment 1 --confirm" in unsure.result and unsure.kept_in is None
    with pytest.raises(MissingParameter):
        collector.skip(app, SkipDamage(confirm=True))
    with pytest.raises(NothingDamaged):
        collector.skip(app, SkipDamage(segment=2, confirm=True))
    before = law(app)
    bad = app.spool.path(1).read_bytes()[sizes[1] : sizes[2]]
    skipped = collector.skip(app, SkipDamage(segment=1, confirm=True))
    assert (skipped.offset, skipped.events, skipped.result) == (sizes[1], 2, "set aside")
    assert skipped.kept_in and Path(skipped.kept_in).read_bytes() == bad
    assert collector.drain(app) == Drained(events=3, counted=3)
    assert total(app, user) == (18, 5)
    after = law(app)
    assert (after.rejected, after.accepted) == (before.rejected + 2, before.accepted)
    assert rejected(app, "buffer_damaged")[-1] == f"event 2 of 2 in {skipped.kept_in}"
    with pytest.raises(NothingDamaged):
        collector.skip(app, SkipDamage(segment=1, confirm=True))


def test_a_record_of_another_version_is_damage_too(app: App, away: App) -> None:
    (user,) = people(app)
    record.ingest(away, [event(user)], "http")
    away.spool.append(b'{"from": "the future"}', 1, 0, 100)
    with pytest.raises(BufferDamaged, match="missing required field"):
        collector.drain(app)
    assert total(app, user) == (1, 1)
    assert collector.skip(app, SkipDamage(segment=1, confirm=True)).events == 1
    assert app.spool.idle() or collector.drain(app) == Drained()


@pytest.mark.parametrize("step", [41, pytest.param(3, marks=pytest.mark.long)])
def test_a_collector_that_is_killed_between_any_two_lines_counts_once(
    app: App, away: App, clock: Any, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    monkeypatch.setattr(segments, "SEGMENT_BYTES", 400)
    monkeypatch.setattr(spooled, "DRAIN_EVENTS", 2)
    (user,) = people(app)
    record.ingest(app, [event(user, 0)], "http")
    root, conninfo, line, sent = app.project.root, app.db.conninfo, 1, 0
    finished = False
    while not finished:
        for at in range(5):
            record.ingest(away, [event(user, 1, key=f"{line}-{at}"), event(user, 1)], "http")
            sent += 2

        def work() -> None:
            with app_on(root, conninfo, clock) as mine:
                collector.drain(mine)

        finished = not run_and_kill({"collector.py", "spooled.py", "segments.py", "record.py"}, line, work)
        assert law(app).accepted >= sent
        collector.drain(app)
        assert total(app, user) == (sent, sent + 1), line
        assert app.spool.idle()
        law(app)
        line += step
    assert line > 300


def test_two_collectors_side_by_side_count_once(
    app: App, away: App, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "SEGMENT_BYTES", 1000)
    monkeypatch.setattr(spooled, "DRAIN_EVENTS", 3)
    (user,) = people(app)
    for at in range(120):
        record.ingest(away, [event(user, 1, key=str(at)), event(user, 1)], "http")
    root, conninfo = app.project.root, app.db.conninfo

    def work() -> None:
        with app_on(root, conninfo, clock) as mine:
            collector.drain(mine)

    children = [forked(work) for _ in range(3)]
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
    assert app.spool.idle() and total(app, user) == (240, 240)
    found = law(app)
    assert found.buffered == 0


def test_an_event_is_one_of_the_api(app: App, away: App) -> None:
    """Events that are no JSON text, as the command line and files give them, go the same way."""
    (user,) = people(app)
    record.ingest(away, [UsageEvent(user=user, metric="calls", value=5, key="x")], "cli")
    assert collector.drain(app).counted == 1
    with app.db.reading() as tx:
        assert tx.values(b"select source from billing_usage where user_id = %(user)s", user=user) == ["cli"]


def test_what_is_refused_at_the_drain_happened_when_it_came(app: App, away: App, clock: Any) -> None:
    stranger, came = fresh("stranger"), clock.now
    record.ingest(away, [event(stranger, 5, key=stranger)], "http")
    clock.now = came + timedelta(days=40)
    assert collector.drain(app) == Drained(events=1, rejected=1)
    people(app, stranger)
    done = replay.replay(app, ReplayRejected(code="no_such_user", execute=True))
    assert [one.result for one in done.events if one.user == stranger] == ["counted"]
    with app.db.reading() as tx:
        at = tx.value(b"select created_at from billing_usage where user_id = %(user)s", user=stranger)
    assert at == came
