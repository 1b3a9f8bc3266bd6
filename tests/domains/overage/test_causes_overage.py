"""What of a decision by hand differs from what is counted is told apart, once."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from nself.domains.catalog.model import Tier, Version
from nself.domains.catalog.rules import flat
from nself.domains.invoice.model import Overage, Override
from nself.domains.overage import rules

START, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
RATE = flat(Decimal("0.10"), "usd")
TIERS = Version(model="graduated", tiers=[Tier(up_to=100, amount=Decimal("0.10")), Tier(amount=Decimal("0.05"))])
DECIDED = Override(
    id=1, user="u", metric="m", period_start=START, period_end=END, used=1500, limit=1000, price=RATE, reason=None,
    actor="a", updated_at=START, billed_minor=0, lines=0,
)  # fmt: skip
COUNTED = Overage(
    user="u", metric="m", unit="call", period_start=START, period_end=END, mode="overage", used=1500, limit=1000,
    units=500, events=1, price=RATE, rated=None, why="", billed=None, override=None,
)  # fmt: skip


@pytest.mark.parametrize(
    ("decided", "counted", "kind"),
    [
        ({}, {}, None),
        ({"price": flat(Decimal("1.00"), "usd")}, {}, "rate"),
        ({"used": 2500}, {}, "usage"),
        ({}, {"price": TIERS}, "tiers"),
        ({"price": TIERS}, {"price": TIERS}, None),
        ({"limit": 500}, {}, "share"),
        ({"used": 2500, "limit": 500}, {}, "usage"),
        ({}, {"price": None}, None),
    ],
)
def test_the_first_that_differs_is_told(decided: dict[str, Any], counted: dict[str, Any], kind: str | None) -> None:
    found = rules.mismatch(msgspec.structs.replace(DECIDED, **decided), msgspec.structs.replace(COUNTED, **counted))
    assert (found[0] if found else None) == kind


def test_what_is_not_counted_at_all_is_no_mismatch() -> None:
    assert rules.mismatch(DECIDED, None) is None
