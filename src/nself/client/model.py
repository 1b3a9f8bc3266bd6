"""What the client takes and gives."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal, TypedDict

import msgspec

from nself.core.errors import InvalidInteger, InvalidParameter

MAX_VALUE = 10**15
MAX_NAME = 255
MAX_RECORD = 256 * 1024
"""Bytes of an event as JSON."""
BUFFER_BYTES = 64 << 20


class Options(TypedDict, total=False):
    """How a client works; every one may be left out."""

    buffer: str
    """Folder of the buffer, on a local disk that outlives the process; else `$XDG_STATE_HOME/nself/client`."""
    buffer_bytes: int
    """Most bytes that may wait there, of all processes together; 64 MiB."""
    fsync_interval: float
    """0: `record` returns after the event is on the disk. Else seconds that a power failure may cost; a kill costs nothing."""
    batch_events: int
    """Most events of a request; 1000."""
    linger: float
    """Seconds for which the sender waits for more to send; 0.2."""
    timeout: float
    """Seconds that a quota call may take, repetitions included; 5."""
    send_timeout: float
    """Seconds that a request with usage may take; 30."""


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A usage event as it is sent."""

    user: str
    metric: str
    value: int
    at: datetime
    key: str
    properties: dict[str, Any] | None = None


class Commit(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """What was used of a reservation, as it is sent."""

    reservation: str
    value: int
    properties: dict[str, Any] | None = None


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """Answer to a check, reserve, commit or release. `limit` and `remaining` are -1 where unlimited.

    A reserve that was refused has no `reservation`; `retry_after` in seconds where not `allowed`.
    """

    user: str
    metric: str
    allowed: bool
    limit: int
    used: int
    held: int
    remaining: int
    percent: str
    state: str
    mode: Literal["hard", "soft", "overage"]
    period: str
    source: str
    resets_at: datetime
    note: str = ""
    reservation: str | None = None
    retry_after: float | None = None


class Rejected(msgspec.Struct, frozen=True, kw_only=True):
    """An event (or a commit) that the service will never take, as it was sent, and why."""

    event: dict[str, Any]
    code: str
    message: str
    rejected_at: datetime

    @property
    def name(self) -> str:
        """The same for the same event."""
        return f"{self.event.get('user', '')}\t{self.event.get('key') or self.event.get('reservation')}"


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """Of this process since it began. `pending` waits, those of processes that died and left them to this one included."""

    pending: int
    pending_bytes: int
    accepted: int
    duplicate: int
    rejected: int
    damaged: int
    folder: str
    error_code: str | None
    error: str | None


def checked(
    user: str, metric: str, value: int, key: str, at: datetime | str, properties: dict[str, Any] | None
) -> Event:
    """Raises InvalidParameter, InvalidInteger: what the service would refuse whatever its settings."""
    if type(value) is not int:
        raise InvalidInteger(repr(value)[:MAX_NAME], "value")
    if not 0 <= value <= MAX_VALUE:
        raise InvalidParameter(f"Invalid value: {value} (0 to {MAX_VALUE})", "value")
    for name, text in (("user", user), ("metric", metric), ("key", key)):
        if not (isinstance(text, str) and 0 < len(text) <= MAX_NAME and text.isprintable()):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidParameter(f"Invalid {name}: {repr(text)[:40]} (1 to {MAX_NAME} printable characters)", name)
    if user != user.strip():
        raise InvalidParameter(f"Invalid user: {user[:40]!r} (no blank at its ends)", "user")
    return Event(user=user, metric=metric, value=value, at=_instant(at), key=key, properties=properties)


def _instant(at: datetime | str) -> datetime:
    try:
        found = datetime.fromisoformat(at) if isinstance(at, str) else at
        if found.tzinfo is not None:
            return found if found.tzinfo is UTC else found.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise InvalidParameter(
        f"Invalid at: {str(at)[:40]!r} (an instant with its zone, 2026-01-15T10:00:00Z)", "at"
    ) from None
