"""The middleware against the service itself: FastAPI and Django, sync and async; what they count, refuse and let through."""

from __future__ import annotations

import asyncio
import inspect
import os
import re
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, StreamingResponse

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "django_site")

import django
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse
from django.test import override_settings

from metering import METRICS, PAGES, app_on, database_on, people
from nself.app import App
from nself.client.middleware.django import NAMES
from nself.client.middleware.django import QuotaMiddleware as DjangoMiddleware
from nself.client.middleware.gate import Gate
from nself.client.middleware.rule import Rule
from nself.client.middleware.starlette import QuotaMiddleware
from nself.domains.quota.inputs import SetQuota
from nself.domains.quota.service import limits
from nself.domains.quota.service.ask import states
from nself.domains.usage.inputs import ShowUsage
from nself.domains.usage.service import show
from ports import free_port
from serving import Service, new_key, serving, until

django.setup()
Send = Callable[..., httpx.Response]


@pytest.fixture(scope="module")
def app(server: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    folder = tmp_path_factory.mktemp("middleware") / "project"
    with database_on(server, template) as conninfo, app_on(folder, conninfo, metrics=METRICS + PAGES) as made:
        yield made


@pytest.fixture(scope="module")
def service(app: App) -> Iterator[Service]:
    with serving(app.project.root, app.db.conninfo) as running:
        yield running


@pytest.fixture(scope="module")
def key(app: App) -> str:
    return new_key(app, "quota")


def url(service: Service) -> str:
    return f"http://127.0.0.1:{service.port}"


def limited(app: App, most: int, metric: str = "calls") -> str:
    (user,) = people(app)
    limits.set_quota(app, SetQuota(user=user, metric=metric, limit=most))
    return user


def figures(app: App, user: str, metric: str = "calls") -> tuple[int, int]:
    (found,) = states(app, user, metric, 0, "look")
    return found.used, found.held


def fastapi_site(**options: Any) -> FastAPI:
    site = FastAPI()

    @site.get("/ok")
    async def ok() -> dict[str, bool]:
        return {"ok": True}

    @site.get("/status/{status}")
    async def status(status: int) -> JSONResponse:
        return JSONResponse({}, status)

    @site.get("/raise")
    async def broken() -> None:
        raise ValueError("broken")

    @site.get("/cost/{value}")
    async def cost(value: int, request: Request) -> dict[str, bool]:
        request.scope["nself.quota"].value = value
        return {"ok": True}

    @site.get("/stream")
    async def stream() -> StreamingResponse:
        async def parts() -> Any:
            yield b"a"
            raise ValueError("broken off")

        return StreamingResponse(parts())

    options = {"user": of_header, "metric": "calls", **options}
    site.add_middleware(QuotaMiddleware, **options)
    return site


def of_header(scope: Any) -> str | None:
    found = dict(scope["headers"]).get(b"x-user")
    return found.decode() if found else None


def asgi(site: Any) -> Send:
    """Ask an ASGI app in this process."""

    def send(path: str, user: str | None = None, **headers: str) -> httpx.Response:
        async def run() -> httpx.Response:
            carrier = httpx.ASGITransport(site, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=carrier, base_url="http://site") as client:
                return await client.get(path, headers=headers | ({"X-User": user} if user else {}))

        return asyncio.run(run())

    return send


def wsgi(site: Any) -> Send:
    def send(path: str, user: str | None = None) -> httpx.Response:
        with httpx.Client(
            transport=httpx.WSGITransport(site, raise_app_exceptions=False), base_url="http://site"
        ) as client:
            return client.get(path, headers={"X-User": user} if user else {})

    return send


@pytest.fixture(params=["fastapi", "django wsgi", "django asgi"])
def site(request: pytest.FixtureRequest) -> Iterator[Callable[..., Send]]:
    """Makes a site of each kind: `site(url=, key=, …)`."""
    overrides: list[Any] = []

    def make(**options: Any) -> Send:
        if request.param == "fastapi":
            return asgi(fastapi_site(**options))
        names = {name.upper(): value for name, value in options.items()}
        override = override_settings(NSELF_QUOTA={"USER": "django_site.of_header", "METRIC": "calls", **names})
        override.enable()
        overrides.append(override)
        return asgi(ASGIHandler()) if request.param == "django asgi" else wsgi(WSGIHandler())

    yield make
    for override in overrides:
        override.disable()


def test_what_is_answered_counts_and_what_fails_does_not(
    app: App, service: Service, key: str, site: Callable[..., Send]
) -> None:
    user, send = limited(app, 4), site(url=url(service), key=key)
    assert send("/ok", user).json() == {"ok": True}
    assert send("/status/404", user).status_code == 404
    assert send("/status/503", user).status_code == 503
    assert send("/raise", user).status_code == 500
    assert figures(app, user) == (2, 0)
    assert send("/ok").status_code == 200  # nobody's
    assert send("/ok", user).status_code == send("/ok", user).status_code == 200
    refused = send("/ok", user)
    error = refused.json()["error"]
    assert (refused.status_code, error["code"], error["type"]) == (429, "quota_exceeded", "rate_limit_error")
    assert (error["metric"], error["limit"], error["used"], error["remaining"]) == ("calls", 4, 4, 0)
    assert error["message"] == "Quota exceeded: 4 of 4 calls are used"
    assert 1 <= int(refused.headers["retry-after"]) <= 3600
    assert (refused.headers["x-ratelimit-limit"], refused.headers["x-ratelimit-remaining"]) == ("4", "0")
    assert int(refused.headers["x-ratelimit-reset"]) > time.time()
    assert refused.headers["content-type"] == "application/json"
    assert figures(app, user) == (4, 0)


def test_cost_and_what_counts_are_chosen(app: App, service: Service, key: str, site: Callable[..., Send]) -> None:
    user = limited(app, 100)
    send = site(url=url(service), key=key, cost=lambda request: 7, counts=lambda status: status == 200)
    assert send("/ok", user).status_code == 200
    assert send("/status/404", user).status_code == 404
    assert figures(app, user) == (7, 0)
    assert send("/cost/3", user).status_code == 200  # known only afterwards
    assert figures(app, user) == (10, 0)


def test_what_a_metric_looks_at_is_told_and_what_it_leaves_out_is_given_back(
    app: App, service: Service, key: str, site: Callable[..., Send]
) -> None:
    user = limited(app, 100, "pages")
    send = site(
        url=url(service), key=key, metric="pages", properties=lambda request, status: {"status": status, "region": "eu"}
    )
    assert send("/ok", user).status_code == 200
    assert send("/status/404", user).status_code == 404
    assert figures(app, user, "pages") == (1, 0)
    (group,) = [one for one in show.show(app, ShowUsage(user=user, metric="pages", group_by="region")) if one.value]
    assert (group.group, group.value) == ("eu", 1)


def test_a_check_takes_nothing(app: App, service: Service, key: str, site: Callable[..., Send]) -> None:
    user, none = limited(app, 1), limited(app, 0)
    send = site(url=url(service), key=key, mode="check")
    assert [send("/ok", one).status_code for one in (user, user, none)] == [200, 200, 429]
    assert figures(app, user) == (0, 0)


@pytest.mark.parametrize("fail", ["open", "closed"])
def test_a_service_that_is_away_by_the_fail_mode(key: str, site: Callable[..., Send], fail: str) -> None:
    send = site(url=f"http://127.0.0.1:{free_port()}", key=key, fail=fail, timeout=0.5)
    answer = send("/ok", "anybody")
    if fail == "open":
        assert answer.json() == {"ok": True}
    else:
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "quota_undecided")
        assert answer.headers["retry-after"]


def test_who_cannot_be_decided_about_is_told_in_the_log(
    service: Service, key: str, site: Callable[..., Send], caplog: pytest.LogCaptureFixture
) -> None:
    send = site(url=url(service), key=key, fail="closed")
    assert send("/ok", "a stranger").status_code == 503
    assert "no_such_user" in caplog.text


def test_a_service_that_does_not_answer_in_time(key: str, site: Callable[..., Send]) -> None:
    import socket

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        send = site(url=f"http://127.0.0.1:{silent.getsockname()[1]}", key=key, timeout=0.3)
        began = time.monotonic()
        assert send("/ok", "anybody").status_code == 200
        assert time.monotonic() - began < 30


def test_an_answer_that_is_broken_off_is_given_back(app: App, service: Service, key: str) -> None:
    user = limited(app, 10)
    asgi(fastapi_site(url=url(service), key=key))("/stream", user)
    assert figures(app, user) == (0, 0)


def test_what_was_used_is_counted_once_the_service_is_back(
    app: App, service: Service, key: str, tmp_path: Path
) -> None:
    user = limited(app, 10)
    gate = Gate(Rule[Any](of_header, "calls"), url(service), key, 2.0, str(tmp_path / "buffer"))
    held = [gate.held(gate.decide(user, "calls", 2), 2) for _ in range(3)]
    service.kill()
    for one, status in zip(held, (200, 404, 500), strict=True):
        assert one
        gate.end(one, None, status)
    assert figures(app, user) == (0, 6)
    service.start()
    until(lambda: figures(app, user) == (4, 2))  # what nobody could give back ends with its hold
    assert gate.client.status().pending == 0


class Between:
    """A way to the service in the app's own event loop; answers wait there until `open` is set."""

    def __init__(self, service: Service) -> None:
        self.service, self.open, self.asked = service, asyncio.Event(), asyncio.Event()
        self.tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Between:
        self.server = await asyncio.start_server(self.carry, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self.server.close()
        for one in self.tasks:
            one.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self.service.port)
        self.tasks += [asyncio.create_task(self.copy(reader, back)), asyncio.create_task(self.answers(there, writer))]

    async def copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while part := await reader.read(65536):
                writer.write(part)
        finally:
            writer.close()

    async def answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while part := await reader.read(65536):
                self.asked.set()
                await self.open.wait()
                writer.write(part)
        finally:
            writer.close()


async def ask(site: Any, path: str, user: str) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(site), base_url="http://site") as client:
        return await client.get(path, headers={"X-User": user})


async def until_told(true: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not await asyncio.to_thread(true):
            await asyncio.sleep(0.02)


async def ask_django(middleware: Any, user: str) -> HttpResponse:
    request = HttpRequest()
    request.META["HTTP_X_USER"] = user
    return await middleware(request)


Asked = Callable[[str], Awaitable[Any]]


@pytest.fixture(params=["fastapi", "django"])
def before(request: pytest.FixtureRequest) -> Iterator[Callable[..., Asked]]:
    """Each middleware before an app of one answer: `before(answer, url=, key=, …)` asks it as a user."""
    overrides: list[Any] = []

    def make(answer: Callable[[], Awaitable[None]], **options: Any) -> Asked:
        if request.param == "fastapi":
            site = fastapi_site(**options)
            site.get("/answer")(answer)
            return partial(ask, site, "/answer")

        async def view(_: HttpRequest) -> HttpResponse:
            await answer()
            return HttpResponse()

        names = {name.upper(): value for name, value in options.items()}
        settings = {"USER": "django_site.of_header", "METRIC": "calls", **names}
        overrides.append(override_settings(NSELF_QUOTA=settings))
        overrides[-1].enable()
        return partial(ask_django, DjangoMiddleware(view))

    yield make
    for override in overrides:
        override.disable()


def test_the_loop_goes_on_while_the_service_decides_and_who_is_cancelled_then_holds_nothing(
    app: App, service: Service, key: str, before: Callable[..., Asked]
) -> None:
    user = limited(app, 10)

    async def answer() -> None:
        pass

    async def run() -> None:
        async with Between(service) as between:
            asking = before(answer, url=between.url, key=key, timeout=30.0, fail="closed")
            asked = asyncio.ensure_future(asking(user))
            await between.asked.wait()  # the loop itself carries what the middleware asks
            assert await asyncio.to_thread(figures, app, user) == (0, 1)
            asked.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asked
            between.open.set()
            await until_told(lambda: figures(app, user) == (0, 0))
            assert (await asking(user)).status_code == 200
            await until_told(lambda: figures(app, user) == (1, 0))

    asyncio.run(run())


def test_a_request_that_is_cancelled_gives_back_what_it_holds(
    app: App, service: Service, key: str, before: Callable[..., Asked]
) -> None:
    user = limited(app, 10)

    async def run() -> None:
        began = asyncio.Event()

        async def answer() -> None:
            began.set()
            await asyncio.Event().wait()

        asked = asyncio.ensure_future(before(answer, url=url(service), key=key)(user))
        await began.wait()
        assert await asyncio.to_thread(figures, app, user) == (0, 1)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        await until_told(lambda: figures(app, user) == (0, 0))

    asyncio.run(run())


def test_many_at_once_never_pass_the_limit(app: App, service: Service, key: str) -> None:
    user = limited(app, 20)
    inner = fastapi_site(url=url(service), key=key, timeout=20)

    async def run() -> list[int]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(inner), base_url="http://site") as client:
            found = await asyncio.gather(*(client.get("/ok", headers={"X-User": user}) for _ in range(60)))
        return [one.status_code for one in found]

    codes = asyncio.run(run())
    assert (codes.count(200), codes.count(429)) == (20, 40)
    assert figures(app, user) == (20, 0)


def test_options_that_make_no_sense_are_told_at_the_start() -> None:
    with pytest.raises(ValueError, match="fail is open or closed"):
        QuotaMiddleware(lambda *_: None, url="http://x", key="k", user=of_header, metric="m", fail="shut")  # type: ignore[arg-type]
    from django.core.exceptions import ImproperlyConfigured

    for wrong in ({}, {"URL": "http://x", "KEY": "k"}, {"URL": "u", "KEY": "k", "METRIC": "m", "COLOUR": "red"}):
        with override_settings(NSELF_QUOTA=wrong), pytest.raises(ImproperlyConfigured, match="NSELF_QUOTA"):
            WSGIHandler()


PAGE = Path(__file__).parents[2] / "docs/clients.md"


def test_the_examples_of_the_page_run(app: App, service: Service, key: str) -> None:
    user = limited(app, 5)
    text = PAGE.read_text().replace("api_calls", "calls")
    starlette, django = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    site = FastAPI()
    site.get("/ok")(lambda: {"ok": True})
    exec(starlette, {"app": site, "url": url(service), "key": key, "user_of": lambda scope: user})
    assert asgi(site)("/ok").status_code == 200
    made: dict[str, Any] = {"url": url(service), "key": key}
    exec(django, made)
    settings = {**made["NSELF_QUOTA"], "USER": lambda request: user}  # nobody is logged in here
    with override_settings(NSELF_QUOTA=settings, MIDDLEWARE=made["MIDDLEWARE"][1:]):
        assert wsgi(WSGIHandler())("/ok").status_code == 200
    assert figures(app, user) == (2, 0)


def test_the_page_names_the_options() -> None:
    taken = inspect.signature(QuotaMiddleware).parameters.keys() - {"app", "url", "key"}
    assert set(re.findall(r"^\| `(\w+)` \|", PAGE.read_text(), re.MULTILINE)) == taken
    assert {one.lower() for one in NAMES} | {"timeout", "buffer"} == taken
