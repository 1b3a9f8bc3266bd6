"""Quotas before an ASGI app: Starlette, FastAPI and any other.

app.add_middleware(QuotaMiddleware, url="http://127.0.0.1:8080", key="nsk_…", user=lambda scope: …, metric="api_calls")
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Literal

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nself.client.client import Reservation
from nself.client.middleware.gate import Gate
from nself.client.middleware.rule import Refusal, Rule, below_500


class QuotaMiddleware:
    """Pure ASGI, on asyncio; what is not HTTP passes. Options as `Rule` and `Gate`; `user` gets the scope and may be a coroutine
    function. `scope["nself.quota"]` is the request's `Reservation`: the app may set its `value` and `properties`.
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
        buffer: str | None = None,
    ) -> None:
        self.app = app
        rule: Rule[Scope] = Rule(user, metric, cost, mode, fail, counts, properties)
        self.gate = Gate(rule, url, key, timeout, buffer)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        rule = self.gate.rule
        user = rule.user(scope)
        user = await user if inspect.isawaitable(user) else user
        if user is None:
            return await self.app(scope, receive, send)
        cost = rule.cost(scope)
        found = await self.gate.decide_async(str(user), rule.metric(scope), cost)
        if refused := rule.refusal(found):
            return await _answer(refused, send)
        if (held := self.gate.held(found, cost)) is None:
            return await self.app(scope, receive, send)
        return await self._holding(held, scope, receive, send)

    async def _holding(self, held: Reservation, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the app and end the hold by what it answered; an answer that was broken off is a failure."""
        scope["nself.quota"] = held
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
            await self.gate.end_async(held, scope, status if whole else 500)


async def _answer(refused: Refusal, send: Send) -> None:
    headers = {"Content-Type": "application/json", "Content-Length": str(len(refused.body)), **refused.headers}
    encoded = [(name.lower().encode(), text.encode()) for name, text in headers.items()]
    await send({"type": "http.response.start", "status": refused.status, "headers": encoded})
    await send({"type": "http.response.body", "body": refused.body})
