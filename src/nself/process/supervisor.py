"""Starts, stops and asks supervisord. A command edits what is wanted, nudges, and waits; it owns no process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress

from nself.core.clock import monotonic
from nself.core.errors import Unavailable
from nself.core.project import Project
from nself.core.settings import Settings
from nself.log import redact
from nself.process import configuration, wanted
from nself.process.client import Client, Gone, State
from nself.process.paths import (
    DAEMON_LOCK,
    as_object,
    is_locked,
    locked,
    log_folder,
    prepare,
    private,
    run_folder,
    socket_folder,
)
from nself.process.table import DEFAULT, Service, Table, forwarded, save
from nself.process.wanted import Wish

DAEMON_SECONDS = 30.0
ANSWER_SECONDS = 5.0
"""How long a supervisord that lives may take to answer: it may just be starting."""
POLL_SECONDS = 0.02
KEPT = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV",
        "SSL_CERT_FILE", "SSL_CERT_DIR")  # fmt: skip
"""What services see of the environment of the command that happened to start supervisord."""


class SupervisorFailed(Unavailable):
    code = "supervisor_failed"
    text = "The process supervisor does not start: {detail}"
    hints = ("nself stop", "nself start")


def alive(project: Project) -> bool:
    """Whether the project's supervisord lives; 50 us."""
    return is_locked(run_folder(project) / DAEMON_LOCK)


def client(project: Project) -> Client:
    return Client(configuration.socket_path(project))


def states(project: Project) -> dict[str, State]:
    """What supervisord says of each service; empty where none runs."""
    if not alive(project):
        return {}
    try:
        return client(project).states()
    except Gone:
        return {}


def _told(line: str) -> str:
    """What a log line says, without the fields that every line has."""
    try:
        fields = as_object(json.loads(line))
    except ValueError:
        return line.strip()
    known = {"time", "level", "service", "message", "traceback"}
    more = [f"{key}={value}" for key, value in fields.items() if key not in known]
    return " ".join([str(fields.get("message", "")), *more]).strip()


def log_tail(project: Project, settings: Settings, name: str, lines: int = 3) -> str:
    """The end of a service's log, for an error message."""
    path = log_folder(project, settings) / f"{name}.log"
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 4000))
            text = file.read().decode(errors="replace")
    except OSError as error:
        return str(error)
    return redact(" | ".join(_told(line) for line in text.splitlines()[-lines:] if line.strip()))


def _launch(project: Project) -> bool:
    """Start supervisord, detached; back when it answers. Holds the stack lock. Raises SupervisorFailed.

    False where the one of a command that was killed came up in the meantime.
    """
    run = run_folder(project)
    private(socket_folder(project))
    environ = {name: os.environ[name] for name in KEPT if name in os.environ}
    environ |= {"NSELF_PROJECT": str(project.root), "NSELF_PYTHON": sys.executable}
    line = [
        sys.executable,
        "-P",
        "-m",
        "nself.process.daemon",
        str(run),
        str(configuration.socket_path(project)),
    ]
    try:
        done = subprocess.run(
            line,
            check=False,
            env=environ,
            cwd=run,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            timeout=DAEMON_SECONDS,
            text=True,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SupervisorFailed(detail=error) from error
    if done.returncode == 0:
        return True
    if alive(project):
        return False
    raise SupervisorFailed(detail=done.stdout.strip() or f"exit {done.returncode}")


def _answers(project: Project) -> bool:
    """Whether the supervisord that lives reads its configuration when it is told to."""
    deadline = monotonic() + ANSWER_SECONDS
    while alive(project) and monotonic() < deadline:
        with suppress(Gone):
            client(project).nudge()
            return True
        time.sleep(POLL_SECONDS)
    return False


def _end_unreachable(project: Project) -> None:
    """A supervisord whose socket was deleted (a cleaned /tmp) obeys nobody: end it in good order."""
    run = run_folder(project)
    with suppress(OSError, ValueError):
        os.kill(int((run / DAEMON_LOCK).read_text()), 15)
    deadline = monotonic() + DAEMON_SECONDS * 2
    while alive(project):
        if monotonic() > deadline:
            raise SupervisorFailed(detail="it runs but its socket is gone, and it does not end")
        time.sleep(POLL_SECONDS)


def _bring_up(project: Project) -> None:
    """A supervisord that answers and has read the configuration. Holds the stack lock."""
    while not _answers(project):
        if alive(project):
            _end_unreachable(project)
        if _launch(project):
            return


Edit = Callable[[wanted.Wanted, int], None]


def _change(project: Project, settings: Settings, table: Table, purpose: str, edit: Edit) -> None:
    """Edit what is wanted and bring supervisord up with it. Raises StateUnwritable, SupervisorFailed, Busy."""
    prepare(project, log_folder(project, settings))
    with locked(project, purpose):
        run = run_folder(project)
        wishes = wanted.load(run)
        before = dict(wishes)
        edit(wishes, wanted.next_generation(run))
        save(project, table)
        configuration.render(project, settings, table)
        if wishes != before:
            wanted.save(run, wishes)
        if wishes or alive(project):
            _bring_up(project)


def ensure_supervisor(project: Project, settings: Settings, table: Table = DEFAULT) -> Client:
    """supervisord runs, with this table and these settings, and keeps up what is wanted."""
    prepare(project, log_folder(project, settings))
    with locked(project, "start the supervisor"):
        save(project, table)
        configuration.render(project, settings, table)
        _bring_up(project)
    return client(project)


def want(
    project: Project,
    settings: Settings,
    rows: Iterable[Service],
    table: Table = DEFAULT,
    environ: Mapping[str, str] | None = None,
) -> None:
    """These should run from now on; those that run already are left alone. Returns before they are up.

    `environ` is the caller's, of which the allow-listed part goes to what is started; None keeps what was
    forwarded last.
    """
    chosen = list(rows)

    def edit(wishes: wanted.Wanted, generation: int) -> None:
        found = states(project)
        for row in chosen:
            known, state = wishes.get(row.name), found.get(row.name)
            if known and not (state and state.settled_down):
                continue
            carried = known.environ if known and environ is None else forwarded(environ or {})
            wishes[row.name] = Wish(generation, carried)

    _change(project, settings, table, "start " + " ".join(row.name for row in chosen), edit)


def renew(
    project: Project,
    settings: Settings,
    rows: Iterable[Service],
    environ: Mapping[str, str],
    table: Table = DEFAULT,
) -> None:
    """Stop and start these afresh, with what `environ` forwards. Returns before it is done."""
    chosen = list(rows)

    def edit(wishes: wanted.Wanted, generation: int) -> None:
        for row in chosen:
            wishes[row.name] = Wish(generation, forwarded(environ))

    _change(project, settings, table, "restart " + " ".join(row.name for row in chosen), edit)


def unwant(project: Project, settings: Settings, rows: Iterable[Service], table: Table = DEFAULT) -> None:
    """These should no longer run. Returns before they are down."""
    chosen = list(rows)

    def edit(wishes: wanted.Wanted, _generation: int) -> None:
        for row in chosen:
            wishes.pop(row.name, None)

    _change(project, settings, table, "stop " + " ".join(row.name for row in chosen), edit)


def shut_down(project: Project) -> bool:
    """End supervisord unless somebody wants a service again; whether it is down."""
    if not run_folder(project).is_dir():
        return True
    with locked(project, "stop the supervisor"):
        if wanted.load(run_folder(project)):
            return False
        if alive(project):
            with suppress(Gone):
                client(project).shutdown()
        deadline = monotonic() + DAEMON_SECONDS
        while alive(project):
            if monotonic() > deadline:
                raise SupervisorFailed(detail="it does not end")
            with suppress(Gone):
                # Any call wakes it up: its loop sleeps for up to a second.
                client(project).states()
            time.sleep(POLL_SECONDS)
    return True


def wishes(project: Project) -> wanted.Wanted:
    return wanted.load(run_folder(project))
