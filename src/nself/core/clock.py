"""The only place that reads the clock. Everything else gets the time passed in."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def system_clock() -> datetime:
    """Aware UTC now, microseconds."""
    return datetime.now(UTC)


monotonic = time.monotonic
wall_seconds = time.time
