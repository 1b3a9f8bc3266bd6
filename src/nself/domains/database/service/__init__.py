"""The database: what it is, whether it answers, and questions to it."""

from __future__ import annotations

from collections.abc import Collection, Generator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from nself import log
from nself.app import App
from nself.core.clock import monotonic
from nself.core.entrypoint import Rows
from nself.core.errors import BillingError
from nself.core.steps import Broken, Steps
from nself.db import embedded, server
from nself.db.connect import DatabaseUnavailable, Tx
from nself.db.migrate import available, migrate
from nself.domains.database import rules, store
from nself.domains.database.inputs import Ping, Query, ShowStatus, TryConnection
from nself.domains.database.model import (
    READS,
    WRAPAROUND,
    ConnectionTest,
    DatabaseStatus,
    DoneStatement,
    LiveRowsHere,
    Outcome,
    Pong,
    QueryFailed,
    QueryTimedOut,
    Statement,
    StoredTable,
    WriteNeeded,
)


def _where(app: App, conninfo: str | None = None) -> tuple[str, str]:
    """`embedded` or `DATABASE_URL`, and the address without its password."""
    url = app.settings.text("DATABASE_URL")
    return ("DATABASE_URL", server.masked(url, url)) if url else ("embedded", conninfo or "")


@contextmanager
def _unchanged(app: App) -> Generator[tuple[str, Tx]]:
    """A session that brings the server up but migrates nothing: for looking. Raises DatabaseUnavailable."""
    app.ensure_project()
    conninfo = server.ensure(app.project, app.settings)
    with ExitStack() as stack:
        try:
            tx = stack.enter_context(store.session(conninfo))
        except OSError as error:
            raise DatabaseUnavailable(detail=server.masked(conninfo, str(error))) from error
        yield conninfo, tx


def status(app: App, given: ShowStatus) -> DatabaseStatus:
    """Raises DatabaseUnavailable."""
    with _unchanged(app) as (conninfo, tx):
        place, applied, strain = store.place(tx), store.migrations(tx), store.strain(tx)
    runs, address = _where(app, conninfo)
    free, total = _disk(app)
    known = {one.version: one.checksum for one in applied}
    wanted = available()
    return DatabaseStatus(
        server=f"PostgreSQL {place.version}",
        runs=runs,
        address=address,
        database=place.database,
        size=place.size,
        size_bytes=place.size_bytes,
        connections=place.connections,
        max_connections=place.max_connections,
        migrations_applied=len(applied),
        migrations_missing=[one.name for one in wanted if one.version not in known],
        migrations_changed=[one.name for one in wanted if known.get(one.version, one.checksum) != one.checksum],
        started_at=place.started_at,
        uptime_seconds=place.uptime_seconds,
        longest_transaction_seconds=round(strain.longest_transaction_seconds, 1),
        blocked_statements=strain.blocked_statements,
        wraparound_percent=round(100 * strain.transactions_used / WRAPAROUND, 1),
        oldest_xmin_age=strain.oldest_xmin_age,
        dead_rows=strain.dead_rows,
        live_rows=strain.live_rows,
        disk_free_bytes=free,
        disk_total_bytes=total,
        pool_size=app.settings.integer("BILLING_DB_POOL_SIZE"),
        pool_timeout=app.settings.text("BILLING_DB_POOL_TIMEOUT"),
        query_timeout=app.settings.text("DB_QUERY_TIMEOUT"),
    )


def _disk(app: App) -> tuple[int | None, int | None]:
    """Free and total bytes where the embedded server's data lie; another server's disk is not seen from here."""
    home = None if app.settings.text("DATABASE_URL") else embedded.home(app.project)
    return store.free_bytes(home) if home else (None, None)


def ping(app: App, given: Ping) -> Pong:
    """Raises DatabaseUnavailable."""
    with _unchanged(app) as (_, tx):
        started = monotonic()
        store.ping(tx)
        return Pong(answer="pong", milliseconds=_since(started))


def _since(started: float) -> float:
    return round((monotonic() - started) * 1000, 3)


# ---- test-connection ----


STEPS = ("resolve", "connect", "authenticate", "query", "schema")
ADDRESS = "conninfo"


def try_connection(app: App, given: TryConnection) -> ConnectionTest:
    """Never raises for what is wrong with the connection: the failing step says it."""
    url = app.settings.text("DATABASE_URL")
    steps, failure = Steps(*STEPS, masked=lambda text: server.masked(steps.found[ADDRESS], text)), None
    steps.found[ADDRESS] = url
    try:
        _connect(app, url, steps)
    except Broken as broken:
        failure = broken
    runs, address = _where(app, steps.found[ADDRESS])
    return ConnectionTest(
        ok=failure is None,
        runs=runs,
        address=address,
        steps=steps.all(),
        cause=failure.cause if failure else None,
        help=failure.help if failure else None,
    )


def _connect(app: App, url: str, steps: Steps) -> None:
    """Raises Broken at the first step that fails."""

    def find() -> tuple[str, tuple[str, list[tuple[object, ...]]]]:
        conninfo = url
        if not url:
            app.ensure_project()
            conninfo = server.ensure(app.project, app.settings)
        found = [address for host, port in store.targets(conninfo) if host for address in store.resolve(host, port)]
        return (", ".join(str(one[4]) for one in found) or "the driver's default"), (conninfo, found)

    if url:
        unknown = ("the address in DATABASE_URL leads nowhere", "nself env get DATABASE_URL")
        silent = ("nothing listens there, or a firewall is in between", "nself env get DATABASE_URL")
    else:
        unknown = silent = ("the embedded server does not run", "nself start postgres")
    steps.found[ADDRESS], addresses = steps.take(find, lambda _: unknown)
    if addresses:
        steps.take(lambda: (store.reach(addresses), None), lambda _: silent)
    else:
        steps.take(lambda: ("left to the driver", None), lambda _: silent)
    with ExitStack() as stack:

        def open_session() -> tuple[str, Tx]:
            return "a session was granted", stack.enter_context(store.session(steps.found[ADDRESS]))

        _ask(steps.take(open_session, _cause), steps)


def _ask(tx: Tx, steps: Steps) -> None:
    def question() -> tuple[str, None]:
        return f"PostgreSQL {store.place(tx).version}", None

    def schema() -> tuple[str, None]:
        applied = migrate(steps.found[ADDRESS])
        now = f", {len(applied)} of them now" if applied else ""
        return f"{len(store.migrations(tx))} migrations{now}", None

    steps.take(question, _cause)
    steps.take(schema, lambda _: ("the schema was made by another version of nself", "nself db status"))


def _cause(error: Exception) -> tuple[str, str]:
    return rules.cause(str(error))


# ---- query ----


def query(app: App, given: Query) -> Rows[dict[str, Any]] | list[DoneStatement]:
    """The rows of the last statement that has any, else what each did.

    All statements stand in one transaction. Raises WriteNeeded, ConfirmationNeeded, StatementRefused,
    TruncateRefused, QueryFailed, QueryTimedOut, DatabaseUnavailable.
    """
    statements = rules.split(given.sql)
    confirmed = given.confirm and bool(given.reason)
    writable = rules.writes(statements, write=given.write, live=app.settings.live, confirmed=confirmed)
    try:
        with app.db.transaction() as tx:
            if not writable:
                store.make_read_only(tx)
            step = _run if writable else store.read
            outcomes = [step(tx, statement, given.limit) for statement in statements]
    except store.Refused as refused:
        raise _refusal(app, given.sql, refused, writable) from refused
    if writable:
        log.warning("db_query_write", sql=given.sql, reason=given.reason, rows=[one.touched for one in outcomes])
    return _answer(outcomes, given.limit)


def _run(tx: Tx, statement: Statement, limit: int) -> Outcome:
    """A plain index that stands already is not made again, so that the statement can be repeated."""
    index = rules.plain_index(statement)
    if index and store.has_index(tx, index):
        return Outcome(f"CREATE INDEX {index.name}: it stands already", 0, [], None)
    return store.run(tx, statement, limit)


def _refusal(app: App, sql: str, refused: store.Refused, writable: bool) -> BillingError:
    if refused.sqlstate in store.ONLY_READS and not writable:
        return WriteNeeded(detail=refused)
    if refused.sqlstate == store.CANCELLED:
        return QueryTimedOut(limit=app.settings.text("DB_QUERY_TIMEOUT"))
    if refused.sqlstate.startswith(("08", "57P")):
        return DatabaseUnavailable(detail=refused)
    place = rules.point(sql, refused.place) if refused.place is not None else ""
    return QueryFailed(detail=f"{refused}{place}")


def _answer(outcomes: list[Outcome], limit: int) -> Rows[dict[str, Any]] | list[DoneStatement]:
    last = next((one for one in reversed(outcomes) if one.rows is not None), None)
    if last is None:
        return [DoneStatement(statement=one.tag, rows=one.touched) for one in outcomes]
    notes = [f"{one.tag}: {one.touched} rows" for one in outcomes if one is not last or one.tag not in READS]
    if last.more:
        notes.append(f"only the first {limit} rows are shown: --limit {limit * 10} shows more")
    names = rules.distinct(last.columns)
    return Rows([dict(zip(names, row, strict=True)) for row in last.rows or ()], notes)


# ---- empty ----


def refuse_live_rows(app: App) -> None:
    """Raises LiveRowsHere where any row is of live mode."""
    with app.db.snapshot() as tx:
        _refuse_live_rows(tx, store.tables(tx))


def _refuse_live_rows(tx: Tx, tables: Sequence[StoredTable]) -> None:
    for table in store.with_live_rows(tx, tables):
        raise LiveRowsHere(table=table.name)


def empty(app: App, keep: Collection[str]) -> list[str]:
    """Forget all data but the tables `keep`; the names of those that held any. Test mode only, for the sandbox.

    Raises LiveRowsHere where any row is of live mode.
    """

    def work(tx: Tx) -> list[str]:
        found = store.tables(tx)
        _refuse_live_rows(tx, found)
        filled = store.filled(tx, [one for one in found if one.name not in keep])
        if filled:
            store.empty(tx, filled)
        return [one.name for one in filled]

    return app.db.transact(work)
