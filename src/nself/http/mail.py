"""What is told of mails from outside: a provider's reports, signed; people who want no more reminders."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from html import escape

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from nself.app import App
from nself.domains.notification.service import bounce
from nself.http import answer

REPORTS, UNSUBSCRIBE = "/webhooks/mail", "/webhooks/mail/unsubscribe"
PAGE = """\
<!doctype html><html lang="en"><title>Unsubscribe</title><p>You get no more reminders by mail; invoices and receipts still come.</p>
<form method="post" action="?message={message}"><button>Unsubscribe</button></form></html>
"""
DONE = "<!doctype html><html lang='en'><title>Unsubscribed</title><p>You get no more reminders by mail.</p></html>"


def mail_routes(app: App) -> list[Route]:
    async def reports(request: Request) -> Response:
        raw = await answer.read_body(request, app.settings.bytes("WEBHOOK_MAX_BODY"))
        taken = await to_thread.run_sync(bounce.receive, app, raw, request.headers.get("nself-signature"))
        return answer.body(taken, answer.new_request_id())

    async def ask(request: Request) -> Response:
        """Mail scanners follow links: nothing changes before the button is pressed."""
        message = escape(request.query_params.get("message", "")[:100])
        return HTMLResponse(PAGE.format(message=message), headers={"Referrer-Policy": "no-referrer"})

    async def unsubscribe(request: Request) -> Response:
        await to_thread.run_sync(bounce.unsubscribe, app, request.query_params.get("message", ""))
        return HTMLResponse(DONE)

    return [
        Route(REPORTS, _told(reports), methods=["POST"]),
        Route(UNSUBSCRIBE, ask, methods=["GET"]),
        Route(UNSUBSCRIBE, _told(unsubscribe), methods=["POST"]),
    ]


def _told(handle: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    async def run(request: Request) -> Response:
        try:
            return await handle(request)
        except Exception as error:  # the boundary: nothing may leave without an answer
            return answer.failure(error, answer.new_request_id())

    return run
