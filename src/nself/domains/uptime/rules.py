"""Pure: from what processes told of themselves to times at which a service was there or not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from nself.core.period import Period
from nself.domains.uptime.model import DATABASE, STALE, Downtime, Interruption, Run
from nself.measure import BOUNDS, Measured

CAUSES = {
    "stopped": "stopped by nself stop",
    "restarted": "restarted by nself restart",
    "terminated": "ended by a signal: the supervisor or the machine was shut down",
    "killed": "killed or crashed: it told no end",
    "machine": "the machine went down: it has booted since",
    "frozen": "the process was not run: the machine was paused or overloaded",
    "unknown": "no sign of life, and nobody has told why",
}


def union(spans: Iterable[Period]) -> list[Period]:
    """The same instants in order, without overlap."""
    found: list[Period] = []
    for span in sorted(one for one in spans if one.start < one.end):
        if found and span.start <= found[-1].end:
            found[-1] = Period(found[-1].start, max(found[-1].end, span.end))
        else:
            found.append(span)
    return found


def minus(spans: Iterable[Period], holes: Iterable[Period]) -> list[Period]:
    """The instants of `spans` that are in none of `holes`."""
    left, taken = union(spans), union(holes)
    for hole in taken:
        parts: list[Period] = []
        for one in left:
            parts += [Period(one.start, min(one.end, hole.start)), Period(max(one.start, hole.end), one.end)]
        left = [part for part in parts if part.start < part.end]
    return left


def within(spans: Iterable[Period], frame: Period) -> list[Period]:
    """The parts of `spans` in `frame`."""
    clipped = (Period(max(one.start, frame.start), min(one.end, frame.end)) for one in spans)
    return [one for one in clipped if one.start < one.end]


def alive(run: Run, now: datetime) -> bool:
    return run.ended is None and now - run.last_seen_at <= STALE


def lived(run: Run, now: datetime) -> Period:
    """From its start to its last sign of life; a living one lives now."""
    return Period(run.started_at, max(now, run.last_seen_at) if alive(run, now) else run.last_seen_at)


def _spans(found: Iterable[Interruption]) -> list[Period]:
    return [Period(one.began_at, one.ended_at) for one in found]


def up(runs: Sequence[Run], interruptions: Sequence[Interruption], now: datetime) -> list[Period]:
    """When at least one of `runs` was at work."""
    spans: list[Period] = []
    for run in runs:
        spans += minus(
            [lived(run, now)], _spans(one for one in interruptions if (one.run, one.kind) == (run.run, "frozen"))
        )
    return union(spans)


def reached(runs: Sequence[Run], interruptions: Sequence[Interruption], now: datetime) -> list[Period]:
    """When at least one of `runs`, of any service, had the database's answer."""
    spans: list[Period] = []
    for run in runs:
        spans += minus([lived(run, now)], _spans(one for one in interruptions if one.run == run.run))
    return union(spans)


def watched(runs: Sequence[Run], frame: Period, now: datetime) -> Period | None:
    """The part of `frame` since the first of `runs`."""
    if not runs:
        return None
    found = Period(max(frame.start, min(run.started_at for run in runs)), min(frame.end, now))
    return found if found.start < found.end else None


def service_downtimes(
    service: str, runs: Sequence[Run], interruptions: Sequence[Interruption], frame: Period, now: datetime
) -> list[Downtime]:
    """When none of `runs`, all of `service`, was at work, in `frame` and since the first of them."""
    known = watched(runs, frame, now)
    away = minus([known], up(runs, interruptions, now)) if known else []
    return [_downtime(service, span, *_why(span, runs, interruptions)) for span in away]


def _why(span: Period, runs: Sequence[Run], interruptions: Sequence[Interruption]) -> tuple[str, str]:
    """Cause and detail of a downtime that begins with `span`: whoever was there last tells it."""
    ids = {run.run for run in runs}
    frozen = [one for one in interruptions if one.kind == "frozen" and one.run in ids]
    if any(one.began_at <= span.start < one.ended_at for one in frozen):
        return "frozen", CAUSES["frozen"]
    before = [run for run in runs if run.last_seen_at <= span.start]
    last = max(before, key=lambda run: run.last_seen_at, default=None)
    cause = (last.ended if last else None) or "unknown"
    return cause, f"{CAUSES[cause]} (process {last.pid})" if last else CAUSES[cause]


def database_downtimes(
    runs: Sequence[Run], interruptions: Sequence[Interruption], frame: Period, now: datetime
) -> list[Downtime]:
    """When services were there and none of them had the database's answer."""
    away = minus(within(up(runs, interruptions, now), frame), reached(runs, interruptions, now))
    return [_database_downtime(span, interruptions) for span in away]


def _database_downtime(span: Period, interruptions: Sequence[Interruption]) -> Downtime:
    told = [
        one for one in interruptions if one.kind == "database" and one.began_at < span.end and one.ended_at > span.start
    ]
    last = max(told, key=lambda one: one.ended_at)
    buffered = max(one.buffered for one in told)
    kept = f"; {buffered} events waited on disk" if buffered else ""
    return _downtime(DATABASE, span, "database", f"{last.detail}{kept}")


def _downtime(service: str, span: Period, cause: str, detail: str) -> Downtime:
    return Downtime(
        service=service, start=span.start, end=span.end, seconds=seconds([span]), cause=cause, detail=detail
    )


def seconds(spans: Iterable[Period]) -> int:
    """Begun seconds of all of `spans`."""
    return sum(-((one.start - one.end) // timedelta(seconds=1)) for one in spans)


def percent(part: timedelta, whole: timedelta) -> str:
    """`99.98%`, never rounded up to what it is not."""
    hundredths = part * 10_000 // whole if whole else 10_000
    return f"{hundredths // 100}.{hundredths % 100:02}%"


def longest(counted: Iterable[Measured]) -> tuple[str, float]:
    """What took longest of all that was counted, without its outcome, and its seconds, to the next bound."""
    found = [(_most_seconds(one), " ".join((one.name, *one.labels[:-1]))) for one in counted if one.count]
    seconds, name = max(found, default=(0.0, ""))
    return name, seconds


def _most_seconds(one: Measured) -> float:
    bounds = (*BOUNDS, BOUNDS[-1])
    return max((bound for bound, count in zip(bounds, one.counts, strict=True) if count), default=0.0)
