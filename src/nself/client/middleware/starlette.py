"""Quotas before an ASGI app: Starlette, FastAPI and any other.

app.add_middleware(QuotaMiddleware, url="http://127.0.0.1:8080", key="nsk_…", user=lambda scope: …, metric="api_calls")
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import anyio
from anyio import to_thread
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nself.client.middleware.gate import Gate
from nself.client.middleware.rule import Hold, Refusal, Rule, below_500
from nself.client.transport import CONNECTIONS


class QuotaMiddleware:
    """Pure ASGI; what is not HTTP passes. Options as `Rule`; `user` gets the scope and may be a coroutine function.

    `timeout`: seconds a request of the service may take. `scope["nself.quota"]` is the request's `Hold`.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        url: str,
        key: str,
        user: Callable[[Scope], Any],
        metric: str | Callable[[Scope], str],
        cost: int | Callable[[Scope], int] = 1,
        mode: Literal["reserve", "check"] = "reserve",
        fail: Literal["open", "closed"] = "open",
        timeout: float = 1.0,
        counts: Callable[[int], bool] = below_500,
        properties: Callable[[Scope, int], dict[str, Any]] | None = None,
    ) -> None:
        self.app = app
        self.rule: Rule[Scope] = Rule(user, metric, cost, mode, fail, counts, properties)
        self.gate = Gate(url, key, timeout)
        self._limiter: anyio.CapacityLimiter | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        user = self.rule.user(scope)
        user = await user if inspect.isawaitable(user) else user
        if user is None:
            return await self.app(scope, receive, send)
        found = await self._run(
            partial(self.gate.decide, self.rule.mode, str(user), self.rule.metric(scope), self.rule.cost(scope))
        )
        if refused := self.rule.refusal(found):
            return await _answer(refused, send)
        if not (found and found.reservation):
            return await self.app(scope, receive, send)
        return await self._held(Hold(found.reservation), scope, receive, send)

    async def _held(self, hold: Hold, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the app and end the hold by what it answered; an answer that was broken off is a failure."""
        scope["nself.quota"] = hold
        status, whole = 500, False

        async def watched(message: Message) -> None:
            nonlocal status, whole
            await send(message)
            if message["type"] == "http.response.start":
                status = message["status"]
            elif message["type"] == "http.response.body":
                whole = not message.get("more_body", False)

        try:
            await self.app(scope, receive, watched)
        finally:
            with anyio.CancelScope(shield=True):
                await self._run(partial(self._ended, hold, scope, status if whole else 500))

    def _ended(self, hold: Hold, scope: Scope, status: int) -> None:
        if self.rule.counts(status):
            self.gate.end("commit", hold.reservation, hold.value, self.rule.properties(scope, status, hold))
        else:
            self.gate.end("release", hold.reservation)

    async def _run(self, work: Callable[[], Any]) -> Any:
        self._limiter = self._limiter or anyio.CapacityLimiter(CONNECTIONS)
        return await to_thread.run_sync(work, limiter=self._limiter)


async def _answer(refused: Refusal, send: Send) -> None:
    headers = {"Content-Type": "application/json", "Content-Length": str(len(refused.body)), **refused.headers}
    encoded = [(name.lower().encode(), text.encode()) for name, text in headers.items()]
    await send({"type": "http.response.start", "status": refused.status, "headers": encoded})
    await send({"type": "http.response.body", "body": refused.body})
