"""What keeps usage away is told apart by what was refused, and goes when the logs were read for it."""

from __future__ import annotations

from datetime import timedelta

import psycopg
import pytest

from metering import people
from nself.app import App
from nself.diagnosis import Look
from nself.domains.gap.inputs import ReconstructUsage
from nself.domains.gap.service import causes, reconstruct
from nself.domains.usage.inputs import UsageEvent
from nself.domains.usage.service import record

REFUSE = """
insert into billing.billing_usage_refusals (origin, number, code, began_at, ended_at, requests, events)
values (%s, 1, %s, %s, %s, 2, %s)
"""


def found(app: App) -> set[str]:
    return {one.id for one in causes.CAUSES if one.detect(Look(app))}


def reread(app: App, user: str) -> None:
    day = f"{app.clock():%Y-%m-%d}"
    reconstruct.reconstruct(app, ReconstructUsage(user=user, date=day, from_logs=True, execute=True))


@pytest.mark.parametrize(
    ("code", "events", "expected"),
    [
        ("buffer_full", 3, {"2.4.4"}),
        ("database_unavailable", 3, {"2.4.3"}),
        ("database_unavailable", 0, set[str]()),
        ("buffer_unwritable", 3, set[str]()),
    ],
)
def test_what_was_refused_is_found_until_logs_are_read_for_it(
    app: App, code: str, events: int, expected: set[str]
) -> None:
    (user,), now = people(app), app.clock()
    with psycopg.connect(app.db.conninfo, autocommit=True) as link:
        link.execute("truncate billing.billing_usage_refusals, billing.billing_usage_reconstructions")
        link.execute(REFUSE, [user, code, now - timedelta(seconds=2), now, events])
    assert found(app) == expected
    reread(app, user)
    assert found(app) == set()


def test_a_batch_that_failed_is_found_and_a_single_mistake_is_not(app: App) -> None:
    (user,) = people(app)
    record.ingest(app, [UsageEvent(user=user, metric="api_calls", value=-1)], "http")
    assert found(app) == set()
    record.ingest(app, [UsageEvent(user=user, metric="api_calls", value=-at) for at in range(1, 5)], "http")
    assert found(app) == {"2.4.2"}
    reread(app, user)
    assert found(app) == set()
