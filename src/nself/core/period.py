"""Half-open billing periods `[start, end)`; BILLING_TIMEZONE decides only where they begin."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from nself.core.errors import InvalidParameter
from nself.core.settings import seconds

DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
WRITTEN = re.compile(
    r"\d{4}-?\d\d-?\d\d((T\d\d|t\d\d| \d\d(?=:))(:?\d\d(:?\d\d([.,]\d+)?)?)?\s?([Zz]|[+-]\d\d(:?\d\d(:?\d\d)?)?)?)?"
)
Unit = Literal["hour", "day", "week", "month", "year"]
UNITS: dict[str, Unit] = {
    "hour": "hour", "hourly": "hour", "day": "day", "daily": "day", "week": "week", "weekly": "week",
    "month": "month", "monthly": "month", "year": "year", "yearly": "year",
}  # fmt: skip


class Period(NamedTuple):
    """Instants in UTC; `end` is the first one outside."""

    start: datetime
    end: datetime


def duration(text: str, param: str) -> float:
    """`30d`, `12h`, `90m` in seconds, as somebody gave it. Raises InvalidParameter."""
    try:
        return seconds(text)
    except ValueError as error:
        raise InvalidParameter(f"Invalid {param}: {text[:40]} ({error})", param) from None


def zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise InvalidParameter(f"No such time zone: {name} (for example Europe/Berlin)", "BILLING_TIMEZONE") from None


def _midnight(day: date, tz: ZoneInfo) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=tz).astimezone(UTC)


def _next_month(day: date) -> date:
    return date(day.year + day.month // 12, day.month % 12 + 1, 1)


def containing(at: datetime, unit: Unit, tz: ZoneInfo) -> Period:
    """The calendar period of `unit` that holds the instant `at`."""
    if unit == "hour":
        start = at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        return Period(start, start + timedelta(hours=1))
    day = at.astimezone(tz).date()
    first, after = {
        "day": (day, day + timedelta(days=1)),
        "week": (day - timedelta(days=day.weekday()), day - timedelta(days=day.weekday()) + timedelta(days=7)),
        "month": (day.replace(day=1), _next_month(day)),
        "year": (date(day.year, 1, 1), date(day.year + 1, 1, 1)),
    }[unit]
    return Period(_midnight(first, tz), _midnight(after, tz))


def month(text: str, tz: ZoneInfo, param: str = "period") -> Period:
    """The month written `2026-01`."""
    found = re.fullmatch(r"(\d{4})-(0[1-9]|1[0-2])", text, re.ASCII)
    if not found or not 1970 <= int(found[1]) < 9999:
        raise InvalidParameter(f"Invalid period: {text[:40]} (a month is written 2026-01)", param)
    first = date(int(found[1]), int(found[2]), 1)
    return Period(_midnight(first, tz), _midnight(_next_month(first), tz))


def months(first: datetime, last: datetime, tz: ZoneInfo) -> list[Period]:
    """All months from that of `first` to that of `last`."""
    found = [containing(first, "month", tz)]
    while found[-1].end <= last:
        found.append(containing(found[-1].end, "month", tz))
    return found


def instant(text: str, tz: ZoneInfo, param: str = "at", *, end: bool = False) -> datetime:
    """Read `2026-01-15`, `2026-01-15 10:00:00` or RFC 3339; without a zone it is in `tz`.

    A bare date given as an `end` means through the end of that day.
    """
    try:
        if not WRITTEN.fullmatch(text):  # fromisoformat minds neither a NUL at the end nor an hour like 2026
            raise ValueError
        if len(text) == 10 and DATE.fullmatch(text):
            day = date.fromisoformat(text)
            return _midnight(day + timedelta(days=1) if end else day, tz)
        at = datetime.fromisoformat(text)
        return at if at.tzinfo is UTC else (at if at.tzinfo else at.replace(tzinfo=tz)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidParameter(
            f"Invalid date: {text[:40]} (write 2026-01-15, 2026-01-15 10:00:00 or 2026-01-15T10:00:00Z)", param
        ) from None


def since(text: str, now: datetime, tz: ZoneInfo, param: str = "since") -> datetime:
    """How far back: a duration before `now`, a date or a time. Raises InvalidParameter."""
    try:
        return now - timedelta(seconds=seconds(text))
    except OverflowError:
        raise InvalidParameter(f"Invalid {param}: {text[:40]} is too long ago", param) from None
    except ValueError:
        pass
    try:
        return instant(text, tz, param)
    except InvalidParameter:
        raise InvalidParameter(
            f'Invalid {param}: {text[:40]} (write 24h, 7d, 2026-01-15, "2026-01-15 10:00:00" or 2026-01-15T10:00:00Z)',
            param,
        ) from None
