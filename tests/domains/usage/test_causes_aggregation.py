"""Why rollups are behind: each cause is told apart from the others."""

from __future__ import annotations

from datetime import timedelta

import psycopg
import pytest

from nself.app import App
from nself.diagnosis import Look
from nself.domains.job import service as job
from nself.domains.usage import rules
from nself.domains.usage.service import lag
from nself.domains.usage.service.causes import aggregation

HOLD = "select pg_advisory_xact_lock(hashtext('billing_usage_fold'), 3)"
RUN = """
insert into billing_jobs (type, state, due_at, started_at, finished_at, result)
values ('aggregation', 'succeeded', now(), now() - interval '400 s', now(), %s || ' deltas folded by 1 worker')
"""
NOTE = """
insert into billing_usage_folds (shard, folded_at, deltas, duration, workers) values (0, now(), %s, interval '40 s', 1)
on conflict (shard) do update set deltas = excluded.deltas, duration = excluded.duration
"""


def run(app: App, statement: str, *values: object) -> None:
    with psycopg.connect(app.db.conninfo, autocommit=True) as link:
        link.execute("set search_path = billing, public")
        link.execute(statement.encode(), values)


def found(app: App) -> set[str]:
    return {one.id for one in aggregation.CAUSES if one.detect(Look(app))}


@pytest.mark.parametrize(
    ("deltas", "seconds", "slow"), [(100, 5.0, True), (100_000, 5.0, False), (10, 0.5, False), (0, 0.0, False)]
)
def test_few_deltas_in_much_time_are_slow(deltas: int, seconds: float, slow: bool) -> None:
    assert rules.slow(deltas, timedelta(seconds=seconds)) is slow


def test_much_time_is_volume_or_a_slow_statement_never_both(app: App) -> None:
    job.ensure(app)
    assert found(app) == set()
    run(app, RUN, "9000000")
    assert found(app) == {"2.2.2"}
    run(app, "delete from billing_jobs where result like '9000000%%'")
    run(app, NOTE, 20)
    assert found(app) == {"2.2.3"}
    run(app, NOTE, 9_000_000)
    assert found(app) == set()


def test_a_lock_is_found_when_it_is_kept_long(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    job.ensure(app)
    with psycopg.connect(app.db.conninfo, application_name="somebody") as link:
        link.execute(HOLD)
        assert found(app) == set()
        monkeypatch.setattr(lag, "HELD", 0)
        told = aggregation.locked(Look(app))
        assert told and "somebody" in told.text and told.fields["pid"] == link.info.backend_pid
    assert found(app) == set()
