"""Percentiles of durations that were counted by size."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from nself.domains.measurement.model import Total
from nself.measure import BOUNDS


def percentile(counts: Sequence[int], share: Decimal) -> float | None:
    """Seconds below which `share` (of 1) of all stayed, at most a fifth too much; None of nothing."""
    wanted, reached = share * sum(counts), 0
    for bound, count in zip((*BOUNDS, BOUNDS[-1]), counts, strict=True):
        reached += count
        if count and reached >= wanted:
            return bound
    return None


def joined(totals: Iterable[Total]) -> Total:
    """All of them as one, without name and labels."""
    counts, seconds = [0] * (len(BOUNDS) + 1), 0.0
    for one in totals:
        counts = [here + more for here, more in zip(counts, one.counts, strict=True)]
        seconds += one.seconds
    return Total("", [], sum(counts), seconds, counts)
