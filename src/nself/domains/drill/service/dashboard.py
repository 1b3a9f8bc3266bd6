"""Hands in our own dashboard: an operator who was added in the terminal, signed in with password and code."""

from __future__ import annotations

import html
import re
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from http.cookiejar import CookieJar
from secrets import token_urlsafe
from urllib.parse import urlencode, urlsplit

from nself.domains.drill.model import PlantFailed
from nself.domains.drill.service.bench import Bench
from nself.domains.operator import rules

NAME = "nself-drill"
"""Its account, which `store.undo` takes away where a kill kept it."""
PATIENCE = 120
"""Seconds in which a page answers."""


class Dashboard:
    """Keeps cookies; each call is one request. Raises URLError, and PlantFailed where a form is not there."""

    def __init__(self, bench: Bench) -> None:
        with bench.app() as app:
            self.base, self.now = f"http://127.0.0.1:{app.settings.integer('BILLING_PORT')}", app.clock()
        proxy, cookies = urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(CookieJar())
        self.opener = urllib.request.build_opener(proxy, cookies)
        self.cause, self.csrf = bench.cause, ""

    def sign_in(self, link: str) -> None:
        """With `link`, which was given for the first time, and codes of a device."""
        where, password, step = urlsplit(link), token_urlsafe(), int(self.now.timestamp()) // rules.STEP
        page = self.ask(f"{where.path}?{where.query}")
        secret = self.hidden(page, "totp")
        token, code = self.hidden(page, "token"), rules.totp(secret, step)
        self.ask(where.path, token=token, totp=secret, password=password, code=code)
        code = rules.totp(secret, step + 1)  # each serves once, and is taken a little too early
        self.csrf = self.hidden(self.ask("/sign-in", name=NAME, password=password, code=code), "csrf")

    def do(self, command: str) -> None:
        """The deed that calls what the command line calls, such as `billing reconcile`."""
        self.ask(f"/do/{command.replace(' ', '/')}", csrf=self.csrf)

    def ask(self, path: str, **form: str) -> str:
        """The page; with a form it is sent."""
        body = urlencode(form).encode() if form else None
        with self.opener.open(f"{self.base}{path}", body, timeout=PATIENCE) as answer:
            return str(answer.read().decode())

    def hidden(self, page: str, name: str) -> str:
        field = re.search(rf'name="{name}" value="([^"]*)"', page)
        if field is None:
            raise PlantFailed(cause=self.cause, detail=f"a page of the dashboard has no field {name}")
        return html.unescape(field[1])


@contextmanager
def signed_in(bench: Bench) -> Generator[Dashboard]:
    """For as long as it takes."""
    link = str(bench.json(f"billing operator add {NAME} --role operator")["url"])
    try:
        found = Dashboard(bench)
        found.sign_in(link)
        yield found
    finally:
        bench.nself(f"billing operator remove {NAME}")
