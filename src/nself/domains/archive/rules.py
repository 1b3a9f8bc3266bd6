"""Pure decisions of the archive: which months may go, what stays, what makes an archive whole."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import msgspec

from nself.core import period
from nself.core.errors import InvalidParameter
from nself.core.period import Period
from nself.domains.archive.model import COLUMNS, FORMAT, VERSION, Manifest, Metered, MonthCounts, Piece

Sums = dict[str, tuple[int, int]]
"""Events and sum of values by metric."""
MANIFEST = "manifest.json"
_encode = msgspec.json.Encoder().encode


def name(month: date) -> str:
    """`2024-12`."""
    return f"{month:%Y-%m}"


def first_of(at: datetime) -> date:
    """The UTC month of an instant, by its first day."""
    return at.astimezone(UTC).date().replace(day=1)


def after(month: date, count: int = 1) -> date:
    """The month `count` months later; earlier where it is negative."""
    at = month.year * 12 + month.month - 1 + count
    return date(at // 12, at % 12 + 1, 1)


def span(month: date) -> Period:
    """A month of the partitions, in UTC whatever BILLING_TIMEZONE says."""
    next = after(month)
    return Period(datetime(month.year, month.month, 1, tzinfo=UTC), datetime(next.year, next.month, 1, tzinfo=UTC))


def overlapping(given: Period) -> list[date]:
    """The UTC months of which `given` has a part."""
    found, month = list[date](), first_of(given.start)
    while span(month).start < given.end:
        found.append(month)
        month = after(month)
    return found


def before(text: str) -> date:
    """The first month that a `--before` leaves alone. Raises InvalidParameter."""
    try:
        return date.fromisoformat(text).replace(day=1)
    except ValueError:
        raise InvalidParameter(f"Invalid date: {text[:40]} (write 2025-01-01)", "before") from None


def given_day(day: str | None, month: str | None, tz: ZoneInfo) -> Period:
    """A day or a month of BILLING_TIMEZONE. Raises InvalidParameter."""
    if bool(day) == bool(month):
        raise InvalidParameter("Give --date, one day, or --month", "date")
    if month:
        return period.month(month, tz, "month")
    return Period(period.instant(day or "", tz, "date"), period.instant(day or "", tz, "date", end=True))


def obstacles(month: date, counts: MonthCounts, unbilled: Sequence[str], now: datetime, tz: ZoneInfo) -> list[str]:
    """Why a month's raw events must stay, each with the command that helps; none where they may go."""
    local_end = period.containing(span(month).end - timedelta(microseconds=1), "month", tz).end
    if max(local_end, span(month).end) > now:
        return ["the month is not over yet"]
    found: list[str] = []
    if counts.pending:
        found.append(f"{counts.pending} events are not folded into rollups yet: nself billing usage aggregate")
    stored, known = counts.raw_events + counts.away, counts.counted + counts.pending + counts.taken_out
    if stored != known:
        found.append(f"{stored} events are stored and {known} were counted or taken out: nself billing usage status")
    if unbilled:
        found.append(
            f"the overage of {len(unbilled)} users ({', '.join(unbilled[:3])}{', …' if len(unbilled) > 3 else ''}) is not invoiced:"
            f" nself billing invoice generate --period {name(month)}, or --uninvoiced"
        )
    return found


def edge_hours(month: date, tz: ZoneInfo) -> list[datetime]:
    """UTC hours of the month inside which a day of `tz` begins: their raw events are read, so they stay."""
    start, end = span(month)
    found, day = list[datetime](), period.containing(start, "day", tz)
    while day.start < end:
        hour = day.start.replace(minute=0, second=0, microsecond=0)
        if hour != day.start and hour >= start:
            found.append(hour)
        day = period.containing(day.end, "day", tz)
    return found


def added(parts: Iterable[Sums]) -> Sums:
    found: Sums = {}
    for part in parts:
        for metric, (events, total) in part.items():
            old = found.get(metric, (0, 0))
            found[metric] = (old[0] + events, old[1] + total)
    return found


def metered(sums: Sums) -> list[Metered]:
    return [Metered(metric=metric, events=sums[metric][0], total=Decimal(sums[metric][1])) for metric in sorted(sums)]


def sums_of(metrics: Iterable[Metered]) -> Sums:
    return {one.metric: (one.events, int(one.total)) for one in metrics}


def events_of(sums: Sums) -> int:
    return sum(events for events, _ in sums.values())


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def seal(manifest: Manifest) -> bytes:
    """The manifest's file: its JSON with its own checksum."""
    plain = msgspec.structs.replace(manifest, sha256="")
    return _encode(msgspec.structs.replace(plain, sha256=digest(_encode(plain))))


def unseal(data: bytes) -> Manifest:
    """The manifest in a file. Raises ValueError where it is none, is damaged or of another version."""
    found = msgspec.json.decode(data, type=Manifest)
    if digest(_encode(msgspec.structs.replace(found, sha256=""))) != found.sha256:
        raise ValueError("the manifest does not have its checksum")
    if (found.format, found.version, found.columns) != (FORMAT, VERSION, COLUMNS):
        raise ValueError(f"the format is {found.format} {found.version}, this program reads {FORMAT} {VERSION}")
    if found.events != events_of(added(sums_of(one.metrics) for one in found.objects)):
        raise ValueError("the manifest's objects do not add up")
    return found


def may_hold(piece: Piece, user: str | None) -> bool:
    """Whether the events of `user` can be in an object; they are sorted by the bytes of the user's name."""
    return user is None or piece.first_user.encode() <= user.encode() <= piece.last_user.encode()
