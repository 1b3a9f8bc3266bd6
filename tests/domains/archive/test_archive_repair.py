"""Repair and archive: what was taken out stays out wherever its event is, and nothing is made of a part of the events."""

from __future__ import annotations

import pytest
from history import answers, archive_all, bring_back, event, populate, raw, send

from metering import law
from nself.app import App
from nself.domains.repair.inputs import CorrectEvent, RecalculateUsage, VoidEvent
from nself.domains.repair.service import adjust, recalculate
from nself.domains.usage.errors import EventsArchived
from nself.domains.usage.service import aggregate


def test_what_was_taken_out_or_corrected_stays_so_through_archive_and_restore(app: App) -> None:
    users = populate(app, months=(11,))
    send(
        app, event(users[0], "2025-11-05T10:00:00Z", "wrong", 7), event(users[0], "2025-11-05T10:10:00Z", "large", 900)
    )
    aggregate.aggregate(app)
    adjust.void(app, VoidEvent(user=users[0], key="wrong", execute=True))
    adjust.correct(app, CorrectEvent(user=users[0], key="large", value=9, execute=True))
    before, stored = answers(app, users), raw(app)
    for _ in range(2):
        assert [row.action for row in archive_all(app)] == ["archived"]
        assert (answers(app, users), law(app).archived) == (before, 122)
        bring_back(app, month="2025-11")
        assert (answers(app, users), raw(app), law(app).archived) == (before, stored, 0)
    assert recalculate.recalculate(app, RecalculateUsage(user=users[0], month="2025-11")).hours == []


def test_nothing_is_repaired_from_a_part_of_the_events(app: App) -> None:
    users = populate(app, months=(11,))
    send(app, event(users[0], "2025-11-05T10:00:00Z", "there", 7))
    archive_all(app)
    send(app, event(users[0], "2025-11-05T10:30:00Z", "late", 5))
    before = answers(app, users)
    done = recalculate.recalculate(app, RecalculateUsage(user=users[0], month="2025-11", execute=True))
    assert (done.hours, done.archived) == ([], ["2025-11"])
    with pytest.raises(EventsArchived, match="2025-11"):
        adjust.void(app, VoidEvent(user=users[0], key="late", execute=True))
    assert answers(app, users) == before
    bring_back(app, month="2025-11")
    adjust.void(app, VoidEvent(user=users[0], key="late", execute=True))
    assert recalculate.recalculate(app, RecalculateUsage(user=users[0], month="2025-11")).hours == []
    aggregate.aggregate(app)
    assert [row.action for row in archive_all(app)] == ["archived"]
    law(app)
