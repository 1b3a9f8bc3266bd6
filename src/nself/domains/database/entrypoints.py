"""Ways into the database: `nself db …`."""

from nself.core.entrypoint import Causes, Command, Row

ROWS: tuple[Row, ...] = (
    Command(
        path="db status",
        use="database.service:status",
        input="database.inputs:ShowStatus",
        help="Tell where the database runs, its size, connections, migrations and uptime.",
        example="nself db status",
    ),
    Command(
        path="db ping",
        use="database.service:ping",
        input="database.inputs:Ping",
        help="Ask the database one trivial question and tell how long the answer took.",
        example="nself db ping",
    ),
    Command(
        path="db test-connection",
        use="database.service:try_connection",
        input="database.inputs:TryConnection",
        help="Try each step to the database in turn; the failing one tells its cause and what helps.",
        example="nself db test-connection",
        check="ok",
    ),
    Command(
        path="db query",
        use="database.service:query",
        input="database.inputs:Query",
        help="Run SQL, bounded in time and rows: read-only, enforced by the server, unless --write; in test mode "
        "INSERT, UPDATE and DELETE with WHERE, and CREATE INDEX, need no --write.",
        example='nself db query "SELECT count(*) FROM billing_usage"',
        audited=True,
    ),
    Causes(use="database.service.causes:CAUSES"),
)
