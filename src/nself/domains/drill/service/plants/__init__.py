"""Every rehearsal; a plant is a hand from outside."""

from __future__ import annotations

from nself.domains.drill.service.bench import Drill
from nself.domains.drill.service.plants import payment, stripe, subscription

DRILLS: dict[str, Drill] = {one.cause: one for one in (*stripe.DRILLS, *subscription.DRILLS, *payment.DRILLS)}
