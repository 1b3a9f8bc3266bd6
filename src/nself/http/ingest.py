"""`POST /api/v1/usage`: one event, an array, NDJSON or CloudEvents; answered after the commit.

Bare ASGI, because a framework's frame costs more than the work (performance.md, section C). Requests are
committed in groups: whatever came in while the last commit was under way goes into the next one, no timer.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import cached_property, partial

import msgspec
from anyio import to_thread
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from nself import log
from nself.app import App
from nself.db.server import DatabaseUnavailable
from nself.domains.api_key import service as api_key
from nself.domains.usage.model import Intake
from nself.domains.usage.service import buffer, record
from nself.domains.usage.service.record import Given, Written
from nself.http import answer, reading

INGEST_PATH = "/api/v1/usage"
SCOPE = "usage:write"
COMMITS = 2
"""Commits under way at once: while one waits for the disk the next is prepared."""
GROUP_EVENTS = 10_000
Done = Callable[["Intake | Exception"], None]
NOTHING = Intake(accepted=0, duplicate=0, rejected=[])


class Waiting:
    """One request's events and who waits for what becomes of them."""

    __slots__ = ("done", "events", "written")

    def __init__(self, events: Sequence[Given], written: Written | None, done: Done) -> None:
        self.events, self.written, self.done = events, written, done

    def text(self, at: int) -> bytes | msgspec.Raw | Given:
        return self.written(at) if self.written else self.events[at]


class Ingest:
    """The ASGI application of the ingest route, and the group commit behind it."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.queue: list[Waiting] = []
        self.wake = asyncio.Event()
        self.committers: list[asyncio.Task[None]] = []

    @cached_property
    def max_body(self) -> int:
        return self.app.settings.bytes("API_MAX_BODY")

    @cached_property
    def max_events(self) -> int:
        return self.app.settings.integer("USAGE_MAX_BATCH")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = answer.new_request_id()
        try:
            body = await _body(receive, self.max_body)
            await self.allow(authorization(scope["headers"]))
            sent = self.read(body, scope["headers"])
            response = answer.body(await self.commit(sent.events, sent.written), request_id)
        except Exception as error:  # the boundary: nothing may leave without an answer
            response = answer.failure(error, request_id)
        await _send(response, send)

    def read(self, body: bytes, headers: reading.Headers) -> reading.Sent:
        """Raises NotJson, BatchTooLarge."""
        sent = reading.read(body, headers)
        if len(sent.events) > self.max_events:
            record.require_batch_size(self.app, len(sent.events))
        return sent

    def place(self, header: str | None) -> api_key.Place | None:
        """Where a proof of `header` is remembered, once the database was opened. Raises Unauthorized."""
        return api_key.place(self.app, header) if "db" in vars(self.app) else None

    def allowed(self, place: api_key.Place | None) -> bool:
        """Whether the caller was proven a moment ago. Raises InsufficientPermissions."""
        return place is not None and api_key.remembered_at(place, SCOPE) is not None

    async def allow(self, header: str | None) -> None:
        """Raises Unauthorized, InsufficientPermissions; a thread only where the database must be asked."""
        if not self.allowed(self.place(header)):
            await to_thread.run_sync(_allow, self.app, header)

    async def commit(self, events: Sequence[Given], written: Written | None = None) -> Intake:
        """What became of `events`, after they are durable. Raises DatabaseUnavailable."""
        future: asyncio.Future[Intake] = asyncio.get_running_loop().create_future()
        self.submit(events, written, partial(_resolve, future))
        return await future

    def submit(self, events: Sequence[Given], written: Written | None, done: Done) -> None:
        """Have `events` committed and `done` called in the event loop with what became of them, or why nothing did."""
        if not events:
            return done(NOTHING)
        if not self.committers:
            self.committers = [asyncio.create_task(self._run()) for _ in range(COMMITS)]
        self.queue.append(Waiting(events, written, done))
        return self.wake.set()

    async def _run(self) -> None:
        while True:
            await self.wake.wait()
            group = self._take()
            if group:
                await to_thread.run_sync(_commit_group, self.app, group, asyncio.get_running_loop())

    def _take(self) -> list[Waiting]:
        """Everything that is queued, up to GROUP_EVENTS events but at least one request."""
        count, size = 0, 0
        for waiting in self.queue:
            if count and size + len(waiting.events) > GROUP_EVENTS:
                break
            count, size = count + 1, size + len(waiting.events)
        group, self.queue = self.queue[:count], self.queue[count:]
        if not self.queue:
            self.wake.clear()
        return group


def _allow(app: App, header: str | None) -> None:
    try:
        api_key.allow(app, header, SCOPE)
    except DatabaseUnavailable as error:  # nobody can be proven now; how many events were sent was not read
        buffer.refuse(app, error, "http", 0)
        raise


def _commit_group(app: App, group: list[Waiting], loop: asyncio.AbstractEventLoop) -> None:
    """One transaction for all; where something unforeseen is in it, one for each, so that only its sender fails."""
    try:
        outcome = _ingest(app, group)
    except Exception as error:
        known = answer.foreseen(error)
        if known or len(group) == 1:
            loop.call_soon_threadsafe(_settle, [(waiting, known or error) for waiting in group])
            return
        log.failure("ingest_group_split", requests=len(group))
        for waiting in group:
            _commit_group(app, [waiting], loop)
        return
    settled: list[tuple[Waiting, Intake | Exception]] = []
    start = 0
    for waiting in group:
        stop = start + len(waiting.events)
        settled.append((waiting, outcome.part(start, stop)))
        start = stop
    loop.call_soon_threadsafe(_settle, settled)


def _ingest(app: App, group: list[Waiting]) -> record.Outcome:
    events = [event for waiting in group for event in waiting.events]
    if not any(waiting.written for waiting in group):
        return record.ingest(app, events, "http")
    starts = [0]
    for waiting in group:
        starts.append(starts[-1] + len(waiting.events))

    def written(at: int) -> bytes | msgspec.Raw | Given:
        place = bisect_right(starts, at) - 1
        return group[place].text(at - starts[place])

    return record.ingest(app, events, "http", written)


def _settle(settled: list[tuple[Waiting, Intake | Exception]]) -> None:
    for waiting, result in settled:
        try:
            waiting.done(result)
        except Exception:  # one answer that cannot be given must not keep the others
            log.failure("ingest_answer_failed")


def _resolve(future: asyncio.Future[Intake], result: Intake | Exception) -> None:
    if future.done():
        return
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)


def authorization(headers: reading.Headers) -> str | None:
    """The value of the last header of that name."""
    found = None
    for name, value in headers:
        if name == b"authorization":
            found = value
    return found.decode("latin-1") or None if found else None


async def _body(receive: Receive, limit: int) -> bytes:
    parts, size, more = list[bytes](), 0, True
    while more:
        message: Message = await receive()
        if message["type"] == "http.disconnect":
            raise answer.NotJson(detail="the sender went away in the middle of the body")
        part = message.get("body", b"")
        size, more = size + len(part), message.get("more_body", False)
        if size > limit:
            raise answer.BodyTooLarge(limit=limit)
        parts.append(part)
    return b"".join(parts)


async def _send(response: Response, send: Send) -> None:
    await send({"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers})
    await send({"type": "http.response.body", "body": response.body})
