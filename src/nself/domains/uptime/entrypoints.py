"""Ways into uptime."""

from nself.core.entrypoint import Command, Row

ROWS: tuple[Row, ...] = (
    Command(
        path="billing uptime",
        use="uptime.service.show:show",
        input="uptime.inputs:ShowUptime",
        help="Show since when services and the database run, when they did not, why, and what usage was refused.",
        example='nself billing uptime --start "2026-01-01"',
    ),
)
