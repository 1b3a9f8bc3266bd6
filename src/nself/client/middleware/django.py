"""Quotas before Django's views, sync and async.

    MIDDLEWARE = [..., "django.contrib.auth.middleware.AuthenticationMiddleware", "nself.client.middleware.django.QuotaMiddleware"]
    NSELF_QUOTA = {"URL": "http://127.0.0.1:8080", "KEY": "nsk_…", "METRIC": "api_calls"}

Further: USER, COST, MODE, FAIL, COUNTS, PROPERTIES as `Rule` has them (callables, or their dotted paths), TIMEOUT and BUFFER
as `Gate`. USER is, where nothing is said, the primary key of who is logged in. `request.nself_quota` is the request's `Reservation`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse
from django.utils.module_loading import import_string  # pyright: ignore[reportUnknownVariableType]

from nself.client.client import Reservation
from nself.client.middleware.gate import Gate
from nself.client.middleware.rule import Refusal, Rule
from nself.client.model import Decision
from nself.core.errors import BillingError

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
            service = (given.pop("URL"), given.pop("KEY"), given.pop("TIMEOUT", 1.0), given.pop("BUFFER", None))
            options: dict[str, Any] = {
                "user": logged_in,
                **{NAMES[name]: _resolved(name, value) for name, value in given.items()},
            }
            rule: Rule[HttpRequest] = Rule(**options)
            self.gate = Gate(rule, *service)
        except (KeyError, TypeError, ValueError, BillingError) as error:
            raise ImproperlyConfigured(f"NSELF_QUOTA: {error}") from error
        self.get_response = get_response
        self.asynchronous = iscoroutinefunction(get_response)  # pyright: ignore[reportDeprecated]: knows what asgiref marked
        if self.asynchronous:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponse | Awaitable[HttpResponse]:
        if self.asynchronous:
            return self._async(request)
        question = self._question(request)
        found = self._opened(request, self.gate.decide(*question), question[2]) if question else None
        if isinstance(found, HttpResponse):
            return found
        status = 500
        try:
            response = self.get_response(request)
            status = response.status_code
        finally:
            if found:
                self.gate.end(found, request, status)
        return response

    async def _async(self, request: HttpRequest) -> HttpResponse:
        question = await sync_to_async(self._question)(request)
        found = self._opened(request, await self.gate.decide_async(*question), question[2]) if question else None
        if isinstance(found, HttpResponse):
            return found
        status = 500
        try:
            response = await self.get_response(request)
            status = response.status_code
        finally:
            if found:
                await self.gate.end_async(found, request, status)
        return response

    def _question(self, request: HttpRequest) -> tuple[str, str, int] | None:
        """What may look into the database: user, metric and cost."""
        rule = self.gate.rule
        user = rule.user(request)
        return None if user is None else (str(user), rule.metric(request), rule.cost(request))

    def _opened(self, request: HttpRequest, found: Decision | None, cost: int) -> Reservation | HttpResponse | None:
        """What the request holds, or what it is answered at once."""
        if refused := self.gate.rule.refusal(found):
            return _answer(refused)
        held = self.gate.held(found, cost)
        request.nself_quota = held  # type: ignore[attr-defined]
        return held


def _resolved(name: str, value: Any) -> Any:
    """A dotted path where a callable is meant."""
    return import_string(value) if isinstance(value, str) and name in CALLED else value


def _answer(refused: Refusal) -> HttpResponse:
    return HttpResponse(refused.body, status=refused.status, headers=refused.headers, content_type="application/json")
