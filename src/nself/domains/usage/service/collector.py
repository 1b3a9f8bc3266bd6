"""The usage-collector's part: bring what is on disk into the database, and say how it stands (docs/decisions/0011)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import msgspec

from nself import log
from nself.app import App
from nself.core.errors import BillingError, MissingParameter
from nself.db.connect import Tx
from nself.domains.usage import store
from nself.domains.usage.errors import NothingDamaged
from nself.domains.usage.inputs import ShowCollector, SkipDamage
from nself.domains.usage.model import CollectorStatus, Drained, Problem, Row, Skipped
from nself.domains.usage.service import buffer, record
from nself.domains.usage.service.buffer import Kept, Reason
from nself.domains.usage.service.record import Given, Outcome
from nself.spool import beat
from nself.spool.beat import Beat
from nself.spool.errors import BufferDamaged, BufferFull
from nself.spool.segments import Place, Record, Waiting

DRAIN_EVENTS = 10_000
"""Most events of one transaction, where one record has not more."""
MAX_CHUNKS = 100_000
LOOK = 10_000
"""Events that are read at once in search of one."""


class Refused(BillingError):
    """An event that was refused when it came; it is only noted now."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(detail=reason.message, line=reason.event)
        self.code = reason.code


class Chunk(NamedTuple):
    """What one transaction drains; `end` is the place behind it."""

    source: str
    events: list[Given]
    rows: list[tuple[int, Row]]
    refused: dict[int, BillingError]
    end: Place


def drain(app: App) -> Drained:
    """Count what is on disk, in order, and remove it from there. Any number of collectors may do so at once.

    Raises BufferDamaged where a record cannot be read, DatabaseUnavailable.
    """
    total = Drained()
    if app.spool.idle():
        return total
    app.spool.seal()
    place = _place(app)
    for _ in range(MAX_CHUNKS):
        try:
            found, end = app.spool.read(place, DRAIN_EVENTS)
        except BufferDamaged:
            if (moved := _place(app)) == place:
                raise
            place = moved
            continue
        if found:
            chunk = _chunk(app, found)
            place, outcome = _count(app, place, chunk)
            total = _add(total, chunk, outcome)
        elif end != place:
            place = _advance(app, place, end)
        app.spool.remove_before(place.segment)
        if not found:
            break
    if total.events:
        log.info("usage_drained", **msgspec.structs.asdict(total))
    return total


def _place(app: App) -> Place:
    with app.db.reading() as tx:
        return store.spool_place(tx, app.spool.id) or app.spool.first()


def _chunk(app: App, records: Sequence[Record]) -> Chunk:
    """The records of one source at the beginning of `records`. Raises BufferDamaged where the first cannot be read."""
    source, end = "", records[0].end
    events, rows, refused = list[Given](), list[tuple[int, Row]](), dict[int, BillingError]()
    for kept, after in _readable(records):
        if events and kept.source != source:
            break
        source, end, start = kept.source, after, len(events)
        given: list[Given] = [*kept.events, *(Refused(one) for one in kept.refused)]
        known, strange = record.check(app, given, kept.at)
        events += given
        rows += [(start + at, row) for at, row in known]
        refused |= {start + at: error for at, error in strange.items()}
    return Chunk(source, events, rows, refused, end)


def _readable(records: Sequence[Record]) -> Iterator[tuple[Kept, Place]]:
    for one in records:
        try:
            yield buffer.read(one.payload), one.end
        except msgspec.DecodeError as error:
            if one is not records[0]:
                return
            raise BufferDamaged(segment=one.start.segment, offset=one.start.offset, detail=error) from None


def _count(app: App, place: Place, chunk: Chunk) -> tuple[Place, Outcome | None]:
    """One transaction: the events and the place behind them. Where another collector was faster: where it stands."""
    spool, now = app.spool.id, app.clock()
    record.ensure_months(app, chunk.rows)

    def work(tx: Tx) -> tuple[Place, Outcome | None]:
        stored = store.lock_spool(tx, spool, place)
        if stored != place:
            return stored, None
        outcome = record.store_rows(tx, chunk.events, chunk.rows, chunk.refused, chunk.source, now)
        store.advance_spool(tx, spool, chunk.end, len(chunk.events), now)
        return chunk.end, outcome

    return app.db.transact(work)


def _add(total: Drained, chunk: Chunk, outcome: Outcome | None) -> Drained:
    if outcome is None:
        return total
    events, duplicate, rejected = len(chunk.events), len(outcome.duplicates), len(outcome.refused)
    return Drained(
        events=total.events + events,
        counted=total.counted + events - duplicate - rejected,
        duplicate=total.duplicate + duplicate,
        rejected=total.rejected + rejected,
    )


def _advance(app: App, place: Place, end: Place) -> Place:
    """Past segments in which nothing is left."""
    spool, now = app.spool.id, app.clock()

    def work(tx: Tx) -> Place:
        stored = store.lock_spool(tx, spool, place)
        if stored == place:
            store.advance_spool(tx, spool, end, 0, now)
        return end if stored == place else stored

    return app.db.transact(work)


def skip(app: App, given: SkipDamage) -> Skipped:
    """Set unreadable bytes aside and go on behind them; what was in them is noted as rejected.

    Raises NothingDamaged, MissingParameter where `confirm` comes without the segment that is meant.
    """
    if given.confirm and given.segment is None:
        raise MissingParameter("segment")
    what = "Everything" if given.segment is None else f"Segment {given.segment}"
    try:
        drain(app)
    except BufferDamaged as error:
        damage = error
    else:
        raise NothingDamaged(what=what)
    place = Place(int(str(damage.fields["segment"])), int(str(damage.fields["offset"])))
    if given.segment not in (None, place.segment):
        raise NothingDamaged(what=what)
    copy, result, events = (
        None,
        f"nothing was skipped; add --segment {place.segment} --confirm to go on behind it",
        None,
    )
    if given.confirm:
        path, end, events = app.spool.set_aside(place)
        copy, stood = str(path), _place(app)
        skipped = app.db.transact(lambda tx: _note_skip(app, tx, stood, end, damage, copy, events or 1))
        result = "set aside" if skipped else "somebody else was faster; nothing was skipped"
    return Skipped(
        segment=place.segment,
        offset=place.offset,
        cause=str(damage.fields["detail"]),
        events=events,
        kept_in=copy,
        result=result,
    )


def _note_skip(app: App, tx: Tx, stood: Place, end: Place, damage: BufferDamaged, copy: str, events: int) -> bool:
    """Step: move on, and note what was accepted and can never be counted."""
    now = app.clock()
    if store.lock_spool(tx, app.spool.id, stood) != stood:
        return False
    store.advance_spool(tx, app.spool.id, end, 0, now)
    texts = [f"event {at} of {events} in {copy}" for at in range(1, events + 1)]
    store.add_rejected(tx, "buffer", now, texts, [damage.code] * events, [damage.message] * events)
    store.add_intake(tx, "buffer", events, 0, now)
    log.error("buffer_skipped", segment=damage.fields["segment"], kept_in=copy, events=events)
    return True


def forget(app: App) -> None:
    """What is buffered is gone: for a sandbox that begins anew. Raises BufferUnwritable."""
    if app.project.spool.is_dir():
        app.spool.forget()


def holds(app: App, key: str) -> bool:
    """Whether an event with `key` waits on disk."""
    place = _place(app)
    while True:
        records, end = app.spool.read(place, LOOK)
        if not records:
            return False
        for one in records:
            if any(event.key == key for event in buffer.read(one.payload).events):
                return True
        place = end


def waiting(app: App) -> Waiting:
    """What is on disk and not yet in the database."""
    return Waiting() if app.spool.idle() else app.spool.waiting(_place(app))


def status(app: App, given: ShowCollector) -> CollectorStatus:
    """How the collector and its buffer stand, also while the database is away."""
    problems = list[Problem]()
    folded, left = None, Waiting()
    try:
        with app.db.reading() as tx:
            folded = store.last_fold_at(tx)
        left, database = waiting(app), "answers"
    except BillingError as error:
        problems.append(_problem(error))
        left, database = app.spool.waiting(app.spool.first()), error.message
    found = list(beat.collectors(app.project.spool))
    alive = [one for one, lives in found if lives]
    last = max((one for one, _ in found), key=lambda one: one.since, default=None)
    if not alive:
        problems.append(
            Problem(
                code="collector_not_running",
                cause="No usage-collector runs: what is in the buffer waits, and nothing is folded",
                mend="nself restart usage-collector",
            )
        )
    problems += _buffer_problems(app, left, last)
    since = datetime.fromtimestamp(left.since // 1000, UTC) if left.since is not None else None
    return CollectorStatus(
        collector=f"running ({len(alive)})" if len(alive) > 1 else "running" if alive else "not running",
        pid=alive[0].pid if alive else None,
        since=alive[0].since if alive else None,
        buffer="on" if buffer.enabled(app) else "off",
        buffered_events=left.events,
        buffered_bytes=left.bytes,
        capacity=app.settings.integer("USAGE_BUFFER_SIZE"),
        oldest_at=since,
        oldest_age_seconds=max(0, (app.clock() - since) // timedelta(seconds=1)) if since else None,
        database=database,
        last_drain_at=last.last_drain_at if last else None,
        last_drained=last.last_drained if last else None,
        last_aggregation_at=folded,
        last_error=last.error if last else None,
        last_error_at=last.error_at if last else None,
        last_error_mend=last.error_hint if last else None,
        problems=problems,
    )


def _problem(error: BillingError) -> Problem:
    return Problem(code=error.code, cause=error.message, mend=(*error.hint, "nself logs billing")[0])


def _buffer_problems(app: App, left: Waiting, last: Beat | None) -> list[Problem]:
    """What is wrong with the buffer, where it can be seen from outside or the collector could not go on for it."""
    found, most = list[Problem](), app.settings.integer("USAGE_BUFFER_SIZE")
    if left.events >= most:
        found.append(_problem(BufferFull(detail=f"{left.events} events are kept, USAGE_BUFFER_SIZE is {most}")))
    if last and last.failing and last.error_code and last.error_code != "database_unavailable":
        found.append(
            Problem(code=last.error_code, cause=last.error or "", mend=last.error_hint or "nself logs usage-collector")
        )
    return found
