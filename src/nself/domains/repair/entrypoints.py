"""Ways into repair. What they change is tried first and told; --execute does it."""

from nself.core.entrypoint import Causes, Command, Row

ROWS: tuple[Row, ...] = (
    Command(
        path="billing usage explain",
        use="repair.service.explain:explain",
        input="repair.inputs:ExplainEvent",
        help="Tell where one event went: its rollup, the invoice that bills it, or why it does not count.",
        example="nself billing usage explain --key order-17",
    ),
    Command(
        path="billing usage deduplicate",
        use="repair.service.adjust:deduplicate",
        input="repair.inputs:DeduplicateUsage",
        help="Find events that repeat another one, and count them no longer.",
        example="nself billing usage deduplicate --user user123 --start 2026-01-01 --end 2026-01-31",
        audited=True,
    ),
    Command(
        path="billing usage recalculate",
        use="repair.service.recalculate:recalculate",
        input="repair.inputs:RecalculateUsage",
        help="Compare each rollup with its events, and make it anew where it differs; quota counters too.",
        example="nself billing usage recalculate --user user123 --month 2026-01",
        audited=True,
    ),
    Command(
        path="billing usage void",
        use="repair.service.adjust:void",
        input="repair.inputs:VoidEvent",
        help="Count one event no longer; it stays stored, with who decided it and why.",
        example="nself billing usage void --user user123 --key order-17 --reason 'sent by a test' --execute",
        audited=True,
    ),
    Command(
        path="billing usage correct",
        use="repair.service.adjust:correct",
        input="repair.inputs:CorrectEvent",
        help="Count one event with another value; what was recorded stays stored.",
        example="nself billing usage correct --user user123 --key order-17 --value 3 --reason 'wrong unit' --execute",
        audited=True,
    ),
    Command(
        path="billing usage rejected replay",
        use="repair.service.replay:replay",
        input="repair.inputs:ReplayRejected",
        help="Count events that were rejected, once the cause is mended; what is still refused stays.",
        example="nself billing usage rejected replay --code no_such_user --execute",
        audited=True,
    ),
    Causes(use="repair.service.causes:CAUSES"),
)
