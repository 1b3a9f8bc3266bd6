"""Looks for root causes: all in parallel, reading only."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from typing import cast

from nself.app import App
from nself.core import period
from nself.core.clock import monotonic
from nself.core.entrypoint import Causes
from nself.core.errors import BillingError
from nself.db.connect import unavailable
from nself.diagnosis import Cause, Evidence, Look, Need
from nself.domains.connection.service import walk
from nself.domains.database.service.causes import away
from nself.domains.doctor import rules, store
from nself.domains.doctor.facts import ISSUES
from nself.domains.doctor.inputs import Examine, ExplainCause, ListCauses
from nself.domains.doctor.model import CauseRow, Explained, Finding, NoSuchCause, NoSuchSymptom, Report, Unseen

AT_ONCE = 6
"""Fewer than the pool has connections: each look may hold one."""
PATIENCE = 5.0
"""Seconds of a statement: who holds a lock for long is a finding, and nobody waits for them."""
LEAST = 1.0
"""Seconds between two looks."""
Seen = tuple[Cause, Evidence | None, str]


def all_causes(app: App) -> tuple[Cause, ...]:
    """Of all domains, by their numbers."""
    tables = (cast("tuple[Cause, ...]", app.registry.resolve(row.use)) for row in app.registry.rows(Causes))
    return tuple(sorted((one for table in tables for one in table), key=lambda one: one.id))


def named(app: App, id: str) -> Cause:
    """Raises NoSuchCause."""
    found = next((one for one in all_causes(app) if one.id == id), None)
    if found is None:
        raise NoSuchCause(cause=id)
    return found


def doctor(app: App, given: Examine) -> Report | Generator[Report]:
    """What is there, causes before consequences; with --watch a report each time that something changed. Raises NoSuchSymptom, NoSuchCause."""
    causes, issues = all_causes(app), [given.issue] if given.issue else []
    if given.symptom:
        issues += rules.issues_like(given.symptom, causes)
        if not issues:
            raise NoSuchSymptom(symptom=given.symptom)
    wanted = _wanted(causes, issues)
    if given.watch:
        return _watch(app, wanted, issues, max(LEAST, period.duration(given.interval, "interval")))
    return examine(app, wanted, issues)


def _wanted(causes: Iterable[Cause], issues: Sequence[str]) -> list[Cause]:
    """Raises NoSuchCause where none is of these issues."""
    found = [one for one in causes if rules.belongs(one.id, issues)]
    if not found:
        raise NoSuchCause(cause=", ".join(issues))
    return found


def _watch(app: App, causes: list[Cause], issues: list[str], interval: float) -> Generator[Report]:
    told: object = None
    while True:
        report = examine(app, causes, issues)
        known = (
            [(one.cause, one.because) for one in report.findings],
            [(one.causes, one.reason) for one in report.unseen],
        )
        if known != told:
            told = known
            yield report
        store.pause(interval)


def examine(app: App, causes: list[Cause], issues: list[str] | None = None) -> Report:
    """Looks for `causes`, with the settings of now. Never raises for what is wrong with the system."""
    began = monotonic()
    with closing(App(app.project, app.registry, environ=app.environ, clock=app.clock, patience=PATIENCE)) as own:
        look = Look(own)
        blind = _blind(look, {need for one in causes for need in one.needs})
        with ThreadPoolExecutor(AT_ONCE, "doctor") as threads:
            seen = list(threads.map(partial(_seen, look, blind), causes))
    found = {cause.id: (cause, evidence) for cause, evidence, _ in seen if evidence}
    findings: list[Finding] = rules.ranked(found)
    unseen = _unseen(seen)
    return Report(
        healthy=not findings and not unseen,
        mode=app.settings.text("STRIPE_MODE"),
        issues=issues or [],
        examined=sum(not reason for _, _, reason in seen),
        findings=findings,
        unseen=unseen,
        milliseconds=round((monotonic() - began) * 1000),
    )


def _blind(look: Look, needs: set[Need]) -> dict[Need, str]:
    """What does not answer, and why; what needs it is not looked at."""
    found: dict[Need, str] = {}
    if "database" in needs and (away := _database_away(look)):
        found["database"] = f"the database does not answer: {away}"
    if "stripe" in needs and (broken := _stripe_away(look)):
        found["stripe"] = f"Stripe does not answer: {broken}"
    return found


def _database_away(look: Look) -> str:
    """Why the database does not answer; empty where it does."""
    try:
        return look.once(away)
    except Exception as error:  # whatever it is, nothing that needs the database can be looked at
        return _reason(error)


def _stripe_away(look: Look) -> str:
    """Why Stripe does not answer; empty where it does."""
    found = look.once(walk.walked)
    return "" if found.account else found.cause or "it did not tell its account"


def _seen(look: Look, blind: dict[Need, str], cause: Cause) -> Seen:
    reason = next((blind[need] for need in cause.needs if need in blind), "")
    if reason:
        return cause, None, reason
    try:
        evidence = cause.detect(look)
        rules.commands(cause, evidence)
        return cause, evidence, ""
    except Exception as error:  # one that cannot be looked at must not hide the others
        return cause, None, _reason(error)


def _reason(error: Exception) -> str:
    known = error if isinstance(error, BillingError) else unavailable(error)
    return known.message if known else f"{type(error).__name__}: {error}"


def _unseen(seen: Iterable[Seen]) -> list[Unseen]:
    """By reason."""
    reasons: dict[str, list[str]] = {}
    for cause, _, reason in seen:
        if reason:
            reasons.setdefault(reason, []).append(cause.id)
    return [Unseen(causes=causes, reason=reason) for reason, causes in reasons.items()]


def list_causes(app: App, given: ListCauses) -> list[CauseRow]:
    """What the doctor knows. Raises NoSuchCause."""
    return [
        CauseRow(cause=one.id, title=one.title, issue=ISSUES[rules.issue(one.id)].title, mended_by=_mender(one))
        for one in _wanted(all_causes(app), [given.issue] if given.issue else [])
    ]


def _mender(one: Cause) -> str:
    return f"nself billing doctor fix {one.id}" if one.itself else "elsewhere" if one.elsewhere else "commands"


def explain(app: App, given: ExplainCause) -> Explained:
    """All that is known of one cause. Raises NoSuchCause."""
    one, issue = named(app, given.cause), ISSUES[rules.issue(given.cause)]
    return Explained(
        cause=one.id,
        title=one.title,
        issue=f"issue {rules.issue(one.id)}: {issue.title}",
        symptoms=list(issue.symptoms),
        explanation=one.explain,
        mend=rules.commands(one, None),
        elsewhere=one.elsewhere,
        follows=list(one.follows),
        rehearse=f"nself billing drill run {one.id}",
    )
