"""Start, stop, restart, show and read the services of this project."""

from __future__ import annotations

import heapq
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import cast

import msgspec

from nself.app import App
from nself.core.settings import BY_NAME
from nself.db import server
from nself.domains.stack import rules, store
from nself.domains.stack.inputs import ReadLogs, RestartServices, ShowStatus, StartServices, StopServices
from nself.domains.stack.model import Line, NoLog, NoSuchLog, ServiceStatus, WrongPattern
from nself.log import redact
from nself.process import nginx, supervisor, waiting
from nself.process.client import State
from nself.process.paths import log_folder, run_folder
from nself.process.table import DEFAULT, Service, absent, program, settings_hash
from nself.process.waiting import Outcome

SANDBOX = "stripe-mock"
BILLING = "billing"
BESIDE = {BILLING: ["cli"], nginx.NAME: [nginx.ACCESS_LOG.removesuffix(".log")]}
"""Further logs. What commands did belongs to the log of billing: the guide looks for a recorded event there."""
FOLLOWED_LINES = 10
"""What `logs -f` shows of the past unless --tail says more."""


def _chosen(app: App, names: list[str], usual: list[Service]) -> list[Service]:
    """The named rows, else the usual ones; the database of DATABASE_URL is not ours to start or stop."""
    rows = DEFAULT.named(names) if names else usual
    return [row for row in rows if row in DEFAULT.existing(app.settings)]


def _wait_up(app: App, rows: list[Service]) -> Outcome:
    """The database first: until it grants sessions, not merely until its process runs."""
    superseded: list[str] = []
    if any(row.name == "postgres" for row in rows):
        try:
            server.ensure(app.project, app.settings, DEFAULT, insist=False)
        except server.DatabaseStopped:
            superseded.append("postgres")
    others = [row for row in rows if row.name != "postgres"]
    outcome = waiting.wait_up(app.project, app.settings, others, DEFAULT)
    return Outcome((*superseded, *outcome.superseded))


def start(app: App, given: StartServices) -> list[ServiceStatus]:
    """Services run that did not; what they need comes first. Raises ServiceFailed, DatabaseUnavailable."""
    rows = DEFAULT.with_needs(_chosen(app, given.services, DEFAULT.usual(app.settings)), app.settings)
    app.ensure_project()
    supervisor.want(app.project, app.settings, rows, DEFAULT, app.environ)
    outcome = _wait_up(app, rows)
    return _with_fixtures(app, _rows(app, rows or DEFAULT.named(given.services), outcome, "stopped by another command"))


def restart(app: App, given: RestartServices) -> list[ServiceStatus]:
    """Services end and start afresh, or start. Raises InvalidSetting, BadNginxConfiguration, ServiceFailed, DatabaseUnavailable."""
    running = [row for row in DEFAULT.rows if row.name in supervisor.wishes(app.project)]
    rows = _chosen(app, given.services, running or DEFAULT.usual(app.settings))
    needed = [row for row in DEFAULT.with_needs(rows, app.settings) if row not in rows]
    app.ensure_project()
    _require_settings(app)
    _require_nginx(app, rows)
    supervisor.want(app.project, app.settings, needed, DEFAULT, app.environ)
    supervisor.renew(app.project, app.settings, rows, app.environ, DEFAULT)
    outcome = _wait_up(app, [*needed, *rows])
    return _with_fixtures(app, _rows(app, rows or DEFAULT.named(given.services), outcome, "stopped by another command"))


def _require_settings(app: App) -> None:
    """What runs is not ended for settings with which it might not start. Raises InvalidSetting."""
    for name in BY_NAME:
        app.settings.text(name)


def _require_nginx(app: App, rows: list[Service]) -> None:
    """An nginx that runs is not ended for a configuration that it would refuse. Raises BadNginxConfiguration."""
    found = program(nginx.NAME) if any(row.name == nginx.NAME for row in rows) else None
    if found:
        nginx.ensure(app.project, app.settings)
        nginx.require(found, app.project)


def _with_fixtures(app: App, rows: list[ServiceStatus]) -> list[ServiceStatus]:
    """What was started finds the user's own fixtures in the sandbox; what is wrong with them is a note."""
    used = app.settings.flag("STRIPE_MOCK_ENABLED") and not app.settings.live
    concerned = any(row.service == SANDBOX or (used and row.group == BILLING) for row in rows)
    if not concerned or next(app.project.fixtures.glob("*.json"), None) is None:
        return rows
    load = cast("Callable[[App], str]", app.registry.resolve("sandbox.service.load:load_at_start"))
    at = next((at for at, row in enumerate(rows) if row.service == SANDBOX), 0)
    notes = "; ".join(part for part in (rows[at].note, load(app)) if part)
    return [*rows[:at], msgspec.structs.replace(rows[at], note=notes), *rows[at + 1 :]]


def stop(app: App, given: StopServices) -> list[ServiceStatus]:
    """Services finish their work and end; without names all of them, and the supervisor. Raises StillRunning."""
    rows = DEFAULT.named(given.services) if given.services else list(DEFAULT.rows)
    outcome = Outcome()
    if run_folder(app.project).is_dir():
        supervisor.unwant(app.project, app.settings, rows, DEFAULT)
        outcome = waiting.wait_down(app.project, app.settings, rows)
        if not given.services:
            supervisor.shut_down(app.project)
    return _rows(app, rows, outcome, "started again by another command")


def status(app: App, given: ShowStatus) -> list[ServiceStatus]:
    """One row a service. Starts nothing."""
    return _rows(app, _asked(app, given), Outcome(), "")


def states(app: App, given: ShowStatus) -> list[ServiceStatus]:
    """The same without the memory: reading that of a large PostgreSQL takes half a second."""
    return _rows(app, _asked(app, given), Outcome(), "", weighed=False)


def _asked(app: App, given: ShowStatus) -> list[Service]:
    possible = [row for row in DEFAULT.rows if not row.program or row in DEFAULT.existing(app.settings)]
    return DEFAULT.named(given.services) if given.services else possible


def memories(app: App) -> dict[str, int]:
    """Bytes that each billing service takes now."""
    found = supervisor.states(app.project)
    pids = {
        row.name: found[row.name].pid
        for row in DEFAULT.existing(app.settings)
        if row.group == BILLING and row.name in found
    }
    return {name: used for name, pid in pids.items() if pid and (used := store.memory(pid))}


def _rows(
    app: App, rows: Iterable[Service], outcome: Outcome, superseded: str, weighed: bool = True
) -> list[ServiceStatus]:
    found, wishes = supervisor.states(app.project), supervisor.wishes(app.project)
    existing = DEFAULT.existing(app.settings)
    return [
        _external(row, absent(row, app.settings))
        if row not in existing
        else _row(
            app,
            row,
            found.get(row.name),
            row.name in wishes,
            superseded if row.name in outcome.superseded else "",
            weighed,
        )
        for row in rows
    ]


def _external(row: Service, why: str) -> ServiceStatus:
    return ServiceStatus(
        service=row.name, group=row.group or "-", state="external" if row.unless else "absent", pid=None, uptime=None, port=None, memory=None,
        settings="-", changed=False, note=why,
    )  # fmt: skip


def _row(app: App, row: Service, state: State | None, wanted: bool, note: str, weighed: bool) -> ServiceStatus:
    word = rules.state_word(state.state if state else None, wanted)
    if row.name == "postgres" and word == "starting" and server.answers(app.project):
        word = "running"
    pid = state.pid if state and state.pid else None
    left = store.started(app.project, row.name)
    mine = left if left and left.pid == pid else None
    used = store.memory(pid) if pid and weighed else None
    changed = bool(mine and mine.settings != settings_hash(row, app.settings))
    notes = [note, "settings have changed since it started" if changed else ""]
    if word == "down":
        notes.append("the supervisor was killed; nself start brings it back")
    intruder = waiting.intruder(row, app.settings, pid) if wanted and state else ""
    notes.append(intruder)
    if word in {"failing", "failed"} and state and not intruder:
        notes.append(supervisor.log_tail(app.project, app.settings, row.name, 1) or state.detail)
    return ServiceStatus(
        service=row.name,
        group=row.group or "-",
        state=word,
        pid=pid,
        uptime=rules.uptime(app.clock().timestamp() - state.started_at) if pid and state else None,
        port=mine.port if mine else None,
        memory=rules.memory(used) if used is not None else None,
        settings=mine.settings if mine else "-",
        changed=changed,
        note=redact("; ".join(part for part in notes if part)),
    )


def _logs(app: App, name: str) -> dict[str, Path]:
    """Files by service. Raises NoSuchLog, NoLog."""
    folder = log_folder(app.project, app.settings)
    if name in DEFAULT.names():
        services = [row.name for row in DEFAULT.named([name])]
        services += BESIDE.get(name, [])
    elif name in store.names(folder):
        services = [name]
    else:
        raise NoSuchLog(name=name, known=", ".join(dict.fromkeys([*DEFAULT.names(), *store.names(folder)])))
    found = {service: folder / f"{service}.log" for service in services}
    if not any(path.exists() for path in found.values()):
        raise NoLog(name=name)
    return found


def entries(app: App, name: str, since: datetime) -> Iterator[dict[str, object]]:
    """The structured lines of a service's or group's logs, file by file. Raises NoSuchLog, NoLog."""
    for path in _logs(app, name).values():
        with closing(store.LogFiles(path)) as files:
            for line in files.forwards(since):
                if found := rules.fields_of(line):
                    yield found


def logs(app: App, given: ReadLogs) -> Iterator[str]:
    """Lines in order of time, secrets hidden. Raises NoSuchLog, NoLog, WrongPattern, WrongTime."""
    try:
        pattern = re.compile(given.grep) if given.grep else None
    except re.error as error:
        raise WrongPattern(pattern=given.grep, detail=error) from error
    since = rules.instant(given.since, app.clock(), app.timezone) if given.since else None
    paths = _logs(app, given.service)
    tail = FOLLOWED_LINES if given.follow and given.tail is None and since is None else given.tail

    def wanted(line: Line) -> bool:
        return rules.matches(line, given.level, pattern, since)

    def read() -> Iterator[str]:
        with ExitStack() as stack:
            files = {name: stack.enter_context(closing(store.LogFiles(path))) for name, path in paths.items()}
            for line in _past(files, tail, since, wanted):
                yield redact(line.text)
            if given.follow:
                yield from _future(app, files, stack, wanted)

    return read()


def _past(
    files: dict[str, store.LogFiles], tail: int | None, since: datetime | None, wanted: rules.Filter
) -> Iterator[Line]:
    if tail is None:
        streams = [rules.forwards(file.forwards(since), name) for name, file in files.items()]
        yield from filter(wanted, heapq.merge(*streams, key=lambda line: line.time))
        return
    streams = [rules.backwards(file.backwards(), name) for name, file in files.items()]
    newest = heapq.merge(*streams, key=lambda line: line.time, reverse=True)
    yield from reversed(list(islice(filter(wanted, newest), tail)))


def _future(app: App, files: dict[str, store.LogFiles], stack: ExitStack, wanted: rules.Filter) -> Iterator[str]:
    """New lines until the reader leaves."""
    followers = {name: stack.enter_context(closing(store.Follower(file))) for name, file in files.items()}
    while True:
        fresh = [rules.forwards(one.lines(), name, app.clock()) for name, one in followers.items()]
        for line in heapq.merge(*fresh, key=lambda line: line.time):
            if wanted(line):
                yield redact(line.text)
        store.pause()
