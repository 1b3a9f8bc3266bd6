"""Records go into the buffer and, by a thread of its own, from there to the service (docs/decisions/0014)."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

from nself.client import protocol
from nself.client.errors import BufferFull, ClientClosed
from nself.client.folder import Folder
from nself.client.model import Rejected, Status
from nself.client.protocol import Answer, Later, Outcome, Refused, Request
from nself.client.segments import Batch, Damage, Queue
from nself.core.clock import monotonic, system_clock, wall_seconds
from nself.core.errors import BillingError

logger = logging.getLogger("nself.client")
LOOK_SECONDS = 10.0
"""How often it looks for queues of processes that died."""
SEGMENT_BYTES = 4 << 20


class Ways(NamedTuple):
    """How a sender works: see model.Options."""

    buffer_bytes: int
    fsync_interval: float
    batch_events: int
    linger: float
    send_timeout: float


class Sender:
    """Of one process. Its threads begin with the first record, or where dead processes left something."""

    def __init__(self, folder: Folder, send: Callable[[Request, float], Answer], ways: Ways) -> None:
        self.folder, self._send, self.ways = folder, send, ways
        self.queue: Queue | None = None
        self._adopted = list[Queue]()
        self._threads = list[threading.Thread]()
        self._changing = threading.Lock()
        self._wake, self._stop = threading.Event(), threading.Event()
        self._progress = threading.Condition()
        self._others = self._measured = 0
        self._urgent = 0
        self._most, self._failures, self._not_before = ways.batch_events, 0, 0.0
        self._error: BillingError | None = None
        self._counts = {"accepted": 0, "duplicate": 0, "rejected": 0, "damaged": 0}
        self._look_at = 0.0

    # Recording

    def record(self, payload: bytes) -> None:
        """Durable when this returns. Raises BufferFull, BufferUnwritable, ClientClosed."""
        queue = self.queue or self._begin()
        at = int(wall_seconds() * 1000)
        try:
            queue.append(payload, at, self.ways.buffer_bytes - self._others)
        except BufferFull:
            self._measure(queue)
            try:
                queue.append(payload, at, self.ways.buffer_bytes - self._others)
            except BufferFull as error:
                raise self._full(error) from error
        if queue.number != self._measured:
            self._measure(queue)
        if not self._wake.is_set():
            self._wake.set()

    def _measure(self, queue: Queue) -> None:
        """What waits of others: anew for each segment, so that a process passes the bound by one at most."""
        self._measured, self._others = queue.number, self.folder.others_bytes(queue)

    def _full(self, error: BufferFull) -> BufferFull:
        why = f"; the last error is {self._error.code}: {self._error.message}" if self._error else ""
        others = f"{self._others} bytes of others, at most {self.ways.buffer_bytes} in all"
        return BufferFull(detail=f"{error.fields['detail']}, {others}{why}")

    def _begin(self) -> Queue:
        with self._changing:
            if self._stop.is_set():
                raise ClientClosed
            if self.queue is None:
                size = max(64 << 10, min(SEGMENT_BYTES, self.ways.buffer_bytes // 8))
                self.queue = self.folder.new_queue(not self.ways.fsync_interval, size)
                self._measure(self.queue)
        self.start()
        return self.queue

    def start(self) -> None:
        """Its threads, where they do not run yet."""
        with self._changing:
            if self._threads or self._stop.is_set():
                return
            works = [self._run, *([self._keep_synced] if self.ways.fsync_interval else [])]
            self._threads = [threading.Thread(target=work, name="nself.client", daemon=True) for work in works]
            for thread in self._threads:
                thread.start()

    # Sending

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._look()
                busy = self._deliver_all()
            except Exception as error:  # the thread must not end: nothing is lost, it is tried again
                self._failed(error if isinstance(error, BillingError) else BillingError(detail=repr(error)), None)
                busy = True
            if busy and not self._stop.is_set():
                self._leave()
            self._told()
            self._rest(busy)

    def _rest(self, busy: bool) -> None:
        """Until there is something to do; `busy` where something waits for its time."""
        if busy:
            self._stop.wait(max(self._not_before - monotonic(), 0.0))
            return
        self._wake.wait(LOOK_SECONDS)
        if self._wake.is_set() and not self._urgent:
            self._stop.wait(self.ways.linger)
        self._wake.clear()

    def _look(self) -> None:
        """Take over what dead processes left, from time to time."""
        if monotonic() < self._look_at:
            return
        self._look_at = monotonic() + LOOK_SECONDS
        found = self.folder.left_behind()
        if found:
            logger.info("%d events of processes that ended are taken over", sum(one.records for one in found))
        with self._changing:
            self._adopted += found
        if self.queue:
            self._measure(self.queue)

    def _leave(self) -> None:
        """Whoever cannot deliver holds nothing of the dead: another process may be able to."""
        with self._changing:
            left, self._adopted = self._adopted, []
        for queue in left:
            with suppress(BillingError):
                self.folder.remove(queue)

    def _deliver_all(self) -> bool:
        """Oldest first, until nothing waits; True where something does, for a failure or because time is up."""
        try:
            for queue in list(self._adopted):
                if not self._deliver_queue(queue):
                    return True
                self.folder.remove(queue)
                with self._changing:
                    self._adopted.remove(queue)
        except OSError as error:  # it must not keep what is our own
            logger.error("What a process left cannot be read: %s", error)
            self._leave()
        return bool(self.queue and not self._deliver_queue(self.queue))

    def _deliver_queue(self, queue: Queue) -> bool:
        """Until it is empty; False where something waits. Raises OSError, BufferUnwritable."""
        while not self._stop.is_set():
            found = queue.head(self._most)
            if found is None:
                return True
            if isinstance(found, Damage):
                self._set_aside(queue, found)
            elif not self._deliver(queue, found):
                return False
            self._told()
        return False

    def _deliver(self, queue: Queue, batch: Batch) -> bool:
        """One request; False where it has to be sent again later."""
        payloads = batch.payloads[: protocol.alike(batch.payloads)]
        outcome = self._ask(payloads)
        if isinstance(outcome, Later):
            self._failed(outcome.error, outcome.wait)
            return False
        if isinstance(outcome, Refused) and len(payloads) > 1:
            self._most = len(payloads) // 2
            return True
        if isinstance(outcome, Refused):
            code, message = outcome.error.code, outcome.error.message
            outcome = protocol.Settled(rejected=[protocol.Reason(0, code, message)])
        self._reject(payloads, outcome.rejected)
        queue.settle(batch.segment, batch.ends[len(payloads) - 1], len(payloads))
        self._most = min(self._most * 2, self.ways.batch_events)
        self._succeeded(outcome)
        return True

    def _ask(self, payloads: Sequence[bytes]) -> Outcome:
        request = protocol.delivery(payloads)
        try:
            answer = self._send(request, self.ways.send_timeout)
        except BillingError as error:
            return Later(error)
        return protocol.outcome(request, len(payloads), answer)

    def _reject(self, payloads: Sequence[bytes], reasons: Sequence[protocol.Reason]) -> None:
        """Raises BufferUnwritable: then it is not settled, and comes again."""
        if not reasons:
            return
        now = system_clock()
        self.folder.reject(
            Rejected(event=protocol.as_event(payloads[one.index]), code=one.code, message=one.message, rejected_at=now)
            for one in reasons
        )
        codes = sorted({one.code for one in reasons})
        logger.error("%d events were rejected (%s): %s", len(reasons), ", ".join(codes), self.folder.rejections)

    def _set_aside(self, queue: Queue, damage: Damage) -> None:
        copy = self.folder.set_aside(damage)
        queue.settle(damage.segment, damage.end, 1)
        self._counts["damaged"] += 1
        logger.error("Bytes of the buffer cannot be read (%s); they are kept in %s", damage.cause, copy)

    def _failed(self, error: BillingError, wait: float | None) -> None:
        if self._error is None or self._error.code != error.code:
            logger.warning("Usage waits: %s: %s", error.code, error.message)
        self._error, self._failures = error, self._failures + 1
        self._not_before = monotonic() + protocol.pause(self._failures, wait, random.random())

    def _succeeded(self, outcome: protocol.Settled) -> None:
        if self._error is not None:
            logger.info("Usage is delivered again")
        self._error, self._failures = None, 0
        self._counts["accepted"] += outcome.accepted
        self._counts["duplicate"] += outcome.duplicate
        self._counts["rejected"] += len(outcome.rejected)

    def _keep_synced(self) -> None:
        while not self._stop.wait(self.ways.fsync_interval):
            try:
                if self.queue:
                    self.queue.sync()
            except BillingError as error:
                logger.error("%s: %s", error.code, error.message)

    # For whoever asks

    def _told(self) -> None:
        with self._progress:
            self._progress.notify_all()

    def flush(self, seconds: float, patient: bool = True) -> bool:
        """Whether all that this process recorded before was delivered or rejected, within `seconds`.

        Not `patient`: a failure is not waited for.
        """
        queue = self.queue
        if queue is None:
            return True
        target = queue.target()
        done = lambda: queue.settled >= target or not queue.bytes  # noqa: E731
        self._urgent += 1
        self._wake.set()
        try:
            with self._progress:
                self._progress.wait_for(lambda: done() or (self._failures and not patient), seconds)
            return done()
        finally:
            self._urgent -= 1

    def status(self) -> Status:
        with self._changing:
            queues = [*self._adopted, *([self.queue] if self.queue else [])]
        return Status(
            **self._counts,
            pending=sum(one.records for one in queues),
            pending_bytes=sum(one.bytes for one in queues),
            folder=str(self.folder.root),
            error_code=self._error.code if self._error else None,
            error=self._error.message if self._error else None,
        )

    def close(self, seconds: float) -> bool:
        """Whether all was delivered; what was not is for the next process. Raises BufferUnwritable, BufferFull."""
        end = monotonic() + seconds
        if self._stop.is_set():
            return self.queue is None or not self.queue.bytes
        done = self.flush(seconds, patient=False)
        with self._changing:
            self._stop.set()
        self._wake.set()
        for thread in self._threads:
            thread.join(max(end - monotonic(), 1.0))
        for queue in [*self._adopted, *([self.queue] if self.queue else [])]:
            self.folder.remove(queue)
        self._adopted.clear()
        return done

    def abandon(self) -> None:
        """In a forked child: all of this is its parent's, whose threads are not here."""
        for queue in [*self._adopted, *([self.queue] if self.queue else [])]:
            if not queue.closed:
                queue.abandon()
