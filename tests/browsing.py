"""The dashboard as a browser without JavaScript sees it: forms, cookies and links, over ASGI."""

from __future__ import annotations

import asyncio
import html
import re
from datetime import timedelta
from typing import Any

import httpx
from starlette.applications import Starlette

from nself.app import App
from nself.domains.operator import rules
from nself.domains.operator import service as operator
from nself.domains.operator.inputs import AddOperator, LinkOperator, Role
from nself.web.routes import web_routes

PASSWORD = "correct horse battery"


class Browser:
    """Keeps cookies; each call is one request."""

    def __init__(self, app: App, clock: Any) -> None:
        self.app, self.clock, self.secret = app, clock, ""
        self.asgi = Starlette(routes=web_routes(app))
        self.cookies = httpx.Cookies()

    def request(self, method: str, path: str, data: dict[str, str] | None = None, **more: Any) -> httpx.Response:
        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(self.asgi, client=("203.0.113.7", 1))
            async with httpx.AsyncClient(transport=transport, base_url="http://test", cookies=self.cookies) as client:
                answer = await client.request(method, path, data=data, **more)
                self.cookies = client.cookies
                return answer

        return asyncio.run(send())

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.request("GET", path, **more)

    def post(self, path: str, data: dict[str, str], **more: Any) -> httpx.Response:
        return self.request("POST", path, data, **more)

    def code(self) -> str:
        """The one that was not used yet: time goes on."""
        self.clock.now += timedelta(seconds=rules.STEP)
        return rules.totp(self.secret, int(self.clock().timestamp()) // rules.STEP)

    def enrol(self, name: str, role: Role) -> None:
        link = operator.add(self.app, AddOperator(name=name, role=role)).url
        self.use(link)

    def use(self, link: str) -> httpx.Response:
        path = link[link.index("/enrol") :]
        page = self.get(path)
        assert page.status_code == 200, page.text
        self.secret = hidden(page.text, "totp")
        form = {"token": hidden(page.text, "token"), "totp": self.secret, "password": PASSWORD, "code": self.code()}
        return self.post(path, form)

    def link(self, name: str) -> str:
        return operator.link(self.app, LinkOperator(name=name)).url

    def sign_in(self, name: str, /, to: str = "/", **wrong: str) -> httpx.Response:
        return self.post(f"/sign-in?to={to}", {"name": name, "password": PASSWORD, "code": self.code()} | wrong)

    def csrf(self) -> str:
        return hidden(self.get("/customers").text, "csrf")


def hidden(page: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert found, page
    return html.unescape(found[1])
