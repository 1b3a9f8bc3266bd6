"""The events that gaps are looked for in."""

from __future__ import annotations

from nself.core.period import Period
from nself.db.connect import Tx
from nself.domains.gap.model import EventsGone
from nself.domains.usage.service import show as usage


def require_events(tx: Tx, user: str, span: Period) -> None:
    """Step: every event of `span` that is counted is stored as well. Raises EventsGone where some were archived."""
    counted, stored = usage.counted_and_stored(tx, user, span)
    if stored < counted:
        raise EventsGone(gone=counted - stored, user=user)
