"""A slow, obvious model of quotas: lists of events, holds and resets, counted anew for each question."""

from __future__ import annotations

import functools
from datetime import datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

LEASE = timedelta(minutes=5)
FIGURES = {"calls": "sum", "logins": "count", "peak": "max"}


class Hold:
    def __init__(self, value: int, at: datetime, expires: datetime) -> None:
        self.value, self.at, self.expires = value, at, expires
        self.state = "held"
        self.settled = 0

    def alive(self, now: datetime) -> bool:
        return self.state == "held" and now < self.expires


class Asked(NamedTuple):
    used: int
    held: int
    allowed: bool


@functools.cache
def window(at: datetime, period: str, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """By wall clock, hour by hour of real time: shares nothing with the product's arithmetic."""
    if period == "hour":
        start = at.replace(minute=0, second=0, microsecond=0)
        return start, start + timedelta(hours=1)

    def name(instant: datetime) -> object:
        local = instant.astimezone(zone)
        return (local.year, local.month, local.day) if period == "day" else (local.year, local.month)

    step = timedelta(minutes=30)
    start = at.replace(minute=0 if at.minute < 30 else 30, second=0, microsecond=0)
    while name(start - step) == name(at):
        start -= step
    end = start + step
    while name(end) == name(at):
        end += step
    return start, end


class Model:
    """One user and metric with a hard limit."""

    def __init__(self, metric: str, limit: int, period: str, zone: ZoneInfo) -> None:
        self.metric, self.limit, self.period, self.zone = metric, limit, period, zone
        self.events: list[tuple[datetime, int]] = []
        self.holds: dict[str, Hold] = {}
        self.resets: list[datetime] = []
        self.blocked = False
        self.lent: tuple[int, datetime] = (0, datetime.min.replace(tzinfo=zone))

    def span(self, at: datetime) -> tuple[datetime, datetime]:
        start, end = window(at, self.period, self.zone)
        return max([start, *(one for one in self.resets if one < end)]), end

    def figure(self, values: list[int]) -> int:
        return {"sum": sum(values), "count": len(values), "max": max(values, default=0)}[FIGURES[self.metric]]

    def taken(self, value: int) -> int:
        return {"sum": value, "count": 1 if value else 0, "max": 0}[FIGURES[self.metric]]

    def state(self, now: datetime, at: datetime | None = None) -> tuple[int, int]:
        start, end = self.span(at or now)
        used = self.figure([value for moment, value in self.events if start <= moment < end])
        held = sum(self.taken(one.value) for one in self.holds.values() if one.alive(now) and start <= one.at < end)
        return used, held

    def most(self, now: datetime) -> int:
        extra, until = self.lent
        return self.limit + (extra if now < until else 0)

    def after(self, used: int, value: int) -> int:
        return {"sum": used + value, "count": used + bool(value), "max": max(used, value)}[FIGURES[self.metric]]

    def ask(self, now: datetime, value: int) -> Asked:
        used, held = self.state(now)
        fits = self.after(used, value) + held <= self.most(now)
        return Asked(used, held, fits and not self.blocked)

    def reserve(self, now: datetime, value: int, id: str) -> None:
        self.holds[id] = Hold(value, now, now + LEASE)

    def commit(self, now: datetime, id: str, value: int) -> str:
        """recorded, late, refused, repeated or settled"""
        hold = self.holds[id]
        if hold.state != "held":
            return "repeated" if hold.state == "committed" and hold.settled == value else "settled"
        late = now >= hold.expires
        start, end = self.span(hold.at)
        if value > hold.value and not late and start <= hold.at < end:
            used, held = self.state(now, hold.at)
            room = self.after(used, value) + held - self.taken(hold.value) <= self.most(now)
            if not room or self.blocked:
                return "refused"
        hold.state, hold.settled = "committed", value
        if value:
            self.events.append((hold.at, value))
        return "late" if late else "recorded"

    def release(self, id: str) -> str:
        hold = self.holds[id]
        if hold.state == "committed":
            return "settled"
        hold.state = "released"
        return "released"

    def unblock(self, now: datetime, extra: int) -> None:
        self.blocked = False
        used, held = self.state(now)
        if used + held >= self.limit:
            _, end = window(now, self.period, self.zone)
            self.lent = (used + held - self.limit + extra, min(end, now + timedelta(hours=24)))
