"""What is told of one event."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """`fetch_ms` is how long Stripe took to tell the object anew, `took_ms` the whole of the last attempt."""

    event: str
    type: str
    object: str
    status: str
    source: str
    livemode: bool
    api_version: str | None
    deliveries: int
    attempts: int
    made_at: datetime
    received_at: datetime
    tried_at: datetime | None
    processed_at: datetime | None
    fetch_ms: int | None
    took_ms: int | None
    error: str | None


class StoredEvent(Event, frozen=True, kw_only=True):
    """An event as it is stored."""

    payload: str


class ShownEvent(Event, frozen=True, kw_only=True):
    """Result of `webhook show`: `payload` is what Stripe sent, without secrets and card numbers; `effects` what it changed here."""

    effects: list[str]
    payload: Any
