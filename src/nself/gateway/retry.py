"""Tries a call to Stripe again, always with the same idempotency key, and never for long."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple, TypeVar

from nself.core.clock import monotonic as monotonic_clock
from nself.core.settings import InvalidSetting, Settings
from nself.gateway.errors import StripeFailure

T = TypeVar("T")
FIRST_WAIT, LONGEST_WAIT = 0.5, 8.0
SHORTEST = 0.001
"""Seconds: no time at all means no limit to those below."""
_deadline: ContextVar[float | None] = ContextVar("deadline", default=None)


@contextmanager
def within(seconds: float) -> Generator[None]:
    """All calls that are made meanwhile in this thread or task have so long together; then they have timed out."""
    token = _deadline.set(monotonic_clock() + seconds)
    try:
        yield
    finally:
        _deadline.reset(token)


def limited(seconds: float) -> float:
    """`seconds`, or what is left of the time that `within` gives."""
    deadline = _deadline.get()
    return seconds if deadline is None else max(SHORTEST, min(seconds, deadline - monotonic_clock()))


class Policy(NamedTuple):
    """`timeout` is the longest wait for one answer, in seconds. No attempt begins later than twice that."""

    retries: int
    backoff: str
    timeout: float

    def wait(self, attempt: int, draw: Callable[[], float]) -> float:
        """Seconds after failed attempt number `attempt` (from 1); `draw` gives 0 to 1 (full jitter)."""
        match self.backoff:
            case "constant":
                return FIRST_WAIT
            case "linear":
                return min(LONGEST_WAIT, FIRST_WAIT * attempt)
            case _:
                return draw() * min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(attempt, 10))


def policy(settings: Settings) -> Policy:
    """Raises InvalidSetting."""
    timeout = settings.seconds("STRIPE_TIMEOUT")
    if timeout <= 0:
        value = settings.value("STRIPE_TIMEOUT")
        raise InvalidSetting(
            name="STRIPE_TIMEOUT", value=value.text, wanted="more than 0 is needed", origin=value.origin
        )
    return Policy(settings.integer("STRIPE_MAX_RETRIES"), settings.text("STRIPE_RETRY_BACKOFF"), timeout)


def run(
    policy: Policy,
    attempt: Callable[[float], T],
    *,
    changing: bool,
    monotonic: Callable[[], float] = monotonic_clock,
    pause: Callable[[float], None] = time.sleep,
    draw: Callable[[], float] = random.random,
) -> T:
    """`attempt(until)` until it succeeds, fails for good, or time or tries run out; `until` is monotonic.

    What is raised speaks for all attempts: `outcome_unknown` stays set when an earlier attempt of a
    `changing` call may have been carried out and the last answer says nothing about it.
    """
    until = monotonic() + limited(2 * policy.timeout)
    unknown = False
    for number in range(1, policy.retries + 2):
        try:
            return attempt(until)
        except StripeFailure as failure:
            failure.earlier_unknown = unknown
            unknown = unknown or failure.outcome_unknown
            if unknown and changing and not failure.conclusive:
                failure.outcome_unknown = True
            if not failure.again or number > policy.retries:
                raise
            wait = max(policy.wait(number, draw), failure.retry_after or 0)
            if monotonic() + wait >= until:
                raise
        pause(wait)
    raise AssertionError("unreachable")
