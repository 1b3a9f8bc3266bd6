"""A customer's history."""

from __future__ import annotations

from datetime import datetime

import msgspec


class Happened(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `customer timeline`. `by`: events, an intent, a synchronisation or an operator; empty for what was done unasked."""

    at: datetime
    what: str
    object: str
    by: str
    detail: str
