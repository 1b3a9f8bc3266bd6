"""What is decided at once is what the group would have decided, and what needs a second look gets it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Protocol

import msgspec
import pytest

from metering import people
from nself.app import App
from nself.core.errors import BillingError
from nself.domains.quota.inputs import BlockUser, ResetQuota, SetQuota, UnblockUser
from nself.domains.quota.model import Ask, Decision
from nself.domains.quota.service import block, counters, limits, ready, reset
from nself.domains.quota.service.decide import decide, new_id
from nself.domains.usage.inputs import UsageEvent
from nself.domains.usage.service import aggregate, record


class Clock(Protocol):
    now: datetime


def limit(app: App, user: str, most: int, **more: str) -> None:
    limits.set_quota(app, SetQuota(user=user, metric="calls", limit=most, **more))  # type: ignore[arg-type]


def use(app: App, user: str, value: int) -> None:
    assert not record.ingest(app, [UsageEvent(user=user, metric="calls", value=value)], "test").refused


def ask(user: str, value: int, kind: str = "reserve") -> Ask:
    return Ask(kind=kind, user=user, metric="calls", value=value, id=new_id())  # type: ignore[arg-type]


def group(app: App, *asks: Ask) -> list[Decision]:
    found = decide(app, asks)
    assert not [one for one in found if isinstance(one, BillingError)]
    return [one for one in found if isinstance(one, Decision)]


def refuse(*_: object, **__: object) -> None:
    raise AssertionError("a second look")


def test_what_has_room_needs_no_second_look(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    user, other = people(app, "roomy", "roomier")
    limit(app, user, 10)
    use(app, user, 2)
    group(app, ask(user, 0, "look"), ask(other, 0, "look"))
    monkeypatch.setattr(counters, "prepare", refuse)
    monkeypatch.setattr(counters, "ready", refuse)
    found = group(app, ask(user, 3), ask(other, 7), ask(user, 5))
    assert [(one.allowed, one.used, one.held, one.remaining) for one in found] == [
        (True, 2, 3, 5), (True, 0, 7, -1), (True, 2, 8, 0),
    ]  # fmt: skip
    assert len({one.reservation for one in found}) == 3
    assert [one.held for one in group(app, ask(user, 0, "check"))] == [8]


@pytest.mark.parametrize("asked", [ask("", 1), ask("", 1, "check")], ids=["reserve", "check"])
def test_what_has_no_room_is_looked_at_again(app: App, asked: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    (user,) = people(app)
    limit(app, user, 10)
    group(app, ask(user, 10))
    monkeypatch.setattr(counters, "prepare", refuse)
    with pytest.raises(AssertionError, match="a second look"):
        decide(app, [msgspec.structs.replace(asked, user=user)])


def fresh_counter(app: App, user: str) -> None:
    limit(app, user, 10)


def unfolded(app: App, user: str) -> None:
    limit(app, user, 10)
    group(app, ask(user, 0, "look"))
    use(app, user, 4)


def threshold(app: App, user: str) -> None:
    limit(app, user, 10)
    group(app, ask(user, 0, "look"))
    use(app, user, 8)
    aggregate.aggregate(app)


def blocked(app: App, user: str) -> None:
    limit(app, user, 10)
    block.block(app, BlockUser(user=user, reason="fraud"))
    group(app, ask(user, 0, "look"))


def lent(app: App, user: str) -> None:
    limit(app, user, 5)
    use(app, user, 5)
    block.unblock(app, UnblockUser(user=user, extra=3))
    group(app, ask(user, 0, "look"))


def another_window(app: App, user: str) -> None:
    limit(app, user, 10, period="day")
    group(app, ask(user, 6))
    limit(app, user, 10, period="month")


def was_reset(app: App, user: str) -> None:
    limit(app, user, 10)
    use(app, user, 9)
    group(app, ask(user, 0, "look"))
    reset.reset(app, ResetQuota(user=user))


def soft(app: App, user: str) -> None:
    limit(app, user, 2, mode="soft")
    group(app, ask(user, 2))


def nothing(*_: object) -> dict[int, Decision]:
    return {}


PASTS = [fresh_counter, unfolded, threshold, blocked, lent, another_window, was_reset, soft]


def story(app: App, user: str, past: Callable[[App, str], None]) -> list[dict[str, Any]]:
    """What is told, in a group and one after the other, of a user with such a past; without names."""
    past(app, user)
    asks = [(1, "reserve"), (2, "check"), (4, "reserve"), (0, "reserve"), (3, "reserve"), (9, "check")]
    found = group(app, *(ask(user, value) for value, kind in asks if kind == "reserve"))
    found += [one for value, kind in asks for one in group(app, ask(user, value, kind))]
    return [msgspec.structs.asdict(one) | {"user": "", "reservation": one.reservation is not None} for one in found]


@pytest.mark.parametrize("past", PASTS)
def test_the_same_is_told_with_and_without_a_second_look(
    app: App, past: Callable[[App, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = people(app, f"{past.__name__}-1", f"{past.__name__}-2")
    at_once = story(app, one, past)
    monkeypatch.setattr(ready, "reserve", nothing)
    monkeypatch.setattr(ready, "check", nothing)
    assert story(app, two, past) == at_once


def test_a_hold_that_is_over_is_ended_first(app: App, clock: Clock) -> None:
    (user,) = people(app)
    limit(app, user, 10, period="year")
    group(app, ask(user, 9))
    clock.now += timedelta(seconds=app.settings.seconds("QUOTA_RESERVATION_TTL") + 1)
    assert [(one.allowed, one.held) for one in group(app, ask(user, 2))] == [(True, 2)]
