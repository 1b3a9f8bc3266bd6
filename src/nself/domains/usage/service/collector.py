"""The usage-collector's part: bring what is on disk into the database, and say how it stands (docs/decisions/0011)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

import msgspec

from nself import log
from nself.app import App
from nself.core.errors import BillingError, MissingParameter
from nself.db.connect import Tx
from nself.domains.usage import store
from nself.domains.usage.errors import NothingDamaged
from nself.domains.usage.inputs import ShowCollector, SkipDamage
from nself.domains.usage.model import CollectorStatus, Drained, Problem, Row, Skipped, Unmet
from nself.domains.usage.service import buffer, record, spooled, unmet
from nself.domains.usage.service.buffer import Kept, Reason
from nself.domains.usage.service.record import Given
from nself.domains.usage.service.spooled import Part
from nself.spool import beat
from nself.spool.beat import Beat
from nself.spool.errors import BufferDamaged, BufferFull
from nself.spool.segments import Place, Record, Spool, Waiting

LOOK = 10_000
"""Events that are read at once in search of one."""


class Refused(BillingError):
    """An event that was refused when it came; it is only noted now."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(detail=reason.message, line=reason.event)
        self.code = reason.code


def drain(app: App) -> Drained:
    """Count what is on disk, in order, and remove it from there. Any number of collectors may do so at once.

    Raises BufferDamaged where a record cannot be read, DatabaseUnavailable.
    """
    total = Drained()
    for one in spooled.drained(app, app.spool, partial(_part, app)):
        total = _add(total, one)
    if total.events:
        log.info("usage_drained", **msgspec.structs.asdict(total))
    return total


def _part(app: App, records: Sequence[Record]) -> Part[Drained]:
    """The records of one source at the beginning of `records`. Raises BufferDamaged where the first cannot be read."""
    source, end = "", records[0].end
    events, rows, refused = list[Given](), list[tuple[int, Row]](), dict[int, BillingError]()
    came = list[datetime]()
    for kept, after in _readable(records):
        if events and kept.source != source:
            break
        source, end, start = kept.source, after, len(events)
        given: list[Given] = [*kept.events, *(Refused(one) for one in kept.refused)]
        known, strange = record.check(app, given, kept.at)
        events += given
        came += [kept.at] * len(given)
        rows += [(start + at, row) for at, row in known]
        refused |= {start + at: error for at, error in strange.items()}
    record.ensure_months(app, rows)
    now = app.clock()

    def work(tx: Tx) -> Drained:
        outcome = record.store_rows(tx, events, rows, refused, source, now, came=came)
        duplicate, rejected = len(outcome.duplicates), len(outcome.refused)
        counted = len(events) - duplicate - rejected
        return Drained(events=len(events), counted=counted, duplicate=duplicate, rejected=rejected)

    return Part(end, len(events), work)


def _readable(records: Sequence[Record]) -> Iterator[tuple[Kept, Place]]:
    for one in records:
        try:
            yield buffer.read(one.payload), one.end
        except msgspec.DecodeError as error:
            if one is not records[0]:
                return
            raise BufferDamaged(segment=one.start.segment, offset=one.start.offset, detail=error) from None


def _add(total: Drained, one: Drained) -> Drained:
    return Drained(
        events=total.events + one.events,
        counted=total.counted + one.counted,
        duplicate=total.duplicate + one.duplicate,
        rejected=total.rejected + one.rejected,
    )


def skip(app: App, given: SkipDamage) -> Skipped:
    """Set unreadable bytes of the usage buffer aside and go on behind them; what was in them is noted as rejected.

    Raises NothingDamaged, MissingParameter where `confirm` comes without the segment that is meant.
    """
    return skip_damage(app, app.spool, drain, "buffer", given)


def skip_damage(app: App, spool: Spool, drain: Callable[[App], object], source: str, given: SkipDamage) -> Skipped:
    """The same for any spool, which `drain` drains."""
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
        path, end, events = spool.set_aside(place)
        copy, stood = str(path), spooled.place(app, spool)
        note = partial(_note_skip, app, spool, source, stood, end, damage, copy, events or 1)
        skipped = app.db.transact(note)
        result = "set aside" if skipped else "somebody else was faster; nothing was skipped"
    return Skipped(
        segment=place.segment,
        offset=place.offset,
        cause=str(damage.fields["detail"]),
        events=events,
        kept_in=copy,
        result=result,
    )


def _note_skip(
    app: App, spool: Spool, source: str, stood: Place, end: Place, damage: BufferDamaged, copy: str, events: int, tx: Tx
) -> bool:
    """Step: move on, and note what was accepted and can never be counted."""
    now = app.clock()
    if store.lock_spool(tx, spool.id, stood) != stood:
        return False
    store.advance_spool(tx, spool.id, end, 0, now)
    texts = [f"event {at} of {events} in {copy}" for at in range(1, events + 1)]
    store.add_rejected(tx, source, [now] * events, texts, [damage.code] * events, [damage.message] * events)
    store.add_intake(tx, source, events, 0, now)
    log.error("buffer_skipped", segment=damage.fields["segment"], kept_in=copy, events=events)
    return True


def forget(app: App) -> None:
    """What is buffered is gone: for a sandbox that begins anew. Raises BufferUnwritable."""
    if app.project.spool.is_dir():
        app.spool.forget()


def holds(app: App, key: str) -> bool:
    """Whether an event with `key` waits on disk."""
    place = spooled.place(app, app.spool)
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
    return spooled.waiting(app, app.spool)


def status(app: App, given: ShowCollector) -> CollectorStatus:
    """How the collector and its buffer stand, also while the database is away."""
    problems = list[Problem]()
    folded, left, missing = None, Waiting(), list[Unmet]()
    try:
        with app.db.reading() as tx:
            folded = store.last_fold_at(tx)
        missing = unmet.unmet(app)
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
        unmet=missing,
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
