"""The route that Stripe calls: raw bytes in, acknowledged after one durable insert."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response

from nself.app import App
from nself.domains.webhook.service.receive import receive
from nself.http import answer

WEBHOOK_PATHS = ("/webhooks/stripe", "/api/webhooks/stripe")


def webhook(app: App) -> Callable[[Request], Awaitable[Response]]:
    """HEAD is answered, so that `curl -I` shows that the route stands."""

    async def run(request: Request) -> Response:
        request_id = answer.new_request_id()
        if request.method == "HEAD":
            return Response(status_code=200, headers={"Request-Id": request_id})
        try:
            body = await answer.read_body(request, app.settings.bytes("WEBHOOK_MAX_BODY"))
            header = request.headers.get("stripe-signature")
            return answer.body(await to_thread.run_sync(receive, app, body, header), request_id)
        except Exception as error:  # the boundary: Stripe sends the event again after anything but 2xx
            return answer.failure(error, request_id)

    return run
