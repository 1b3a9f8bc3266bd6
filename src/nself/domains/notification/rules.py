"""How long to wait before the next try, and what a webhook of our own looks like. Pure."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from nself.domains.notification.model import Content, Outgoing

MAX_ATTEMPTS = 24
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=5), timedelta(hours=6)
"""With MAX_ATTEMPTS some three days, as Stripe's."""
_encode = msgspec.json.Encoder(decimal_format="string").encode


def pause(attempts: int) -> timedelta:
    """After so many failures, doubled each time."""
    return min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(attempts - 1, 20))


def event(one: Outgoing) -> bytes:
    """The body of a webhook in the shape of Stripe's events; the same at each try."""
    content = msgspec.json.decode(one.data, type=Content)
    return _encode(
        {
            "id": one.id,
            "object": "event",
            "type": one.kind,
            "created": int(one.created_at.timestamp()),
            "livemode": one.livemode,
            "data": {"object": content.data},
        }
    )
