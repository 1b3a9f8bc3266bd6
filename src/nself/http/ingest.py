"""`POST /api/v1/usage`: one event, an array or NDJSON; answered after the commit.

Bare ASGI, because a framework's frame costs more than the work (performance.md, section C). Requests are
committed in groups: whatever came in while the last commit was under way goes into the next one, no timer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
from anyio import to_thread
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from nself import log
from nself.app import App
from nself.domains.api_key import service as api_key
from nself.domains.usage.model import Intake, UnreadableEvent
from nself.domains.usage.rules import UNREADABLE
from nself.domains.usage.service import record
from nself.domains.usage.service.record import Given
from nself.http import answer

INGEST_PATH = "/api/v1/usage"
SCOPE = "usage:write"
COMMITS = 2
"""Commits under way at once: while one waits for the disk the next is prepared."""
GROUP_EVENTS = 10_000
_array = msgspec.json.Decoder(list[msgspec.Raw])
_one = msgspec.json.Decoder(msgspec.Raw)


class Waiting:
    """One request's events and the answer it waits for."""

    def __init__(self, events: Sequence[Given]) -> None:
        self.events = events
        self.answer: asyncio.Future[Intake] = asyncio.get_running_loop().create_future()


class Ingest:
    """The ASGI application of the ingest route."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.queue: list[Waiting] = []
        self.wake = asyncio.Event()
        self.committers: list[asyncio.Task[None]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = answer.new_request_id()
        try:
            headers = {name: value for name, value in scope["headers"] if name in (b"authorization", b"content-type")}
            body = await _body(receive, self.app.settings.bytes("API_MAX_BODY"))
            await self._allow(headers.get(b"authorization", b"").decode("latin-1") or None)
            events = parse(body, headers.get(b"content-type", b"").decode("latin-1"))
            record.require_batch_size(self.app, len(events))
            response = answer.body(await self.commit(events), request_id)
        except Exception as error:  # the boundary: nothing may leave without an answer
            response = answer.failure(error, request_id)
        await _send(response, send)

    async def _allow(self, header: str | None) -> None:
        """Raises Unauthorized, InsufficientPermissions; a thread only where the database must be asked."""
        if "db" not in vars(self.app) or not api_key.remembered(self.app, header, SCOPE):
            await to_thread.run_sync(api_key.allow, self.app, header, SCOPE)

    async def commit(self, events: Sequence[Given]) -> Intake:
        """What became of `events`, after they are durable. Raises DatabaseUnavailable."""
        if not events:
            return Intake(accepted=0, duplicate=0, rejected=[])
        if not self.committers:
            self.committers = [asyncio.create_task(self._run()) for _ in range(COMMITS)]
        waiting = Waiting(events)
        self.queue.append(waiting)
        self.wake.set()
        return await waiting.answer

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


def _commit_group(app: App, group: list[Waiting], loop: asyncio.AbstractEventLoop) -> None:
    """One transaction for all; where something unforeseen is in it, one for each, so that only its sender fails."""
    try:
        outcome = record.ingest(app, [event for waiting in group for event in waiting.events], "http")
    except Exception as error:
        known = answer.foreseen(error)
        if known or len(group) == 1:
            for waiting in group:
                loop.call_soon_threadsafe(_fail, waiting, known or error)
            return
        log.failure("ingest_group_split", requests=len(group))
        for waiting in group:
            _commit_group(app, [waiting], loop)
        return
    start = 0
    for waiting in group:
        stop = start + len(waiting.events)
        loop.call_soon_threadsafe(_settle, waiting, outcome.part(start, stop))
        start = stop


def _settle(waiting: Waiting, intake: Intake) -> None:
    if not waiting.answer.done():
        waiting.answer.set_result(intake)


def _fail(waiting: Waiting, error: Exception) -> None:
    if not waiting.answer.done():
        waiting.answer.set_exception(error)


def parse(body: bytes, content_type: str) -> Sequence[Given]:
    """Events as they came, each still to be decoded. Raises NotJson where nothing can be read."""
    try:
        if content_type.partition(";")[0].strip().lower() == "application/x-ndjson":
            return _lines(body)
        if body.lstrip()[:1] == b"[":
            return _array.decode(body)
        return [_one.decode(body)]
    except UNREADABLE as error:
        raise answer.NotJson(detail=error) from None


def _lines(body: bytes) -> Sequence[Given]:
    """NDJSON: a line that is no JSON is refused alone, unless no line is. Raises what the decoder raises."""
    lines = [line for line in body.splitlines() if line.strip()]
    found: list[Given] = []
    for line in lines:
        try:
            found.append(_one.decode(line))
        except UNREADABLE as error:
            found.append(UnreadableEvent(detail=str(error), line=line.decode("utf-8", "replace")))
    if not any(isinstance(one, msgspec.Raw) for one in found):
        _one.decode(lines[0] if lines else b"")
    return found


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
