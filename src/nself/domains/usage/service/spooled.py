"""Bringing what a spool holds into the database: in order, each record once, by any number of processes at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Generic, NamedTuple, TypeVar

from nself.app import App
from nself.db.connect import Tx
from nself.domains.usage import store
from nself.spool.errors import BufferDamaged
from nself.spool.segments import Place, Record, Spool, Waiting

T = TypeVar("T")
DRAIN_EVENTS = 10_000
"""Most events of one transaction, where one record has not more."""
MAX_PARTS = 100_000


class Part(NamedTuple, Generic[T]):
    """What one transaction does with the records before `end`, which stand for `events`."""

    end: Place
    events: int
    work: Callable[[Tx], T]


def place(app: App, spool: Spool) -> Place:
    """Everything before it is in the database."""
    with app.db.reading() as tx:
        return store.spool_place(tx, spool.id) or spool.first()


def waiting(app: App, spool: Spool) -> Waiting:
    """What is on disk and not yet in the database."""
    return Waiting() if spool.idle() else spool.waiting(place(app, spool))


def drained(app: App, spool: Spool, part: Callable[[Sequence[Record]], Part[T]]) -> Iterator[T]:
    """What `work` returned for each part that was done here; what is done is removed from the disk.

    Raises BufferDamaged where a record cannot be read, DatabaseUnavailable.
    """
    if spool.idle():
        return
    spool.seal()
    at = place(app, spool)
    for _ in range(MAX_PARTS):
        try:
            found, end = spool.read(at, DRAIN_EVENTS)
        except BufferDamaged:
            if (moved := place(app, spool)) == at:
                raise
            at = moved
            continue
        if found:
            at, done = _advance(app, spool, at, part(found))
            yield from done
        elif end != at:  # segments in which nothing is left
            at, _ = _advance(app, spool, at, Part(end, 0, _nothing))
        spool.remove_before(at.segment)
        if not found:
            break


def _nothing(tx: Tx) -> None:
    return None


def _advance(app: App, spool: Spool, at: Place, part: Part[T]) -> tuple[Place, list[T]]:
    """One transaction: the work and the place behind it. Where another process was faster: where it stands."""
    name, now = spool.id, app.clock()

    def work(tx: Tx) -> tuple[Place, list[T]]:
        stored = store.lock_spool(tx, name, at)
        if stored != at:
            return stored, []
        result = part.work(tx)
        store.advance_spool(tx, name, part.end, part.events, now)
        return part.end, [result]

    return app.db.transact(work)
