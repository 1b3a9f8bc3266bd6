"""uvicorn's own protocol with a short way for the hot routes, which saves the ASGI frame: half of a request's CPU.

Only the plain case is taken: a POST to exactly such a path on an idle connection. What is pipelined, expects
`100-continue`, upgrades or meets a sender that does not read its answers goes the ASGI way to the same `Hot`.
Parsing, limits of time, keep-alive and shutdown stay uvicorn's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

from starlette.responses import Response
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from nself.domains.api_key import service as api_key
from nself.http import answer
from nself.http.hot import Hot, Reply, authorization

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application

_no_waiter = asyncio.Event()


class Exchange:
    """One request and its answer. Has what HttpToolsProtocol asks of its `cycle`, and of a task at shutdown."""

    __slots__ = (
        "body",
        "disconnected",
        "headers",
        "hot",
        "keep_alive",
        "message_event",
        "protocol",
        "response_complete",
    )

    def __init__(self, protocol: Protocol, hot: Hot, headers: list[tuple[bytes, bytes]], keep_alive: bool) -> None:
        self.protocol, self.hot, self.headers, self.keep_alive = protocol, hot, headers, keep_alive
        self.body = bytearray()
        self.disconnected = self.response_complete = False
        self.message_event = _no_waiter

    def take(self, part: bytes) -> None:
        self.body += part
        if len(self.body) > self.hot.max_body:
            self.body.clear()
            self.fail(self.hot.too_large())

    def complete(self) -> None:
        """The body is there."""
        header = authorization(self.headers)
        try:
            if self.hot.allowed(self.protocol.place(self.hot, header)):
                return self.submit()
        except Exception as error:  # the boundary: nothing may leave without an answer
            return self.fail(error)
        task = self.protocol.loop.create_task(self._allow(header))
        self.protocol.tasks.add(task)
        return task.add_done_callback(self.protocol.tasks.discard)

    async def _allow(self, header: str | None) -> None:
        try:
            await self.hot.allow(header)
            self.submit()
        except Exception as error:  # the boundary, as above
            self.fail(error)

    def submit(self) -> None:
        # Until it is answered the service does not close the database, as for a task of its own.
        self.protocol.tasks.add(cast("Any", self))
        self.hot.begin(bytes(self.body), self.headers, self.told)
        self.body.clear()

    def told(self, result: Reply | Exception) -> None:
        if isinstance(result, Exception):
            return self.fail(result)
        return self.answer(result.status, b"".join([b"%b: %b\r\n" % one for one in result.head()]), result.body)

    def fail(self, error: Exception) -> None:
        response: Response = answer.failure(error, answer.new_request_id())
        head = b"".join(b"%b: %b\r\n" % header for header in response.raw_headers)
        self.answer(response.status_code, head, bytes(response.body))

    def answer(self, status: int, head: bytes, body: bytes) -> None:
        protocol = self.protocol
        protocol.tasks.discard(cast("Any", self))
        self.response_complete = True
        if not protocol.transport.is_closing():
            close = b"" if self.keep_alive else b"connection: close\r\n"
            date = b"".join([b"%b: %b\r\n" % one for one in protocol.server_state.default_headers])
            protocol.transport.write(b"".join([STATUS_LINE[status], date, head, close, b"\r\n", body]))
            if not self.keep_alive:
                protocol.transport.close()
        protocol.on_response_complete()

    def cancel(self, msg: object = None) -> None:
        """The time for the shutdown is over."""
        self.protocol.transport.close()


class Protocol(HttpToolsProtocol):
    """One connection."""

    hot: Mapping[bytes, Hot]
    """By path: those of the application that is served; set by `protocol`."""

    running: RequestResponseCycle | None = None
    known: tuple[str | None, api_key.Place | None] = (None, None)
    """The last header `Authorization` and its place: reading it costs more than reading the event."""

    def place(self, hot: Hot, header: str | None) -> api_key.Place | None:
        """Raises Unauthorized."""
        if self.known[1] is None or self.known[0] != header:
            self.known = (header, hot.place(header))
        return self.known[1]

    def on_message_begin(self) -> None:
        """What uvicorn prepares for ASGI is made only where it is needed."""
        self.url, self.headers, self.expect_100_continue = b"", [], False

    def on_headers_complete(self) -> None:
        idle = self.cycle is None or self.cycle.response_complete  # pyright: ignore[reportUnnecessaryComparison]
        hot = self.hot.get(self.url)
        plain = not self.expect_100_continue and not self.flow.write_paused
        parser = self.parser
        assert parser
        if not (hot and plain and idle and parser.get_method() == b"POST" and not parser.should_upgrade()):
            return self._as_asgi()
        keep_alive = parser.get_http_version() != "1.0" and parser.should_keep_alive()
        self.cycle = cast("Any", Exchange(self, hot, self.headers, keep_alive))
        return None

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self.running = cycle
        super()._start_asgi_task(cycle, app)

    def connection_lost(self, exc: Exception | None) -> None:
        """uvicorn tells only the last of pipelined requests, and the one that is answered would write to nobody."""
        if self.running:
            self.running.disconnected = True
            self.running.message_event.set()
        super().connection_lost(exc)

    def _as_asgi(self) -> None:
        url, headers, expect = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expect
        self.headers.extend(headers)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        cycle = cast("object", self.cycle)
        if not isinstance(cycle, Exchange):
            super().on_body(body)
        elif not cycle.response_complete:
            cycle.take(body)

    def on_message_complete(self) -> None:
        cycle = cast("object", self.cycle)
        if not isinstance(cycle, Exchange):
            super().on_message_complete()
        elif not cycle.response_complete:
            cycle.complete()


def protocol(hot: Iterable[Hot]) -> type[Protocol]:
    """The protocol class of a server with such routes."""

    class Serving(Protocol):
        pass

    Serving.hot = {one.path.encode(): one for one in hot}
    return Serving
