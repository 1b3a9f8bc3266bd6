"""How PostgreSQL would run a statement, in words."""

from __future__ import annotations

from nself.app import App
from nself.core.errors import InvalidParameter
from nself.db.connect import DatabaseUnavailable, Tx
from nself.domains.database import rules as database
from nself.domains.database.model import QueryFailed, QueryTimedOut, Statement
from nself.domains.tuning import rules, store
from nself.domains.tuning.inputs import ExplainStatement
from nself.domains.tuning.model import Explanation, OnlyReadsAnalyzed

LEAST_ROWS = 1000


def explain(app: App, given: ExplainStatement) -> Explanation:
    """Nothing is run unless `analyze`, and then only what the server lets read.

    Raises InvalidParameter, OnlyReadsAnalyzed, QueryFailed, QueryTimedOut, DatabaseUnavailable.
    """
    statement = _one(given.sql)
    if given.analyze and not statement.reads:
        raise OnlyReadsAnalyzed(detail=f"{statement.kind} writes")
    try:
        with app.db.transaction() as tx:
            return _explanation(tx, statement, given.analyze)
    except store.Refused as refused:
        raise _refusal(app, refused, given.analyze) from refused


def _one(sql: str) -> Statement:
    statements = database.split(sql)
    if len(statements) > 1:
        raise InvalidParameter("One statement is explained at a time", "sql")
    if not rules.plannable(statements[0].text):
        raise InvalidParameter("SELECT, INSERT, UPDATE, DELETE or MERGE is needed, without EXPLAIN before it", "sql")
    return statements[0]


def _explanation(tx: Tx, statement: Statement, analyze: bool) -> Explanation:
    tables, indexes = store.tables(tx), store.indexes(tx)
    columns = {table.name: store.columns(tx, table.oid) for table in tables}
    store.reading(tx)
    if statement.reads:
        store.as_reader(tx)
    found = store.plan(tx, statement.text, analyze)
    plan = found["Plan"]
    said, help = rules.findings(plan, tables, columns, indexes, LEAST_ROWS)
    took = found.get("Execution Time")
    return Explanation(
        findings=said,
        help=help,
        plan=rules.lines(plan),
        rows=plan["Plan Rows"],
        cost=plan["Total Cost"],
        milliseconds=None if took is None else round(took, 3),
    )


def _refusal(app: App, refused: store.Refused, analyze: bool) -> Exception:
    if analyze and refused.sqlstate in store.ONLY_READS:
        return OnlyReadsAnalyzed(detail=refused)
    if refused.sqlstate == store.CANCELLED:
        return QueryTimedOut(limit=app.settings.text("DB_QUERY_TIMEOUT"))
    if refused.sqlstate.startswith(("08", "57P")):
        return DatabaseUnavailable(detail=refused)
    return QueryFailed(detail=refused)
