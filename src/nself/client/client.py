"""The synchronous client."""

from __future__ import annotations

import atexit
import hashlib
import os
import random
import re
import time
import uuid
import weakref
from contextlib import suppress
from datetime import datetime
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Unpack

from nself.client import protocol
from nself.client.errors import QuotaExceeded, ServiceUnreachable
from nself.client.folder import Folder
from nself.client.model import BUFFER_BYTES, MAX_RECORD, Commit, Decision, Options, Rejected, Status, checked
from nself.client.protocol import Answer, Request
from nself.client.sender import Sender, Ways
from nself.client.transport import Transport
from nself.core.clock import monotonic, system_clock
from nself.core.errors import BillingError, InvalidParameter, Unavailable

CLOSE_SECONDS = 5.0
TRIES = 4
FIRST_WAIT = 0.1
_clients: weakref.WeakSet[Client] = weakref.WeakSet()


class Client:
    """Threads may share one; after a fork parent and child each go on with it.

    `url` of the service, `key` an API key with the scopes `usage:write` and `quota`. See model.Options for the rest.
    """

    def __init__(self, url: str, key: str, **options: Unpack[Options]) -> None:
        self.url = url.rstrip("/")
        if not re.match(r"https?://[^/]", self.url):
            raise InvalidParameter(f"Invalid url: {url[:100]!r} (http://127.0.0.1:8080)", "url")
        self._timeout = options.get("timeout", 5.0)
        self._folder = Folder(_root(options.get("buffer"), self.url, key))
        self._ways = Ways(
            buffer_bytes=options.get("buffer_bytes", BUFFER_BYTES),
            fsync_interval=options.get("fsync_interval", 0.0),
            batch_events=options.get("batch_events", 1000),
            linger=options.get("linger", 0.2),
            send_timeout=options.get("send_timeout", 30.0),
        )
        self._transport = Transport(self.url, key)
        self._begin()
        if any((self._folder.root / "queues").glob("*")):
            self._sender.start()
        _clients.add(self)

    def _begin(self) -> None:
        """As a process that recorded nothing yet."""
        self._sender = Sender(self._folder, self._transport.send, self._ways)
        self._keys, self._numbers = uuid.uuid4().hex, count(1)

    def __repr__(self) -> str:
        return f"Client({self.url!r})"

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Usage

    def record(
        self,
        user: str,
        metric: str,
        value: int = 1,
        *,
        key: str | None = None,
        at: datetime | str | None = None,
        properties: dict[str, Any] | None = None,
    ) -> str:
        """Keep an event, durably, to be sent soon. Its key: the same key counts once, one is made where none is given.

        `at` is now where it is left out. Raises InvalidParameter, InvalidInteger, BufferFull, BufferUnwritable,
        ClientClosed; then nothing was kept.
        """
        if key is None:
            key = self._new_key()
        event = checked(user, metric, value, key, system_clock() if at is None else at, properties)
        payload = protocol.record(event)
        if len(payload) > MAX_RECORD:
            raise InvalidParameter(
                f"Invalid properties: the event has {len(payload)} bytes of {MAX_RECORD}", "properties"
            )
        self._sender.record(payload)
        return key

    def flush(self, timeout: float = 30.0) -> bool:
        """Whether all that this process recorded before is delivered or rejected; False after `timeout` seconds."""
        return self._sender.flush(timeout)

    def status(self) -> Status:
        return self._sender.status()

    def rejected(self) -> list[Rejected]:
        """Events of all processes that share the buffer which the service will never take, and why; kept for you."""
        return list(self._folder.rejected())

    def close(self, timeout: float = CLOSE_SECONDS) -> bool:
        """Send what can be sent; whether that was all. A service that is away is not waited for: the rest stays on disk
        for the next process. Twice is once.
        """
        try:
            return self._sender.close(timeout)
        finally:
            self._transport.close()

    # Quotas

    def check(self, user: str, metric: str, value: int = 1) -> Decision:
        """Whether so much more is allowed; nothing is taken. Raises the service's errors, ServiceUnreachable."""
        return self._decide(protocol.question("check", user=user, metric=metric, value=value))

    def reserve(self, user: str, metric: str, value: int = 1, *, key: str | None = None) -> Decision:
        """Hold so much of the limit, where `allowed`, until it is committed, released or expires.

        The same `key` of a user is one reservation; one is made where none is given, so that a repetition holds once.
        Raises the service's errors, ServiceUnreachable; then units may be held until they expire.
        """
        return self._decide(
            protocol.question("reserve", user=user, metric=metric, value=value, key=key or self._new_key())
        )

    def commit(self, reservation: str, value: int | None = None, properties: dict[str, Any] | None = None) -> Decision:
        """Count what was used, else all that was reserved. Again is the same as once. Raises as `check`, InvalidParameter.

        `properties` of the event that is counted: what the metric filters, validates, counts or groups by.
        """
        question = protocol.question("commit", reservation=reservation, value=value, properties=properties)
        return self._decide(question)

    def release(self, reservation: str) -> Decision:
        """Give it back. Again is the same as once. Raises as `check`."""
        return self._decide(protocol.question("release", reservation=reservation))

    def reservation(self, user: str, metric: str, value: int = 1) -> Reservation:
        """`with client.reservation(…) as held:` commits at the end, `held.value` where it is set, and releases after an error."""
        return Reservation(self, user, metric, value)

    def commit_surely(self, reservation: str, value: int, properties: dict[str, Any] | None = None) -> Decision | None:
        """Commit; while the service is away into the buffer, from where it is sent until it is counted, and None.

        Raises the service's errors but Unavailable, and what `record` raises.
        """
        try:
            return self.commit(reservation, value, properties)
        except Unavailable:
            self._sender.record(protocol.record(Commit(reservation=reservation, value=value, properties=properties)))
            return None

    def _new_key(self) -> str:
        return f"{self._keys}-{next(self._numbers)}"

    def _decide(self, request: Request) -> Decision:
        return protocol.decision(self._ask(request))

    def _ask(self, request: Request) -> Answer:
        """Up to TRIES times within the timeout: a question may be asked again, since its answer is the same then."""
        end, failures = monotonic() + self._timeout, 0
        while True:
            found = self._try(request, max(end - monotonic(), 0.05))
            if isinstance(found, Answer) and found.status < 500:
                return found
            failures += 1
            wait = protocol.retry_after(found.headers) if isinstance(found, Answer) else None
            pause = protocol.pause(failures, wait, random.random(), FIRST_WAIT)
            if failures == TRIES or monotonic() + pause >= end:
                break
            time.sleep(pause)
        if isinstance(found, Answer):
            return found
        raise found

    def _try(self, request: Request, seconds: float) -> Answer | ServiceUnreachable:
        try:
            return self._transport.send(request, seconds)
        except ServiceUnreachable as error:
            return error

    def forked(self) -> None:
        """In a forked child: buffer, thread and connections of its own."""
        self._sender.abandon()
        self._transport.forget()
        self._begin()


class Reservation:
    """Units held for the time of a `with`. Set `value` to what was used, where that is not what was reserved, and
    `properties` where the metric looks at some.
    """

    def __init__(self, client: Client, user: str, metric: str, value: int) -> None:
        self._client, self.user, self.metric, self.value = client, user, metric, value
        self.properties: dict[str, Any] | None = None
        self.decision: Decision | None = None
        """The reserve's, then the commit's; None where that waits in the buffer."""
        self.id: str | None = None

    def __enter__(self) -> Reservation:
        self.opened(self._client.reserve(self.user, self.metric, self.value))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        assert self.id is not None
        if kind is not None:
            return self.given_back()
        return self.used()

    def opened(self, decision: Decision) -> None:
        """Raises QuotaExceeded."""
        self.decision, self.id = decision, decision.reservation
        if not decision.allowed or self.id is None:
            raise QuotaExceeded(decision)

    def used(self) -> None:
        """Raises QuotaExceeded where more was used than was reserved and the limit has no room: the hold stays."""
        assert self.id is not None
        self.decision = self._client.commit_surely(self.id, self.value, self.properties)
        if self.decision is not None and not self.decision.allowed:
            raise QuotaExceeded(self.decision)

    def given_back(self) -> None:
        """A hold that cannot be given back ends by itself; the error that led here is told, not that."""
        assert self.id is not None
        with suppress(BillingError):
            self._client.release(self.id)


def _root(given: str | None, url: str, key: str) -> Path:
    """A folder for each service and mode: usage of one never goes to another, whatever the key is by then."""
    base = Path(given) if given else _state() / "nself" / "client"
    mode = re.match(r"nsk_([a-z]+)_", key)
    digest = hashlib.sha256(f"{url}\n{mode[1] if mode else ''}".encode()).hexdigest()[:16]
    return base / digest


def _state() -> Path:
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")


def _after_fork() -> None:
    for client in list(_clients):
        client.forked()


def _at_exit() -> None:
    for client in list(_clients):
        with suppress(BillingError):
            client.close()


os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)
