"""Ways to find out why the database is slow, and what helps."""

from nself.core.entrypoint import Causes, Command, Row

ROWS: tuple[Row, ...] = (
    Causes(use="tuning.service.causes:CAUSES"),
    Command(
        path="db slow-queries",
        use="tuning.service.statements:slow_queries",
        input="tuning.inputs:ListSlowStatements",
        help="Show which statements took the most time, and what runs or waits right now and for whom.",
        example="nself db slow-queries --min-time 1s",
    ),
    Command(
        path="db explain",
        use="tuning.service.explain:explain",
        input="tuning.inputs:ExplainStatement",
        help="Show how PostgreSQL would run a statement, and say in words what is slow about it. Runs it only with --analyze.",
        example="nself db explain \"SELECT * FROM billing_usage WHERE user_id = 'user123'\"",
    ),
    Command(
        path="db missing-indexes",
        use="tuning.service.advise:missing_indexes",
        input="tuning.inputs:FindMissingIndexes",
        help="Find indexes that are missing, broken, double or unused, from the server's statistics and plans, each with its command.",
        example="nself db missing-indexes",
    ),
    Command(
        path="db add-index",
        use="tuning.service.indexes:add_index",
        input="tuning.inputs:AddIndex",
        help="Make an index without keeping anybody from writing; can be repeated, also after a kill.",
        example='nself db add-index billing_usage --columns "user_id,created_at" --name idx_usage_user_date',
        audited=True,
    ),
    Command(
        path="db drop-index",
        use="tuning.service.indexes:drop_index",
        input="tuning.inputs:DropIndex",
        help="Remove an index that was added by hand; those that the product needs are refused.",
        example="nself db drop-index idx_usage_user_date",
        audited=True,
    ),
    Command(
        path="db vacuum",
        use="tuning.service.upkeep:vacuum",
        input="tuning.inputs:VacuumTables",
        help="Free the place of deleted rows for new ones, without keeping anybody from writing, and tell what it did.",
        example="nself db vacuum billing_usage",
    ),
    Command(
        path="db analyze",
        use="tuning.service.upkeep:analyze",
        input="tuning.inputs:AnalyzeTables",
        help="Let the planner look at tables anew.",
        example="nself db analyze billing_usage",
    ),
)
