"""Which statements took the most time, and what runs or waits right now."""

from __future__ import annotations

from datetime import UTC, timedelta

from nself import log
from nself.app import App
from nself.core import period
from nself.db.connect import Tx
from nself.domains.tuning import rules, store
from nself.domains.tuning.inputs import ListSlowStatements
from nself.domains.tuning.model import Counted, RunningStatement, Session, SlowStatement, SlowStatements

LONG = 1.0
"""Seconds after which a running statement is shown where nothing else was asked for."""
EMBEDDED = "the server began without pg_stat_statements: nself restart postgres"
FOREIGN = (
    "this server counts no statements ({why}). Its administrator sets shared_preload_libraries = 'pg_stat_statements',"
    " restarts it, and runs CREATE EXTENSION pg_stat_statements in this database. Until then only what runs now is shown"
)


def slow_queries(app: App, given: ListSlowStatements) -> SlowStatements:
    """Raises InvalidParameter, DatabaseUnavailable."""
    least = period.duration(given.min_time, "min_time") if given.min_time else None
    missing, counted, since = None, list[Counted](), None
    with app.db.reading() as tx:
        running = store.running(tx, timedelta(seconds=LONG if least is None else least))
        try:
            ensure_statistics(app, tx)
            counted = store.slow_statements(tx, (least or 0) * 1000, given.limit)
            since = store.statistics_since(tx).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            if given.reset:
                store.forget_statements(tx)
        except store.StatisticsAway as away:
            missing = FOREIGN.format(why=away) if app.settings.text("DATABASE_URL") else EMBEDDED
    return SlowStatements(
        statements=[_counted(one) for one in counted],
        running=[_running(one) for one in running],
        counted_since=since,
        missing=missing,
    )


def left_open(app: App, longer: timedelta) -> list[Session]:
    """Sessions that do nothing with a transaction open, for longer than that."""
    with app.db.reading() as tx:
        return [
            one
            for one in store.running(tx, longer)
            if one.state.startswith("idle in") and (one.seconds or 0) >= longer.total_seconds()
        ]


def ensure_statistics(app: App, tx: Tx) -> None:
    """Step: the embedded server's own database shows its statistics. Raises StatisticsAway."""
    if store.has_statistics(tx):
        return
    if app.settings.text("DATABASE_URL"):
        raise store.StatisticsAway("the extension pg_stat_statements is not there")
    store.make_statistics_view(tx)


def _counted(one: Counted) -> SlowStatement:
    return SlowStatement(
        statement=log.redact(rules.statement(one.query)),
        calls=one.calls,
        total_ms=round(one.total_ms),
        mean_ms=round(one.mean_ms, 3),
        max_ms=round(one.max_ms, 3),
        rows=one.rows,
        share=round(one.share, 1),
    )


def _running(one: Session) -> RunningStatement:
    return RunningStatement(
        pid=one.pid,
        application=one.application,
        state=one.state,
        seconds=round(one.seconds or 0, 1),
        waits_for=one.waits_for or None,
        blocked_by=one.blocked_by,
        statement=log.redact(rules.statement(one.query)),
    )
