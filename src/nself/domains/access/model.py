"""Nouns of access."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec


class AccessChange(msgspec.Struct, frozen=True):
    """What an operator decided; a revocation holds until `until`."""

    access: Literal["granted", "revoked"]
    reason: str
    actor: str
    changed_at: datetime
    until: datetime


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a user may use the app, and why. `plan` gives the limits that are not the user's own."""

    user: str
    access: bool
    reason: str
    plan: str
    subscription: str | None
    status: str | None
    note: str
    changes: list[AccessChange]
