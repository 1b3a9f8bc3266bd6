"""Never more calls than the limit in any second, whatever the threads do."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nself.core.clock import monotonic
from nself.core.settings import InvalidSetting, Settings, Value
from nself.gateway.budget import Budget, limit
from nself.gateway.errors import RateLimited


class Time:
    """A clock that only moves when someone waits; `wall` runs beside it from a whole second plus `phase`."""

    def __init__(self, phase: float = 0.0) -> None:
        self.now, self.phase = 100.0, phase

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now + self.phase

    def pause(self, seconds: float) -> None:
        self.now += seconds


def most_in_a_second(instants: Sequence[float]) -> int:
    """The largest number of `instants` within any half-open second."""
    ordered, first, most = sorted(instants), 0, 0
    for at, instant in enumerate(ordered):
        while ordered[first] <= instant - 1:
            first += 1
        most = max(most, at - first + 1)
    return most


Step = tuple[float, bool]
steps = st.lists(st.tuples(st.floats(0, 0.6), st.booleans()), min_size=1, max_size=200)


@given(st.integers(1, 30), steps)
def test_no_second_holds_more_than_the_limit(full: int, steps: list[Step]) -> None:
    """Each step idles, sometimes meets a 429, then takes a call."""
    time = Time()
    budget = Budget(full, monotonic=time.monotonic, pause=time.pause)
    given_out: list[float] = []
    for idle, refused in steps:
        time.now += idle
        if refused:
            budget.slow_down()
        given_out.append(budget.take(time.now + 1000))
        assert time.now >= given_out[-1]
    assert most_in_a_second(given_out) <= full
    assert given_out == sorted(given_out)
    assert budget.counters().calls == len(steps)


@given(st.integers(1, 20), st.integers(0, 60), st.floats(0, 0.999))
def test_leased_calls_keep_to_what_was_granted_in_that_second(full: int, calls: int, phase: float) -> None:
    time = Time(phase)
    granted, made = Counter[int](), Counter[int]()

    def lease(wanted: int) -> int:
        second = int(time.wall())
        given_now = min(wanted, 3 - granted[second])
        granted[second] += given_now
        return given_now

    budget = Budget(full, lease, monotonic=time.monotonic, wall=time.wall, pause=time.pause)
    for _ in range(calls):
        budget.take(time.now + 1000)
        made[int(time.wall())] += 1
    assert all(made[second] <= granted[second] <= 3 for second in made)


def test_an_undisturbed_budget_loses_no_time() -> None:
    time = Time()
    budget = Budget(20, monotonic=time.monotonic, pause=time.pause)
    for _ in range(100):
        budget.take(time.now + 10)
    assert time.now == pytest.approx(104.0)
    counters = budget.counters()
    # Four times a second was full: one wait each, as the others of that second follow at the same instant.
    assert (counters.calls, counters.waits, counters.limit) == (100, 4, 20)
    assert counters.waited == pytest.approx(4.0)


def test_several_threads_keep_to_the_limit_together() -> None:
    full, calls = 25, 15
    budget = Budget(full)
    given_out: list[float] = []
    made: list[float] = []

    def work() -> None:
        for _ in range(calls):
            given_out.append(budget.take(monotonic() + 60))
            made.append(monotonic())

    threads = [threading.Thread(target=work) for _ in range(5)]
    began = monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(given_out) == 5 * calls
    assert most_in_a_second(given_out) <= full
    assert all(after >= before for after, before in zip(sorted(made), sorted(given_out), strict=True))
    assert monotonic() - began >= 2  # 75 calls at 25 a second: at once, after one second, after two


def test_threads_share_what_was_leased() -> None:
    asked: list[int] = []
    guard = threading.Lock()

    def lease(wanted: int) -> int:
        with guard:
            asked.append(wanted)
        return wanted

    budget = Budget(1000, lease)
    threads = [threading.Thread(target=lambda: [budget.take(monotonic() + 60) for _ in range(50)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert budget.counters().calls == 400
    assert sum(asked) >= 400
    assert max(asked) <= 250
    assert len(asked) < 200  # in chunks, not call by call


def test_a_grant_for_a_second_that_is_over_is_not_used() -> None:
    time = Time()
    grants: list[float] = []

    def slow_lease(wanted: int) -> int:
        grants.append(time.wall())
        time.now += 1.2 if len(grants) == 1 else 0.0
        return wanted

    budget = Budget(10, slow_lease, monotonic=time.monotonic, wall=time.wall, pause=time.pause)
    budget.take(time.now + 10)
    assert [int(at) for at in grants] == [100, 101]


def test_an_empty_second_is_asked_for_once() -> None:
    time = Time(0.5)
    asked: list[int] = []

    def lease(wanted: int) -> int:
        asked.append(int(time.wall()))
        return 0 if time.wall() < 103 else wanted

    budget = Budget(10, lease, monotonic=time.monotonic, wall=time.wall, pause=time.pause)
    budget.take(time.now + 10)
    assert asked == [100, 101, 102, 103]
    assert budget.counters().waits == 1
    assert budget.counters().waited == pytest.approx(2.5, abs=0.1)


def test_waiting_has_an_end() -> None:
    time = Time()
    budget = Budget(1, monotonic=time.monotonic, pause=time.pause)
    budget.take(time.now + 5)
    with pytest.raises(RateLimited) as found:
        budget.take(time.now + 0.5)
    assert (found.value.retry_after, found.value.outcome_unknown, time.now) == (1.0, False, 100.0)
    assert budget.counters().calls == 1
    dry = Budget(10, lambda _: 0, monotonic=time.monotonic, wall=time.wall, pause=time.pause)
    with pytest.raises(RateLimited):
        dry.take(time.now + 3)
    assert 103 <= time.now < 104


def test_a_429_halves_the_limit_once_a_second_and_time_raises_it_again() -> None:
    time = Time()
    budget = Budget(20, monotonic=time.monotonic, pause=time.pause)
    for _ in range(8):
        budget.slow_down()
    assert (budget.limit, budget.counters().rate_limited) == (10, 8)
    time.now += 1
    budget.slow_down()
    assert budget.limit == 5
    for _ in range(20):
        time.now += 60
        budget.slow_down()
    assert budget.limit == 1
    time.now += 3600
    budget.take(time.now)
    assert budget.limit == 20


def _limit(**given: str) -> int:
    return limit(Settings([{name: Value(text, "test") for name, text in given.items()}]))


@pytest.mark.parametrize(
    ("given", "calls"),
    [
        ({}, 20),
        ({"STRIPE_MODE": "live"}, 80),
        ({"STRIPE_RATE_LIMIT": "10"}, 8),
        ({"STRIPE_RATE_LIMIT": "10", "STRIPE_MODE": "live", "STRIPE_RATE_LIMIT_BUFFER": "1"}, 10),
        ({"STRIPE_RATE_LIMIT": "1", "STRIPE_RATE_LIMIT_BUFFER": "0.1"}, 1),
        ({"STRIPE_RATE_LIMIT_BUFFER": "0.29"}, 7),
    ],
)
def test_the_limit_is_a_share_of_stripes(given: dict[str, str], calls: int) -> None:
    assert _limit(**given) == calls


@pytest.mark.parametrize("share", ["0", "-1", "1.01"])
def test_a_share_is_above_0_and_up_to_1(share: str) -> None:
    with pytest.raises(InvalidSetting, match="STRIPE_RATE_LIMIT_BUFFER"):
        _limit(STRIPE_RATE_LIMIT_BUFFER=share)
