"""The page on which a user of the app sees what is theirs, behind a link that is a secret."""

from __future__ import annotations

from functools import partial
from typing import cast
from urllib.parse import quote

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from nself.app import App
from nself.core.entrypoint import Attached
from nself.core.errors import NotFound
from nself.domains.access import service as access
from nself.domains.api_key.model import ApiKey
from nself.domains.customer import service as customer
from nself.domains.customer.inputs import ListCustomers, OpenPortal
from nself.domains.document.inputs import GetPdf
from nself.domains.document.service import queue as document
from nself.domains.invoice.errors import NoSuchInvoice
from nself.domains.page_link import service as page_link
from nself.web import asking, showing
from nself.web.answering import HEADERS, POLICY, opened, render
from nself.web.model import QUOTA, USAGE, Panel

USER = {"user": "{user}"}
PANELS = (
    Panel(
        "Quotas",
        "billing quota status",
        USER,
        columns=("metric", "state", "used", "limit", "remaining", "forecast", "resets_at"),
        bars=QUOTA,
    ),
    Panel("Usage", "billing usage show", USER, columns=("metric", "value", "unit", "last_at")),
    Panel(
        "Usage by day",
        "billing usage show",
        {**USER, "by": "day"},
        columns=("period_start", "metric", "value", "unit"),
        chart=USAGE,
    ),
    Panel(
        "Subscriptions",
        "billing subscription list",
        USER,
        columns=("id", "status", "price", "current_period_end", "cancel_at"),
    ),
    Panel(
        "Invoices",
        "billing invoice list",
        USER,
        columns=("id", "number", "status", "currency", "total_minor", "amount_due_minor", "created_at"),
    ),
)


class NoCustomer(NotFound):
    code = "no_customer"
    text = "There is nothing to pay yet"


def own_page_routes(app: App) -> list[Route]:
    """Of the page, of its PDFs and of the way to Stripe's portal."""
    return [
        Route("/me/{token}", partial(opened, app, _page)),
        Route("/me/{token}/invoices/{invoice}.pdf", partial(opened, app, _pdf)),
        Route("/me/{token}/portal", partial(opened, app, _portal), methods=["POST"]),
    ]


async def _page(app: App, request: Request) -> Response:
    token = request.path_params["token"]
    caller = await to_thread.run_sync(page_link.caller, app, token)
    place = {"user": str(caller.user)}
    asked = [await to_thread.run_sync(asking.own, app, caller, panel, place) for panel in PANELS]
    panels = [
        (panel, one, showing.show(one.result, panel, partial(_linked, token)))
        for panel, one in zip(PANELS, asked, strict=True)
    ]
    answer = render("own.html", session=None, user=caller.user, panels=panels, query={}, token=token)
    answer.headers["Content-Security-Policy"] = _policy(app)
    return answer


def _invoice(app: App, caller: ApiKey, invoice: str) -> Attached:
    """Raises NotTheirs, NoSuchInvoice, Unavailable."""
    if not showing.ID.fullmatch(invoice):
        raise NoSuchInvoice(invoice=invoice)
    given = access.confine(app, caller, GetPdf(invoice=invoice), shared=False)
    return document.download(app, cast("GetPdf", given))


def _policy(app: App) -> str:
    """It may stand in a frame where the app says so."""
    embedders = app.settings.text("BILLING_PAGE_EMBEDDERS")
    return POLICY.replace("frame-ancestors 'none'", f"frame-ancestors {embedders}") if embedders else POLICY


def _linked(token: str, id: str, kind: str) -> str:
    """Invoices lead to their PDF; of other ids there is no page here."""
    return f"/me/{quote(token)}/invoices/{id}.pdf" if kind == "in" else ""


async def _pdf(app: App, request: Request) -> Response:
    caller = await to_thread.run_sync(page_link.caller, app, request.path_params["token"])
    found = await to_thread.run_sync(_invoice, app, caller, request.path_params["invoice"])
    return Response(
        found.content,
        200,
        {**HEADERS, "Content-Disposition": f"inline; filename*=UTF-8''{quote(found.name)}"},
        found.mime,
    )


async def _portal(app: App, request: Request) -> Response:
    """Stripe's own pages, where cards and addresses are changed."""
    caller = await to_thread.run_sync(page_link.caller, app, request.path_params["token"])
    back = f"{app.settings.public_url}/me/{request.path_params['token']}"
    return RedirectResponse(await to_thread.run_sync(_portal_url, app, caller, back), 303, HEADERS)


def _portal_url(app: App, caller: ApiKey, back: str) -> str:
    """Raises NoCustomer, what Stripe refuses."""
    found = customer.list_customers(app, ListCustomers(user=caller.user, limit=1))
    if not found:
        raise NoCustomer()
    return customer.portal(app, OpenPortal(customer=found[0].id, return_url=back)).url
