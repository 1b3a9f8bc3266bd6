"""The dashboard's routes: who asks, what they may, and the page."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from urllib.parse import quote

from anyio import create_task_group, to_thread
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from nself.app import App
from nself.core import roles
from nself.domains.operator.model import Forged, NotSignedIn, RoleLacks, Session
from nself.present import fields
from nself.present.fields import Field
from nself.web import asking, showing, signing
from nself.web.answering import HEADERS, authentic, opened, read_form, refused, render, static
from nself.web.model import Page, Panel
from nself.web.own_page import own_page_routes
from nself.web.pages import DEEDS, LABELS, PAGES

Endpoint = Callable[[Request], Awaitable[Response]]


def web_routes(app: App) -> list[Route]:
    """Of every page, of deeds, and of signing in."""
    routes = [Route(page.path, _page(app, page)) for page in PAGES]
    return [
        *routes,
        Route("/do/{command:path}", partial(_guarded, app, _deed), methods=["GET", "POST"]),
        Route("/find", partial(_guarded, app, _find)),
        Route("/sign-in", partial(opened, app, signing.sign_in), methods=["GET", "POST"]),
        Route("/enrol", partial(opened, app, signing.enrol), methods=["GET", "POST"]),
        Route("/sign-out", partial(_guarded, app, signing.sign_out), methods=["POST"]),
        Route("/static/{name}", static),
        *own_page_routes(app),
    ]


def _require(session: Session, needed: str) -> None:
    """Raises RoleLacks."""
    if not roles.may(session.role, needed):
        raise RoleLacks(role=session.role, needed=needed)


async def _guarded(
    app: App, handler: Callable[[App, Request, Session], Awaitable[Response]], request: Request
) -> Response:
    """For who is signed in; others are sent to sign in. What is refused is a page too."""
    try:
        session = await to_thread.run_sync(signing.who, app, request)
    except NotSignedIn:
        asked = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"/sign-in?to={quote(asked, safe='')}", 303, HEADERS)
    except Exception as error:  # the database is away: nobody can be known
        return refused(error, None)
    try:
        return await handler(app, request, session)
    except Exception as error:  # the boundary: what is refused is a page too
        return refused(error, session)


def _page(app: App, page: Page) -> Endpoint:
    async def respond(app: App, request: Request, session: Session) -> Response:
        _require(session, page.role)
        place, query = request.path_params, dict(request.query_params)
        single = query.pop("panel", None)
        if single is not None and single.isdigit() and int(single) < len(page.panels):
            panel = page.panels[int(single)]
            asked = await to_thread.run_sync(asking.ask, app, panel, place, query)
            return render(
                "panel.html",
                session=session,
                at=int(single),
                panel=panel,
                asked=asked,
                shown=showing.show(asked.result, panel),
                query=query,
            )
        answers = await _asked(app, page, place, query)
        deeds = [
            (one, _deed_address(one.command, one.given, place))
            for one in page.deeds
            if roles.may(session.role, DEEDS[one.command])
        ]
        return render(
            "page.html",
            session=session,
            page=page,
            title=page.title.format(**place),
            panels=answers,
            deeds=deeds,
            query=query,
            mode=app.settings.text("STRIPE_MODE"),
        )

    return partial(_guarded, app, respond)


async def _asked(
    app: App, page: Page, place: Mapping[str, str], query: Mapping[str, str]
) -> list[tuple[Panel, asking.Asked | None, showing.Shown | None]]:
    """All panels side by side; those that take long are left to be asked for."""
    answers: list[tuple[Panel, asking.Asked | None, showing.Shown | None]] = [
        (panel, None, None) for panel in page.panels
    ]

    async def one(at: int, panel: Panel) -> None:
        asked = await to_thread.run_sync(asking.ask, app, panel, place, query)
        answers[at] = (panel, asked, showing.show(asked.result, panel))

    async with create_task_group() as group:
        for at, panel in enumerate(page.panels):
            if not panel.late or query.get("all"):
                group.start_soon(one, at, panel)
    return answers


def _deed_address(command: str, given: Mapping[str, str], place: Mapping[str, str]) -> str:
    filled = "&".join(f"{name}={quote(text.format(**place))}" for name, text in given.items())
    return f"/do/{command.replace(' ', '/')}" + (f"?{filled}" if filled else "")


async def _deed(app: App, request: Request, session: Session) -> Response:
    """GET: the form of a command; POST: it is done."""
    path = request.path_params["command"].replace("/", " ")
    if path not in DEEDS:
        raise Forged()
    _require(session, DEEDS[path])
    command = asking.row(app, path)
    known: list[Field] = list(fields.fields(asking.struct(app, command)))
    page = partial(
        render,
        session=session,
        command=command,
        label=LABELS[path],
        fields=known,
        options=asking.words,
        switch=_switch,
        mode=app.settings.text("STRIPE_MODE"),
    )
    if request.method == "GET":
        return page("deed.html", values=dict(request.query_params), asked=None, shown=None, planned=False)
    form = await read_form(request)
    authentic(session, form)
    values = {field.name: form.get(field.name, "") for field in known}
    asked = await to_thread.run_sync(asking.do, app, command, values, session, form.get("confirm_code", ""))
    planned = values.get("dry_run") == "true" and not asked.problem
    if planned:  # what was looked at is what the form does next
        values |= {"dry_run": "", "execute": "true", "plan": getattr(asked.result, "plan", "")}
    return page(
        "deed.html",
        400 if asked.problem else 200,
        values=values,
        asked=asked,
        shown=showing.show(asked.result),
        planned=planned,
    )


def _switch(field: Field) -> bool:
    return field.kind is bool


async def _find(app: App, request: Request, session: Session) -> Response:
    """From an id to its page; an address or several words are searched, anything else is taken for a user."""
    text = request.query_params.get("text", "").strip()
    place = "/"
    if found := showing.ID.fullmatch(text):
        place = showing.LINKS[found[1]].format(id=text)
    elif re.search(r"[@\s]", text):
        place = f"/customers?search={quote(text, safe='')}"
    elif text:
        place = f"/users/{quote(text, safe='')}"
    return RedirectResponse(place, 303, HEADERS)
