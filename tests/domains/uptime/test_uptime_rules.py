"""Times at which a service was there: against a model that looks at every minute."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering import steady
from nself.core.period import Period
from nself.domains.uptime import rules
from nself.domains.uptime.model import STALE, Interruption, Run

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
LAST = 60


def at(minute: int) -> datetime:
    return BEGIN + timedelta(minutes=minute)


def minutes(spans: list[Period]) -> set[int]:
    """The minutes that lie in `spans`."""
    return {minute for minute in range(LAST + 10) if any(one.start <= at(minute) < one.end for one in spans)}


spans = st.lists(
    st.tuples(st.integers(0, LAST), st.integers(0, LAST)).map(lambda pair: Period(at(pair[0]), at(pair[1]))), max_size=6
)


def in_order(found: list[Period]) -> bool:
    return all(one.start < one.end for one in found) and all(
        before.end < after.start for before, after in itertools.pairwise(found)
    )


@steady(300)
@given(spans, spans)
def test_spans_are_joined_and_subtracted_as_sets_of_minutes_are(some: list[Period], others: list[Period]) -> None:
    assert minutes(rules.union(some)) == minutes(some) and in_order(rules.union(some))
    assert minutes(rules.minus(some, others)) == minutes(some) - minutes(others)
    assert in_order(rules.minus(some, others))


def run(name: str, start: int, seen: int, ended: Any = None, service: str = "http", **more: Any) -> Run:
    return Run(
        run=name, service=service, place="here", pid=int(name), boot="b", started_at=at(start), last_seen_at=at(seen),
        ended=ended, **more,
    )  # fmt: skip


def pause(name: str, kind: Any, start: int, end: int, **more: Any) -> Interruption:
    return Interruption(run=name, began_at=at(start), ended_at=at(end), kind=kind, detail="away", **more)


FRAME = Period(at(0), at(LAST))


def downtimes(runs: list[Run], *pauses: Interruption, now: int = LAST) -> list[tuple[int, int, str]]:
    found = rules.service_downtimes("http", runs, pauses, FRAME, at(now))
    return [
        ((one.start - BEGIN) // timedelta(minutes=1), (one.end - BEGIN) // timedelta(minutes=1), one.cause)
        for one in found
    ]


@pytest.mark.parametrize("ended", ["stopped", "restarted", "terminated", "killed", "machine"])
def test_a_downtime_is_caused_by_who_was_there_last(ended: str) -> None:
    assert downtimes([run("1", 0, 10, ended), run("2", 20, LAST)]) == [(10, 20, ended)]


def test_two_processes_of_a_service_stand_in_for_each_other() -> None:
    runs = [run("1", 0, 30, "killed"), run("2", 10, 20, "stopped"), run("3", 25, LAST)]
    assert downtimes(runs) == []
    assert downtimes(runs[:2]) == [(30, LAST, "killed")]


def test_what_was_never_recorded_is_no_downtime() -> None:
    assert downtimes([run("1", 40, LAST)]) == []
    assert downtimes([]) == []


def test_who_tells_nothing_any_more_is_down_and_nobody_knows_why() -> None:
    now = at(50) + STALE
    lively = rules.service_downtimes("http", [run("1", 0, 50)], [], FRAME, now)
    assert lively == []
    (found,) = rules.service_downtimes("http", [run("1", 0, 50)], [], FRAME, now + timedelta(seconds=1))
    assert (found.start, found.cause, found.seconds) == (at(50), "unknown", 31)


def test_a_process_that_was_not_run_was_down() -> None:
    assert downtimes([run("1", 0, LAST)], pause("1", "frozen", 20, 30)) == [(20, 30, "frozen")]
    assert downtimes([run("1", 0, LAST), run("2", 0, 25, "stopped")], pause("1", "frozen", 20, 30)) == [
        (25, 30, "frozen")
    ]


def test_the_database_is_away_only_while_nobody_reaches_it() -> None:
    runs = [run("1", 0, LAST), run("2", 0, LAST, service="worker")]
    alone = pause("1", "database", 10, 20, buffered=7)
    assert rules.database_downtimes(runs, [alone], FRAME, at(LAST)) == []
    both = [alone, pause("2", "database", 15, 30)]
    (found,) = rules.database_downtimes(runs, both, FRAME, at(LAST))
    assert (found.start, found.end, found.service) == (at(15), at(20), "database")
    assert found.detail == "away; 7 events waited on disk"
    # A paused machine says nothing about the database, and nobody looked before the first run.
    asleep = [pause("1", "frozen", 10, 20), pause("2", "frozen", 10, 20)]
    assert rules.database_downtimes(runs, asleep, FRAME, at(LAST)) == []
    assert rules.database_downtimes([run("1", 40, LAST)], [], FRAME, at(LAST)) == []


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [(9999, 10_000, "99.99%"), (99_999, 100_000, "99.99%"), (1, 1, "100.00%"), (0, 7, "0.00%")],
)
def test_percents_are_not_rounded_up(part: int, whole: int, text: str) -> None:
    assert rules.percent(timedelta(seconds=part), timedelta(seconds=whole)) == text
