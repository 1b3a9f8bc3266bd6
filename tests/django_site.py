"""Settings and views of the Django site that the middleware is tested before."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, JsonResponse
from django.urls import path

SECRET_KEY, ALLOWED_HOSTS, ROOT_URLCONF, USE_TZ = "test", ["*"], "django_site", True
MIDDLEWARE = ["nself.client.middleware.django.QuotaMiddleware"]
LOGGING_CONFIG = None


def of_header(request: HttpRequest) -> str | None:
    return request.headers.get("X-User")


def ok(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"ok": True})


def status(request: HttpRequest, status: int) -> JsonResponse:
    return JsonResponse({}, status=status)


def broken(request: HttpRequest) -> JsonResponse:
    raise ValueError("broken")


def cost(request: Any, value: int) -> JsonResponse:
    request.nself_quota.value = value
    return JsonResponse({"ok": True})


urlpatterns = [
    path("ok", ok),
    path("status/<int:status>", status),
    path("raise", broken),
    path("cost/<int:value>", cost),
]
