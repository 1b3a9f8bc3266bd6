"""What both frameworks share: whose request it is, what it costs, what it is answered when refused. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable
from math import ceil
from typing import Any, Generic, Literal, NamedTuple, TypeVar

import msgspec

from nself.client.model import Decision

Request = TypeVar("Request")
RETRY_SECONDS = 5


def below_500(status: int) -> bool:
    """What is counted where nothing else is said: all but failures of the server."""
    return status < 500


class Refusal(NamedTuple):
    """An answer in the service's own shape."""

    status: int
    headers: dict[str, str]
    body: bytes


class Rule(Generic[Request]):
    """`user` names whose quota it is, None: nobody's, the request passes. `metric` and `cost` are values or asked for each request.

    `mode`: "reserve" holds the cost and counts it after the response where `counts(status)`, else gives it back; "check" only asks.
    `fail`: whether requests pass ("open") or are answered with 503 ("closed") while nobody can decide.
    `properties` makes those of the event of request and status, where the metric looks at some; what its filter leaves out is
    given back.
    """

    def __init__(
        self,
        user: Callable[[Request], Any],
        metric: str | Callable[[Request], str],
        cost: int | Callable[[Request], int] = 1,
        mode: Literal["reserve", "check"] = "reserve",
        fail: Literal["open", "closed"] = "open",
        counts: Callable[[int], bool] = below_500,
        properties: Callable[[Request, int], dict[str, Any]] | None = None,
    ) -> None:
        if mode not in ("reserve", "check") or fail not in ("open", "closed"):
            raise ValueError(f"mode is reserve or check, fail is open or closed, not {mode!r} and {fail!r}")
        self.user, self.mode, self.fail, self.counts = user, mode, fail, counts
        self._metric, self._cost, self._properties = metric, cost, properties

    def metric(self, request: Request) -> str:
        return self._metric if isinstance(self._metric, str) else self._metric(request)

    def cost(self, request: Request) -> int:
        return self._cost if isinstance(self._cost, int) else self._cost(request)

    def properties(self, request: Request, status: int, own: dict[str, Any] | None) -> dict[str, Any] | None:
        """Those that the app set, its `own`, go first."""
        made = self._properties(request, status) if self._properties else {}
        return made | (own or {}) or None

    def refusal(self, found: Decision | None) -> Refusal | None:
        """None where the request may pass."""
        if found is None:
            return None if self.fail == "open" else _away()
        return None if found.allowed else _exceeded(found)


def _exceeded(found: Decision) -> Refusal:
    fields: dict[str, Any] = msgspec.to_builtins(found)
    named = {name: fields[name] for name in ("metric", "limit", "used", "held", "remaining", "resets_at")}
    message = f"Quota exceeded: {found.used} of {found.limit} {found.metric} are used"
    error = {"type": "rate_limit_error", "code": "quota_exceeded", "message": message, **named}
    headers = {
        "Retry-After": str(ceil(found.retry_after or RETRY_SECONDS)),
        "X-RateLimit-Limit": str(found.limit),
        "X-RateLimit-Remaining": str(found.remaining),
        "X-RateLimit-Reset": str(ceil(found.resets_at.timestamp())),
    }
    return Refusal(429, headers, _body(error))


def _away() -> Refusal:
    error = {
        "type": "api_connection_error",
        "code": "quota_undecided",
        "message": "The quota service does not answer; try again",
    }
    return Refusal(503, {"Retry-After": str(RETRY_SECONDS)}, _body(error))


def _body(error: dict[str, Any]) -> bytes:
    return json.dumps({"error": error}).encode()
