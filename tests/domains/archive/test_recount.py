"""Raw events are counted all once a day; in between the law stays exact, whatever is recorded, archived and brought back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from history import archive_all, bring_back, event, populate, raw, send

from metering import law
from nself.app import App
from nself.domains.usage.inputs import UsageStatus
from nself.domains.usage.service import recount, show


@pytest.fixture(autouse=True)
def few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recount, "MANY", 0)


def known(app: App) -> int | None:
    """Events that the law takes from the last recount."""
    with app.db.reading() as tx:
        return tx.value(b"select events from billing_usage_recounts")


def test_what_was_recorded_since_is_counted_and_the_rest_is_known(app: App, clock: Any) -> None:
    users = populate(app)
    assert recount.scheduled(app) == "0 raw events"  # all of them were recorded within the last hour
    clock.now += timedelta(hours=2)
    send(app, event(users[0], "2025-11-05T10:00:00Z", "recorded late"))
    assert recount.scheduled(app) == "360 raw events" and law(app).raw_events == 361
    send(app, event(users[0], "2025-10-05T10:00:00Z", "later still"))
    assert law(app).raw_events == 362 and known(app) == 360


def test_what_is_archived_and_brought_back_is_counted_anew(app: App, clock: Any) -> None:
    users = populate(app)
    clock.now += timedelta(hours=2)
    recount.scheduled(app)
    archive_all(app)
    assert known(app) is None and law(app).archived == 360
    recount.scheduled(app)
    bring_back(app, user=users[0], month="2025-11")
    assert known(app) is None and law(app).archived == 320 and law(app).raw_events == len(raw(app)) == 40


def test_few_are_counted_each_time(app: App, clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    populate(app, months=(11,))
    clock.now += timedelta(hours=2)
    recount.scheduled(app)
    assert known(app) == 120
    monkeypatch.setattr(recount, "MANY", 1000)
    assert recount.scheduled(app) == "" and known(app) is None


def test_what_does_not_fit_is_counted_anew_before_it_is_told(app: App, clock: Any) -> None:
    populate(app, months=(11,))
    clock.now += timedelta(hours=2)
    recount.scheduled(app)
    with app.db.transaction() as tx:
        tx.connection.execute(b"update billing_usage_recounts set events = events - 1")
    assert law(app).raw_events == 120


def test_what_was_lost_shows_when_all_are_counted(app: App, clock: Any) -> None:
    populate(app, months=(11,))
    clock.now += timedelta(hours=2)
    recount.scheduled(app)
    with app.db.transaction() as tx:
        lost = tx.connection.execute("delete from billing_usage where idempotency_key = (select min(idempotency_key) from billing_usage) returning *").fetchall()  # fmt: skip
    whole = show.status(app, UsageStatus(recount=True))
    assert not whole.balanced and whole.raw_events == 120 - len(lost)
    recount.scheduled(app)
    assert not show.status(app, UsageStatus()).balanced
    with app.db.transaction() as tx:
        for row in lost:
            tx.connection.execute(b"insert into billing_usage values (%s, %s, %s, %s, %s, %s, %s, %s, %s)", row)
    recount.scheduled(app)
    law(app)


def test_old_intake_is_gathered_and_the_law_holds(app: App, clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recount, "KEPT", 2)
    users = populate(app, months=(11,))
    for at in range(6):
        send(app, *[event(users[0], "2025-11-05T10:00:00Z", f"sent {at // 2}")])
    clock.now += timedelta(hours=2)
    before = law(app)
    recount.scheduled(app)
    recount.scheduled(app)
    with app.db.reading() as tx:
        rows = tx.connection.execute(
            "select source, received, duplicate from billing_usage_intake order by id"
        ).fetchall()
    assert rows[0][1:] == (before.accepted - 2, 2) and rows[1:] == [("test", 1, 0), ("test", 1, 1)]
    assert law(app) == before
    send(app, event(users[0], "2025-11-05T10:00:00Z", "after"))
    assert law(app).accepted == before.accepted + 1
