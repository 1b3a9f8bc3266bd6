"""What will be used at a window's end at the pace since it began."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nself.domains.quota import rules
from nself.domains.quota.model import LONG_AGO, NEVER, Counter

START = datetime(2026, 3, 1, tzinfo=UTC)
END = datetime(2026, 4, 1, tzinfo=UTC)


def counter(used: int, *, since: datetime = START, aggregation: str = "sum") -> Counter:
    return Counter(
        user="u", metric="m", window_start=START, window_end=END, counted_from=since, aggregation=aggregation, used=used, held=0,
        expires_next=NEVER, limit=100, period="month", mode="hard", source="user", extra_until=LONG_AGO, blocked_until=LONG_AGO,
    )  # fmt: skip


@given(st.integers(0, 10**15), st.integers(1, 30), st.integers(0, 86_399))
def test_it_goes_on_as_until_now(used: int, days: int, seconds: int) -> None:
    passed = timedelta(days=days, seconds=seconds)
    assert (
        rules.forecast(counter(used), START + passed)
        == Fraction(used) * Fraction(31 * 86_400, days * 86_400 + seconds) // 1
    )


@pytest.mark.parametrize("at", [START - timedelta(days=1), START, END, END + timedelta(days=1)])
def test_outside_of_the_window_it_is_what_is_used(at: datetime) -> None:
    assert rules.forecast(counter(7), at) == 7


def test_after_a_reset_the_pace_counts_from_there() -> None:
    reset = START + timedelta(days=21)
    assert rules.forecast(counter(10, since=reset), reset + timedelta(days=5)) == 20


@pytest.mark.parametrize("aggregation", ["max", "last", "unique", "time_weighted"])
def test_of_a_gauge_it_is_what_it_is_now(aggregation: str) -> None:
    assert rules.forecast(counter(7, aggregation=aggregation), START + timedelta(days=3)) == 7
