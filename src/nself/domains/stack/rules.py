"""Decides how services and log lines are shown. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from typing import cast

from nself.core.settings import seconds
from nself.domains.stack.model import Line, WrongTime

LEVELS = ("debug", "info", "warning", "error")
WORDS = {"RUNNING": "running", "STARTING": "starting", "STOPPING": "stopping", "STOPPED": "stopped",
         "BACKOFF": "failing", "EXITED": "failing", "FATAL": "failed"}  # fmt: skip
# What PostgreSQL calls severities, in our levels.
FOREIGN = {"LOG": "info", "NOTICE": "info", "INFO": "info", "WARNING": "warning", "ERROR": "error", "FATAL": "error",
           "PANIC": "error", "DEBUG": "debug"}  # fmt: skip
POSTGRES = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(\.\d+)? (?:UTC|GMT) \[\d+\] .*?\b([A-Z]+)\d?:  ")
NGINX = re.compile(r"(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) \[(\w+)\] ")
NGINX_LEVELS = {"debug": "debug", "info": "info", "notice": "info", "warn": "warning"}
ACCESS = re.compile(r"\S+ \S+ .*?\[(\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\] \"")
OWN_KEYS = frozenset({"time", "level", "service", "message", "traceback"})
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
PLAIN_VALUE = re.compile(r"[^\s\"=]+")
Filter = Callable[[Line], bool]
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)


def state_word(state: str | None, wanted: bool) -> str:
    """Supervisor's word in ours; `down`: should run, but nobody keeps it up."""
    if state is None:
        return "down" if wanted else "stopped"
    return WORDS.get(state, state.lower())


def uptime(elapsed: float) -> str:
    """`3d04h`, `2h05m`, `1m09s`, `7s`."""
    total = max(0, int(elapsed))
    days, hours, minutes = total // 86400, total // 3600 % 24, total // 60 % 60
    if days:
        return f"{days}d{hours:02}h"
    if hours:
        return f"{hours}h{minutes:02}m"
    return f"{minutes}m{total % 60:02}s" if minutes else f"{total}s"


def memory(size: int) -> str:
    return f"{size // 2**20} MB"


def instant(given: str, now: datetime, zone: tzinfo) -> datetime:
    """A point in time: ISO date or time (in `zone` unless it says another), or a duration before `now`."""
    text = given.strip()
    try:
        found = datetime.fromisoformat(text)
        return found if found.tzinfo else found.replace(tzinfo=zone)
    except ValueError:
        pass
    try:
        return now - timedelta(seconds=seconds(text.removesuffix("ago")))
    except (ValueError, OverflowError) as error:
        raise WrongTime(given=given) from error


def _time(text: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _value(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return (
        text
        if PLAIN_VALUE.fullmatch(text)
        else json.dumps(text, ensure_ascii=False)
        if isinstance(value, str)
        else text
    )


def _harmless(text: str) -> str:
    """Without what a terminal would obey."""
    return CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)


def _structured(fields: Mapping[str, object], service: str) -> Line | None:
    time = _time(fields.get("time"))
    if time is None or "message" not in fields:
        return None
    level = str(fields.get("level", "info")).lower()
    rest = " ".join(f"{key}={_value(value)}" for key, value in fields.items() if key not in OWN_KEYS)
    shown = time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
    head = _harmless(f"{shown} {level:<7} {fields.get('service', service)} {fields['message']} {rest}".rstrip())
    trace = str(fields.get("traceback") or "")
    return Line(time, level, "\n".join([head, *(f"    {_harmless(line)}" for line in trace.splitlines())]))


def fields_of(line: str) -> dict[str, object]:
    """A structured line's fields; empty for any other line."""
    try:
        found: object = json.loads(line) if line.startswith("{") else None
    except ValueError:
        return {}
    return cast("dict[str, object]", found) if isinstance(found, dict) else {}


def parse(raw: str, service: str) -> Line | str:
    """A line with its time, or the bare text of one that has none."""
    text = raw.rstrip("\r\n")
    fields = fields_of(text)
    if fields and (found := _structured(fields, service)):
        return found
    match = POSTGRES.match(text)
    if match:
        time = datetime.fromisoformat(match[1] + (match[2] or "")).replace(tzinfo=UTC)
        return Line(time, FOREIGN.get(match[3], ""), _harmless(text))
    return _of_nginx(text) or _harmless(text)


def _of_nginx(text: str) -> Line | None:
    """A line of its error log, whose time is the machine's own, or of an access log."""
    try:
        if match := NGINX.match(text):
            time = datetime.strptime(match[1], "%Y/%m/%d %H:%M:%S").astimezone()
            return Line(time, NGINX_LEVELS.get(match[2], "error"), _harmless(text))
        if match := ACCESS.match(text):
            return Line(datetime.strptime(match[1], "%d/%b/%Y:%H:%M:%S %z"), "info", _harmless(text))
    except ValueError:
        pass
    return None


def forwards(raws: Iterable[str], service: str, time: datetime = EARLIEST) -> Iterator[Line]:
    """Lines from old to new; one without a time has that of the line before it, at first `time`."""
    for raw in raws:
        found = parse(raw, service)
        line = found if isinstance(found, Line) else Line(time, "", found)
        time = line.time
        yield line


def backwards(raws: Iterable[str], service: str) -> Iterator[Line]:
    """Lines from new to old; what has no time waits for the line that stands before it."""
    held: list[str] = []
    for raw in raws:
        found = parse(raw, service)
        if isinstance(found, str):
            held.append(found)
            continue
        yield from (Line(found.time, "", text) for text in held)
        held.clear()
        yield found
    yield from (Line(EARLIEST, "", text) for text in held)


def matches(line: Line, level: str | None, pattern: re.Pattern[str] | None, since: datetime | None) -> bool:
    if since and line.time < since:
        return False
    if level and line.level in LEVELS and LEVELS.index(line.level) < LEVELS.index(level):
        return False
    return not pattern or bool(pattern.search(line.text))
