"""The ASGI application: the API, the admin routes, and the courier that delivers webhooks."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeAlias

from stripe_sandbox import idempotency, resources
from stripe_sandbox.admin import Admin
from stripe_sandbox.clock import Clock
from stripe_sandbox.front import Answer, ConnectionDropped, Front, Request
from stripe_sandbox.settings import Settings
from stripe_sandbox.store import Store
from stripe_sandbox.timeline import Timeline
from stripe_sandbox.traffic import Traffic
from stripe_sandbox.webhooks import Courier

Scope: TypeAlias = dict[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[dict[str, Any]]]
Send: TypeAlias = Callable[[dict[str, Any]], Awaitable[None]]

_LARGEST_BODY = 64 * 1024 * 1024  # of fixtures
ABORT = "stripe_sandbox.abort"  # the scope's way to drop the connection, put there by the server's protocol


class Sandbox:
    def __init__(self, settings: Settings) -> None:
        resources.load()
        self._store = Store(settings.data)
        self._clock = Clock(self._store)
        self._traffic = Traffic(settings.traffic)
        self._front = Front(self._store, self._clock, rate_limit=settings.rate_limit)
        self._retry_delay = settings.retry_delay
        self._courier: Courier | None = None
        self._timeline: Timeline | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._admin = Admin(self._store, self._clock)
        resources.prepare(self._store, self._clock)
        idempotency.forget_old(self._store, self._clock.now())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        self._courier = Courier(self._store, self._clock, self._traffic, retry_delay=self._retry_delay)
        self._timeline = Timeline(self._store, self._clock, self._courier)
        self._tasks = [asyncio.create_task(self._courier.run()), asyncio.create_task(self._timeline.run())]
        await send({"type": "lifespan.startup.complete"})
        await receive()
        for task in reversed(self._tasks):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        self._traffic.close()
        self._store.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await _body(receive)
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        if "host" in headers:
            self._store.base_url = f"http://{headers['host']}"
        request = Request(scope["method"], scope["path"], scope["query_string"].decode("latin-1"), headers, body)
        try:
            if request.path.startswith("/_sandbox/"):
                answer = await self._admin.answer(
                    request, scope["client"][0] if scope["client"] else "", self._timeline
                )
            else:
                answer = await self._api(request)
        except ConnectionDropped:
            scope[ABORT]()
            return
        finally:
            if self._courier is not None and self._timeline is not None:
                self._courier.wake()
                self._timeline.wake()
        content = [(b"content-type", b"application/json"), (b"content-length", str(len(answer.body)).encode())]
        extra = [(name.lower().encode(), value.encode("latin-1", "replace")) for name, value in answer.headers.items()]
        await send({"type": "http.response.start", "status": answer.status, "headers": content + extra})
        await send({"type": "http.response.body", "body": answer.body})

    async def _api(self, request: Request) -> Answer:
        try:
            answer = await self._front.answer(request)
        except ConnectionDropped:
            self._traffic.call(request.method, request.path, request.query, request.body, None, None)
            raise
        self._traffic.call(request.method, request.path, request.query, request.body, answer.status, answer.body)
        return answer


async def _body(receive: Receive) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b"".join(chunks)
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size <= _LARGEST_BODY:
            chunks.append(chunk)
        if not message.get("more_body"):
            return b"".join(chunks)
