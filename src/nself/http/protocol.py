"""uvicorn's own protocol with a short way for the hot routes, which saves the ASGI frame and most of the parsing.

Only the plain case is taken: a POST to exactly such a path on an idle connection. What is pipelined, expects
`100-continue`, upgrades or meets a sender that does not read its answers goes the ASGI way to the same `Hot`.
A client writes the same lines before each body: those that the parser read once are known again by their bytes.
Limits of time, keep-alive and shutdown stay uvicorn's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from starlette.responses import Response
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from nself.core.clock import monotonic
from nself.domains.api_key import service as api_key
from nself.domains.api_key.model import ApiKey
from nself.http import answer
from nself.http.hot import Headers, Hot, Reply, authorization

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application

END = b"\r\n\r\n"
MAX_HEADS = 1000
SHORT = 1 << 16
"""Bytes of a body: with a longer one it does not matter what reading the lines before it costs."""
FRESH_SECONDS = 0.01
"""How long what was found out about a caller holds for the next requests below the same lines: a quarter of what reading one costs."""
_no_waiter = asyncio.Event()


class Head:
    """What the lines before a body say. `length` of the body where these bytes say it in the plainest way, else -1."""

    __slots__ = ("authorization", "caller", "fresh_until", "hot", "keep_alive", "length", "place", "text", "way")

    def __init__(self, hot: Hot, headers: list[tuple[bytes, bytes]], keep_alive: bool, text: bytes) -> None:
        self.hot, self.keep_alive, self.text = hot, keep_alive, text
        self.way, self.authorization = hot.way(headers), authorization(headers)
        self.length = _length(text, headers)
        self.place: api_key.Place | None = None
        self.caller: ApiKey | None = None
        self.fresh_until = 0.0

    def allowed(self) -> ApiKey | None:
        """The caller, where it was proven a moment ago. Raises Unauthorized, InsufficientPermissions, UnderMaintenance."""
        now = monotonic()
        if now < self.fresh_until:
            return self.caller
        self.place = self.place or self.hot.place(self.authorization)
        self.caller = self.hot.allowed(self.place)
        self.fresh_until = now + FRESH_SECONDS if self.caller else 0
        return self.caller


def _length(text: bytes, headers: Headers) -> int:
    lines = [name for name, _ in headers]
    found = [value for name, value in headers if name == b"content-length"]
    plain = text.count(b"\n") == text.count(b"\r\n") == len(lines) + 2 and b"transfer-encoding" not in lines
    return int(found[0]) if plain and len(found) == 1 and found[0].isdigit() else -1


def _failure(error: Exception) -> tuple[int, bytes, bytes]:
    """Status, lines and body of what is answered."""
    response: Response = answer.failure(error, answer.new_request_id())
    head = b"".join(b"%b: %b\r\n" % header for header in response.raw_headers)
    return response.status_code, head, bytes(response.body)


class Exchange:
    """One request and its answer. Has what HttpToolsProtocol asks of its `cycle`, and of a task at shutdown."""

    __slots__ = (
        "disconnected",
        "head",
        "keep_alive",
        "message_event",
        "parts",
        "protocol",
        "response_complete",
        "size",
    )

    def __init__(self, protocol: Protocol, head: Head) -> None:
        self.protocol, self.head, self.keep_alive = protocol, head, head.keep_alive
        self.parts: list[bytes] = []
        self.size = 0
        self.disconnected = self.response_complete = False
        self.message_event = _no_waiter

    def take(self, part: bytes) -> None:
        self.parts.append(part)
        self.size += len(part)
        if self.size > self.head.hot.max_body:
            self.parts.clear()
            self.fail(self.head.hot.too_large())

    def complete(self) -> None:
        """The body is there."""
        body = b"".join(self.parts)
        self.parts.clear()
        self.begin(body)

    def begin(self, body: bytes) -> None:
        try:
            if caller := self.head.allowed():
                return self.submit(body, caller)
        except Exception as error:  # the boundary: nothing may leave without an answer
            return self.fail(error)
        task = self.protocol.loop.create_task(self._allow(body))
        self.protocol.tasks.add(task)
        return task.add_done_callback(self.protocol.tasks.discard)

    async def _allow(self, body: bytes) -> None:
        try:
            self.submit(body, await self.head.hot.allow(self.head.authorization))
        except Exception as error:  # the boundary, as above
            self.fail(error)

    def submit(self, body: bytes, caller: ApiKey) -> None:
        self.head.hot.charge(caller)
        # Until it is answered the service does not close the database, as for a task of its own.
        self.protocol.tasks.add(self)
        self.head.way(body, self.told, caller)

    def told(self, result: Reply | Exception) -> None:
        if isinstance(result, Exception):
            return self.fail(result)
        return self.answer(result.status, result.lines(), result.body)

    def fail(self, error: Exception) -> None:
        self.answer(*_failure(error))

    def answer(self, status: int, head: bytes, body: bytes) -> None:
        protocol = self.protocol
        protocol.tasks.discard(self)
        self.response_complete = True
        if not protocol.transport.is_closing():
            close = b"" if self.keep_alive else b"connection: close\r\n"
            protocol.transport.write(b"".join((STATUS_LINE[status], protocol.date(), head, close, b"\r\n", body)))
            if not self.keep_alive:
                protocol.transport.close()
        protocol.rest()

    def cancel(self, msg: object = None) -> None:
        """The time for the shutdown is over."""
        self.protocol.transport.close()


class Protocol(HttpToolsProtocol):
    """One connection."""

    hot: Mapping[bytes, Hot]
    """By path: those of the application that is served; set by `protocol`, as `heads`."""
    heads: dict[bytes, Head]
    """What was read before, by its bytes up to the empty line."""

    cycle: Any
    tasks: set[Any]
    running: RequestResponseCycle | None = None
    between = True
    """No request is half parsed."""
    first = b""
    """What may become the text of a head: bytes from the beginning of a request to an empty line."""
    missing = 0
    """Bytes of the body whose head was known; the parser does not see them."""
    rested_at = 0.0
    dated: tuple[list[tuple[bytes, bytes]], bytes] = ([], b"")

    def data_received(self, data: bytes) -> None:
        if self.missing:
            return self._go_on(data)
        self.first = b""
        if self.between and (end := data.find(END) + len(END)) >= len(END):
            head = self.heads.get(data[:end])
            if head and self._idle():
                exchange = Exchange(self, head)
                self.cycle = exchange
                if len(data) - end == head.length:
                    return exchange.begin(data[end:])
                self.missing = head.length
                return self._go_on(data[end:])
            self.first = data[:end]
        return super().data_received(data)

    def _go_on(self, data: bytes) -> None:
        exchange: Exchange = self.cycle
        self.missing -= len(data)
        if self.missing < 0:  # the next request came with it: all of this is for the parser
            self.missing, self.cycle = 0, None
            return super().data_received(b"".join((exchange.head.text, *exchange.parts, data)))
        exchange.take(data)
        return None if self.missing else exchange.complete()

    def _idle(self) -> bool:
        cycle: RequestResponseCycle | Exchange | None = self.cycle
        return (cycle is None or cycle.response_complete) and not self.flow.write_paused

    def on_message_begin(self) -> None:
        """What uvicorn prepares for ASGI is made only where it is needed."""
        self.url, self.headers, self.expect_100_continue, self.between = b"", [], False, False

    def on_headers_complete(self) -> None:
        text, self.first = self.first, b""
        hot, parser = self.hot.get(self.url), self.parser
        assert parser
        plain = not self.expect_100_continue and parser.get_method() == b"POST" and not parser.should_upgrade()
        if not (hot and plain and self._idle()):
            return self._as_asgi()
        keep_alive = parser.get_http_version() != "1.0" and parser.should_keep_alive()
        head = Head(hot, self.headers, keep_alive, text)
        if hot.recurs(self.headers) and 0 <= head.length <= min(SHORT, hot.max_body):
            if len(self.heads) >= MAX_HEADS:
                self.heads.clear()
            self.heads[text] = head
        exchange = Exchange(self, head)
        self.cycle = exchange
        if answer.declared(self.headers) > hot.max_body:
            exchange.fail(hot.too_large())
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

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP is answered as every error, and ends the connection."""
        status, head, body = _failure(answer.NotHttp())
        self.transport.write(b"".join((STATUS_LINE[status], self.date(), head, b"connection: close\r\n\r\n", body)))
        self.transport.close()

    def _as_asgi(self) -> None:
        url, headers, expect = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expect
        self.headers.extend(headers)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        cycle: object = self.cycle
        if not isinstance(cycle, Exchange):
            super().on_body(body)
        elif not cycle.response_complete:
            cycle.take(body)

    def on_message_complete(self) -> None:
        self.between = True
        cycle: object = self.cycle
        if not isinstance(cycle, Exchange):
            super().on_message_complete()
        elif not cycle.response_complete:
            cycle.complete()

    def rest(self) -> None:
        """A hot request was answered. One timer serves many rests: a timer a request costs as much as reading it."""
        if self.pipeline or self.timeout_keep_alive_task is None:
            return self.on_response_complete()
        self.server_state.total_requests += 1
        self.rested_at = self.loop.time()
        return self.flow.resume_reading()

    def on_response_complete(self) -> None:
        self.rested_at = self.loop.time()
        super().on_response_complete()

    def timeout_keep_alive_handler(self) -> None:
        self.timeout_keep_alive_task = None
        if not self._idle():
            return None
        left = self.rested_at + self.timeout_keep_alive - self.loop.time()
        if left <= 0:
            return super().timeout_keep_alive_handler()
        self.timeout_keep_alive_task = self.loop.call_later(left, self.timeout_keep_alive_handler)
        return None

    def date(self) -> bytes:
        """The lines that all answers have; uvicorn makes a new list each second."""
        lines, text = self.dated
        if lines is not self.server_state.default_headers:
            lines = self.server_state.default_headers
            text = b"".join([b"%b: %b\r\n" % one for one in lines])
            self.dated = (lines, text)
        return text


def protocol(hot: Iterable[Hot]) -> type[Protocol]:
    """The protocol class of a server with such routes."""

    class Serving(Protocol):
        pass

    Serving.hot, Serving.heads = {one.path.encode(): one for one in hot}, {}
    return Serving
