"""Waits until services are up or down, and tells the operator when that takes long."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from typing import NamedTuple

from nself.core.clock import monotonic
from nself.core.errors import Unavailable
from nself.core.project import Project
from nself.core.settings import BY_NAME, Settings, wrong
from nself.process import listening, supervisor
from nself.process.client import State
from nself.process.paths import read_json, run_folder
from nself.process.table import DEFAULT, Service, Table, patience

START_SECONDS = 60.0
"""Longest wait for a started service, beyond the grace of the older process that it replaces."""
FAILING_SECONDS = 4.0
"""A program that ends again and again for so long is reported; supervisord goes on trying."""
STARTS = 3
"""A program that was begun more often while it was waited for ends before it is up."""
STOP_SECONDS = 30.0
"""Longest wait for a stopped service, beyond its grace."""
POLL_SECONDS = 0.03


class ServiceFailed(Unavailable):
    code = "service_failed"
    text = "{name} does not start: {detail}"
    hints = ("nself logs {name} --tail 50", "nself status {name}")


class PortTaken(Unavailable):
    code = "port_taken"
    text = "{name} does not start: another program{which} listens on port {port} ({setting})"
    hints = ("nself env set {setting}={free}", "nself restart {name}")


class StillRunning(Unavailable):
    code = "service_still_running"
    text = "{name} does not end"
    hints = ("nself status {name}",)


class Progress:
    """One line on stderr after 3 seconds, then every 5."""

    def __init__(self) -> None:
        self.begun = monotonic()
        self.next = self.begun + 3

    def tell(self, what: str) -> None:
        now = monotonic()
        if now >= self.next:
            self.next = now + 5
            print(f"{what} ({now - self.begun:.0f} s)", file=sys.stderr, flush=True)


class Outcome(NamedTuple):
    """`superseded`: services that another command stopped, or started, in the meantime."""

    superseded: tuple[str, ...] = ()


def _launched(project: Project, row: Service, state: State | None) -> bool:
    """The launcher leaves this note last: before that it may wait for an older process, which listens too."""
    if state is None or state.state != "RUNNING":
        return False
    return read_json(run_folder(project) / f"{row.name}.json").get("pid") == state.pid


def _is_up(project: Project, row: Service, state: State | None, settings: Settings) -> bool:
    if state is None or not _launched(project, row, state):
        return False
    return not row.port or listening.holds(state.pid, settings.integer(row.port))


def _address(row: Service, settings: Settings) -> tuple[str, int]:
    return settings.text(row.host) if row.host else "", settings.integer(row.port)


def _fails(project: Project, row: Service, state: State | None, settings: Settings) -> bool:
    """Whether it ended at once, or has begun while another program listens on its port."""
    if state and state.state in {"BACKOFF", "FATAL"}:
        return True
    return bool(row.port) and _launched(project, row, state) and listening.answers(*_address(row, settings))


def _failed(project: Project, row: Service, settings: Settings) -> Unavailable:
    """Why the service, which ended, does not come up."""
    if row.port:
        host, port = _address(row, settings)
        if listening.answers(host, port):
            free = listening.free_above(host, port)
            return PortTaken(name=row.name, which=_which(port), port=port, setting=row.port, free=free)
    return ServiceFailed(name=row.name, detail=supervisor.log_tail(project, settings, row.name))


def intruder(row: Service, settings: Settings, pid: int | None) -> str:
    """Who listens on the port of a service instead of it, or nothing. `pid`: its process."""
    if not row.port or wrong(BY_NAME[row.port], settings.value(row.port).text):
        return ""
    host, port = _address(row, settings)
    if (pid and listening.holds(pid, port)) or not listening.answers(host, port):
        return ""
    return f"another program{_which(port)} listens on port {port} ({row.port})"


def _which(port: int) -> str:
    found = listening.holder(port)
    return f" (pid {found[0]}: {found[1]})" if found else ""


def wait_up(project: Project, settings: Settings, rows: Iterable[Service], table: Table = DEFAULT) -> Outcome:
    """Until all run (and listen, where they have a port). Raises ServiceFailed with the log's end, PortTaken."""
    waiting = {row.name: row for row in rows}
    deadline = monotonic() + START_SECONDS + max((patience(row, settings) for row in waiting.values()), default=0)
    failing: dict[str, float] = {}
    begun: dict[str, set[int]] = {name: set() for name in waiting}
    superseded: list[str] = []
    progress = Progress()
    while waiting:
        if not supervisor.alive(project):
            supervisor.ensure_supervisor(project, settings, table)
        wishes, found = supervisor.wishes(project), supervisor.states(project)
        now = monotonic()
        for name, row in list(waiting.items()):
            state = found.get(name)
            if name not in wishes:
                superseded.append(name)
                del waiting[name]
            elif _is_up(project, row, state, settings):
                del waiting[name]
            elif state and _fails(project, row, state, settings):
                since = failing.setdefault(name, now)
                if state.state == "FATAL" or now - since > FAILING_SECONDS:
                    raise _failed(project, row, settings)
            elif state and state.pid:
                begun[name].add(state.pid)
                if len(begun[name]) > STARTS:
                    raise _failed(project, row, settings)
        if waiting and now > deadline:
            name = next(iter(waiting))
            detail = f"not up after {now - progress.begun:.0f} s; its last lines: "
            raise ServiceFailed(name=name, detail=detail + supervisor.log_tail(project, settings, name))
        if waiting:
            progress.tell(f"waiting for {', '.join(waiting)} to start")
            time.sleep(POLL_SECONDS)
    return Outcome(tuple(superseded))


def wait_down(project: Project, settings: Settings, rows: Iterable[Service]) -> Outcome:
    """Until none runs. Raises StillRunning some time after the grace, which ends with SIGKILL."""
    waiting = {row.name: row for row in rows}
    deadline = monotonic() + STOP_SECONDS + max((patience(row, settings) for row in waiting.values()), default=0)
    superseded: list[str] = []
    progress = Progress()
    while waiting and supervisor.alive(project):
        wishes, found = supervisor.wishes(project), supervisor.states(project)
        for name in list(waiting):
            state = found.get(name)
            if name in wishes:
                superseded.append(name)
                del waiting[name]
            elif state and state.settled_down:
                del waiting[name]
        if waiting and monotonic() > deadline:
            raise StillRunning(name=next(iter(waiting)))
        if waiting:
            progress.tell(f"waiting for {', '.join(waiting)} to finish its work")
            time.sleep(POLL_SECONDS)
    return Outcome(tuple(superseded))
