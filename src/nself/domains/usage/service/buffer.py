"""Keeping usage on disk while the database takes none (docs/decisions/0011)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from nself import log
from nself.app import App
from nself.core import period
from nself.core.errors import BillingError, Unavailable
from nself.db.server import DatabaseUnavailable
from nself.domains.usage import rules
from nself.domains.usage.inputs import UsageEvent
from nself.domains.usage.model import Row
from nself.spool import refused as refused_usage


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """An event as it came, and why it was refused at once."""

    event: str
    code: str
    message: str


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A record of the buffer: what one commit would have stored. The events have their keys, `at` is when they came."""

    source: str
    at: datetime
    events: list[UsageEvent]
    refused: list[Reason]


_encode = msgspec.json.Encoder().encode
read = msgspec.json.Decoder(Kept).decode


def enabled(app: App) -> bool:
    return app.settings.flag("USAGE_ENABLE_BUFFER")


def keep(
    app: App,
    checked: Sequence[tuple[UsageEvent | bytes | msgspec.Raw | BillingError, Row]],
    refused: list[Reason],
    source: str,
    now: datetime,
    away: DatabaseUnavailable,
) -> None:
    """Write a commit's events to disk, durably. Raises BufferFull, BufferUnwritable; then nothing of it is kept."""
    events = [_keyed(app, given, row) for given, row in checked]
    kept = Kept(source=source, at=now, events=events, refused=refused)
    count = len(events) + len(refused)
    most = app.settings.integer("USAGE_BUFFER_SIZE")
    try:
        app.spool.append(_encode(kept), count, int(now.timestamp() * 1000), most)
    except Unavailable as error:
        refuse(app, error, source, count)
        raise
    log.warning("usage_buffered", source=source, events=len(events), rejected=len(refused), cause=away.message)


def refuse(app: App, error: Unavailable, source: str, events: int) -> None:
    """Leave a trace of usage that is answered with 503: on disk, for `nself billing uptime` and `find-gaps`."""
    log.error(error.code, source=source, events=events, error=error.message)
    refused_usage.note(app.project.spool, error.code, events, app.clock())


def _keyed(app: App, given: UsageEvent | bytes | msgspec.Raw | BillingError, row: Row) -> UsageEvent:
    """The event with the key of its row, and its time so that no later setting reads another one from it."""
    assert not isinstance(given, BillingError)
    event = given if isinstance(given, UsageEvent) else rules.decode(given)
    at = None if event.at is None else period.instant(event.at, app.timezone).isoformat()
    return msgspec.structs.replace(event, key=row.key, at=at)
