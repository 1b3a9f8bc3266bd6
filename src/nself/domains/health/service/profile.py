"""Looks into a running service: its time, its memory. Without one there is nothing to tell (exit 3)."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import msgspec

from nself.app import App
from nself.core.entrypoint import Rows
from nself.core.errors import InvalidParameter
from nself.core.settings import seconds
from nself.domains.health import figures
from nself.domains.health.inputs import ProfileMemory, ProfileService, SnapshotHeap
from nself.domains.health.model import Grown, Living, Spot
from nself.process import probe
from nself.process.paths import write_private, writing
from nself.process.probe import Asked, Heap, Memory, Profile

SHOWN = 20
ENDINGS = {"speedscope": "speedscope.json", "flamegraph": "svg", "table": "csv"}


def profile(app: App, given: ProfileService) -> Rows[Spot]:
    """Raises InvalidParameter, NotRunning, ProbeBusy, StateUnwritable."""
    answer = probe.ask(app.project, given.service, Asked("profile", _duration(given.duration)))
    found = msgspec.json.decode(answer, type=Profile)
    title = f"{given.service} (process {found.pid}), {found.seconds:.0f} s, {app.clock():%Y-%m-%dT%H:%M:%SZ}"
    rows = figures.spots(found, SHOWN)
    text = {
        "speedscope": lambda: figures.speedscope(found, title),
        "flamegraph": lambda: figures.flamegraph(found, title),
        "table": lambda: _csv(figures.spots(found, len(found.stacks) * probe.DEPTH)),
    }[given.form]()
    place = _write(app, given.output, f"profile-{given.service}", ENDINGS[given.form], text)
    notes = [f"{title}: looked {found.looks} times; what only waits is left out here", f"written: {place}"]
    return Rows(rows, notes if rows else ["it was idle all the time", *notes])


def memory(app: App, given: ProfileMemory) -> Rows[Grown]:
    """Raises InvalidParameter, NotRunning, ProbeBusy, StateUnwritable."""
    answer = probe.ask(app.project, given.service, Asked("memory", _duration(given.duration)))
    found = msgspec.json.decode(answer, type=Memory)
    place = _write(app, given.output, f"memory-{given.service}", "json", answer.decode())
    rows = [Grown(place=one.place, grown_kb=one.bytes // 1024, pieces=one.pieces) for one in found.growth[:SHOWN]]
    before, after = (size // 2**20 for size in (found.rss_before, found.rss_after))
    note = f"process {found.pid} had {before} MB before and {after} MB after {found.seconds:.0f} s (tracing takes some itself)"
    return Rows(rows, [note, f"written: {place}"])


def heap(app: App, given: SnapshotHeap) -> Rows[Living]:
    """Raises NotRunning, ProbeBusy, StateUnwritable."""
    answer = probe.ask(app.project, given.service, Asked("heap"))
    found = msgspec.json.decode(answer, type=Heap)
    place = _write(app, given.output, f"heap-{given.service}", "json", answer.decode())
    rows = [
        Living(type=one.type, count=one.count, kb=one.bytes // 1024, percent=figures.percent(one.bytes, found.bytes))
        for one in found.kinds[:SHOWN]
    ]
    whole = f"{found.objects} objects with {found.bytes // 2**20} MB, of {found.rss // 2**20} MB that process {found.pid} has"
    return Rows(rows, [whole, f"written: {place}"])


def _duration(given: str) -> float:
    try:
        found = seconds(given)
    except ValueError as error:
        raise InvalidParameter(f"Invalid duration: {error}", "duration") from error
    if not 0 < found <= probe.LONGEST:
        raise InvalidParameter("Invalid duration: more than 0 and at most 1h is needed", "duration")
    return found


def _write(app: App, output: str | None, name: str, ending: str, text: str) -> Path:
    """0600, replaced at once. Raises StateUnwritable."""
    if output:
        place = Path(output).expanduser()
    else:
        place = app.project.state / "profiles" / f"{name}-{app.clock():%Y%m%dT%H%M%SZ}.{ending}"
        with writing(place):
            place.parent.mkdir(mode=0o700, exist_ok=True)
    write_private(place, text)
    return place


def _csv(rows: list[Spot]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, Spot.__struct_fields__, lineterminator="\n")
    writer.writeheader()
    writer.writerows(map(msgspec.structs.asdict, rows))
    return text.getvalue()
