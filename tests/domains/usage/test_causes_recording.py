"""What shows that usage is not recorded, told apart from what looks like it."""

from __future__ import annotations

import pytest

from metering import people
from nself.app import App
from nself.diagnosis import Look
from nself.domains.usage.inputs import UsageEvent
from nself.domains.usage.service import record
from nself.domains.usage.service.causes import recording
from nself.spool.beat import Beat, Pulse


def test_no_collector_is_found_until_one_lives(app: App) -> None:
    found = recording.collector_gone(Look(app))
    assert found and "no usage-collector runs" in found.text
    pulse = Pulse(app.project.spool, Beat(pid=1, since=app.clock()))
    assert recording.collector_gone(Look(app)) is None
    del pulse


@pytest.mark.parametrize("source", ["http", "cli"])
def test_a_stranger_is_no_metric_that_is_wanting(app: App, source: str) -> None:
    stranger, metric = f"nobody-{source}", f"nothing-{source}"
    (known,) = people(app)
    events = [
        UsageEvent(user=stranger, metric="calls", value=1, key="a"),
        UsageEvent(user=known, metric=metric, value=1, key="b"),
        UsageEvent(user=known, metric="calls", value=-1, key="c"),
    ]
    assert len(record.ingest(app, events, source).refused) == 3
    user, unit = recording.unknown_user(Look(app)), recording.unknown_metric(Look(app))
    if source == "cli":  # whoever typed it was told at once
        assert stranger not in str(user) and metric not in str(unit)
        return
    assert user and stranger in user.text and metric not in user.text
    assert unit and metric in unit.text and stranger not in unit.text
