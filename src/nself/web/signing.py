"""Signing in and out, and the form behind a one-time link."""

from __future__ import annotations

from urllib.parse import urlsplit

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from nself.app import App
from nself.core.errors import BillingError
from nself.domains.operator import rules
from nself.domains.operator import service as operator
from nself.domains.operator.inputs import Enrol, SignIn
from nself.domains.operator.model import NotSignedIn, Session
from nself.web.answering import HEADERS, authentic, read_form, render

COOKIE = "nself_session"


def who(app: App, request: Request) -> Session:
    """Raises NotSignedIn."""
    token = request.cookies.get(COOKIE)
    if not token:
        raise NotSignedIn()
    return operator.session(app, token)


def _here(request: Request) -> str:
    return request.client.host if request.client else ""


def _wanted(text: str) -> str:
    """A place of this dashboard; no other one, whatever was asked for."""
    parts = urlsplit(text)
    return text if text.startswith("/") and not text.startswith(("//", "/\\")) and not parts.netloc else "/"


async def sign_in(app: App, request: Request) -> Response:
    wanted = _wanted(request.query_params.get("to", "/"))
    if request.method == "GET":
        return render("sign_in.html", session=None, problem="", to=wanted, name="")
    form = await read_form(request)
    given = SignIn(
        name=form.get("name", "")[:100],
        password=form.get("password", "")[:1000],
        code=form.get("code", "").replace(" ", "")[:10],
        address=_here(request),
    )
    try:
        signed = await to_thread.run_sync(operator.sign_in, app, given)
    except BillingError as error:
        return render("sign_in.html", error.status, session=None, problem=error.message, to=wanted, name=given.name)
    answer = RedirectResponse(wanted, 303, HEADERS)
    secure = request.url.scheme == "https" or request.headers.get("x-forwarded-proto") == "https"
    answer.set_cookie(
        COOKIE,
        signed.token,
        max_age=int(rules.SESSION_LIVES.total_seconds()),
        httponly=True,
        samesite="strict",
        secure=secure,
        path="/",
    )
    return answer


async def enrol(app: App, request: Request) -> Response:
    if request.method == "GET":
        token, secret = request.query_params.get("token", ""), operator.new_secret()
        name = await to_thread.run_sync(operator.linked, app, token)
        return render(
            "enrol.html",
            session=None,
            name=name,
            token=token,
            totp=secret,
            address=operator.address(name, secret),
            problem="",
        )
    form = await read_form(request)
    token, secret = form.get("token", "")[:200], form.get("totp", "")[:100]
    name = await to_thread.run_sync(operator.linked, app, token)
    given = Enrol(
        token=token,
        password=form.get("password", "")[:1000],
        totp=secret,
        code=form.get("code", "").replace(" ", "")[:10],
    )
    try:
        await to_thread.run_sync(operator.enrol, app, given)
    except BillingError as error:
        return render(
            "enrol.html",
            error.status,
            session=None,
            name=name,
            token=token,
            totp=secret,
            address=operator.address(name, secret),
            problem=error.message,
        )
    return RedirectResponse("/sign-in", 303, HEADERS)


async def sign_out(app: App, request: Request, session: Session) -> Response:
    authentic(session, await read_form(request))
    await to_thread.run_sync(operator.sign_out, app, request.cookies[COOKIE])
    answer = RedirectResponse("/sign-in", 303, HEADERS)
    answer.delete_cookie(COOKIE, path="/")
    return answer
