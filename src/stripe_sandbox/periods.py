"""Billing periods. A month that has no such day takes its last one; the anchor's day comes back afterwards.

All arithmetic is in UTC, so a change to daylight saving time never shifts an instant.
"""

import calendar
from datetime import UTC, datetime

_SECONDS = {"day": 86_400, "week": 7 * 86_400}
_MONTHS = {"month": 1, "year": 12}


def boundary(anchor: int, interval: str, count: int, number: int) -> int:
    """Where period `number` starts, counted from the anchor's own, which is 0; earlier ones are negative."""
    if interval in _SECONDS:
        return anchor + _SECONDS[interval] * count * number
    start = datetime.fromtimestamp(anchor, UTC)
    months = start.month - 1 + _MONTHS[interval] * count * number
    year, month = start.year + months // 12, months % 12 + 1
    day = min(start.day, calendar.monthrange(year, month)[1])
    return int(start.replace(year=year, month=month, day=day).timestamp())


def period_end(anchor: int, interval: str, count: int) -> int:
    """The end of the first period that starts at the anchor."""
    return boundary(anchor, interval, count, 1)


def period_around(anchor: int, interval: str, count: int, at: int) -> tuple[int, int]:
    """The period in which an instant lies: start <= at < end."""
    if interval in _SECONDS:
        number = (at - anchor) // (_SECONDS[interval] * count)
    else:
        first, now = datetime.fromtimestamp(anchor, UTC), datetime.fromtimestamp(at, UTC)
        months = (now.year - first.year) * 12 + now.month - first.month
        number = months // (_MONTHS[interval] * count)
        # The month fits, its day may not have come yet.
        number -= boundary(anchor, interval, count, number) > at
    return boundary(anchor, interval, count, number), boundary(anchor, interval, count, number + 1)


def day(at: int) -> str:
    """`01 Feb 2026`, as Stripe's descriptions print an instant."""
    return datetime.fromtimestamp(at, UTC).strftime("%d %b %Y")
