"""Quotas before Django's views, sync and async.

    MIDDLEWARE = [..., "django.contrib.auth.middleware.AuthenticationMiddleware", "nself.client.middleware.django.QuotaMiddleware"]
    NSELF_QUOTA = {"URL": "http://127.0.0.1:8080", "KEY": "nsk_…", "METRIC": "api_calls"}

Further: USER, COST, MODE, FAIL, COUNTS, PROPERTIES as `Rule` has them (callables, or their dotted paths), TIMEOUT in seconds. USER is,
where nothing is said, the primary key of who is logged in. `request.nself_quota` is the request's `Hold`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse
from django.utils.module_loading import import_string  # pyright: ignore[reportUnknownVariableType]

from nself.client.middleware.gate import Decided, Gate
from nself.client.middleware.rule import Hold, Refusal, Rule

NAMES = {
    "USER": "user", "METRIC": "metric", "COST": "cost", "MODE": "mode", "FAIL": "fail", "COUNTS": "counts",
    "PROPERTIES": "properties",
}  # fmt: skip
CALLED = ("USER", "COST", "COUNTS", "PROPERTIES")
Respond = Callable[[HttpRequest], Any]


def logged_in(request: HttpRequest) -> str | None:
    """Who is logged in, as django.contrib.auth knows it; None where nobody is."""
    user = getattr(request, "user", None)
    return str(user.pk) if user is not None and user.is_authenticated else None


class QuotaMiddleware:
    sync_capable = async_capable = True

    def __init__(self, get_response: Respond) -> None:
        """Raises ImproperlyConfigured."""
        given = dict(getattr(settings, "NSELF_QUOTA", {}))
        try:
            self.gate = Gate(given.pop("URL"), given.pop("KEY"), given.pop("TIMEOUT", 1.0))
            options: dict[str, Any] = {
                "user": logged_in,
                **{NAMES[name]: _resolved(name, value) for name, value in given.items()},
            }
            self.rule: Rule[HttpRequest] = Rule(**options)
        except (KeyError, TypeError, ValueError) as error:
            raise ImproperlyConfigured(f"NSELF_QUOTA: {error}") from error
        self.get_response = get_response
        self.asynchronous = iscoroutinefunction(get_response)  # pyright: ignore[reportDeprecated]: knows what asgiref marked
        if self.asynchronous:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponse | Awaitable[HttpResponse]:
        if self.asynchronous:
            return self._async(request)
        hold = self._before(request)
        if isinstance(hold, HttpResponse):
            return hold
        status = 500
        try:
            response = self.get_response(request)
            status = response.status_code
        finally:
            self._after(hold, request, status)
        return response

    async def _async(self, request: HttpRequest) -> HttpResponse:
        hold = await sync_to_async(self._before)(request)
        if isinstance(hold, HttpResponse):
            return hold
        status = 500
        try:
            response = await self.get_response(request)
            status = response.status_code
        finally:
            await sync_to_async(self._after, thread_sensitive=False)(hold, request, status)
        return response

    def _before(self, request: HttpRequest) -> Hold | HttpResponse | None:
        """What the request holds, or what it is answered at once."""
        user = self.rule.user(request)
        if user is None:
            return None
        found: Decided | None = self.gate.decide(
            self.rule.mode, str(user), self.rule.metric(request), self.rule.cost(request)
        )
        if refused := self.rule.refusal(found):
            return _answer(refused)
        hold = Hold(found.reservation) if found and found.reservation else None
        request.nself_quota = hold  # type: ignore[attr-defined]
        return hold

    def _after(self, hold: Hold | None, request: HttpRequest, status: int) -> None:
        if hold is None:
            return
        if self.rule.counts(status):
            self.gate.end("commit", hold.reservation, hold.value, self.rule.properties(request, status, hold))
        else:
            self.gate.end("release", hold.reservation)


def _resolved(name: str, value: Any) -> Any:
    """A dotted path where a callable is meant."""
    return import_string(value) if isinstance(value, str) and name in CALLED else value


def _answer(refused: Refusal) -> HttpResponse:
    return HttpResponse(refused.body, status=refused.status, headers=refused.headers, content_type="application/json")
