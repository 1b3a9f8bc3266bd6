"""What is counted in processes is in the database as a whole, by minute and for ever, whoever writes at once."""

from __future__ import annotations

import threading
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nself.app import App
from nself.core.errors import Unavailable
from nself.core.period import Period
from nself.domains.measurement import rules, service, store
from nself.domains.measurement.model import HOURS_KEPT, Total
from nself.measure import BOUNDS, SERIES, Measures

LABELS = ("get", "customers", "ok")


@given(st.lists(st.floats(0, 200), min_size=1, max_size=50), st.sampled_from(["0.5", "0.9", "0.99", "1"]))
def test_a_percentile_is_the_next_bound_of_the_sorted_list(durations: list[float], share: str) -> None:
    measures = Measures()
    for one in durations:
        measures.observe("stripe_request", LABELS, one)
    (taken,) = measures.take()
    rank = int((Decimal(share) * len(durations)).to_integral_value(rounding="ROUND_CEILING"))
    exact = sorted(durations)[max(rank, 1) - 1]
    wanted = next((bound for bound in BOUNDS if bound >= exact), BOUNDS[-1])
    assert rules.percentile(taken.counts, Decimal(share)) == wanted
    assert taken.count == len(durations)
    assert taken.seconds == pytest.approx(sum(durations))


def test_nothing_has_no_percentile() -> None:
    assert rules.percentile([0] * (len(BOUNDS) + 1), Decimal("0.5")) is None


def test_labels_beyond_the_limit_are_counted_as_others() -> None:
    measures = Measures()
    for number in range(SERIES + 10):
        measures.observe("job", (str(number), "ok"), 0.1)
    found = {one.labels: one.count for one in measures.take()}
    assert found["other", "other"] == 10
    assert sum(found.values()) == SERIES + 10


def test_writers_at_once_lose_nothing(app: App, clock: Any) -> None:
    """Two processes with the same and with different labels, in orders that would lock each other."""

    def write(names: list[str]) -> None:
        for _ in range(20):
            measures = Measures()
            for name in names:
                measures.observe("job", (name, "ok"), 0.002, times=3)
            with app.db.transaction() as tx:
                service.write(tx, measures.take(), app.clock())

    names = [f"job{at}" for at in range(8)]
    threads = [threading.Thread(target=write, args=(one,)) for one in (names, names[::-1], names[4:] + names[:4])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    hour = Period(clock.now - timedelta(minutes=1), clock.now + timedelta(hours=1))
    with app.db.reading() as tx:
        between, ever = service.between(tx, hour), service.ever(tx)
    assert [one.count for one in between] == [one.count for one in ever] == [180] * 8
    assert [sum(one.counts) for one in ever] == [180] * 8
    assert ever[0].seconds == pytest.approx(0.36)


def test_what_could_not_be_written_is_kept(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    measures = Measures()
    monkeypatch.setattr(service, "measures", measures)
    measures.observe("job", ("sync", "ok"), 0.1)

    def fail() -> None:
        with service.counted() as taken:
            assert taken
            measures.observe("job", ("sync", "ok"), 0.2)
            raise Unavailable(detail="away")

    with pytest.raises(Unavailable):
        fail()
    service.flush(app)
    assert not measures.pending()
    with app.db.reading() as tx:
        (found,) = service.ever(tx)
    assert (found.count, found.labels) == (2, ["sync", "ok"])


def test_minutes_become_hours_and_hours_end(app: App, clock: Any) -> None:
    began = clock.now.replace(minute=0)

    def write(at: int, seconds: float) -> None:
        clock.now = began + timedelta(minutes=at)
        measures = Measures()
        measures.observe("stripe_request", LABELS, seconds)
        taken = measures.take()
        app.db.transact(lambda tx: service.write(tx, taken, clock.now))

    for at in (1, 2, 59, 61):
        write(at, 0.01 * at)

    def read(minutes: int) -> list[Total]:
        with app.db.reading() as tx:
            return service.between(tx, Period(began, began + timedelta(minutes=minutes)))

    assert [one.count for one in read(3)] == [2]
    before = read(120)
    clock.now = began + timedelta(days=3)
    assert service.widen(app) == "0 hours forgotten"
    assert read(120) == before
    assert [one.count for one in read(1)] == [3]  # an hour is one piece now
    with app.db.reading() as tx:
        assert len(store.by_minute(tx, Period(began, clock.now), "stripe_request")) == 2
    clock.now = began + HOURS_KEPT + timedelta(hours=1)
    assert service.widen(app) == "1 hours forgotten"
    with app.db.reading() as tx:
        assert service.ever(tx)[0].count == 4
