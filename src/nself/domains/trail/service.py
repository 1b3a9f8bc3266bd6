"""Writing down who does what, before and after, in a chain; showing it and working it out again.

One place calls `deed` for the command line and one for HTTP. While the database is away entries wait in a file, and
whoever comes next takes them into the chain; the lock on the chain's end puts writers in one order.
"""

from __future__ import annotations

import socket
import uuid
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from itertools import islice

from nself import log
from nself.app import App
from nself.core import period
from nself.core.errors import BillingError
from nself.db import server
from nself.db.connect import Tx
from nself.domains.trail import rules, store
from nself.domains.trail.inputs import ShowLog
from nself.domains.trail.model import AuditLogBroken, AuditLogNotWritten, Deed, Entry, Head, Phase, Verified

SHOWN = 20
_FOREVER = datetime.max.replace(tzinfo=UTC)


@contextmanager
def deed(app: App, command: str, actor: str) -> Generator[None]:
    """Around what is done: written down before, so that nothing privileged is done that is not, and after.

    `command` holds no secret field. Raises AuditLogNotWritten before the block, and what the block raises.
    """
    id, command, host = uuid.uuid4().hex, log.redact(command), socket.gethostname()

    def entry(phase: Phase, outcome: str = "") -> Entry:
        return Entry(
            entry=id, phase=phase, at=app.clock(), actor=actor, host=host, command=command, outcome=outcome
        )  # fmt: skip

    try:
        _write(app, entry("begun"))
    except OSError as error:
        raise AuditLogNotWritten(detail=error.strerror) from error
    try:
        yield
    except BaseException as error:
        code = error.code if isinstance(error, BillingError) else type(error).__name__
        _finish(app, entry("failed", code))
        raise
    _finish(app, entry("done"))


def done_with(app: App, tx: Tx, command: str, actor: str) -> None:
    """Step: a deed that is done where `tx` is committed and else was not: it replaces what it would be written into."""
    id, at, host = uuid.uuid4().hex, app.clock(), socket.gethostname()
    phases: tuple[Phase, ...] = ("begun", "done")
    entries = [
        Entry(entry=id, phase=one, at=at, actor=actor, host=host, command=log.redact(command), outcome="")
        for one in phases
    ]
    _chain(entries, tx)


def _finish(app: App, one: Entry) -> None:
    """What was done stands: that its end could not be written is told by the log, and by the entry without an end."""
    try:
        _write(app, one)
    except Exception:
        log.failure("audit_end_not_written", entry=one.entry, command=one.command)


def _write(app: App, one: Entry) -> None:
    """Raises OSError, UnwritableProject."""
    try:
        if _database_is_up(app):
            chain(app, [one])
            return
    except Exception as error:  # whatever keeps the database from taking it: it waits on disk
        log.warning("audit_entry_waits", error=log.redact(str(error)))
    app.ensure_project()
    store.keep(app.project.audit, one)


def _database_is_up(app: App) -> bool:
    """Who sets a setting does not start a database for it."""
    return "db" in vars(app) or bool(app.settings.values["DATABASE_URL"].text) or server.answers(app.project)


def chain(app: App, entries: Sequence[Entry]) -> None:
    """What waits on disk, then `entries`; what is chained already is passed over."""
    with store.waiting(app.project.audit) as before:
        if both := [*before, *entries]:
            app.db.transact(partial(_chain, both))


def _chain(entries: Sequence[Entry], tx: Tx) -> None:
    head = store.lock_head(tx)
    known = store.known(tx, entries)
    new = {f"{one.entry} {one.phase}": one for one in entries}
    made = list(rules.chain(head, (one for name, one in new.items() if name not in known), store.open_incident(tx)))
    if made:
        store.add(tx, made)
        log.info("audit_entry", entries=len(made), head=rules.spelled(Head(made[-1].number, made[-1].hash)))


def chain_waiting(app: App) -> str:
    """Scheduled."""
    chain(app, [])
    return ""


def deeds(tx: Tx, since: datetime, until: datetime, limit: int) -> list[Deed]:
    """Step: what was begun in between, newest first."""
    return store.deeds(tx, since, until, None, limit)


def deeds_about(tx: Tx, words: Sequence[str], since: datetime, limit: int) -> list[Deed]:
    """Step: those in whose command a word of `words` stands, newest first."""
    return store.deeds(tx, since, _FOREVER, None, limit, words)


def mentioned(tx: Tx, texts: Sequence[str]) -> set[str]:
    """Step: those that stand in a privileged command that was done."""
    return store.mentions(tx, texts)


def show_log(app: App, given: ShowLog) -> list[Deed] | Verified:
    """Raises InvalidParameter, AuditLogBroken."""
    chain(app, [])
    if given.verify:
        return _verify(app, given.head)
    now = app.clock()
    since = period.since(given.since, now, app.timezone)
    with app.db.reading() as tx:
        return store.deeds(tx, since, _FOREVER, given.incident, given.limit)


def _verify(app: App, kept: str | None) -> Verified:
    anchor = rules.read_head(kept) if kept else None
    with app.db.snapshot() as tx:
        head = store.head(tx)
        wrong = list(islice(rules.broken(store.chain(tx), head, anchor), SHOWN))
    if wrong:
        raise AuditLogBroken(detail="; ".join(wrong))
    result = "unbroken: no entry was changed, removed or inserted"
    return Verified(entries=head.number, head=rules.spelled(head), result=result)
