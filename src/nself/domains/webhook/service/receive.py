"""Taking an event in: verify, one insert, acknowledge. No call to Stripe, no processing."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from nself import log
from nself.app import App
from nself.core.errors import BillingError
from nself.domains.webhook import store
from nself.domains.webhook.model import Delivery, Received, UnreadableWebhook
from nself.gateway import signature


class _Object(msgspec.Struct):
    id: str | None = None
    object: str = "unknown"


class _Data(msgspec.Struct):
    object: _Object


class _Event(msgspec.Struct):
    id: str
    type: str
    created: int
    livemode: bool
    data: _Data
    api_version: str | None = None


_decode = msgspec.json.Decoder(_Event).decode


def receive(app: App, body: bytes, header: str | None) -> Received:
    """Store a signed event once. Raises the signature's errors (400) and UnreadableWebhook; the database's as 503."""
    settings, now = app.settings, app.clock()
    try:
        signature.verify(
            body,
            header,
            settings.secrets("STRIPE_WEBHOOK_SECRET"),
            now=now,
            tolerance=settings.seconds("BILLING_WEBHOOK_SIGNATURE_TOLERANCE"),
        )
    except BillingError as error:
        log.warning("webhook signature", code=error.code, error=error.message)
        raise
    delivery = _delivery(body)
    status = "received" if delivery.livemode == settings.live else "parked"
    fresh = app.db.transact(lambda tx: store.receive(tx, delivery, status, now))
    log.info(
        "webhook_received",
        event=delivery.event_id,
        type=delivery.type,
        object=delivery.object_id,
        duplicate=not fresh,
        status=status,
    )
    return Received(received=True, event=delivery.event_id, duplicate=not fresh)


def _delivery(body: bytes) -> Delivery:
    try:
        event, text = _decode(body), body.decode()
        created = datetime.fromtimestamp(event.created, UTC)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError, OverflowError) as error:
        raise UnreadableWebhook(detail=error) from None
    thing = event.data.object
    if any("\0" in (name or "") for name in (event.id, event.type, thing.id, thing.object, event.api_version)):
        raise UnreadableWebhook(detail="it holds a NUL character")
    return Delivery(
        event_id=event.id,
        type=event.type,
        object_id=thing.id or event.type,
        object_kind=thing.object,
        livemode=event.livemode,
        api_version=event.api_version,
        event_created_at=created,
        payload=text,
    )
