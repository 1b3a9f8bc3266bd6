"""What others commit between two statements of a decision, and limits that change while something is held."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from metering import people
from nself.app import App
from nself.domains.quota.inputs import CommitQuota, ReleaseQuota, ReserveQuota, ResetQuota, SetQuota
from nself.domains.quota.model import Decision
from nself.domains.quota.service import ask, counters, limits, reset
from nself.domains.usage.inputs import UsageEvent
from nself.domains.usage.service import aggregate, record


def limit(app: App, user: str, most: int, period: Any = "month", metric: str = "calls") -> None:
    limits.set_quota(app, SetQuota(user=user, metric=metric, limit=most, period=period))


def use(app: App, user: str, value: int, metric: str = "calls", **more: Any) -> None:
    assert not record.ingest(app, [UsageEvent(user=user, metric=metric, value=value, **more)], "test").refused


def look(app: App, user: str, metric: str = "calls") -> Decision:
    (found,) = ask.states(app, user, metric, 0, "look")
    return found


@pytest.fixture
def between(app: App, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], None]:
    """Has something done once, after usage was folded and before a counter is counted anew."""

    def between(work: Callable[[], None]) -> None:
        count = counters._count  # pyright: ignore[reportPrivateUsage]

        def counted(*given: Any) -> None:
            monkeypatch.setattr(counters, "_count", count)
            work()
            count(*given)

        monkeypatch.setattr(counters, "_count", counted)

    return between


@pytest.mark.parametrize(("metric", "used"), [("calls", 40), ("logins", 1), ("peak", 40), ("seats", 40)])
def test_usage_that_comes_while_a_counter_is_counted_is_counted_once(
    app: App, between: Callable[[Callable[[], None]], None], metric: str, used: int
) -> None:
    (user,) = people(app)
    limit(app, user, 100, metric=metric)
    between(lambda: use(app, user, 40, metric))
    look(app, user, metric)
    aggregate.aggregate(app)
    assert look(app, user, metric).used == used


def test_usage_of_the_hour_of_a_reset_is_counted_once_too(
    app: App, clock: Any, between: Callable[[Callable[[], None]], None]
) -> None:
    (user,) = people(app)
    limit(app, user, 100)
    use(app, user, 7)
    clock.now = clock.now.replace(minute=20)
    reset.reset(app, ResetQuota(user=user, metric="calls", reason="a test"))
    clock.now = clock.now.replace(minute=30)
    between(lambda: use(app, user, 40))
    look(app, user)
    aggregate.aggregate(app)
    assert look(app, user).used == 40


@pytest.mark.parametrize("ends", ["commit", "release"])
def test_a_hold_of_before_another_period_is_given_back(app: App, ends: str) -> None:
    (user,) = people(app)
    limit(app, user, 10)
    held = ask.reserve(app, ReserveQuota(user=user, metric="calls", value=4))
    assert held.reservation
    limit(app, user, 10, "day")
    assert (look(app, user).used, look(app, user).held) == (0, 4)
    if ends == "commit":
        ask.commit(app, CommitQuota(reservation=held.reservation))
    else:
        ask.release(app, ReleaseQuota(reservation=held.reservation))
    found = look(app, user)
    assert (found.used, found.held) == (4 if ends == "commit" else 0, 0)
