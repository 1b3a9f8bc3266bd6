"""Pure: which silences are too long for a user's rhythm, and which events of a log are stored already."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from nself.core.period import Period
from nself.domains.gap.model import Entry, Hour, Minute, Silence
from nself.domains.uptime.rules import within

SCALES = (1, 5, 15, 60)
"""Minutes: the first at which a user, while active, is hardly ever silent is that user's beat."""
STEADY = (9, 10)
WEEKLY = timedelta(days=28)
"""With so much history each hour of the week has its own rhythm; with less only those of work days and weekends."""
RARE, LIKELY = 0.001, 0.5
"""A silence that comes less often than this is a gap; where something is known to have been wrong, this."""
TOLERANCE = 1
"""Seconds by which a log and the database may differ about an event: a log's time is cut to the second."""
HOUR = timedelta(hours=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def floor(at: datetime, size: timedelta) -> datetime:
    return at - (at - EPOCH) % size


def hours_of(span: Period) -> Iterator[Period]:
    """The UTC hours that `span` touches, each cut to what lies in it."""
    hour = floor(span.start, HOUR)
    while hour < span.end:
        yield Period(max(hour, span.start), min(hour + HOUR, span.end))
        hour += HOUR


class Rhythm:
    """How often a user has events of one metric, hour by hour, at the user's own beat.

    Hours of the week, in `tz`, are compared with each other. Time is cut into beats (1, 5, 15 or 60 minutes); an
    hour's share of beats with an event is the likelihood of one.
    """

    def __init__(self, minutes: Sequence[Minute], end: datetime, tz: ZoneInfo) -> None:
        """`minutes` of one metric, in order, at least one; `end` is where the history ends."""
        self.tz = tz
        start = floor(minutes[0].at, HOUR)
        self.days = (end - start) // timedelta(days=1)
        self.weekly = end - start >= WEEKLY
        self.beat = timedelta(minutes=_beat(minutes))
        self.hours, self.active, self.events = Counter[int](), Counter[int](), Counter[int]()
        whole = floor(end, HOUR)
        for hour in hours_of(Period(start, whole)):
            self.hours[self.slot(hour.start)] += 1
        for beat in {floor(one.at, self.beat) for one in minutes if one.at < whole}:
            self.active[self.slot(beat)] += 1
        for one in minutes:
            self.events[self.slot(one.at)] += one.events if one.at < whole else 0

    def slot(self, at: datetime) -> int:
        local = at.astimezone(self.tz)
        day = local.weekday() if self.weekly else local.weekday() // 5
        return 24 * day + local.hour

    def _others(self, silence: Period) -> Counter[int]:
        """Hours of each slot, without those that `silence` fills: a silence is no evidence for itself.

        The hour with which it begins has the event before it.
        """
        filled = Counter(
            self.slot(hour.start)
            for hour in hours_of(silence)
            if hour.start > silence.start and hour.end - hour.start == HOUR
        )
        return self.hours - filled

    def chance(self, part: Period, silence: Period) -> float:
        """How likely no event is in `part` of `silence`. The fewer hours are known, the less is sure."""
        others, chance, per_hour = self._others(silence), 1.0, HOUR // self.beat
        for slot, beats in self._beats(part):
            chance *= (1 - self.active[slot] / ((others[slot] + 1) * per_hour)) ** beats if others[slot] else 1
        return chance

    def expected(self, silence: Period) -> int:
        """About how many events are usual in such a time."""
        others, per_hour = self._others(silence), HOUR // self.beat
        found = sum(
            beats * self.events[slot] / (others[slot] * per_hour)
            for slot, beats in self._beats(silence)
            if others[slot]
        )
        return round(found)

    def _beats(self, span: Period) -> Iterator[tuple[int, int]]:
        """Whole beats in `span`, by slot, behind that of the event with which it begins."""
        whole = Period(floor(span.start, self.beat) + self.beat, floor(span.end, self.beat))
        for hour in hours_of(whole):
            yield self.slot(hour.start), (hour.end - hour.start) // self.beat


def _beat(minutes: Sequence[Minute]) -> int:
    hours = len({floor(one.at, HOUR) for one in minutes})
    for size in SCALES[:-1]:
        active = len({floor(one.at, timedelta(minutes=size)) for one in minutes})
        if active * size * STEADY[1] >= hours * 60 * STEADY[0]:
            return size
    return SCALES[-1]


def silences(
    minutes: Sequence[Minute], span: Period, tz: ZoneInfo, known: Iterable[Period]
) -> tuple[list[Silence], str]:
    """Those that reach into `span` and are too long, and the rhythm in words.

    `minutes` of one metric, in order, from long before `span` to its end; `known` are times at which something was wrong.
    """
    if not minutes:
        return [], ""
    rhythm, wrong = Rhythm(minutes, span.end, tz), list(known)
    found: list[Silence] = []
    for quiet in _quiet(minutes, span):
        chance = rhythm.chance(quiet, quiet)
        if chance < RARE or any(rhythm.chance(part, quiet) < LIKELY for part in within(wrong, quiet)):
            found.append(Silence(quiet, rhythm.expected(quiet), chance))
    return found, f"{rhythm.days} days in steps of {rhythm.beat // timedelta(minutes=1)} min"


def _quiet(minutes: Sequence[Minute], span: Period) -> Iterator[Period]:
    """Times between two events, and after the last, that reach into `span`."""
    after = [one.first_at for one in minutes[1:]] + [span.end]
    for one, end in zip(minutes, after, strict=True):
        if end > span.start and one.last_at < min(end, span.end):
            yield Period(one.last_at, end)


def odds(chance: float) -> str:
    return f"1 in {round(1 / chance)}" if chance > 1e-6 else "less than 1 in a million"


def length(span: Period) -> str:
    """`2d03h`, `5h07m`, `12m`."""
    minutes = (span.end - span.start) // timedelta(minutes=1)
    days, hours = minutes // 1440, minutes // 60 % 24
    if days:
        return f"{days}d{hours:02}h"
    return f"{hours}h{minutes % 60:02}m" if hours else f"{minutes}m"


# From logs


def unmatched(entries: Sequence[Entry], stored: Iterable[Entry]) -> list[int]:
    """Which of `entries` have no counterpart in `stored`, one for each: of the same key, else the same metric and value
    at the same second (TOLERANCE). As many as possible are matched, so that nothing is counted twice.
    """
    by_key = {one.key: one for one in stored}
    rest: defaultdict[tuple[str, int], list[int]] = defaultdict(list)
    seen: set[str] = set()
    open_ones: list[int] = []
    for at, one in enumerate(entries):
        if by_key.pop(one.key, None) is None and one.key not in seen:
            open_ones.append(at)
        seen.add(one.key)
    for one in by_key.values():
        rest[one.metric, one.value].append(one.second)
    for times in rest.values():
        times.sort(reverse=True)
    return sorted(at for at in sorted(open_ones, key=lambda at: entries[at].second) if not _taken(entries[at], rest))


def _taken(one: Entry, rest: dict[tuple[str, int], list[int]]) -> bool:
    """Whether a stored event can be this one; the earliest is used up. Called in order of time."""
    times = rest.get((one.metric, one.value), [])
    while times and times[-1] < one.second - TOLERANCE:
        times.pop()
    if times and times[-1] <= one.second + TOLERANCE:
        times.pop()
        return True
    return False


def by_hour(logged: Iterable[Entry], stored: Iterable[Entry], missing: Sequence[Entry]) -> list[Hour]:
    """One row an hour and metric."""
    in_log, there, gone = (Counter(_place(one) for one in some) for some in (logged, stored, missing))
    values = Counter[tuple[int, str]]()
    for one in missing:
        values[_place(one)] += one.value
    return [
        Hour(
            hour=EPOCH + place[0] * HOUR,
            metric=place[1],
            in_log=in_log[place],
            stored=there[place],
            missing=gone[place],
            missing_value=values[place],
        )
        for place in sorted({*in_log, *there})
    ]


def _place(one: Entry) -> tuple[int, str]:
    return one.second // 3600, one.metric
