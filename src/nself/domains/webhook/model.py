"""Nouns and errors of webhooks."""

from __future__ import annotations

from datetime import datetime

import msgspec


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """A verified event as it is stored. `object_id` is the type where the event's object has no id."""

    event_id: str
    type: str
    object_id: str
    object_kind: str
    livemode: bool
    api_version: str | None
    event_created_at: datetime
    payload: str


class Kept(msgspec.Struct, frozen=True):
    """What became of a delivery: `fresh` where it was the first sign of its event."""

    event_id: str
    status: str
    fresh: bool


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery that was not taken. `skew`: seconds that our clock is ahead; `event_id`: what an unproven body claims."""

    code: str
    reason: str
    skew: int | None
    event_id: str | None
    times: int
    refused_at: datetime


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """What the receiver answers."""

    received: bool
    event: str
    duplicate: bool


class Claimed(msgspec.Struct, frozen=True):
    """An object whose events may be processed by the holder of `fence`."""

    object_id: str
    fence: int


class Waiting(msgspec.Struct, frozen=True):
    """An event that is to be processed."""

    id: int
    event_id: str
    type: str
    object_kind: str
    livemode: bool
    attempts: int


class ListedEvent(msgspec.Struct, frozen=True):
    """A row of `webhook events`."""

    id: int
    event: str
    type: str
    object: str
    status: str
    deliveries: int
    attempts: int
    received_at: datetime
    processed_at: datetime | None
    error: str | None


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """Counts over all stored events; `oldest_waiting_at` is empty when the worker is up to date."""

    events: int
    deliveries: int
    processed: int
    ignored: int
    waiting: int
    failed: int
    parked: int
    oldest_waiting_at: datetime | None
    last_received_at: datetime | None
    last_processed_at: datetime | None


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint at Stripe."""

    id: str
    url: str
    status: str
    events: list[str]
    api_version: str | None


class UpdatedEndpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `webhook update-url`."""

    id: str
    url: str
    created: bool
    note: str


class SignatureTest(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `webhook test-signature`: the HTTP status that each of our secrets got, and a wrong one."""

    url: str
    secrets: int
    signed: list[int]
    wrongly_signed: int
    passed: bool

    def remarks(self) -> list[str]:
        """What this test cannot show."""
        return [
            "whether Stripe signs with the same secret shows in its deliveries only: nself logs billing --grep 'webhook signature'"
        ]
