"""Quota requests while the database is away: let through or not by QUOTA_FAIL_MODE, and entered once when it is back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from killing import run_and_kill
from metering import app_on, fresh, law, people
from nself.app import App
from nself.db.server import DatabaseUnavailable
from nself.domains.quota import rules
from nself.domains.quota.errors import JournalSound, JournalUnsettled, NoSuchReservation
from nself.domains.quota.inputs import SetQuota, ShowJournal, SkipJournal
from nself.domains.quota.model import Ask, Decision
from nself.domains.quota.service import journal, limits, show
from nself.domains.quota.service.ask import states
from nself.domains.quota.service.decide import Answer, decide, new_id
from nself.domains.quota.service.journal import Settled, decide_or_fail
from nself.spool import segments
from nself.spool.errors import BufferDamaged, BufferFull

NOWHERE = "host=/nowhere user=nself dbname=nself"


@pytest.fixture
def away(app: App, clock: Any) -> Iterator[App]:
    """The same project while its database is away."""
    with app_on(app.project.root, NOWHERE, clock, QUOTA_FAIL_MODE="open", USAGE_BUFFER_SIZE="40") as made:
        yield made


def limited(app: App, most: int = 10) -> str:
    (user,) = people(app)
    limits.set_quota(app, SetQuota(user=user, metric="calls", limit=most))
    return user


def reserve(app: App, user: str, value: int = 1, metric: str = "calls") -> Decision:
    (found,) = decide_or_fail(app, [Ask(kind="reserve", user=user, metric=metric, value=value, id=new_id())])
    assert isinstance(found, Decision)
    return found


def end(app: App, kind: str, reservation: str | None, value: int | None = None) -> Answer:
    user, id = rules.read(reservation or "")
    (found,) = decide_or_fail(app, [Ask(kind=kind, user=user, id=id, value=value)])  # type: ignore[arg-type]
    return found


def figures(app: App, user: str) -> tuple[int, int]:
    """Used and held."""
    law(app)
    (found,) = states(app, user, "calls", 0, "look")
    return found.used, found.held


@pytest.mark.parametrize("kind", ["check", "reserve", "commit", "release"])
def test_closed_lets_nobody_through(app: App, clock: Any, kind: str) -> None:
    ask = Ask(kind=kind, user="u", metric="" if kind in ("commit", "release") else "calls", id=new_id())  # type: ignore[arg-type]
    with app_on(app.project.root, NOWHERE, clock) as shut, pytest.raises(DatabaseUnavailable):
        decide_or_fail(shut, [ask])
    assert app.journal.idle()


def test_what_was_let_through_is_counted_once_and_what_was_given_back_is_not(app: App, away: App) -> None:
    user = limited(app, 4)
    before = reserve(app, user, 1).reservation
    committed, more, released, left = (reserve(away, user, value) for value in (3, 3, 5, 2))
    assert all(one.allowed and one.note == rules.AWAY for one in (committed, more, released, left))
    for kind, reservation, value in (
        ("commit", committed.reservation, None),
        ("commit", more.reservation, 7),
        ("release", released.reservation, None),
        ("commit", before, 1),
        ("commit", before, 1),  # again is the same as once
    ):
        found = end(away, kind, reservation, value)
        assert isinstance(found, Decision) and found.allowed and found.reservation == reservation
    assert figures(app, user) == (0, 1)
    assert journal.settle(app) == Settled(asks=9)
    assert figures(app, user) == (3 + 7 + 1, 2)
    assert journal.settle(app) == Settled()
    # The limit is passed by what was let through; the next request is refused.
    assert not reserve(app, user).allowed
    last = end(app, "commit", left.reservation, 2)
    assert isinstance(last, Decision)
    assert figures(app, user) == (13, 0)


def test_a_check_is_let_through_and_leaves_nothing(app: App, away: App) -> None:
    user = limited(app, 0)
    (found,) = decide_or_fail(away, [Ask(kind="check", user=user, metric="calls", value=1)])
    assert isinstance(found, Decision) and found.allowed
    assert app.journal.idle()


def test_a_hold_that_nobody_ends_expires(app: App, away: App, clock: Any) -> None:
    user = limited(app)
    reserve(away, user, 4)
    clock.now += timedelta(minutes=10)
    assert journal.settle(app) == Settled(asks=1)
    assert figures(app, user) == (0, 0)


def test_usage_counts_when_it_was_reserved(app: App, away: App, clock: Any) -> None:
    """Let through in one period, settled in the next."""
    user = limited(app)
    made = reserve(away, user, 4)
    end(away, "commit", made.reservation)
    clock.now += timedelta(days=30)
    assert journal.settle(app) == Settled(asks=2)
    assert figures(app, user) == (0, 0)
    clock.now -= timedelta(days=30)
    assert figures(app, user) == (4, 0)


def test_until_it_is_settled_an_end_is_to_be_asked_again(app: App, away: App) -> None:
    user = limited(app)
    made = reserve(away, user, 4).reservation
    assert isinstance(end(app, "commit", made), JournalUnsettled)
    assert isinstance(end(app, "commit", rules.spell(user, new_id())), NoSuchReservation)
    journal.settle(app)
    assert isinstance(end(app, "commit", made), Decision)
    assert isinstance(end(app, "commit", rules.spell(user, "j" + new_id())), NoSuchReservation)
    assert figures(app, user) == (4, 0)


def test_a_stranger_is_found_at_the_end_and_his_usage_is_kept_as_rejected(app: App, away: App) -> None:
    user, stranger = limited(app), fresh("stranger")
    made = reserve(away, stranger, 4).reservation
    end(away, "commit", made)
    mine = reserve(away, user, 2).reservation
    end(away, "commit", mine)
    rejected = law(app).rejected
    assert journal.settle(app) == Settled(asks=4, refused=2)
    assert law(app).rejected == rejected + 1
    assert figures(app, user) == (2, 0)


def test_an_unknown_metric_is_refused_at_once(app: App, away: App) -> None:
    (found,) = decide_or_fail(away, [Ask(kind="reserve", user="u", metric="no", value=1, id=new_id())])
    assert getattr(found, "code", "") == "no_such_metric"
    assert app.journal.idle()


def test_a_journal_that_is_full_lets_nobody_through_but_checks(app: App, away: App) -> None:
    user = limited(app)
    for _ in range(40):
        reserve(away, user, 0)
    asks = [
        Ask(kind="reserve", user=user, metric="calls", value=1, id=new_id()),
        Ask(kind="check", user=user, metric="calls", value=1),
    ]
    full, checked = decide_or_fail(away, asks)
    assert isinstance(full, BufferFull) and isinstance(checked, Decision)
    found = journal.status(away, ShowJournal())
    assert (found.fail_mode, found.waiting_requests, found.capacity) == ("open", 40, 40)
    assert found.oldest_at and found.database != "answers"
    journal.settle(app)
    found = journal.status(app, ShowJournal())
    assert (found.waiting_requests, found.database, bool(found.last_settled_at)) == (0, "answers", True)


def test_a_journal_that_is_damaged_waits_until_it_is_skipped(
    app: App, away: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "SEGMENT_BYTES", 1)  # a segment each
    user = limited(app)
    reserve(away, user, 1)
    reserve(away, user, 2)
    path = app.project.journal / "0000000001.seg"
    path.write_bytes(path.read_bytes()[:-2] + b"xx")
    with pytest.raises(BufferDamaged, match="quota journal") as caught:
        journal.settle(app)
    assert caught.value.hint[0] == "nself billing quota journal-skip"
    assert journal.skip(app, SkipJournal(segment=1, confirm=True)).result == "set aside"
    assert journal.settle(app) == Settled(asks=1)
    assert figures(app, user) == (0, 2)
    with pytest.raises(JournalSound, match="of the quota journal is not damaged"):
        journal.skip(app, SkipJournal())


@pytest.mark.parametrize("step", [67, pytest.param(5, marks=pytest.mark.long)])
def test_who_settles_and_is_killed_between_any_two_lines_counts_once(
    app: App, away: App, clock: Any, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    monkeypatch.setattr(segments, "SEGMENT_BYTES", 400)
    user = limited(app, 1)
    root, conninfo, line, used = app.project.root, app.db.conninfo, 1, 0
    finished = False
    while not finished:
        for value in (1, 2):
            made = reserve(away, user, value)
            end(away, "commit", made.reservation)
            used += value

        def work() -> None:
            with app_on(root, conninfo, clock) as mine:
                journal.settle(mine)

        finished = not run_and_kill({"journal.py", "spooled.py", "segments.py", "decide.py", "settle.py"}, line, work)
        journal.settle(app)
        assert app.journal.idle() and figures(app, user) == (used, 0)
        line += step
    assert decide(app, [Ask(kind="check", user=user, metric="calls", value=1)])[0].allowed is False  # type: ignore[union-attr]


def test_what_the_journal_may_still_end_is_not_forgotten(app: App, away: App, clock: Any) -> None:
    user = limited(app, 10)
    held = reserve(app, user, 3).reservation
    assert isinstance(end(away, "commit", held), Decision)
    clock.now += timedelta(days=2)
    show.sweep(app)
    assert journal.settle(app) == Settled(asks=1)
    with app.db.reading() as tx:
        assert tx.value(b"select sum(value) from billing_usage where user_id = %(user)s", user=user) == 3
    show.sweep(app)
    assert isinstance(end(app, "release", held), NoSuchReservation)
