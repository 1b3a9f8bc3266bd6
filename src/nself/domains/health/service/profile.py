"""Looks into a running service: its time, its memory. Without one there is nothing to tell (exit 3)."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from pathlib import Path

import msgspec

from nself import files
from nself.app import App
from nself.core.entrypoint import Rows
from nself.core.errors import InvalidParameter
from nself.core.settings import seconds
from nself.db.server import DatabaseUnavailable
from nself.domains.health import figures
from nself.domains.health.inputs import ProfileMemory, ProfileService, SnapshotHeap
from nself.domains.health.model import Grown, Living, Spot
from nself.domains.health.service.memory import jumps, leaks, short_of_memory
from nself.domains.stack import service as stack
from nself.domains.tuning.service import statements
from nself.process import probe
from nself.process.probe import Asked, Heap, Memory, Profile

SHOWN = 20
LEFT_OPEN = timedelta(seconds=5)
"""A transaction that does nothing for so long keeps what it holds."""
ENDINGS = {"speedscope": "speedscope.json", "flamegraph": "svg", "table": "csv"}


def profile(app: App, given: ProfileService) -> Rows[Spot]:
    """Raises InvalidParameter, NotRunning, ProbeBusy, FileNotWritten."""
    place = _place(app, given.output, f"profile-{given.service}", ENDINGS[given.form])
    with files.private(place) as file:
        answer = probe.ask(app.project, given.service, Asked("profile", _duration(given.duration)))
        found = msgspec.json.decode(answer, type=Profile)
        title, text = _drawn(app, given, found)
        file.write(text)
    rows = figures.spots(found, SHOWN)
    notes = [f"{title}: looked {found.looks} times; what only waits is left out here", f"written: {place}"]
    return Rows(rows, notes if rows else ["it was idle all the time", *notes])


def _drawn(app: App, given: ProfileService, found: Profile) -> tuple[str, str]:
    """Title and text of the file."""
    title = f"{given.service} (process {found.pid}), {found.seconds:.0f} s, {app.clock():%Y-%m-%dT%H:%M:%SZ}"
    draw = {
        "speedscope": lambda: figures.speedscope(found, title),
        "flamegraph": lambda: figures.flamegraph(found, title),
        "table": lambda: _csv(figures.spots(found, len(found.stacks) * probe.DEPTH)),
    }[given.form]
    return title, draw()


def memory(app: App, given: ProfileMemory) -> Rows[Grown]:
    """Raises InvalidParameter, NotRunning, ProbeBusy, FileNotWritten."""
    place = _place(app, given.output, f"memory-{given.service}", "json")
    with files.private(place) as file:
        answer = probe.ask(app.project, given.service, Asked("memory", _duration(given.duration)))
        file.write(answer.decode())
    found = msgspec.json.decode(answer, type=Memory)
    rows = [Grown(place=one.place, grown_kb=one.bytes // 1024, pieces=one.pieces) for one in found.growth[:SHOWN]]
    before, after = (size // 2**20 for size in (found.rss_before, found.rss_after))
    note = f"process {found.pid} had {before} MB before and {after} MB after {found.seconds:.0f} s (tracing takes some itself)"
    return Rows(rows, [note, f"written: {place}", *_trend(app)])


def heap(app: App, given: SnapshotHeap) -> Rows[Living]:
    """Raises NotRunning, ProbeBusy, FileNotWritten."""
    place = _place(app, given.output, f"heap-{given.service}", "json")
    with files.private(place) as file:
        answer = probe.ask(app.project, given.service, Asked("heap"))
        file.write(answer.decode())
    found = msgspec.json.decode(answer, type=Heap)
    rows = [
        Living(type=one.type, count=one.count, kb=one.bytes // 1024, percent=figures.percent(one.bytes, found.bytes))
        for one in found.kinds[:SHOWN]
    ]
    whole = f"{found.objects} objects with {found.bytes // 2**20} MB, of {found.rss // 2**20} MB that process {found.pid} has"
    return Rows(rows, [whole, f"written: {place}", *kept_notes(app)])


def kept_notes(app: App) -> list[str]:
    """What services keep besides their heap: their memory under its limit, and transactions that stay open."""
    used, limit = stack.memories(app), app.settings.value("BILLING_MEMORY_LIMIT").text
    services = ", ".join(f"{name} {size // 2**20} MB" for name, size in sorted(used.items()))
    left = statements.left_open(app, LEFT_OPEN)
    notes = [f"memory: {services or 'no service runs'}; BILLING_MEMORY_LIMIT is {limit}"]
    notes += [f"{len(left)} sessions are idle in a transaction: nself db slow-queries"] if left else []
    return notes + _trend(app)


def _trend(app: App) -> list[str]:
    """Of all services since they were started, at most two hours."""
    try:
        return leaks(app) + jumps(app) + short_of_memory(app)
    except DatabaseUnavailable as error:
        return [f"how memory went on is not known: {error.message}"]


def _duration(given: str) -> float:
    try:
        found = seconds(given)
    except ValueError as error:
        raise InvalidParameter(f"Invalid duration: {error}", "duration") from error
    if not 0 < found <= probe.LONGEST:
        raise InvalidParameter("Invalid duration: more than 0 and at most 1h is needed", "duration")
    return found


def _place(app: App, output: str | None, name: str, ending: str) -> Path:
    """Raises FileNotWritten."""
    if output:
        return Path(output).expanduser()
    place = app.project.state / "profiles" / f"{name}-{app.clock():%Y%m%dT%H%M%SZ}.{ending}"
    with files.refusing(place):
        place.parent.mkdir(mode=0o700, exist_ok=True)
    return place


def _csv(rows: list[Spot]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, Spot.__struct_fields__, lineterminator="\n")
    writer.writeheader()
    writer.writerows(map(msgspec.structs.asdict, rows))
    return text.getvalue()
