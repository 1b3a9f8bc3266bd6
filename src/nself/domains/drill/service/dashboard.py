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

from nself.domains.drill.service.bench import Bench
from nself.domains.operator import rules

NAME = "drill"
PATIENCE = 120
"""Seconds in which a page answers."""


class Dashboard:
    """Keeps cookies; each call is one request."""

    def __init__(self, base: str) -> None:
        self.base, self.csrf = base, ""
        proxy, cookies = urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(CookieJar())
        self.opener = urllib.request.build_opener(proxy, cookies)

    def ask(self, path: str, **form: str) -> str:
        """The page; with a form it is sent. Raises URLError."""
        body = urlencode(form).encode() if form else None
        with self.opener.open(f"{self.base}{path}", body, timeout=PATIENCE) as answer:
            return str(answer.read().decode())

    def do(self, command: str) -> None:
        """The deed that calls what the command line calls, such as `billing reconcile`."""
        self.ask(f"/do/{command.replace(' ', '/')}", csrf=self.csrf)


@contextmanager
def signed_in(bench: Bench) -> Generator[Dashboard]:
    """For as long as it takes."""
    link = urlsplit(str(bench.json(f"billing operator add {NAME} --role operator")["url"]))
    try:
        with bench.app() as app:
            found, now = Dashboard(f"http://127.0.0.1:{app.settings.integer('BILLING_PORT')}"), app.clock()
        page = found.ask(f"{link.path}?{link.query}")
        secret, password, step = _hidden(page, "totp"), token_urlsafe(), int(now.timestamp()) // rules.STEP
        code = rules.totp(secret, step - 1)  # each serves once, for a while
        found.ask(link.path, token=_hidden(page, "token"), totp=secret, password=password, code=code)
        page = found.ask("/sign-in", name=NAME, password=password, code=rules.totp(secret, step))
        found.csrf = _hidden(page, "csrf")
        yield found
    finally:
        bench.nself(f"billing operator remove {NAME}")


def _hidden(page: str, name: str) -> str:
    field = re.search(rf'name="{name}" value="([^"]*)"', page)
    return html.unescape(field[1]) if field else ""
