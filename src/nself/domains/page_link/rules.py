"""Tokens and how long they live. Pure."""

from __future__ import annotations

import hashlib
from datetime import timedelta

from nself.core import period
from nself.core.errors import InvalidParameter

BYTES = 32
LONGEST = timedelta(days=90)


def digest(token: str) -> bytes:
    """Under what a token is stored: it is random, so that a plain hash suffices."""
    return hashlib.sha256(token.encode()).digest()


def lifetime(text: str) -> timedelta:
    """Raises InvalidParameter."""
    found = timedelta(seconds=min(period.duration(text, "lives"), 2 * LONGEST.total_seconds()))
    if not timedelta(0) < found <= LONGEST:
        raise InvalidParameter(f"A link lives for more than nothing and {LONGEST.days} days at most", "lives")
    return found
