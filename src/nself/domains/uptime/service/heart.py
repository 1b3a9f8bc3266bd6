"""A service tells every few seconds that it lives, so that later its end, and how it ended, can be told (docs/decisions/0016)."""

from __future__ import annotations

import os
import signal
import socket
import threading
import uuid
from datetime import datetime, timedelta
from types import TracebackType

from nself import log
from nself.app import App
from nself.core import clock
from nself.core.errors import BillingError
from nself.db.connect import Tx, unavailable
from nself.domains.measurement import service as measurement
from nself.domains.uptime import rules, store
from nself.domains.uptime.model import BEAT, MEMORY_KEPT, STALE, Ended, Interruption, Note, Run
from nself.process import wanted
from nself.process.paths import run_folder
from nself.process.table import GENERATION
from nself.spool import refused
from nself.tracing import switch as tracing

QUICK_BEAT = timedelta(seconds=2)
"""While the database is away."""
PATIENCE = 15.0
"""Seconds for the last beat."""


class Heart:
    """One a process, around its work. Has a database connection of its own: a busy pool is no reason to look dead."""

    def __init__(self, app: App, service: str) -> None:
        self.app = App(app.project, app.registry, environ=app.environ, clock=app.clock)
        now = app.clock()
        place = f"{socket.gethostname()}:{app.project.root}"
        self.run = Run(
            run=uuid.uuid4().hex,
            service=service,
            place=place,
            pid=os.getpid(),
            boot=store.boot(),
            started_at=now,
            last_seen_at=now,
        )
        self.note = Note(run=self.run, interruptions=[], zone=app.timezone.key)
        self.away: Interruption | None = None
        self.reached_at = now
        self.registered = False
        self.server: datetime | None = None
        self.looked = clock.since_boot()
        self.outgrown = False
        self.most = store.most_memory()
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._beat_on, name="heart", daemon=True)

    def __enter__(self) -> Heart:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """An error ends a process out of order: what it left tells that."""
        if error is None:
            self.stop()

    def start(self) -> None:
        refused.prepare(self.app.project.spool)
        self.paper = store.Paper(self.app.project.beats, self.note)
        tracing.start(self.app.settings, self.run.service)
        self.thread.start()

    def _beat_on(self) -> None:
        self.beat()
        while not self.stopping.wait((QUICK_BEAT if self.away else BEAT).total_seconds()):
            self.beat()
            self._watch_memory()

    def stop(self) -> None:
        """The process ends in order. What the database cannot be told of it is left for the next one to tell."""
        tracing.stop()
        self.stopping.set()
        self.thread.join(PATIENCE)
        self.run.ended = _how(self.app, self.run.service)
        if self.beat():
            self.paper.remove()
        self.paper.close()
        self.app.close()

    def beat(self) -> bool:
        """Tell that the process lives; whether the database knows it now."""
        now = self.app.clock()
        self._notice_sleep(now)
        self.run.last_seen_at = now
        self.run.started_at = min(self.run.started_at, now)  # the clock was set back
        self.paper.write(self.note)
        try:
            self._tell(now)
        except Exception as error:  # whatever it is, the service goes on
            self._lose(now, error)
            self.paper.write(self.note)
        self.looked = clock.since_boot()
        return self.away is None

    def _watch_memory(self) -> None:
        """A process that outgrew BILLING_MEMORY_LIMIT is asked once to end; its supervisor starts it anew."""
        limit, used = self.app.settings.bytes("BILLING_MEMORY_LIMIT"), store.memory()
        if limit and used > limit and not self.outgrown:
            self.outgrown = True
            log.warning("memory_limit", used=used, limit=limit)
            os.kill(os.getpid(), signal.SIGTERM)

    def _notice_sleep(self, now: datetime) -> None:
        """The machine did not run the process for a while: it was paused, or slept."""
        passed = timedelta(seconds=clock.since_boot() - self.looked)
        if passed > STALE:
            self._add(Interruption(run=self.run.run, began_at=now - passed, ended_at=now, kind="frozen", detail=""))

    def _add(self, one: Interruption) -> None:
        self.note.interruptions.append(one)

    def _lose(self, now: datetime, error: Exception) -> None:
        """The database was not reached."""
        if self.away is None:
            self.away = Interruption(
                run=self.run.run, began_at=self.reached_at, ended_at=now, kind="database", detail=""
            )
            self._add(self.away)
        self.away.detail = str(unavailable(error) or error)
        self._prolong(self.away, now)
        try:
            waiting = self.app.spool.waiting(self.app.spool.first()).events
        except BillingError:
            return
        self.away.buffered = max(self.away.buffered, waiting)

    def _prolong(self, away: Interruption, now: datetime) -> None:
        away.began_at = min(away.began_at, now)  # the clock was set back
        away.ended_at = now

    def _tell(self, now: datetime) -> None:
        """One transaction with all that is new. Raises whatever keeps it from being committed."""
        gone = [] if self.registered else list(store.left(self.app.project.beats))
        book = refused.read(self.app.project.spool)
        with measurement.counted() as counted, self.app.db.transaction() as tx:
            server = store.server_started_at(tx)
            self._notice_return(now, server)
            for _, note in gone:
                if note:
                    store.tell(tx, _judged(note, self.run.boot))
            store.tell(tx, self.note)
            before = None if self.registered else store.previous(tx, self.run)
            if book:
                store.tell_refusals(tx, book.origin, book.spans)
            most = self._tell_memory(tx, rules.longest(counted), now)
            measurement.write(tx, counted, now)
        self.most = most
        self.reached_at, self.server = self.app.clock(), server
        self.note.interruptions.clear()
        if self.away:
            log.info("database_back", away_since=_at(self.away.began_at), buffered=self.away.buffered)
            self.away = None
        if book:
            refused.told(self.app.project.spool, book.spans)
        for path, _ in gone:
            store.forget(path)
        if not self.registered:
            self.registered = True
            _tell_restart(self.run, before)

    def _tell_memory(self, tx: Tx, longest: tuple[str, float], now: datetime) -> int:
        """Also of a peak since the last beat that is over; the most that this process had, ever."""
        used, most = store.memory(), store.most_memory()
        high = max(used, most) if most > self.most else used
        store.tell_memory(tx, self.run.run, now.replace(second=0, microsecond=0), (used, high), longest)
        store.forget_memory(tx, now - MEMORY_KEPT)
        return most

    def _notice_return(self, now: datetime, server: datetime) -> None:
        """The database answers: it may have been away since it did so last, unnoticed even."""
        anew = self.server is not None and server != self.server
        if self.away is None and anew:
            self._add(
                Interruption(
                    run=self.run.run,
                    began_at=min(self.reached_at, now),
                    ended_at=now,
                    kind="database",
                    detail="PostgreSQL was started anew",
                )
            )
        elif self.away:
            self._prolong(self.away, now)
            if anew and "started anew" not in self.away.detail:
                self.away.detail += "; PostgreSQL was started anew"


def _judged(note: Note, boot: str) -> Note:
    """What a dead process left, with the end that it could not tell; `boot` is the machine's present one."""
    if note.run.ended is None:
        note.run.ended = "killed" if note.run.boot == boot else "machine"
    return note


def _how(app: App, service: str) -> Ended:
    """Why this process was asked to end: by what is wanted of its service now."""
    generation = os.environ.get(GENERATION)
    if not generation:
        return "terminated"
    wish = wanted.load(run_folder(app.project)).get(service)
    if wish is None:
        return "stopped"
    return "terminated" if str(wish.generation) == generation else "restarted"


def _tell_restart(run: Run, before: Run | None) -> None:
    """A service that was there before, and was not stopped for good, has been restarted: the guide looks for the word."""
    if before is None or before.ended in (None, "stopped"):
        return
    down = max(timedelta(0), run.started_at - before.last_seen_at)
    tell = log.info if before.ended == "restarted" else log.warning
    tell(
        "service_restarted",
        reason=before.ended,
        down_since=_at(before.last_seen_at),
        down_seconds=round(down.total_seconds(), 1),
        started_at=_at(run.started_at),
    )


def _at(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def adopt(app: App) -> None:
    """Tell the database of processes of this project that died without doing so."""
    gone = list(store.left(app.project.beats))
    boot = store.boot()
    for path, note in gone:
        if note:
            with app.db.transaction() as tx:
                store.tell(tx, _judged(note, boot))
        store.forget(path)
