"""Who does not answer is not called, but for a look now and then."""

from __future__ import annotations

import pytest

from nself.gateway.breaker import FIRST, LONGEST, Breaker
from nself.gateway.errors import CircuitOpen, NoSuchObject, RateLimited, StripeDown, StripeFailure, TimedOut

FAILURES = 5


class Line:
    """Calls through a breaker; `now` is moved by the test."""

    def __init__(self, most: int = FAILURES) -> None:
        self.now, self.sent = 0.0, 0
        self.breaker = Breaker(most, lambda: self.now)

    def call(self, failure: StripeFailure | None = None) -> None:
        with self.breaker.watching():
            self.sent += 1
            if failure:
                raise failure

    def fail(self, times: int = 1) -> None:
        for _ in range(times):
            with pytest.raises(TimedOut):
                self.call(TimedOut(detail="no answer"))


def test_it_opens_after_so_many_failures_in_a_row_and_sends_nothing() -> None:
    line = Line()
    line.fail(FAILURES - 1)
    line.call()
    line.fail(FAILURES)
    assert line.sent == 2 * FAILURES
    with pytest.raises(CircuitOpen) as refused:
        line.call()
    assert line.sent == 2 * FAILURES
    assert not refused.value.outcome_unknown
    assert not refused.value.again
    assert refused.value.retry_after == FIRST


def test_one_call_looks_after_each_pause_and_the_pauses_grow() -> None:
    line = Line()
    line.fail(FAILURES)
    pauses = list[float]()
    for _ in range(8):
        with pytest.raises(CircuitOpen) as refused:
            line.call()
        assert refused.value.retry_after
        pauses.append(refused.value.retry_after)
        line.now += refused.value.retry_after
        line.fail()
    assert pauses == [1, 2, 4, 8, 16, 32, 60, LONGEST]
    line.now += LONGEST
    line.call()
    line.fail()
    line.call()


def test_while_one_looks_the_others_wait() -> None:
    line = Line()
    line.fail(FAILURES)
    line.now += FIRST
    with line.breaker.watching(), pytest.raises(CircuitOpen):
        line.call()
    line.call()


@pytest.mark.parametrize("failure", [NoSuchObject(detail="none"), KeyboardInterrupt()])
def test_an_answer_is_an_answer(failure: BaseException) -> None:
    line = Line()
    line.fail(FAILURES - 1)
    with pytest.raises(type(failure)), line.breaker.watching():
        raise failure
    line.fail(FAILURES - 1)
    line.call()


def test_a_call_that_our_own_budget_keeps_back_is_neither_answer_nor_failure() -> None:
    line = Line()
    line.fail(FAILURES - 1)
    for _ in range(FAILURES):
        with pytest.raises(RateLimited):
            line.call(RateLimited())
    line.fail()
    with pytest.raises(CircuitOpen):
        line.call()
    line.now += FIRST
    with pytest.raises(RateLimited):
        line.call(RateLimited())
    with pytest.raises(CircuitOpen):  # nobody knows yet whether Stripe answers
        line.call()
    line.now += FIRST
    refused = RateLimited()
    refused.http_status = 429
    with pytest.raises(RateLimited):
        line.call(refused)
    line.fail(FAILURES - 1)
    line.call()


def test_an_error_of_stripe_counts() -> None:
    line = Line()
    for _ in range(FAILURES):
        with pytest.raises(StripeDown):
            line.call(StripeDown(answer="500", detail="x"))
    with pytest.raises(CircuitOpen):
        line.call()


def test_it_can_be_switched_off() -> None:
    line = Line(most=0)
    line.fail(50)
    line.call()
    assert line.sent == 51
