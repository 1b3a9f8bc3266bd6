"""When a call is tried again, how long that takes, and what the last failure says about all attempts."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nself.core.settings import InvalidSetting, Settings, Value
from nself.gateway.answers import from_answer
from nself.gateway.errors import RateLimited, StripeFailure
from nself.gateway.retry import FIRST_WAIT, LONGEST_WAIT, Policy, policy, run


def failed(status: int, **headers: str) -> StripeFailure:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return from_answer(status, None, named, key="***", changing=True)


@dataclass
class Play:
    """Plays a list of outcomes, one an attempt, each taking `took` seconds of a made-up clock."""

    outcomes: list[StripeFailure | str]
    took: float = 0.0
    now: float = 0.0
    attempts: list[float] = field(default_factory=list[float])
    waits: list[float] = field(default_factory=list[float])

    def attempt(self, until: float) -> str:
        assert self.now < until
        self.attempts.append(self.now)
        self.now += self.took
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, str):
            return outcome
        raise outcome

    def pause(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds

    def run(self, policy: Policy, *, changing: bool = True, draw: float = 0.5) -> str:
        return run(
            policy,
            self.attempt,
            changing=changing,
            monotonic=lambda: self.now,
            pause=self.pause,
            draw=lambda: draw,
        )


PATIENT = Policy(3, "exponential", 15)


def test_success_after_failures() -> None:
    play = Play([failed(500), failed(429), "done"])
    assert play.run(PATIENT) == "done"
    assert play.waits == [0.5, 1.0]  # half of 0.5 x 2 and of 0.5 x 4, the drawn share


def test_what_must_not_be_repeated_is_not() -> None:
    play = Play([failed(400), "never"])
    with pytest.raises(StripeFailure):
        play.run(PATIENT)
    assert len(play.attempts) == 1


@given(
    st.integers(0, 6),
    st.sampled_from(["exponential", "linear", "constant"]),
    st.floats(0.1, 60),
    st.floats(0, 1),
    st.floats(0, 1, exclude_max=True),
    st.lists(st.sampled_from([409, 429, 500, 503]), min_size=10, max_size=10),
    st.sampled_from([None, "1", "20", "3600"]),
)
def test_tries_and_time_are_bounded(
    retries: int,
    backoff: str,
    timeout: float,
    took: float,
    draw: float,
    statuses: list[int],
    asked: str | None,
) -> None:
    """`took` is the share of the timeout that each attempt takes."""
    headers = {"retry_after": asked} if asked else {}
    play = Play([failed(status, stripe_should_retry="true", **headers) for status in statuses], took * timeout)
    with pytest.raises(StripeFailure):
        play.run(Policy(retries, backoff, timeout), draw=draw)
    assert len(play.attempts) <= retries + 1
    assert play.attempts[-1] < 2 * timeout
    assert play.now <= 3 * timeout
    assert all(wait <= max(LONGEST_WAIT, float(asked or 0)) for wait in play.waits)
    assert all(wait >= float(asked or 0) for wait in play.waits)


@given(st.integers(1, 1000), st.floats(0, 1))
def test_each_backoff_keeps_its_shape(attempt: int, draw: float) -> None:
    def waits(backoff: str) -> float:
        return Policy(3, backoff, 15).wait(attempt, lambda: draw)

    assert waits("constant") == FIRST_WAIT
    assert waits("linear") == min(LONGEST_WAIT, FIRST_WAIT * attempt)
    assert 0 <= waits("exponential") <= min(LONGEST_WAIT, FIRST_WAIT * 2**attempt)


def test_full_jitter_reaches_from_nothing_to_the_whole() -> None:
    assert [PATIENT.wait(3, lambda: 0.0), PATIENT.wait(3, lambda: 1.0)] == [0, 4.0]


def test_retry_after_is_waited_for_or_handed_on() -> None:
    play = Play([failed(429, retry_after="3"), "done"])
    assert play.run(PATIENT) == "done"
    assert play.waits == [3.0]
    play = Play([failed(429, retry_after="31"), "never"])
    with pytest.raises(RateLimited) as found:
        play.run(PATIENT)
    assert (found.value.retry_after, play.now) == (31.0, 0.0)


LOST = [500, 503, 409]


@pytest.mark.parametrize("first", LOST)
@pytest.mark.parametrize("then", [429, 401, 403])
def test_an_answer_that_says_nothing_about_earlier_attempts_leaves_them_unknown(first: int, then: int) -> None:
    code = {"code": "idempotency_key_in_use"} if first == 409 else {}
    earlier = from_answer(first, code, {}, key="***", changing=True)
    with pytest.raises(StripeFailure) as found:
        Play([earlier, failed(then)]).run(Policy(1, "constant", 15))
    assert (found.value.http_status, found.value.outcome_unknown) == (then, True)


@pytest.mark.parametrize("then", [400, 402, 404])
def test_an_answer_to_the_same_key_settles_earlier_attempts(then: int) -> None:
    with pytest.raises(StripeFailure) as found:
        Play([failed(500), failed(then)]).run(PATIENT)
    assert (found.value.outcome_unknown, found.value.earlier_unknown) == (False, True)


def test_a_429_alone_means_that_nothing_was_done() -> None:
    with pytest.raises(RateLimited) as found:
        Play([failed(429) for _ in range(4)]).run(PATIENT)
    assert (found.value.outcome_unknown, found.value.earlier_unknown) == (False, False)


def test_a_read_has_no_outcome_to_be_unknown() -> None:
    def read_failed(status: int) -> StripeFailure:
        return from_answer(status, None, {}, key="***", changing=False)

    with pytest.raises(StripeFailure) as found:
        Play([read_failed(500), read_failed(401)]).run(PATIENT, changing=False)
    assert found.value.outcome_unknown is False


def test_other_exceptions_pass_at_once() -> None:
    def broken(_: float) -> str:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(PATIENT, broken, changing=True, pause=lambda _: pytest.fail("waited"))


def test_the_policy_comes_from_the_settings() -> None:
    given = {"STRIPE_MAX_RETRIES": "7", "STRIPE_RETRY_BACKOFF": "linear", "STRIPE_TIMEOUT": "250ms"}
    assert policy(Settings([{name: Value(text, "test") for name, text in given.items()}])) == Policy(7, "linear", 0.25)
    assert policy(Settings([])) == Policy(3, "exponential", 15.0)
    with pytest.raises(InvalidSetting, match="STRIPE_TIMEOUT"):
        policy(Settings([{"STRIPE_TIMEOUT": Value("0", "test")}]))
