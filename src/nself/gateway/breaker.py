"""Does not call who does not answer: after some calls without an answer only one goes out now and then, to see.

The pauses grow from FIRST to LONGEST, so that a short disturbance costs little and a long one few calls.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager

from nself import log
from nself.core.clock import monotonic as monotonic_clock
from nself.gateway.errors import CircuitOpen, NoAnswer, RateLimited, StripeDown

FIRST, LONGEST = 1.0, 60.0
"""Seconds."""


class Breaker:
    """Thread-safe. One a process."""

    def __init__(self, most: int, monotonic: Callable[[], float] = monotonic_clock) -> None:
        """`most` failures in a row (STRIPE_BREAKER_FAILURES); with 0 every call goes out."""
        self._most, self._monotonic, self._lock = most or math.inf, monotonic, threading.Lock()
        self._failures, self._pause, self._shut_until = 0, 0.0, 0.0

    @contextmanager
    def watching(self) -> Generator[None]:
        """Around one call with all its attempts. Raises CircuitOpen, before anything is sent.

        A call that our own budget keeps back says nothing of Stripe.
        """
        self._enter()
        try:
            yield
        except (NoAnswer, StripeDown) as failure:
            self._failed(failure.message)
            raise
        except BaseException as failure:
            if not (isinstance(failure, RateLimited) and failure.http_status is None):
                self._answered()
            raise
        self._answered()

    def _enter(self) -> None:
        with self._lock:
            if self._failures < self._most:
                return
            now = self._monotonic()
            if now < self._shut_until:
                failure = CircuitOpen(wait=f"{max(self._shut_until - now, 0.1):.1f}")
                failure.retry_after = self._shut_until - now
                raise failure
            self._shut_until = now + self._pause  # this one goes out to see, the others wait for it

    def _failed(self, detail: str) -> None:
        with self._lock:
            self._failures += 1
            if self._failures >= self._most:
                self._pause = min(LONGEST, max(FIRST, self._pause * 2))
                self._shut_until = self._monotonic() + self._pause
                log.warning("circuit_open", failures=self._failures, pause=self._pause, detail=detail)

    def _answered(self) -> None:
        with self._lock:
            if self._failures >= self._most:
                log.info("circuit_closed", detail="Stripe answers again")
            self._failures, self._pause = 0, 0.0
