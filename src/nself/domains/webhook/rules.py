"""Decisions about webhooks: pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from nself.domains.webhook.model import Refusal


def grouped(refused: Iterable[Refusal]) -> list[Refusal]:
    """Like ones as one, with how often they came; in their order."""
    found = dict[tuple[str, str, int | None, str | None], Refusal]()
    for one in refused:
        key = (one.code, one.reason, one.skew, one.event_id)
        before = found.get(key)
        found[key] = msgspec.structs.replace(one, times=before.times + one.times) if before else one
    return list(found.values())
