"""The routes that Stripe calls: raw bytes in, acknowledged after one durable insert of all that wait together."""

from __future__ import annotations

from functools import cached_property, partial

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from nself import log
from nself.app import App
from nself.core.errors import BillingError
from nself.domains.api_key.model import ApiKey
from nself.domains.connection.rules import WEBHOOK_PATHS
from nself.domains.webhook.errors import WrongSource
from nself.domains.webhook.model import Delivery, Received, Refusal
from nself.domains.webhook.service import process, receive, refuse, switches
from nself.domains.webhook.service.place import from_stripe
from nself.http import answer
from nself.http.hot import Coalescer, Headers, Hot, Reply, Told, Way

GROUP_BYTES = 4 * 2**20
ROW_BYTES = 1000
"""What an event costs beside its body."""
COMMITS = 2
"""Under way at once."""
OBJECTS = 100
REFUSALS = 1000
"""That wait to be written down: what is more stands in the log alone."""
STRIPE = ApiKey("", "Stripe", livemode=False, scopes=frozenset())
_encode = msgspec.json.Encoder().encode


async def standing(request: Request) -> Response:
    """HEAD: `curl -I` shows that the route stands."""
    return Response(status_code=200, headers={"Request-Id": answer.new_request_id()})


def webhook_routes(app: App) -> list[Hot]:
    """With one queue."""
    deliveries: Coalescer[Delivery, Received] = Coalescer(
        partial(_keep, app),
        at_once=COMMITS,
        most=GROUP_BYTES,
        units=lambda one: ROW_BYTES + len(one.payload),
        route=WEBHOOK_PATHS[0],
    )
    refusals: Coalescer[Refusal, None] = Coalescer(partial(_refuse, app), at_once=1, most=REFUSALS, units=lambda _: 1)
    objects: Coalescer[str, None] = Coalescer(partial(_process, app), at_once=1, most=OBJECTS, units=lambda _: 1)
    return [WebhookRoute(app, path, deliveries, refusals, objects) for path in WEBHOOK_PATHS]


def _keep(app: App, given: list[Delivery]) -> list[Received | Exception]:
    return [*receive.keep(app, given)]


def _refuse(app: App, given: list[Refusal]) -> list[Exception | None]:
    try:
        refuse.record(app, given)
    except BillingError as error:
        log.debug("webhook_refusals_unrecorded", refusals=len(given), error=error.message)
    return [None] * len(given)


def _process(app: App, objects: list[str]) -> list[Exception | None]:
    """Without the queue (WEBHOOK_USE_QUEUE=false). What goes wrong is left to the worker."""
    try:
        process.process_now(app, objects)
    except BillingError as error:
        log.warning("work_paused", code=error.code, error=error.message)
    return [None] * len(objects)


class WebhookTooLarge(answer.BodyTooLarge):
    guide = "6.1"
    hints = ("nself env get WEBHOOK_MAX_BODY",)


class WebhookRoute(Hot):
    """Open to everybody: the signature is the proof."""

    scope = ""

    def __init__(
        self,
        app: App,
        path: str,
        deliveries: Coalescer[Delivery, Received],
        refusals: Coalescer[Refusal, None],
        objects: Coalescer[str, None],
    ) -> None:
        super().__init__(app, path)
        self.deliveries, self.refusals, self.objects = deliveries, refusals, objects
        self.queued = switches.on(app, "WEBHOOK_USE_QUEUE")
        self.short = not app.settings.flag("STRIPE_ENABLE_IP_WHITELIST")

    def recurs(self, headers: Headers) -> bool:
        return False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """With STRIPE_ENABLE_IP_WHITELIST nothing is read of who calls from elsewhere."""
        source = str((scope.get("client") or ("",))[0])
        if self.short or from_stripe(self.app.settings, source):
            return await super().__call__(scope, receive, send)
        error = WrongSource(source=source or "unknown")
        self._refused(b"", error)
        return await answer.failure(error, answer.new_request_id())(scope, receive, send)

    @cached_property
    def rate(self) -> int:
        return 0

    @cached_property
    def max_body(self) -> int:
        return self.app.settings.bytes("WEBHOOK_MAX_BODY")

    @cached_property
    def receiver(self) -> receive.Receiver:
        return receive.Receiver(self.app)

    def place(self, header: str | None) -> None:
        """Stripe has no API key of ours."""

    def allowed(self, place: object) -> ApiKey:
        return STRIPE

    def way(self, headers: Headers) -> Way:
        return partial(self._take, _signature(headers))

    def _take(self, signature: str | None, body: bytes, told: Told, caller: ApiKey) -> None:
        """Raises the signature's errors, UnreadableWebhook."""
        try:
            given = self.receiver.verified(body, signature)
        except BillingError as error:
            self._refused(body, error)
            raise
        self.deliveries.submit(given, partial(self._reply, told, given.object_id))

    def _reply(self, told: Told, object_id: str, result: Received | Exception) -> None:
        told(result if isinstance(result, Exception) else Reply(200, _encode(result)))
        if not self.queued and not isinstance(result, Exception):
            self.objects.submit(object_id, _nobody_waits)

    def too_large(self) -> Exception:
        error = WebhookTooLarge(limit=self.max_body)
        self._refused(b"", error)
        return error

    def _refused(self, body: bytes, error: BillingError) -> None:
        found = receive.refused(self.app, body, error)
        if len(self.refusals.queue) < REFUSALS:
            self.refusals.submit(found, _nobody_waits)


def _nobody_waits(_: Exception | None) -> None:
    pass


def _signature(headers: Headers) -> str | None:
    found = None
    for name, value in headers:
        if name == b"stripe-signature":
            found = value.decode("latin-1")
    return found
