"""A reserve with an idempotency key is one reservation, whoever repeats it, when, and whatever happened in between."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import keyed_reserver
import psycopg
import pytest

from killing import run_and_kill
from metering import app_on, people
from nself.app import App
from nself.core.errors import BillingError
from nself.domains.quota.errors import JournalUnsettled
from nself.domains.quota.inputs import CommitQuota, ReleaseQuota, ReserveQuota, SetQuota
from nself.domains.quota.model import Decision
from nself.domains.quota.service import ask, journal, limits
from nself.domains.quota.service.ask import as_ask, states
from nself.domains.quota.service.decide import decide
from nself.domains.quota.service.journal import Settled, decide_or_fail
from nself.domains.usage.errors import KeyReused

NOWHERE = "host=/nowhere user=nself dbname=nself"
LEASE = timedelta(minutes=5)


@pytest.fixture
def away(app: App, clock: Any) -> Iterator[App]:
    """The same project while its database is away."""
    with app_on(app.project.root, NOWHERE, clock, QUOTA_FAIL_MODE="open") as made:
        yield made


def limited(app: App, most: int = 10) -> str:
    (user,) = people(app)
    limits.set_quota(app, SetQuota(user=user, metric="calls", limit=most))
    return user


def asked(user: str, value: int = 4, key: str | None = "one", metric: str = "calls") -> ReserveQuota:
    return ReserveQuota(user=user, metric=metric, value=value, key=key)


def reserve(app: App, given: ReserveQuota) -> Decision:
    (found,) = decide_or_fail(app, [as_ask(given)])
    assert isinstance(found, Decision), found
    return found


def figures(app: App, user: str) -> tuple[int, int]:
    """Used and held."""
    (found,) = states(app, user, "calls", 0, "look")
    return found.used, found.held


def rows(app: App, user: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(app.db.conninfo) as connection:
        return connection.execute(
            "select reservation_id, expires_at from billing.billing_quota_reservations where user_id = %s", (user,)
        ).fetchall()


def test_again_is_the_same_reservation_with_its_lease(app: App, clock: Any) -> None:
    user = limited(app)
    first, before = reserve(app, asked(user)), rows(app, user)
    clock.now += timedelta(minutes=1)
    assert reserve(app, asked(user)).reservation == first.reservation
    assert (rows(app, user), figures(app, user)) == (before, (0, 4))
    assert reserve(app, asked(user, key="two")).reservation != first.reservation
    assert reserve(app, asked(limited(app))).reservation != first.reservation  # a key is its user's
    assert len({reserve(app, asked(user, 0, None)).reservation for _ in range(2)}) == 2


def test_again_is_allowed_where_the_limit_is_used_up(app: App) -> None:
    user = limited(app, 4)
    first = reserve(app, asked(user))
    assert not reserve(app, asked(user, key="two")).allowed
    again = reserve(app, asked(user))
    assert (again.allowed, again.reservation, again.held) == (True, first.reservation, 4)


def test_a_refusal_is_not_kept(app: App) -> None:
    user = limited(app, 4)
    first = reserve(app, asked(user, key="first")).reservation
    assert not reserve(app, asked(user)).allowed
    ask.release(app, ReleaseQuota(reservation=first or ""))
    assert reserve(app, asked(user)).allowed


@pytest.mark.parametrize("other", [{"value": 5}, {"metric": "peak"}])
def test_other_content_is_an_error_that_takes_nothing(app: App, other: dict[str, Any]) -> None:
    user = limited(app)
    reserve(app, asked(user))
    with pytest.raises(KeyReused, match="one"):
        ask.reserve(app, asked(user, **other))
    assert figures(app, user) == (0, 4)


def test_one_group_with_a_key_twice(app: App) -> None:
    """At once and after a second look: new, the same again, other content, another key."""
    user, barred = limited(app), limited(app, 5)
    for who in (user, user, barred):
        asks = [as_ask(asked(who)), as_ask(asked(who)), as_ask(asked(who, 3)), as_ask(asked(who, 2, "two"))]
        first, again, wrong, other = decide(app, asks)
        assert isinstance(first, Decision) and isinstance(again, Decision) and isinstance(other, Decision)
        assert first.reservation == again.reservation != other.reservation
        assert isinstance(wrong, KeyReused)
        assert other.allowed == (who == user)
    assert (figures(app, user), figures(app, barred)) == ((0, 6), (0, 4))


def test_what_became_of_it_is_told(app: App, clock: Any) -> None:
    user = limited(app)
    first = reserve(app, asked(user))
    ask.commit(app, CommitQuota(reservation=first.reservation or "", value=3))
    again = reserve(app, asked(user))
    assert (again.allowed, again.reservation) == (True, first.reservation) and "committed" in again.note
    assert figures(app, user) == (3, 0)
    reserve(app, asked(user, key="two"))
    clock.now += LEASE + timedelta(seconds=1)
    assert "expired" in reserve(app, asked(user, key="two")).note
    assert figures(app, user) == (3, 0)


@pytest.mark.parametrize("processes", [3])
def test_processes_that_ask_at_once_get_one_reservation_a_key(real_app: App, processes: int) -> None:
    user, count = limited(real_app, 200), 200
    environ = {**os.environ, "DATABASE_URL": real_app.db.conninfo, "PYTHONPATH": os.pathsep.join(sys.path)}
    line = [sys.executable, str(Path(keyed_reserver.__file__)), str(real_app.project.root), user, str(count)]
    racers = [
        subprocess.Popen(line, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(processes)
    ]
    for one in racers:
        assert one.stdout and one.stdout.readline() == "ready\n"
    outputs = dict.fromkeys(racers, "")
    for one in racers:
        assert one.stdin
        one.stdin.write("\n")
        one.stdin.flush()
    for one in racers:
        outputs[one] = one.communicate(timeout=120)[0]
    assert [one.returncode for one in racers] == [0] * processes
    assert len(set(outputs.values())) == 1 and len(set(outputs[racers[0]].split())) == count
    assert figures(real_app, user) == (0, count)


@pytest.mark.parametrize("step", [23, pytest.param(3, marks=pytest.mark.long)])
def test_who_is_killed_between_any_two_lines_and_asks_again_holds_once(app: App, clock: Any, step: int) -> None:
    root, conninfo, line, killed = app.project.root, app.db.conninfo, 1, True
    user = limited(app, 10_000)
    while killed:
        given = asked(user, 1, f"key {line}")

        def work(given: ReserveQuota = given) -> None:
            with app_on(root, conninfo, clock) as mine:
                ask.reserve(mine, given)

        killed = run_and_kill({"decide.py", "ready.py", "store.py", "connect.py"}, line, work)
        held = figures(app, user)[1]
        first = ask.reserve(app, given)
        assert ask.reserve(app, given).reservation == first.reservation
        assert held in (line // step, line // step + 1) and figures(app, user)[1] == line // step + 1
        line += step
    assert line > 3 * step


def test_what_was_let_through_and_what_was_granted_are_one(app: App, away: App) -> None:
    """In every order: granted and then let through, let through twice, let through and then granted."""
    user = limited(app, 100)
    granted = reserve(app, asked(user, 1, "granted before"))
    for given in (
        asked(user, 1, "granted before"),
        asked(user, 2, "let through"),
        asked(user, 2, "let through"),
        asked(user, 3, "after"),
    ):
        assert reserve(away, given).allowed
    after = reserve(app, asked(user, 3, "after"))
    assert figures(app, user) == (0, 1 + 3)
    assert journal.settle(app) == Settled(asks=4)
    assert figures(app, user) == (0, 1 + 2 + 3)
    assert reserve(app, asked(user, 1, "granted before")).reservation == granted.reservation
    assert reserve(away, asked(user, 3, "after")).reservation == after.reservation
    journal.settle(app)
    assert figures(app, user) == (0, 1 + 2 + 3)


def test_a_refusal_waits_for_the_journal(app: App, away: App) -> None:
    """Nobody can tell whether a key was let through until the journal is entered."""
    user = limited(app, 2)
    made = reserve(away, asked(user))
    (found,) = decide_or_fail(app, [as_ask(asked(user))])
    assert isinstance(found, JournalUnsettled)
    (found,) = decide_or_fail(app, [as_ask(asked(user, key=None))])
    assert isinstance(found, Decision) and not found.allowed
    journal.settle(app)
    again = reserve(app, asked(user))
    assert (again.allowed, again.reservation, figures(app, user)) == (True, made.reservation, (0, 4))
    (found,) = decide_or_fail(app, [as_ask(asked(user, 3))])
    assert isinstance(found, BillingError) and found.code == "idempotency_error"
