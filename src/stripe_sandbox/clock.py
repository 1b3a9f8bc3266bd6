"""The sandbox's only source of time."""

import time

from stripe_sandbox.store import Store

_FACT = "clock.offset"


class Clock:
    """Real time, moved by an offset; held at one instant while the sandbox is taken through time in steps.

    Nothing else in the package asks the system for the time of day. Every instant is a whole or broken number of
    seconds since 1970 in UTC, so no time zone and no daylight saving ever shifts one.
    """

    def __init__(self, store: Store | None = None) -> None:
        self._store = store
        self._held: float | None = None
        self._offset = float((store and store.fact(_FACT)) or 0.0)

    def time(self) -> float:
        return time.time() + self._offset if self._held is None else self._held

    def now(self) -> int:
        """Stripe's timestamps are whole seconds."""
        return int(self.time())

    def real(self) -> int:
        """The time of day of those outside: what a receiver compares a signature's timestamp with."""
        return int(time.time())

    @property
    def offset(self) -> float:
        return self.time() - time.time()

    def hold(self, at: float) -> None:
        """Stand still at an instant, which survives the process."""
        self._held = at
        self._keep()

    def release(self) -> None:
        """Run on from the instant that was held."""
        if self._held is not None:
            self._offset, self._held = self.offset, None
            self._keep()

    def reset(self) -> None:
        self._held, self._offset = None, 0.0

    def _keep(self) -> None:
        if self._store is not None:
            self._store.set_fact(_FACT, repr(self.offset))
