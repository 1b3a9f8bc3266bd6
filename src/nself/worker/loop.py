"""A loop that does due work, rests while there is none, survives the database, and stops when asked."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType

from nself import log
from nself.core.errors import BillingError

LONGEST_PAUSE = 15.0


class Loop:
    """SIGTERM and SIGINT let the step under way finish."""

    def __init__(self, idle: float) -> None:
        """`idle` in seconds: the rest after a step that found nothing to do."""
        self.idle = idle
        self.stopping = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.stopping.set()

    def run(self, step: Callable[[], int]) -> None:
        """Call `step` until asked to stop; it says how much it did."""
        pause = 0.0
        while not self.stopping.wait(pause):
            try:
                pause = 0.0 if step() else self.idle
            except BillingError as error:
                log.warning("work_paused", code=error.code, error=error.message)
                pause = min(LONGEST_PAUSE, max(0.5, pause * 2))
            except Exception:
                log.failure("work_failed")
                pause = min(LONGEST_PAUSE, max(0.5, pause * 2))
