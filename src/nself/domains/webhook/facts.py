"""What is known of the whole of webhooks without reading them all."""

from __future__ import annotations

from datetime import datetime

import msgspec


class Undone(msgspec.Struct, frozen=True, kw_only=True):
    """What of Status says whether the worker is up to date; it costs nothing, however many events are stored."""

    waiting: int
    failed: int
    oldest_waiting_at: datetime | None
    last_received_at: datetime | None
