"""Nouns and errors of what users and programs are told."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

from nself.core.errors import NotFound

Channel = Literal["mail", "webhook"]
State = Literal["queued", "sent", "failed"]


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened. `email` is who is told by mail, if anybody; `data` is JSON for the webhook.

    `once` names it where it may be seen more than once: it is told once each way.
    """

    kind: str
    email: str | None
    subject: str
    text: str
    data: dict[str, Any]
    once: str | None = None


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """What is stored of a note."""

    subject: str
    text: str
    data: dict[str, Any]


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """One message for one channel; new, or claimed under its `token`."""

    id: str
    kind: str
    channel: Channel
    recipient: str
    livemode: bool
    data: str
    created_at: datetime
    once: str | None = None
    attempts: int = 0
    token: int = 0


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `notification list`."""

    id: str
    kind: str
    channel: Channel
    recipient: str
    state: State
    attempts: int
    created_at: datetime
    due_at: datetime
    sent_at: datetime | None
    last_error: str | None
    once: str | None


class Retried(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `notification retry`."""

    id: str
    result: str


class Undeliverable(Exception):
    """Trying again is of no use."""


class NoSuchNotification(NotFound):
    code, param = "no_such_notification", "id"
    text = "No such notification: {id}"
    hints = ("nself billing notification list",)
