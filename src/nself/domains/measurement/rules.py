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


def added(totals: Iterable[Total]) -> Total | None:
    """All of them as one, with the name of the first and no labels."""
    found = list(totals)
    if not found:
        return None
    counts = [sum(column) for column in zip(*(one.counts for one in found), strict=True)]
    return Total(found[0].name, [], sum(one.count for one in found), sum(one.seconds for one in found), counts)
