"""The ASGI application: hot routes and webhooks by their own handlers, everything else from the domains' rows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any, cast

import msgspec
from anyio import to_thread
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Match
from starlette.routing import Route as HttpRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from nself import log
from nself.app import App
from nself.core import acting
from nself.core.clock import monotonic
from nself.core.entrypoint import Attached, Command, Route
from nself.core.errors import ExclusiveParameters, Invalid, InvalidParameter, NotFound, Unavailable
from nself.core.hosts import LOOPBACK
from nself.domains.access import service as access
from nself.domains.api_key import service as api_key
from nself.domains.connection.rules import WEBHOOK_PATHS
from nself.domains.operation.service import maintenance
from nself.domains.trail import service as trail
from nself.domains.trail.rules import command_line
from nself.domains.uptime.service.heart import Heart
from nself.http import answer, docs
from nself.http.hot import Hot
from nself.http.ingest import Ingest
from nself.http.mail import mail_routes
from nself.http.quota import quota_routes
from nself.http.webhook import standing, webhook_routes
from nself.measure import SLOW_SECONDS, measures
from nself.process import probe
from nself.tracing import spans
from nself.web.routes import web_routes

KEY, RATE = "idempotency_key", "API_RATE_LIMIT"
EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"
Endpoint = Callable[[Request], Awaitable[Response]]


class NoSuchRoute(NotFound):
    code = "no_such_route"
    text = "No such route: {method} {path}"
    hints = ("nself status http",)


class MethodNotAllowed(Invalid):
    status = 405
    code = "method_not_allowed"
    text = "{path} does not answer {method}, only {allowed}"
    hints = ("nself status http",)


class TookTooLong(Unavailable):
    status = 504
    code, guide = "api_timeout", "8.4"
    text = "The request took longer than API_TIMEOUT ({limit:g} s)"
    hints = ("nself env set API_TIMEOUT=60s", "nself restart billing")


def hot_routes(app: App) -> list[Hot]:
    return [Ingest(app), *quota_routes(app), *webhook_routes(app)]


def application(app: App, hot: Iterable[Hot] | None = None, heart: Heart | None = None) -> ASGIApp:
    """One app, many requests at once; use cases run in threads. `hot` where its owner serves them on a short way too.

    `heart` beats from the start of the service to the last answer.
    """
    rows = app.registry.rows(Route)
    document = docs.openapi(rows, app.registry)
    for row in rows:  # before there are threads: msgspec crashes where two look into a type for the first time at once
        msgspec.json.Decoder(cast("type[msgspec.Struct]", app.registry.resolve(row.input)))

    async def openapi(request: Request) -> Response:
        return answer.body(document, answer.new_request_id())

    async def page(request: Request) -> Response:
        return HTMLResponse(
            docs.page(document, app.settings.public_url),
            headers={"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"},
        )

    async def health(request: Request) -> Response:
        """Alive; whether the database answers is told, not a condition."""
        return answer.body({"status": "ok", "mode": app.settings.text("STRIPE_MODE")}, answer.new_request_id())

    async def metrics(request: Request) -> Response:
        """For those on this machine, and for keys with the scope; a proxy's callers are on no machine of ours."""
        try:
            text = await to_thread.run_sync(_metrics, app, request)
        except Exception as error:  # the boundary, as below
            return answer.failure(error, answer.new_request_id())
        return Response(text, media_type=EXPOSITION)

    gate = maintenance.gate(app)
    routes = [HttpRoute("/health", health)]  # asked for most; routes are tried in their order
    routes += [HttpRoute(row.path, _endpoint(app, row, gate), methods=[row.method]) for row in rows]
    routes += [HttpRoute(path, standing, methods=["HEAD"]) for path in WEBHOOK_PATHS]
    routes += mail_routes(app)
    routes += [_measured(one) for one in web_routes(app)]
    routes += [HttpRoute("/metrics", metrics), HttpRoute("/openapi.json", openapi), HttpRoute("/docs", page)]
    by_path = {one.path: one for one in hot or hot_routes(app)}
    frame = Starlette(
        routes=routes,
        exception_handlers={404: _unknown, 405: partial(_other_method, set(by_path))},
        lifespan=partial(_lifespan, app, heart),
    )
    frame.router.redirect_slashes = False

    async def entry(scope: Scope, receive: Receive, send: Send) -> None:
        found = by_path.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        await (found or frame)(scope, receive, send)

    return entry


@asynccontextmanager
async def _lifespan(app: App, heart: Heart | None, frame: Starlette) -> AsyncGenerator[None]:
    """Ends after the last request was answered."""
    if heart:
        heart.start()
    yield
    if heart:
        await to_thread.run_sync(heart.stop)
    await to_thread.run_sync(app.close)
    probe.close()  # uvicorn ends the process with the signal that it was asked with
    log.info("service_stopped")


async def _unknown(request: Request, error: Exception) -> Response:
    return answer.failure(NoSuchRoute(method=request.method, path=request.url.path), answer.new_request_id())


async def _other_method(hot: set[str], request: Request, error: Exception) -> Response:
    """The path is known; all methods that it answers are told (RFC 9110, 15.5.6)."""
    routes = [one for one in cast("list[HttpRoute]", request.app.routes) if one.matches(request.scope)[0] != Match.NONE]
    methods = {method for one in routes for method in one.methods or ()}
    allowed = ", ".join(sorted(methods | ({"POST"} if request.url.path in hot else set())))
    refused = MethodNotAllowed(method=request.method, path=request.url.path, allowed=allowed)
    response = answer.failure(refused, answer.new_request_id())
    response.headers["Allow"] = allowed
    return response


def _endpoint(app: App, row: Route, gate: maintenance.Gate) -> Endpoint:
    """The handler of one row: key, input, use case, answer."""

    async def respond(request: Request, request_id: str) -> Response:
        limit = app.settings.seconds("API_TIMEOUT")
        try:
            gate.require_open()
            raw = await answer.read_body(request, app.settings.bytes("API_MAX_BODY"))
            async with asyncio.timeout(limit):
                return await to_thread.run_sync(_run, app, row, request, raw, request_id, abandon_on_cancel=True)
        except TimeoutError:
            log.warning(
                "timeout", method=row.method, route=row.path, took_ms=round(limit * 1000), request_id=request_id
            )
            return answer.failure(TookTooLong(limit=limit), request_id)
        except Exception as error:  # the boundary: nothing may leave without an answer
            return answer.failure(_helped(app, row, error), request_id)

    return partial(_timed, row.path, respond)


async def _timed(route: str, respond: Callable[[Request, str], Awaitable[Response]], request: Request) -> Response:
    """A request with an id: what is logged, measured and asked of Stripe on the way belongs to it."""
    began, request_id = monotonic(), answer.new_request_id()
    with acting.on(acting.new_task(request_id, spans.caller(request.headers.get("traceparent")))):
        response = await respond(request, request_id)
        took = monotonic() - began
        measures.observe("http_request", (request.method, route, str(response.status_code)), took)
        if took >= SLOW_SECONDS:
            said = {"method": request.method, "route": route, "took_ms": round(took * 1000), "request_id": request_id}
            log.info("slow_request", **said)
    response.headers.setdefault("Request-Id", request_id)
    return response


def _measured(page: HttpRoute) -> HttpRoute:
    """A page of the dashboard is a request as one of the API is; what it is drawn with is not."""
    if page.path.startswith("/static/"):
        return page

    async def respond(request: Request, _: str) -> Response:
        return await cast("Endpoint", page.endpoint)(request)

    return HttpRoute(page.path, partial(_timed, page.path, respond), methods=list(page.methods or ()))


def _helped(app: App, row: Route, error: Exception) -> Exception:
    """Wrong input that has no better hint leads to the help of the command that takes the same."""
    if isinstance(error, Invalid) and not error.hints:
        same = (one.path for one in app.registry.rows(Command) if one.input == row.input)
        error.hints = tuple(f"nself {path} --help" for path in same)  # type: ignore[misc]
    return error


def _metrics(app: App, request: Request) -> str:
    """Raises Unauthorized, InsufficientPermissions."""
    near = request.client is not None and request.client.host in LOOPBACK and "x-forwarded-for" not in request.headers
    if not near:
        api_key.allow(app, request.headers.get("authorization"), "metrics")
    return cast("Callable[[App], str]", app.registry.resolve("health.service.exposition:exposition"))(app)


def _run(app: App, row: Route, request: Request, raw: bytes, request_id: str) -> Response:
    caller = api_key.allow(app, request.headers.get("authorization"), row.scope)
    api_key.charge(caller, RATE, app.settings.integer(RATE))
    struct = cast("type[msgspec.Struct]", app.registry.resolve(row.input))
    given = _given(struct, request, raw)
    if caller.user is not None:
        given = access.confine(app, caller, given, shared=row.shared)
    with _acting(app, row, given, f"API key {caller.name} ({caller.key_id})"):
        result = cast("Callable[[App, Any], object]", app.registry.resolve(row.use))(app, given)
    return answer.file(result, request_id) if isinstance(result, Attached) else answer.body(result, request_id)


@contextmanager
def _acting(app: App, row: Route, given: msgspec.Struct, actor: str) -> Generator[None]:
    """On behalf of an API key; written into the audit log where that is privileged."""
    name = f"{row.method} {row.path}"
    acting.cause.set(f"{name} by {actor}")
    if not row.audited:
        yield
        return
    with trail.deed(app, command_line(name, given), actor):
        yield


def _given(struct: type[msgspec.Struct], request: Request, raw: bytes) -> msgspec.Struct:
    """The input: the JSON body of a POST, strictly typed, and its path; else path and query, whose values are text.

    Raises NotJson and what is wrong with the input.
    """
    strict, path = request.method == "POST", request.path_params
    asked = request.query_params
    if twice := next((name for name in asked if len(asked.getlist(name)) > 1), None):
        raise InvalidParameter(f"Invalid {twice[: answer.SHOWN]}: it is given twice", twice[: answer.SHOWN])
    given: object = {**path, **asked}
    if strict:
        body: object = answer.as_json(raw) if raw or not path else {}
        given = {**_key(struct, request, cast("dict[str, object]", body)), **path} if isinstance(body, dict) else body
    return answer.as_input(given, struct, strict=strict)


def _key(struct: type[msgspec.Struct], request: Request, body: dict[str, object]) -> dict[str, object]:
    """A body with the key of the header `Idempotency-Key`, which says the same as its field. Raises ExclusiveParameters."""
    key = request.headers.get("idempotency-key")
    if key is None or KEY not in struct.__struct_fields__:
        return body
    if body.get(KEY) not in (None, key):
        raise ExclusiveParameters("Idempotency-Key", KEY)
    return {**body, KEY: key}
