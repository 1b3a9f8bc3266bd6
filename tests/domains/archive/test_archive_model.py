"""Recording, resending, folding, archiving and restoring in any order give what the slow model of metering gives."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from history import archive_all, bring_back
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule, run_state_machine_as_test

from metering import METRICS, app_on, database_on, fresh, status, steady
from nself.app import App
from nself.domains.archive.model import NothingArchived
from nself.domains.archive.rules import edge_hours
from object_store import KEYS, Store

sys.path.insert(0, str(Path(__file__).parents[1] / "usage"))
from test_usage_model import Metering

archived: set[tuple[str, str]] = set()
"""Users and months that were away once: that the test has tested."""


def edge_of_november(app: App) -> bool:
    """Whether a part of UTC's October belongs to a month that is not over."""
    return datetime(2026, 10, 31, 23, 59, tzinfo=UTC).astimezone(app.timezone).month == 11


class Archiving(Metering):
    @precondition(lambda self: hasattr(self, "model"))
    @rule(before=st.sampled_from(("2026-04-01", "2026-05-01", "2026-11-01")))
    def archive(self, before: str) -> None:
        stored = status(self.app).raw_events
        for row in archive_all(self.app, before=before, uninvoiced=True):
            if row.month == "2026-10" and row.action == "refused":  # its last hours are November's in the east
                assert row.note == "the month is not over yet" and edge_of_november(self.app), row
            else:
                assert row.action == "archived", row
        if status(self.app).raw_events < stored:
            archived.update((user, before) for user in self.users)

    @precondition(lambda self: hasattr(self, "model"))
    @rule(month=st.sampled_from(("2026-03", "2026-04", "2026-10")), mine=st.booleans(), execute=st.booleans())
    def restore(self, month: str, mine: bool, execute: bool) -> None:
        before = status(self.app)
        try:
            found = bring_back(self.app, month=month, user=self.users[0] if mine else None, execute=execute)
        except NothingArchived:
            return
        assert (found.counted, found.refused) == (0, 0)
        assert status(self.app).raw_events - before.raw_events == (found.put_back if execute else 0)


@pytest.fixture(scope="module")
def place(server: str, template: str) -> Iterator[str]:
    with database_on(server, template) as conninfo:
        yield conninfo


def run(place: str, objects: Store, clock: Any, tmp_path: Path, examples: int, steps: int) -> None:
    bucket = fresh("model")
    objects.client().create_bucket(Bucket=bucket)
    environ = {"ARCHIVE_S3_BUCKET": bucket, "ARCHIVE_S3_ENDPOINT": objects.url, **KEYS}
    with ExitStack() as stack:
        made: dict[str, App] = {}

        def app_in(zone: str = "UTC") -> App:
            # What stays of archived months depends on the zone: a database has one.
            if zone not in made:
                folder = tmp_path / f"project-{len(made)}"
                made[zone] = stack.enter_context(
                    app_on(folder, place, clock, METRICS, BILLING_TIMEZONE=zone, **environ)
                )
                (folder / "services/billing/config/overage-tiers.yml").write_text(
                    'overage:\n  calls: {amount: "0.1"}\n'
                )
            return made[zone]

        class Machine(Archiving):
            pass

        Machine.app_in, Machine.clock = staticmethod(app_in), clock  # type: ignore[assignment]
        run_state_machine_as_test(Machine, settings=settings(steady(examples), stateful_step_count=steps))
    assert archived


def test_any_interleaving_agrees_with_the_model(place: str, objects: Store, clock: Any, tmp_path: Path) -> None:
    run(place, objects, clock, tmp_path, examples=15, steps=10)


@pytest.mark.long
def test_long_interleavings_agree_with_the_model(place: str, objects: Store, clock: Any, tmp_path: Path) -> None:
    run(place, objects, clock, tmp_path, examples=60, steps=30)


def test_hours_that_stay_are_those_in_which_a_day_begins() -> None:
    from datetime import date
    from zoneinfo import ZoneInfo

    assert (
        edge_hours(date(2025, 11, 1), ZoneInfo("UTC")) == edge_hours(date(2025, 10, 1), ZoneInfo("Europe/Berlin")) == []
    )
    kolkata = edge_hours(date(2025, 11, 1), ZoneInfo("Asia/Kolkata"))
    assert len(kolkata) == 30 and {(hour.hour, hour.minute) for hour in kolkata} == {(18, 0)}
    howe = edge_hours(date(2025, 10, 1), ZoneInfo("Australia/Lord_Howe"))
    assert {hour.hour for hour in howe} == {13} and 4 <= len(howe) <= 6  # half hours until summer time begins
