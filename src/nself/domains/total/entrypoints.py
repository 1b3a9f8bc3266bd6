"""Ways into the usage of all users."""

from nself.core.entrypoint import Command, Route, Row, Scheduled

ROWS: tuple[Row, ...] = (
    Command(
        path="billing usage totals",
        use="total.service:show",
        input="total.inputs:ShowTotals",
        help="Show the usage of all users in a period: by hour or day exact to the last event, by user or dimension as last counted.",
        example="nself billing usage totals --period 2026-01 --by day",
    ),
    Route(
        method="GET",
        path="/api/v1/usage/totals",
        use="total.service:show",
        input="total.inputs:ShowTotals",
        scope="usage:read",
        help="Usage of all users together, by metric; by hour, day, user or dimension with `by`. Not for keys of one user.",
        example='{"by": "user", "limit": 20}',
    ),
    Scheduled(
        type="usage_totals",
        use="total.service:mend",
        every="24h",
        help="Puts the hours of all users right where rollups were changed by another hand.",
        long=True,
    ),
    Scheduled(
        type="usage_shares",
        use="total.service:scheduled",
        every="1h",
        help="Counts who used most, and what by which dimension, in months whose usage changed.",
        long=True,
    ),
)
