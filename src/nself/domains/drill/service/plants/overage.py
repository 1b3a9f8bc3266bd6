"""Issue 5.4: overage that is calculated wrongly."""

from __future__ import annotations

from functools import partial

from nself.domains.drill.service.bench import Bench, Drill

PRICES = "services/billing/config/overage-tiers.yml"
TIERS = """overage:
  api_calls:
    - from: 2026-01-01
      model: graduated
      tiers: [{up_to: 100, amount: "0.0001"}, {amount: "0.00005"}]
"""
AUDIT = "nself billing overage audit --user user123"
MEND = ("nself billing price show --type overage", "nself billing overage recalculate --user user123", AUDIT)


def by_hand(bench: Bench, usage: int = 1500, quota: int = 1000, rate: str = "0.0001") -> None:
    """Somebody typed it: 500 units above the quota were used in January."""
    bench.nself(f"billing overage update --user user123 --usage {usage} --quota {quota} --rate {rate} --period 2026-01")


def flat(bench: Bench) -> None:
    """The price has tiers, and somebody typed that of the first."""
    bench.write(PRICES, TIERS)
    by_hand(bench)


DRILLS = (
    Drill("5.4.1", plant=partial(by_hand, rate="0.10"), shows=((AUDIT, "rate 0.10"),), mend=MEND),
    Drill("5.4.2", plant=partial(by_hand, usage=2500), shows=((AUDIT, "usage 2500 where"),), mend=MEND),
    Drill(
        "5.4.3",
        plant=flat,
        shows=((AUDIT, "tiers not applied"),),
        mend=(f"cat {PRICES}", "nself billing overage recalculate --user user123"),
    ),
    Drill("5.4.4", plant=partial(by_hand, quota=500), shows=((AUDIT, "quota 500 where"),), mend=MEND),
)
