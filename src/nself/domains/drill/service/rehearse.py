"""Plants, lets find, checks, clears; `run` does it all and tells each step."""

from __future__ import annotations

import random
import re
from collections.abc import Generator, Sequence
from itertools import combinations

from nself import log
from nself.app import App
from nself.core.clock import monotonic
from nself.core.errors import InvalidParameter, MissingParameter
from nself.domains.check import rules as check
from nself.domains.doctor import rules as doctor
from nself.domains.doctor.facts import ISSUES
from nself.domains.doctor.service import examine
from nself.domains.drill import store
from nself.domains.drill.inputs import CheckDrill, ClearDrill, ListDrills, PlantDrill, RunDrills
from nself.domains.drill.model import (
    Checked,
    Cleared,
    DrillRow,
    DrillsFailed,
    DrillsInTestModeOnly,
    DrillUnconfirmed,
    NoSuchDrill,
    NothingPlanted,
    PlantFailed,
    Rehearsal,
    Summary,
    Told,
)
from nself.domains.drill.service.bench import Bench, Drill
from nself.domains.drill.service.plants import DRILLS
from nself.domains.sandbox.service import reach

RESET = "billing sandbox reset --fixtures guide --yes"
TRIES = (
    "billing usage deduplicate",
    "billing usage recalculate",
    "billing usage reconstruct",
    "billing overage recalculate",
    "billing subscription recalculate",
)
"""They alter what is billed, so that without --execute they only show what they would do."""
SETTLE = 30.0
"""Seconds in which what was mended has to show."""


def list_drills(app: App, given: ListDrills) -> list[DrillRow]:
    """What can be rehearsed."""
    return [
        DrillRow(cause=id, title=_title(app, id), shown_by="; ".join(line for line, _ in DRILLS[id].shows))
        for id in sorted(DRILLS)
        if doctor.belongs(id, [given.issue] if given.issue else [])
    ]


def plant(app: App, given: PlantDrill) -> Told:
    """Everything is put back to the guide's fixtures first. Raises DrillsInTestModeOnly, DrillUnconfirmed, NoSuchDrill, PlantFailed."""
    _guard(app, given.yes)
    id = random.SystemRandom().choice(sorted(DRILLS)) if given.cause == "random" else given.cause
    drill = _drill(id)
    _clear(app)
    _planted(app, drill)
    issue = ISSUES[doctor.issue(id)]
    return Told(
        planted="a root cause" if given.cause == "random" else id,
        symptoms=list(issue.symptoms),
        diagnosis=[line for line, _ in drill.shows],
        then="nself billing drill check",
    )


def check_drill(app: App, given: CheckDrill) -> Checked:
    """Whether what was planted is mended. Raises NothingPlanted."""
    known = store.planted(app.project)
    if known is None:
        raise NothingPlanted()
    found = _found(Bench(app, known.cause))
    return Checked(
        cause=known.cause,
        title=_title(app, known.cause),
        minutes=int((app.clock() - known.at).total_seconds()) // 60,
        found=sorted(found),
        mended=not found,
    )


def clear(app: App, given: ClearDrill) -> Cleared:
    """As before any rehearsal: the guide's fixtures. Raises DrillsInTestModeOnly, DrillUnconfirmed."""
    _guard(app, given.yes)
    known = store.planted(app.project)
    _clear(app)
    return Cleared(cleared=known.cause if known else "nothing was planted")


def run(app: App, given: RunDrills) -> Generator[Rehearsal | Summary]:
    """A row a rehearsal as it ends. Raises DrillsInTestModeOnly, DrillUnconfirmed, NoSuchDrill, and DrillsFailed at the end."""
    _guard(app, given.yes)
    groups = _groups(given)
    return _run(app, groups)


def _run(app: App, groups: Sequence[Sequence[Drill]]) -> Generator[Rehearsal | Summary]:
    began, failed = monotonic(), list[str]()
    try:
        for group in groups:
            row = _rehearsed(app, group)
            if not row.passed and (len(groups) > 1 or len(group) > 1):
                # A busy machine lets something come too late, and a restart for one of two may mend the other: once more, the other
                # way round, and both are told.
                yield row
                row = _rehearsed(app, group[::-1])
            if not row.passed:
                failed.append(row.cause)
            log.info("rehearsed", cause=row.cause, passed=row.passed, seconds=row.seconds, note=row.note)
            yield row
    finally:
        _clear(app)
    yield Summary(passed=len(groups) - len(failed), failed=len(failed), seconds=round(monotonic() - began))
    if failed:
        raise DrillsFailed(failed=len(failed), all=len(groups), first=failed[0])


def _groups(given: RunDrills) -> list[tuple[Drill, ...]]:
    ids = [id for id in sorted(DRILLS) if doctor.belongs(id, [given.issue] if given.issue else [])]
    if given.cause:
        causes = given.cause.split("+")
        if not DRILLS.keys() >= set(causes):
            raise NoSuchDrill(cause=given.cause)
        return [tuple(DRILLS[one] for one in causes)]
    if not (given.all or given.issue or given.pairs):
        raise MissingParameter("a cause, --issue, --pairs or --all")
    if not ids:
        raise NoSuchDrill(cause=given.issue)
    if given.pairs:
        draw = random.Random(given.seed)
        pairs = [(DRILLS[one], DRILLS[other]) for one, other in combinations(ids, 2)]
        groups = draw.choices([pair for pair in pairs if pair[0].together(pair[1])], k=given.pairs)
    else:
        groups = [(DRILLS[id],) for id in ids]
    at, of = map(int, given.part.split("/")) if given.part else (1, 1)
    if at > of:
        raise InvalidParameter(f"Invalid part: {given.part} (the first of twelve is 1/12)", "part")
    return groups[at - 1 :: of]


def _rehearsed(app: App, group: Sequence[Drill]) -> Rehearsal:
    """One or two at once, from fixtures to silence. What goes wrong is told in the row."""
    began, name = monotonic(), "+".join(one.cause for one in group)
    notes, shown, named, alone, mended, gone = list[str](), False, False, False, False, False
    try:
        benches = _begin(app, group)
        shown = all(_shows(bench, drill, notes) for bench, drill in benches)
        planted = {drill.cause for drill in group}
        found = _named(benches[0][0], planted)
        named = planted <= found.keys()
        alone = not (others := {id for id, because in found.items() if id not in planted and because not in planted})
        notes += [f"also found: {', '.join(sorted(others))}"] if others else []
        mended = _mended(benches, notes)
        gone = not any(_visible(bench, line, words) for bench, drill in benches for line, words in drill.shows)
    except Exception as error:  # whatever one rehearsal runs into, the others go on
        notes.append(error.message if isinstance(error, PlantFailed) else f"{type(error).__name__}: {error}")
        log.failure("rehearsal_broke", cause=name)
    return Rehearsal(
        cause=name, title=" + ".join(_title(app, one.cause) for one in group), shown=shown, named=named, alone=alone,
        mended=mended, gone=gone, seconds=round(monotonic() - began), note="; ".join(notes),
    )  # fmt: skip


def _named(bench: Bench, planted: set[str]) -> dict[str, str]:
    """What is found once all that was planted is, or a while has passed: what is late or held shows only after some seconds."""
    limit = monotonic() + SETTLE
    while not planted <= (found := _found(bench)).keys() and monotonic() < limit:
        store.pause(1)
    return found


def _begin(app: App, group: Sequence[Drill]) -> list[tuple[Bench, Drill]]:
    """Raises PlantFailed, also where something is found before anything is planted."""
    _clear(app)
    benches = list[tuple[Bench, Drill]]()
    for drill in group:
        benches.append((_planted(app, drill, benches[-1][0] if benches else None), drill))
    return benches


def _shows(bench: Bench, drill: Drill, notes: list[str]) -> bool:
    missing = [line for line, words in drill.shows if not _visible(bench, line, words)]
    notes += [f"not shown by: {line}" for line in missing]
    return not missing


def _visible(bench: Bench, line: str, words: str) -> bool:
    _, said = store.shell(bench.project, line)
    return bool(re.search(words, said))


def _mended(benches: Sequence[tuple[Bench, Drill]], notes: list[str]) -> bool:
    """By hands outside and the guide's lines, all of which go well; then the doctor is silent, within a while."""
    went_well = True
    for bench, drill in benches:
        if drill.outside:
            drill.outside(bench)
        for line in _lines(drill):
            code, said = store.shell(bench.project, line)
            if code:
                went_well = False
                notes.append(f"{line}: exit code {code}: {said.strip()[-200:]}")
    limit, found = monotonic() + SETTLE, dict[str, str]()
    while monotonic() < limit:
        found = _found(benches[0][0])
        if not found:
            return went_well
        store.pause(1)
    notes.append(f"still found: {', '.join(sorted(found))}")
    return False


def _lines(drill: Drill) -> list[str]:
    """The guide's lines; where a command only shows what it would do, it is said again with --execute, as it asks for."""
    lines = list[str]()
    for line in drill.mend:
        lines.append(line)
        if f"{line} ".startswith(tuple(f"nself {path} " for path in TRIES)):
            lines.append(f"{line} --execute")
    return lines


def _found(bench: Bench) -> dict[str, str]:
    """What the doctor finds: cause -> the cause that brings it about. Raises PlantFailed where it does not work at all."""
    with bench.app() as app:
        report = examine.examine(app, list(examine.all_causes(app)))
    return {one.cause: one.because for one in report.findings}


def _planted(app: App, drill: Drill, beside: Bench | None = None) -> Bench:
    bench = Bench(app, drill.cause, beside)
    bench.keep()
    drill.plant(bench)
    bench.keep()
    return bench


def _clear(app: App) -> None:
    """Ends the props, puts back files, what was changed about tables, and the guide's fixtures."""
    known = store.planted(app.project)
    for prop in known.props if known else ():
        store.end_prop(prop)
    for path, text in known.files.items() if known else ():
        store.write(app.project, path, text)
    if known:
        Bench(app, known.cause).damage(store.undo)
    code, said = store.shell(app.project, f"nself {RESET}")
    if code:
        raise PlantFailed(cause="the guide's fixtures", detail=said[-300:])
    store.forget(app.project)


def _guard(app: App, yes: bool) -> None:
    """Raises DrillsInTestModeOnly, DrillUnconfirmed. A plant may have set another mode: what it planted is cleared all the same."""
    if app.settings.live and not store.planted(app.project):
        raise DrillsInTestModeOnly(why=f"STRIPE_MODE is {check.LIVE}")
    if not store.planted(app.project):
        reach.must_be_used(app)
    if not yes:
        raise DrillUnconfirmed()


def _drill(id: str) -> Drill:
    if id not in DRILLS:
        raise NoSuchDrill(cause=id)
    return DRILLS[id]


def _title(app: App, id: str) -> str:
    return examine.named(app, id).title
