"""A loop that does due work, rests while there is none, survives the database, and stops when asked."""

from __future__ import annotations

import os
import select
import signal
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
        # A pipe: whoever waits for a threading.Event holds a lock that a signal's handler would wait for in turn.
        self._asked, self._ask = os.pipe()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        os.write(self._ask, b"!")

    def _stopping(self, pause: float) -> bool:
        """Wait `pause` seconds at most; whether it was asked to stop."""
        return bool(select.select([self._asked], [], [], pause)[0])

    def run(self, step: Callable[[], int]) -> None:
        """Call `step` until asked to stop; it says how much it did."""
        pause = 0.0
        while not self._stopping(pause):
            try:
                pause = 0.0 if step() else self.idle
            except BillingError as error:
                log.warning("work_paused", code=error.code, error=error.message)
                pause = min(LONGEST_PAUSE, max(0.5, pause * 2))
            except Exception:
                log.failure("work_failed")
                pause = min(LONGEST_PAUSE, max(0.5, pause * 2))
