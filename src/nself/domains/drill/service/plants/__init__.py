"""Every rehearsal; a plant is a hand from outside."""

from __future__ import annotations

from nself.domains.drill.service.bench import Drill
from nself.domains.drill.service.plants import (
    delivery,
    invoice,
    overage,
    payment,
    performance,
    quota,
    stripe,
    subscription,
    sync,
    testing,
    usage,
    webhook,
)

DRILLS: dict[str, Drill] = {
    one.cause: one
    for chapter in (
        stripe,
        usage,
        subscription,
        payment,
        invoice,
        delivery,
        quota,
        overage,
        webhook,
        sync,
        performance,
        testing,
    )
    for one in chapter.DRILLS
}
