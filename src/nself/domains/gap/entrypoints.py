"""Ways into gaps in usage: where they are, and what fills them."""

from nself.core.entrypoint import Causes, Command, Row

ROWS: tuple[Row, ...] = (
    Command(
        path="billing usage find-gaps",
        use="gap.service.find:find",
        input="gap.inputs:FindGaps",
        help="Find times in which a user has less usage than is usual for the user, with the cause where it is known.",
        example='nself billing usage find-gaps --user user123 --start "2026-01-01" --end "2026-01-31"',
    ),
    Command(
        path="billing usage reconstruct",
        use="gap.service.reconstruct:reconstruct",
        input="gap.inputs:ReconstructUsage",
        help="Show, hour by hour, what logs know of a user's usage and the database does not; record it with --execute.",
        example="nself billing usage reconstruct --user user123 --from-logs --date 2026-01-15",
        audited=True,
    ),
    Causes(use="gap.service.causes:CAUSES"),
)
