"""How many calls a second go to Stripe: at most a share of its limit, in any second, whatever the threads do.

Stripe publishes 100 calls a second in live mode and 25 in test mode (docs.stripe.com/rate-limits). One
process keeps to the limit by itself; several share it through a `Lease`.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from nself.core.clock import monotonic as monotonic_clock
from nself.core.clock import wall_seconds as wall_clock
from nself.core.settings import Settings
from nself.gateway.errors import RateLimited

Lease = Callable[[int], int]
"""Asks for that many calls in the current second of the wall clock; gives how many were granted, from 0."""

TEST_LIMIT, LIVE_LIMIT = 25, 100
RECOVERY_SECONDS = 2.0
LARGEST_SHARE = 4
"""One lease asks for at most the limit's fourth part, so that a process cannot starve the others."""
LONGEST_PAUSE = 0.05
"""Of a single wait for the next second, in seconds: the wall clock may be set meanwhile."""
LEASE_IS_QUICK = 0.02
"""Seconds that asking for a lease may take without being counted as a wait."""


class Counters(NamedTuple):
    """Since the process began; `waited` in seconds, `limit` calls a second now, `full` undisturbed."""

    calls: int
    waits: int
    waited: float
    rate_limited: int
    leases: int
    limit: int
    full: int


def limit(settings: Settings) -> int:
    """Calls a second that all processes together may make, at least 1. Raises InvalidSetting."""
    return max(1, int(allowed(settings) * settings.decimal("STRIPE_RATE_LIMIT_BUFFER")))


def allowed(settings: Settings) -> int:
    """Calls a second that Stripe allows."""
    return settings.integer("STRIPE_RATE_LIMIT") or (LIVE_LIMIT if settings.live else TEST_LIMIT)


class Budget:
    """Thread-safe. Gives out instants, each at least a second after the one `limit` places before it."""

    def __init__(
        self,
        full: int,
        lease: Lease | None = None,
        *,
        monotonic: Callable[[], float] = monotonic_clock,
        wall: Callable[[], float] = wall_clock,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """`full` calls a second. All times in seconds."""
        self.full = self.limit = full
        self._lease = lease
        self._monotonic, self._wall, self._pause = monotonic, wall, pause
        self._lock, self._leasing = threading.Lock(), threading.Lock()
        self._given: deque[float] = deque(maxlen=full)
        self._slowed_at = self._raise_at = float("-inf")
        self._held, self._held_for, self._ask, self._dry = 0, -1, 1, False
        self._waits, self._calls, self._waited, self._rate_limited, self._leases = 0, 0, 0.0, 0, 0

    def take(self, until: float) -> float:
        """Wait for one call; gives the monotonic instant from which it may be made.

        Raises RateLimited, having taken nothing, when it would have to wait beyond `until` (monotonic).
        """
        slot = self._slot(until)
        while (wait := slot - self._monotonic()) > 0:
            self._pause(wait)
        if self._lease:
            self._leased(self._lease, until)
        return slot

    def slow_down(self) -> None:
        """Stripe answered 429: half the limit at once, then a tenth more every RECOVERY_SECONDS."""
        with self._lock:
            now = self._monotonic()
            self._rate_limited += 1
            if now - self._slowed_at >= 1:  # several threads meet the same limit at the same moment
                self.limit = max(1, self.limit // 2)
                self._slowed_at = now
            self._raise_at = now + RECOVERY_SECONDS

    def counters(self) -> Counters:
        with self._lock:
            return Counters(
                self._calls,
                self._waits,
                self._waited,
                self._rate_limited,
                self._leases,
                self.limit,
                self.full,
            )

    def _slot(self, until: float) -> float:
        with self._lock:
            now = self._monotonic()
            while self.limit < self.full and now >= self._raise_at:
                self.limit = min(self.full, self.limit + max(1, self.full // 10))
                self._raise_at += RECOVERY_SECONDS
            slot = now
            if self._given:
                slot = max(slot, self._given[-1])
            if len(self._given) >= self.limit:
                slot = max(slot, self._given[-self.limit] + 1)
            if slot > until:
                raise self._exhausted(slot - now)
            self._given.append(slot)
            self._calls += 1
            if slot > now:
                self._waits += 1
                self._waited += slot - now
            return slot

    def _leased(self, lease: Lease, until: float) -> None:
        """Take one of the calls that were leased for this second of the wall clock, or lease more."""
        began = self._monotonic()
        while not self._from_lease(lease):
            if self._monotonic() >= until:
                raise self._exhausted(1.0)
            wall = self._wall()
            self._pause(min(LONGEST_PAUSE, max(0.001, int(wall) + 1 - wall)))
        waited = self._monotonic() - began
        if waited > LEASE_IS_QUICK:
            with self._lock:
                self._waits += 1
                self._waited += waited

    def _from_lease(self, lease: Lease) -> bool:
        with self._leasing:  # one thread asks, the others live on what it got
            second = int(self._wall())
            if second != self._held_for:
                self._held, self._held_for, self._ask, self._dry = 0, second, 1, False
            if not self._held and not self._dry:
                self._held = lease(self._ask)
                self._leases += 1
                self._dry = self._held < self._ask  # nothing more to be had in this second
                self._ask = min(self._ask * 2, max(1, self.full // LARGEST_SHARE))
                if int(self._wall()) != second:
                    return False  # granted for a second that is over
            if not self._held:
                return False
            self._held -= 1
            return True

    def _exhausted(self, wait: float) -> RateLimited:
        failure = RateLimited()
        failure.retry_after = wait
        return failure
