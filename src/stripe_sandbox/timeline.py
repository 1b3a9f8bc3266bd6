"""Takes objects through time: one due step after the other, in order of their instants, each in one transaction.

Objects live by the clock of the whole sandbox or by a test clock; each of these is a domain of its own. Within a
domain the earliest instant goes first, and at one instant the object that was made first.
"""

import asyncio
import logging
from contextlib import suppress
from typing import Any

from stripe_sandbox import deliveries
from stripe_sandbox.call import Call
from stripe_sandbox.clock import Clock
from stripe_sandbox.schedule import TASKS
from stripe_sandbox.store import Store, equals
from stripe_sandbox.webhooks import Courier

_log = logging.getLogger("stripe_sandbox")

_TEST_CLOCK = "test_helpers.test_clock"
_LONGEST_NAP = 60.0
_MOST_STEPS = 1000  # of one object at one instant: a step that leads nowhere must not hang the sandbox

_NEXT = (
    "SELECT kind, id, data ->> '$._due_at' FROM objects WHERE data ->> '$.test_clock' IS ?"
    " AND data ->> '$._due_at' IS NOT NULL AND deleted = 0 ORDER BY data ->> '$._due_at', n LIMIT 1"
)


class Stuck(Exception):
    """A step did not lead to a later one."""


def next_due(store: Store, domain: str | None) -> int | None:
    row = store.row(_NEXT, domain)
    return row[2] if row else None


class Steps:
    """The steps of one domain up to an instant."""

    def __init__(self, store: Store, clock: Clock, domain: str | None) -> None:
        self._store = store
        self._clock = clock
        self._domain = domain
        self._last: tuple[Any, ...] | None = None
        self._repeated = 0

    def take_one(self, until: int, since: int = 0) -> bool:
        """False when nothing is due. A step that came due before `since`, where time stood, is taken then."""
        row = self._store.row(_NEXT, self._domain)
        if row is None or row[2] > until:
            return False
        self._repeated = self._repeated + 1 if row == self._last else 0
        self._last = row
        if self._repeated > _MOST_STEPS:
            raise Stuck(f"{row[0]} {row[1]} at {row[2]}")
        kind, identifier, due = row
        call = Call(self._store, self._clock, at=max(due, since), test_clock=self._domain)
        with self._store.transaction():
            TASKS[kind].step(call, call.load(kind, identifier))
        return True

    def give_up(self) -> None:
        """What cannot take its step takes none any more, so that time goes on for everyone else."""
        if self._last is not None:
            kind, identifier, _ = self._last
            self._store.run(
                "UPDATE objects SET data = json_set(data, '$._due_at', NULL) WHERE kind = ? AND id = ?",
                kind,
                identifier,
            )


class Timeline:
    def __init__(self, store: Store, clock: Clock, courier: Courier) -> None:
        self._store = store
        self._clock = clock
        self._courier = courier
        self._wake = asyncio.Event()
        self._moving = asyncio.Lock()  # one journey at a time

    def wake(self) -> None:
        self._wake.set()

    async def run(self) -> None:
        """What real time brings, and the test clocks that were told to advance."""
        while True:
            self._wake.clear()
            try:
                async with self._moving:
                    await self._catch_up()
                    for clock in self._store.select(_TEST_CLOCK, [equals("status", "advancing")], oldest_first=True):
                        await self._advance_test_clock(clock["id"], clock["frozen_time"])
                nap = self._nap()
            except Exception:
                _log.exception("time stands still")
                nap = _LONGEST_NAP
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), nap)

    def _nap(self) -> float:
        due = next_due(self._store, None)
        return _LONGEST_NAP if due is None else min(max(due - self._clock.time(), 0.0), _LONGEST_NAP)

    async def _catch_up(self) -> None:
        steps = Steps(self._store, self._clock, None)
        while self._steps_on(steps):
            self._courier.wake()
            await asyncio.sleep(0)

    def _steps_on(self, steps: Steps) -> bool:
        try:
            return steps.take_one(self._clock.now())
        except Exception:
            _log.exception("a step that was due failed")
            steps.give_up()
            return True

    async def advance(self, target: float) -> None:
        """The whole sandbox goes to an instant. Webhooks that come due on the way are sent on the way."""
        async with self._moving:
            try:
                await self._travel(target)
            finally:
                self._clock.release()
                self._courier.wake()

    async def _travel(self, target: float) -> None:
        steps = Steps(self._store, self._clock, None)
        while True:
            self._clock.hold(max(self._clock.time(), min(self._next_instant(), target)))
            if steps.take_one(self._clock.now()):
                await asyncio.sleep(0)
                continue
            await self._courier.drain()
            if next_due_until(self._store, self._clock.now()):
                continue
            if self._clock.time() >= target:
                return

    def _next_instant(self) -> float:
        instants = (next_due(self._store, None), deliveries.next_due(self._store))
        return min((float(at) for at in instants if at is not None), default=float("inf"))

    async def _advance_test_clock(self, identifier: str, since: int) -> None:
        """Instant by instant; before time goes on, the endpoints hear what has happened so far."""
        steps = Steps(self._store, self._clock, identifier)
        at = since
        while True:
            target = self._target(identifier)
            if target is None:
                return
            due = next_due(self._store, identifier)
            if due is not None and at < due:
                await self._courier.drain()
                at = min(due, target)
            try:
                more = steps.take_one(target, since)
            except Exception:
                _log.exception("test clock %s", identifier)
                self._end(identifier, "internal_failure", None)
                return
            if not more:
                await self._courier.drain()
                self._end(identifier, "ready", target)
                return
            await asyncio.sleep(0)

    def _target(self, identifier: str) -> int | None:
        """Where the clock is going; nothing once it was deleted."""
        found = self._store.get(_TEST_CLOCK, identifier)
        if found is None or found[1] or found[0]["status"] != "advancing":
            return None
        return found[0]["status_details"]["advancing"]["target_frozen_time"]

    def _end(self, identifier: str, status: str, frozen_time: int | None) -> None:
        call = Call(self._store, self._clock)
        with self._store.transaction():
            clock = call.load(_TEST_CLOCK, identifier)
            reached = {} if frozen_time is None else {"frozen_time": frozen_time}
            call.change(clock, {"status": status, "status_details": {}, **reached})
            call.emit(f"test_helpers.test_clock.{status}", clock)
        self._courier.wake()


def next_due_until(store: Store, until: int) -> bool:
    due = next_due(store, None)
    return due is not None and due <= until
