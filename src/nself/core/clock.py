"""The only place that reads the clock. Everything else gets the time passed in."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def system_clock() -> datetime:
    """Aware UTC now, microseconds."""
    return datetime.now(UTC)


def since_boot() -> float:
    """Seconds that pass also while the machine sleeps, and whatever the clock is set to."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


monotonic = time.monotonic
wall_seconds = time.time
