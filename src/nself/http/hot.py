"""Routes for many small requests: bare ASGI, or past it (protocol.py), and one piece of work for all that wait together.

A framework's frame costs more than the work (performance.md, section C). There is no timer: whatever came in while the
last piece of work was under way goes into the next one.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from typing import Generic, NamedTuple, TypeVar

from anyio import to_thread
from starlette.types import Message, Receive, Scope, Send

from nself import log
from nself.app import App
from nself.core.clock import monotonic
from nself.domains.api_key import service as api_key
from nself.domains.api_key.model import ApiKey
from nself.http import answer
from nself.http.answer import Headers
from nself.measure import measures

T = TypeVar("T")
R = TypeVar("R")


class Reply(NamedTuple):
    """An answer in JSON; `headers` beside those that every answer has."""

    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()

    def head(self) -> list[tuple[bytes, bytes]]:
        """All headers, with an id of the request."""
        return [
            (b"request-id", answer.new_request_id().encode()),
            (b"content-length", str(len(self.body)).encode()),
            (b"content-type", b"application/json"),
            *self.headers,
        ]

    def lines(self) -> bytes:
        """`head` as it is written."""
        more = b"".join([b"%b: %b\r\n" % one for one in self.headers]) if self.headers else b""
        return _LINES % (answer.new_request_id().encode(), len(self.body), more)


_LINES = b"request-id: %b\r\ncontent-length: %d\r\ncontent-type: application/json\r\n%b"
Told = Callable[[Reply | Exception], None]
Waiting = tuple[T, Callable[[R | Exception], None], float]
"""One request's part of the work and who waits for what becomes of it."""
Way = Callable[[bytes, Told, ApiKey], None]
"""Has a body of an allowed caller answered: `told` is called in the event loop. Raises what is wrong with the body."""
RATE = "API_METERING_RATE_LIMIT"


class Hot(ABC):
    """The ASGI application of one such route. `scope` is what its callers' keys must be allowed."""

    scope: str
    short = True
    """Whether it may be served past ASGI, where nobody knows who calls."""

    def __init__(self, app: App, path: str) -> None:
        self.app, self.path = app, path
        self.asked: dict[str | None, asyncio.Event] = {}

    @abstractmethod
    def way(self, headers: Headers) -> Way:
        """What is done with bodies below such headers."""

    def recurs(self, headers: Headers) -> bool:
        """Whether a caller's next request begins with the same bytes as this one."""
        return True

    @cached_property
    def max_body(self) -> int:
        return self.app.settings.bytes("API_MAX_BODY")

    @cached_property
    def rate(self) -> int:
        """Requests a second of one key; 0 = any number."""
        return self.app.settings.integer(RATE)

    def too_large(self) -> Exception:
        """What a request with a larger body is told; none of it is kept."""
        return answer.BodyTooLarge(limit=self.max_body)

    def place(self, header: str | None) -> api_key.Place | None:
        """Where a proof of `header` is remembered, once the database was opened. Raises Unauthorized."""
        return api_key.place(self.app, header) if "db" in vars(self.app) else None

    def allowed(self, place: api_key.Place | None) -> ApiKey | None:
        """The caller, where it was proven a moment ago. Raises InsufficientPermissions."""
        return api_key.remembered_at(place, self.scope) if place is not None else None

    async def allow(self, header: str | None) -> ApiKey:
        """The caller. Raises Unauthorized, InsufficientPermissions; a thread only where the database must be asked, once for all who wait."""
        if not self.allowed(self.place(header)) and (asked := self.asked.get(header)):
            await asked.wait()
        if caller := self.allowed(self.place(header)):
            return caller
        asked = self.asked[header] = asyncio.Event()
        try:
            return await to_thread.run_sync(self.prove, header)
        finally:
            asked.set()
            self.asked.pop(header, None)

    def prove(self, header: str | None) -> ApiKey:
        """Ask the database. Raises Unauthorized, InsufficientPermissions, DatabaseUnavailable."""
        return api_key.allow(self.app, header, self.scope)

    def charge(self, caller: ApiKey) -> None:
        """Raises TooManyRequests."""
        if self.rate:
            api_key.charge(caller, RATE, self.rate)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            fits = answer.declared(scope["headers"]) <= self.max_body
            body = await _body(receive, self.max_body) if fits else None
            if body is None:
                raise self.too_large()
            caller = await self.allow(authorization(scope["headers"]))
            self.charge(caller)
            future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
            self.way(scope["headers"])(body, partial(resolve, future), caller)
            found = await future
            status, head, text = found.status, found.head(), found.body
        except Exception as error:  # the boundary: nothing may leave without an answer
            response = answer.failure(error, answer.new_request_id())
            status, head, text = response.status_code, response.raw_headers, bytes(response.body)
        await send({"type": "http.response.start", "status": status, "headers": head})
        await send({"type": "http.response.body", "body": text})


class Coalescer(Generic[T, R]):
    """`work` gets up to `most` units of what waits, at least one item, in a thread; it answers each item in their order.

    What it raises is told to all where it was foreseen; else the items are tried each by itself, so that only its sender fails.
    """

    def __init__(
        self,
        work: Callable[[list[T]], Sequence[R | Exception]],
        *,
        at_once: int,
        most: int,
        units: Callable[[T], int],
        enough: int = 1,
        route: str = "",
    ) -> None:
        """`at_once`: pieces of work under way, beside the first only for `enough` units: few small pieces cost most.

        Items are measured as requests to `route`.
        """
        self.route = route
        self.work, self.at_once, self.most, self.units, self.enough = work, at_once, most, units, enough
        self.queue: list[Waiting[T, R]] = []
        self.size = 0
        """Units in the queue."""
        self.under_way = 0
        self.due = False
        self.threads = ThreadPoolExecutor(at_once, thread_name_prefix="together")

    def submit(self, item: T, done: Callable[[R | Exception], None]) -> None:
        """`done` is called in the event loop with what became of `item`, or why nothing did."""
        self.queue.append((item, done, monotonic()))
        self.size += self.units(item)
        if not self.due and self._may_begin():
            self.due = True  # after this turn of the loop: what else came in it is in the same group
            loop = asyncio.get_running_loop()
            loop.call_soon(self._begin, loop)

    def _may_begin(self) -> bool:
        return not self.under_way or (self.under_way < self.at_once and self.size >= self.enough)

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        self.due = False
        while self.queue and self._may_begin():
            self.under_way += 1
            self.threads.submit(self._work, self._take(), loop)

    def _take(self) -> list[Waiting[T, R]]:
        count, size = len(self.queue), self.size
        if size > self.most:
            count, size = 0, 0
            for item, _, _ in self.queue:
                units = self.units(item)
                if count and size + units > self.most:
                    break
                count, size = count + 1, size + units
        group, self.queue = self.queue[:count], self.queue[count:]
        self.size -= size
        return group

    def _work(self, group: list[Waiting[T, R]], loop: asyncio.AbstractEventLoop) -> None:
        found = self._tried([one[0] for one in group])
        loop.call_soon_threadsafe(self._settle, group, found, loop)

    def _tried(self, items: list[T]) -> Sequence[R | Exception]:
        try:
            return self.work(items)
        except Exception as error:
            known = answer.foreseen(error)
            if known or len(items) == 1:
                return [known or error] * len(items)
            log.failure("group_split", requests=len(items))
            return [one for item in items for one in self._tried([item])]

    def _settle(
        self, group: list[Waiting[T, R]], found: Sequence[R | Exception], loop: asyncio.AbstractEventLoop
    ) -> None:
        """The next group is on its way while this one is answered."""
        self.under_way -= 1
        self._begin(loop)
        self._measure(group, found)
        for (_, done, _), result in zip(group, found, strict=True):
            try:
                done(result)
            except Exception:  # one answer that cannot be given must not keep the others
                log.failure("answer_failed")

    def _measure(self, group: list[Waiting[T, R]], found: Sequence[R | Exception]) -> None:
        """From when each was read to now, those with the same outcome together."""
        if not self.route:
            return
        now, statuses = monotonic(), [_status(one) for one in found]
        for status in {*statuses}:
            seconds = [now - at for (_, _, at), one in zip(group, statuses, strict=True) if one == status]
            measures.observe_all("http_request", ("POST", self.route, status), seconds)


def _status(result: object) -> str:
    """Of the answer that a result becomes."""
    if isinstance(result, Reply):
        return str(result.status)
    return str(getattr(result, "status", 500)) if isinstance(result, Exception) else "200"


def resolve(future: asyncio.Future[R], result: R | Exception) -> None:
    if future.done():
        return
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)


def authorization(headers: Headers) -> str | None:
    return header(headers, b"authorization") or None


def header(headers: Headers, wanted: bytes) -> str | None:
    """The value of the last header of that name."""
    found = None
    for name, value in headers:
        if name == wanted:
            found = value
    return None if found is None else found.decode("latin-1")


async def _body(receive: Receive, limit: int) -> bytes | None:
    """None where it is larger than `limit`."""
    parts, size, more = list[bytes](), 0, True
    while more:
        message: Message = await receive()
        if message["type"] == "http.disconnect":
            raise answer.NotJson(detail="the sender went away in the middle of the body")
        part = message.get("body", b"")
        size, more = size + len(part), message.get("more_body", False)
        if size > limit:
            return None
        parts.append(part)
    return b"".join(parts)
