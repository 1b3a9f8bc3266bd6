"""Prices for property tests, and a slow, obvious model that charges unit by unit."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from hypothesis import strategies as st

from nself.domains.catalog.model import Tier, Version

CURRENCIES = {"usd": (2, 1), "jpy": (0, 1), "kwd": (3, 10), "isk": (2, 100)}
"""Digits, and the minor units of which Stripe charges multiples."""
AMOUNTS = st.decimals(0, 50, places=5, allow_nan=False, allow_infinity=False)
FEES = st.one_of(st.just(Decimal(0)), st.decimals(0, 20, places=3, allow_nan=False, allow_infinity=False))


@st.composite
def versions(draw: st.DrawFn, highest: int = 10**12) -> Version:
    """Any valid version; the bounds of its tiers lie up to `highest`."""
    model = draw(st.sampled_from(["flat", "graduated", "volume", "package"]))
    package = model == "package"
    bounds = [] if model in ("flat", "package") else sorted(draw(st.sets(st.integers(1, highest), max_size=4)))
    tiers = [
        Tier(
            up_to=bound,
            amount=draw(AMOUNTS),
            per=1 if package else draw(st.sampled_from([1, 3, 7, 1000])),
            flat=draw(FEES),
        )
        for bound in [*bounds, None]
    ]
    return Version(
        model=model,
        tiers=tiers,
        per=draw(st.integers(1, 50)) if package else None,
        round=draw(st.sampled_from(["up", "down", None])) if package else None,
        free=draw(st.one_of(st.just(0), st.integers(0, 30))),
        minimum=draw(FEES),
        currency=draw(st.sampled_from(sorted(CURRENCIES))),
    )


def unit_by_unit(version: Version, units: int) -> int:
    """Minor units for `units` above the quota: each is looked at alone, fractions are added, the end is rounded half up."""
    charged = [unit for unit in range(1, units + 1) if unit > version.free]
    paid = Fraction(0)
    reached: set[int] = set()
    for number, _ in enumerate(charged, 1):
        counted = len(charged) if version.model == "volume" else number
        at, tier = next((at, one) for at, one in enumerate(version.tiers) if one.up_to is None or counted <= one.up_to)
        if at not in reached:
            reached.add(at)
            paid += Fraction(tier.flat)
        if version.model != "package":
            paid += Fraction(tier.amount) / tier.per
            continue
        assert version.per
        begins, fills = number % version.per == 1 or version.per == 1, number % version.per == 0
        if fills if version.round == "down" else begins:
            paid += Fraction(tier.amount)
    if charged:
        paid = max(paid, Fraction(version.minimum))
    digits, step = CURRENCIES[version.currency or ""]
    return int(paid * 10**digits / step + Fraction(1, 2)) * step
