"""Mends what may be mended without asking, by the commands that an operator would run, and looks again."""

from __future__ import annotations

from nself import log
from nself.app import App
from nself.diagnosis import Cause
from nself.domains.doctor import store
from nself.domains.doctor.inputs import FixCause
from nself.domains.doctor.model import Deed, Finding, Fixed, MoneyMoves, NotMendedHere
from nself.domains.doctor.service import examine

LOOKS, PAUSE = 20, 1.0
"""What was mended may need a moment to show: a service starts, work that waited is done."""


def fix(app: App, given: FixCause) -> Fixed:
    """Raises NoSuchCause, NotMendedHere, MoneyMoves. What a command says when it fails ends the mend and is told."""
    cause = examine.named(app, given.cause)
    found = _present(app, cause)
    if isinstance(found, str):
        return _fixed(cause, found, [], mended=not found, note=found or "it is not there: nothing was done")
    planned = [Deed(command=line, exit_code=None, said="") for line in found.mend]
    if given.dry_run:
        return _fixed(cause, found.evidence, planned, mended=True, note="dry run: nothing was done")
    if not cause.itself:
        raise NotMendedHere(cause=cause.id, why=cause.elsewhere or "somebody has to choose")
    if cause.money and not given.yes:
        raise MoneyMoves(cause=cause.id, commands="; ".join(found.mend))
    deeds = _done(app, found.mend)
    mended = not deeds[-1].exit_code and _gone(app, cause)
    log.info("cause_mended" if mended else "cause_not_mended", cause=cause.id, commands=[one.command for one in deeds])
    return _fixed(cause, found.evidence, deeds, mended=mended, note="" if mended else "it is still there")


def _done(app: App, commands: list[str]) -> list[Deed]:
    """Until one fails."""
    deeds = list[Deed]()
    for line in commands:
        deeds.append(store.run(app, line))
        if deeds[-1].exit_code:
            break
    return deeds


def _present(app: App, cause: Cause) -> Finding | str:
    """The finding; else why it could not be looked at, empty where it is not there."""
    report = examine.examine(app, [cause])
    return report.findings[0] if report.findings else "".join(one.reason for one in report.unseen)


def _gone(app: App, cause: Cause) -> bool:
    for _ in range(LOOKS):
        if _present(app, cause) == "":
            return True
        store.pause(PAUSE)
    return False


def _fixed(cause: Cause, evidence: str, deeds: list[Deed], *, mended: bool, note: str) -> Fixed:
    return Fixed(cause=cause.id, title=cause.title, evidence=evidence, deeds=deeds, mended=mended, note=note)
