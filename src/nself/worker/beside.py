"""Work that waits for strangers' servers, in a thread of its own: a mail server that hangs must not hold up payments."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from nself import log
from nself.core.clock import monotonic
from nself.core.errors import BillingError

LONGEST_PAUSE = 15.0


class Beside:
    """`work` says how much it did; while there is none it rests for `idle` seconds, after a failure longer and longer."""

    def __init__(self, work: Callable[[], int], idle: float) -> None:
        self.work, self.idle, self.pause, self.next_at = work, idle, 0.0, 0.0
        self.pool = ThreadPoolExecutor(1, "beside")
        self.running: Future[int] | None = None

    def step(self) -> None:
        """Begin the next piece where none is under way and it is time."""
        if self.running and self.running.done():
            self.pause = self._ended(self.running)
            self.running, self.next_at = None, monotonic() + self.pause
        if self.running is None and monotonic() >= self.next_at:
            self.running = self.pool.submit(self.work)

    def _ended(self, done: Future[int]) -> float:
        try:
            return 0.0 if done.result() else self.idle
        except BillingError as error:
            log.warning("work_paused", code=error.code, error=error.message)
        except Exception:
            log.failure("work_failed")
        return min(LONGEST_PAUSE, max(0.5, self.pause * 2))

    def close(self) -> None:
        """Let what is under way finish."""
        self.pool.shutdown()
