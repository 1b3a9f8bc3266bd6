"""Taking events in: verify, one insert for all that wait, acknowledge. No call to Stripe, no processing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from nself import log
from nself.app import App
from nself.core.clock import monotonic
from nself.core.errors import BillingError
from nself.domains.webhook import rules, store
from nself.domains.webhook.errors import UnreadableWebhook
from nself.domains.webhook.model import Delivery, Received, Refusal
from nself.domains.webhook.service import process, switches
from nself.domains.webhook.service.secrets import Secrets
from nself.gateway import signature
from nself.gateway.signature import InvalidSignature, SignatureTooFar
from nself.measure import measures

CLAIMED = re.compile(rb'"id"\s*:\s*"(evt_[A-Za-z0-9_]{1,80})"')
OWN_TEST = "evt_nself_"
"""Begins the ids of events that `test-signature` sends."""
CLAIM_WITHIN = 4096
"""Bytes of an unsigned body that are looked at."""
PREVIEW = "upcoming_"
"""Begins the ids of invoices that will come."""

Name = Annotated[str, Meta(min_length=1, max_length=255)]
"""As long as Stripe's ids can be; far longer ones find no room in an index."""


class _Object(msgspec.Struct):
    id: Name | None = None
    object: Name = "unknown"
    customer: Any = None
    invoice: Any = None
    subscription: Any = None
    released_subscription: Any = None


class _Data(msgspec.Struct):
    object: _Object


class _Event(msgspec.Struct):
    id: Name
    type: Name
    created: Annotated[int, Meta(ge=0, lt=2**33)]
    livemode: bool
    data: _Data
    api_version: Name | None = None
    account: Name | None = None


PARTS = {
    "tax_id": ("customer",),
    "subscription_schedule": ("subscription", "released_subscription"),
    "discount": ("subscription", "invoice", "customer"),
    "invoice_payment": ("invoice",),
}
"""Kinds that are shown inside another object, by the fields that may name it."""
_decode = msgspec.json.Decoder(_Event).decode


class Receiver:
    """Verifies what comes with the secrets of now."""

    def __init__(self, app: App) -> None:
        self.app, self.secrets = app, Secrets(app)
        self.tolerance = app.settings.seconds("BILLING_WEBHOOK_SIGNATURE_TOLERANCE")

    def verified(self, body: bytes, header: str | None) -> Delivery:
        """The signed event. Raises the signature's errors (400) and UnreadableWebhook."""
        try:
            self._verify(body, header)
        except InvalidSignature:
            if not self.secrets.changed():
                raise
            self._verify(body, header)
        return delivery(body)

    def _verify(self, body: bytes, header: str | None) -> None:
        signature.verify(body, header, self.secrets.now(), now=self.app.clock(), tolerance=self.tolerance)


def receive(app: App, body: bytes, header: str | None) -> Received:
    """Store a signed event once. Raises the signature's errors (400) and UnreadableWebhook; the database's as 503."""
    try:
        given = Receiver(app).verified(body, header)
    except BillingError as error:
        refused(app, body, error)
        raise
    return keep(app, [given])[0]


def refused(app: App, body: bytes, error: BillingError) -> Refusal:
    """Tell the log of a delivery that is not taken; what is to be recorded of it."""
    measures.observe("webhook_delivery", (error.code,), 0.0)
    claimed = CLAIMED.search(body[:CLAIM_WITHIN])
    found = Refusal(
        code=error.code,
        reason=_reason(error, claimed[1] if claimed else b""),
        skew=error.skew if isinstance(error, SignatureTooFar) else None,
        event_id=claimed[1].decode() if claimed else None,
        times=1,
        refused_at=app.clock(),
    )
    message = "webhook signature" if isinstance(error, InvalidSignature) else "webhook_refused"
    log.warning(
        message, code=found.code, reason=found.reason, error=error.message, skew=found.skew, event=found.event_id
    )
    return found


def _reason(error: BillingError, claimed: bytes) -> str:
    """The cause in one word. Who claims to be our own test gains nothing by it."""
    reason = error.reason if isinstance(error, InvalidSignature) else error.code
    return "own_test" if reason == "wrong_secret" and claimed.startswith(OWN_TEST.encode()) else reason


def keep(app: App, given: Sequence[Delivery]) -> list[Received]:
    """One statement before the acknowledgement of all: each event once, its object due. Raises DatabaseUnavailable."""
    live, now, known = app.settings.live, app.clock(), dict[str, Delivery]()
    copies = dict[str, int]()
    for one in given:
        known.setdefault(one.event_id, one)
        copies[one.event_id] = copies.get(one.event_id, 0) + 1
    events = sorted(known.values(), key=lambda one: one.event_id)
    again = not switches.on(app, "WEBHOOK_IDEMPOTENCY_ENABLED")
    began = monotonic()
    kept = app.db.transact(lambda tx: store.receive(tx, events, copies, live, again, now), alone=True)
    measures.observe("webhook_delivery", ("ok",), monotonic() - began, times=len(given))
    fresh = {one.event_id for one in kept if one.fresh}
    statuses = {one.event_id: one.status for one in kept}
    if not switches.on(app, "WEBHOOK_ASYNC_PROCESSING"):
        process.process_now(app, sorted({one.object_id for one in events}))
    found = [_told(one, fresh) for one in given]
    log.infos(
        "webhook_received",
        [
            {"event": one.event_id, "type": one.type, "object": one.object_id, "duplicate": told.duplicate, "status": statuses[one.event_id]}
            for one, told in zip(given, found, strict=True)
        ],
    )  # fmt: skip
    return found


def _told(one: Delivery, fresh: set[str]) -> Received:
    """The first copy of a new event is no duplicate."""
    duplicate = one.event_id not in fresh
    fresh.discard(one.event_id)
    return Received(received=True, event=one.event_id, duplicate=duplicate)


def delivery(body: bytes) -> Delivery:
    """An event's body as it is stored. Raises UnreadableWebhook."""
    try:
        event, text = _decode(body), body.decode()
        created = datetime.fromtimestamp(event.created, UTC)
    except (ValueError, RecursionError) as error:  # of text, of numbers, or nested too deep
        raise UnreadableWebhook(detail=error) from None
    thing = _whole(event.data.object)
    kind = thing.object
    if event.account:  # which our key cannot ask for: Stripe would say that there is none
        kind = f"{kind} of {event.account}"
    elif not thing.id or thing.id.startswith(PREVIEW):
        kind = f"{kind} without an id"
    if any("\0" in (name or "") for name in (event.id, event.type, thing.id, kind, event.api_version)):
        raise UnreadableWebhook(detail="it holds a NUL character")
    return Delivery(
        event_id=event.id,
        type=event.type,
        object_id=thing.id or event.type,
        object_kind=kind,
        livemode=event.livemode,
        api_version=event.api_version,
        event_created_at=created,
        payload=rules.without_client_secret(text),
    )


def _whole(thing: _Object) -> _Object:
    """What an object is part of, itself where that is nothing."""
    for field in PARTS.get(thing.object, ()):
        id = getattr(thing, field)
        if isinstance(id, str):
            return _Object(id, field.removeprefix("released_"))
    return thing
