"""Every rehearsal; a plant is a hand from outside."""

from __future__ import annotations

from nself.domains.drill.service.bench import Drill
from nself.domains.drill.service.plants import (
    delivery,
    invoice,
    performance,
    quota,
    stripe,
    sync,
    testing,
    webhook,
)

DRILLS: dict[str, Drill] = {
    one.cause: one
    for chapter in (stripe, invoice, delivery, quota, webhook, sync, performance, testing)
    for one in chapter.DRILLS
}
