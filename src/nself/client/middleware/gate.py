"""Quota requests over HTTP. Threads may share a Gate; after a fork each process has connections of its own."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections import deque
from typing import Any, NamedTuple, cast

from nself.client import protocol
from nself.client.errors import ServiceUnreachable
from nself.client.transport import Transport
from nself.core.clock import monotonic

logger = logging.getLogger("nself.client")
MOST_OPEN = 10_000
"""Ends that are kept in memory to be sent again."""
PAUSE, LONGEST_PAUSE = 0.5, 30.0
GIVE_UP = 3600.0
"""Seconds after which an end is dropped; the service forgets reservations after a day."""
FILTERED = "filtered"
"""How a commit is refused that the metric does not count."""
AGAIN = frozenset({408, 429, 500, 502, 503, 504})


class Decided(NamedTuple):
    """An answer to a check or reserve; `fields` as the service gave them, `retry_after` in seconds where refused."""

    allowed: bool
    fields: dict[str, Any]
    retry_after: str | None = None

    @property
    def reservation(self) -> str | None:
        return self.fields.get("reservation")


class End(NamedTuple):
    """A commit or release that is still to be told."""

    what: str
    body: dict[str, Any]
    until: float


class Gate:
    """The quota routes of the service at `url`, for one API key with the scope `quota`. `timeout`: seconds a request may take."""

    def __init__(self, url: str, key: str, timeout: float) -> None:
        self.timeout = timeout
        self._transport = Transport(url.rstrip("/"), key)
        self._lock = threading.Lock()
        self._forget()

    def _forget(self) -> None:
        self._pid = os.getpid()
        self._transport.forget()
        self._open: deque[End] = deque()
        self._sender: threading.Thread | None = None

    def decide(self, what: str, user: str, metric: str, value: int) -> Decided | None:
        """A check or reserve; None where the service is away or cannot decide, which is logged."""
        found = self._post(what, {"user": user, "metric": metric, "value": value})
        if found is None:
            return None
        status, fields, headers = found
        if status in (200, 429) and "allowed" in fields:
            return Decided(status == 200, fields, headers.get("retry-after"))
        logger.error("quota %s of %s was answered with %s: %s", what, metric, status, fields.get("error", fields))
        return None

    def end(
        self, what: str, reservation: str, value: int | None = None, properties: dict[str, Any] | None = None
    ) -> None:
        """Commit or release; where that fails it is told again in the background, for an hour, as long as the process lives."""
        body = {"reservation": reservation, "value": value, "properties": properties}
        end = End(what, body, monotonic() + GIVE_UP)
        if self._told(end):
            return
        with self._lock:
            if len(self._open) >= MOST_OPEN:
                logger.error("quota %s of %s is lost: %s others wait", what, reservation, MOST_OPEN)
                return
            self._open.append(end)
            if self._sender is None or not self._sender.is_alive():
                self._sender = threading.Thread(target=self._send_again, name="nself quota ends", daemon=True)
                self._sender.start()

    def _told(self, end: End) -> bool:
        """Whether it need not be told again."""
        found = self._post(end.what, end.body)
        if found is None or found[0] in AGAIN:
            # More than was reserved is refused with 429 and a body of its own; what is left is then given back at the end of the lease.
            return found is not None and found[0] == 429 and "allowed" in found[1]
        error: Any = found[1].get("error")
        if found[0] != 200 and isinstance(error, dict) and FILTERED in error.values():
            return self._told(End("release", {"reservation": end.body["reservation"]}, end.until))
        if found[0] != 200:
            logger.error("quota %s was answered with %s: %s", end.what, found[0], found[1].get("error"))
        return True

    def _send_again(self) -> None:
        pause = PAUSE
        while True:
            time.sleep(pause)
            with self._lock:
                if not self._open:
                    self._sender = None
                    return
                end = self._open[0]
            done = self._told(end)
            if not done and monotonic() > end.until:
                logger.error("quota %s is lost: the service was away for an hour: %s", end.what, end.body)
                done = True
            pause = 0.0 if done else min(LONGEST_PAUSE, max(PAUSE, pause * 2))
            if done:
                with self._lock:
                    self._open.popleft()

    def _post(self, what: str, body: dict[str, Any]) -> tuple[int, dict[str, Any], Any] | None:
        """Status, body and headers; None where there was no answer of the service."""
        if self._pid != os.getpid():
            self._forget()
        try:
            answer = self._transport.send(protocol.question(what, **body), self.timeout)
            fields: Any = json.loads(answer.body)
        except (ServiceUnreachable, ValueError) as error:
            logger.warning("quota %s: %s does not answer: %s", what, self._transport.url, error)
            return None
        return (answer.status, cast("dict[str, Any]", fields), answer.headers) if isinstance(fields, dict) else None
