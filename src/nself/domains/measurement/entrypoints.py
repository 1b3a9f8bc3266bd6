"""Ways into measurements."""

from nself.core.entrypoint import Row, Scheduled

ROWS: tuple[Row, ...] = (
    Scheduled(
        type="measurements",
        use="measurement.service:widen",
        every="1h",
        help="Keep what was measured by minute for two days, by hour for ninety",
    ),
)
