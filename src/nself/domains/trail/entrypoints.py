"""Ways into the audit log: who did what, in a chain that shows what was changed in it."""

from nself.core.entrypoint import Command, Row, Scheduled

ROWS: tuple[Row, ...] = (
    Command(
        path="billing audit log",
        use="trail.service:show_log",
        input="trail.inputs:ShowLog",
        help="List who did what that is privileged, newest first; with --verify find what was changed in the log.",
        example="nself billing audit log --since 24h",
    ),
    Scheduled(
        type="audit_log",
        use="trail.service:chain_waiting",
        every="1m",
        help="Takes entries of the audit log that waited for the database into the chain.",
    ),
)
