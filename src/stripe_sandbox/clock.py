"""The sandbox's only source of time."""

import time


class Clock:
    """Real time, moved by an offset. Nothing else in the package asks the system for the time of day."""

    def __init__(self, offset: float = 0.0) -> None:
        self._offset = offset

    def time(self) -> float:
        return time.time() + self._offset

    def now(self) -> int:
        """Stripe's timestamps are whole seconds."""
        return int(self.time())
