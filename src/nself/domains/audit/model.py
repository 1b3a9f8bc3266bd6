"""Nouns of audits."""

from __future__ import annotations

from datetime import datetime

import msgspec


class Suspicion(msgspec.Struct, frozen=True):
    """A customer that a rule found, as a query gives it. `evidence` are ids and figures, in the words of the rule."""

    customer: str
    user: str | None
    detail: str
    seen_at: datetime | None


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `customers audit`. `mend` is a command."""

    rule: str
    customer: str
    user: str | None
    detail: str
    seen_at: datetime | None
    mend: str
