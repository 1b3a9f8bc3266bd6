"""Scheduled work: each kind has one job that waits or runs. A worker holds a lease and renews it while it works.

A kind is a row `Scheduled` of a domain's entrypoints. Work must be safe to do twice: a worker that was thought dead may
still be at it; it cannot finish the job, though.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import NamedTuple, TypeVar, cast

import msgspec

from nself import log
from nself.app import App
from nself.core import acting
from nself.core.clock import monotonic
from nself.core.entrypoint import Scheduled
from nself.core.errors import BillingError, Unavailable
from nself.core.settings import seconds
from nself.db.connect import Tx, unavailable
from nself.domains.job import store
from nself.domains.job.inputs import ClearJobs, ListJobs, ListOperations
from nself.domains.job.model import Asked, Claimed, Cleared, Job, NoSuchJob, Operation, PutOff, Schedule
from nself.measure import SLOW_SECONDS, measures

LEASE = timedelta(seconds=60)
LATE = timedelta(seconds=60)
"""A worker looks every second; one that is busy with other work may take this long."""
BEATS = 3
"""In one lease."""
KEPT = 20
RUNS = 50
OPERATIONS = "operations"
WORKER = f"{socket.gethostname()}:{os.getpid()}"
G = TypeVar("G", bound=msgspec.Struct)
R = TypeVar("R")


def kinds(app: App) -> dict[str, Scheduled]:
    return {row.type: row for row in app.registry.rows(Scheduled)}


def interval(app: App, row: Scheduled) -> timedelta:
    """Of a setting, or written out."""
    return timedelta(seconds=app.settings.seconds(row.every) if row.every.isupper() else seconds(row.every))


def ensure(app: App) -> None:
    """Every kind is scheduled; an interval that was made shorter holds at once."""
    rows, now = kinds(app), app.clock()

    def work(tx: Tx) -> None:
        store.ensure(tx, sorted(rows), now)
        store.hasten(tx, sorted(rows), [now + interval(app, rows[one]) for one in sorted(rows)])

    app.db.transact(work)


def _begin(app: App) -> None:
    """A project that never ran has no work yet: all of it is scheduled. What was lost later is shown as lost."""
    with app.db.reading() as tx:
        known = store.list_jobs(tx, None, None, 1, app.clock())
    if not known:
        ensure(app)


def long_kinds(app: App) -> list[str]:
    """Each is done in a thread of its own."""
    return [type for type, row in kinds(app).items() if row.long]


def run_due(app: App, only: str | None = None) -> int:
    """Do one piece of work that is due, of the kind `only` or of those that are not long; number of pieces done."""
    now = app.clock()
    rows = {type: row for type, row in kinds(app).items() if (type == only if only else not row.long)}
    job = app.db.transact(lambda tx: store.claim(tx, sorted(rows), WORKER, now, now + LEASE))
    if job is None:
        return 0
    if job.attempts > 1:
        log.warning("job_taken_over", type=job.type, job=job.id, attempts=job.attempts)
    with acting.on(acting.new_task(f"job_{job.id}")):
        result, error = _do(app, rows[job.type], job)
    _finish(app, rows[job.type], job, result, error)
    return 1


def _do(app: App, row: Scheduled, job: Claimed) -> tuple[str | None, str | None]:
    """What the work said of itself, or its error."""
    use = cast("Callable[[App], object]", app.registry.resolve(row.use))
    began = monotonic()
    with _beating(app, job):
        try:
            result, error = str(use(app) or ""), None
        except Exception as problem:
            told = problem if isinstance(problem, BillingError) else unavailable(problem)
            if told is None:
                log.failure("job_failed")
            result, error = None, f"{told.code}: {told.message}" if told else f"{type(problem).__name__}: {problem}"
    took = monotonic() - began
    measures.observe("job", (job.type, "error" if error else "ok"), took)
    if error:
        log.warning("job_failed", type=job.type, job=job.id, error=error, took_ms=round(took * 1000))
    elif took >= SLOW_SECONDS:
        log.info("slow_job", type=job.type, job=job.id, took_ms=round(took * 1000))
    return result, error


def _finish(app: App, row: Scheduled, job: Claimed, result: str | None, error: str | None) -> None:
    """The job's end and its successor are one transaction."""
    now = app.clock()

    def work(tx: Tx) -> bool:
        if not store.finish(tx, job, "failed" if error else "succeeded", now, result, error and error[:1000]):
            return False
        store.queue(tx, job.type, now + interval(app, row))
        store.forget(tx, job.type, KEPT)
        return True

    if not app.db.transact(work):
        log.warning("job_lost", type=job.type, job=job.id, detail="another worker has it")


@contextmanager
def _beating(app: App, job: Claimed) -> Generator[None]:
    """Renew the lease in a thread of its own."""
    done = threading.Event()

    def beat() -> None:
        while not done.wait(LEASE.total_seconds() / BEATS):
            try:
                with app.db.transaction() as tx:
                    if not store.beat(tx, job, app.clock() + LEASE):
                        return
            except BillingError as error:
                log.warning("job_beat_failed", type=job.type, error=error.message)

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def list_jobs(app: App, given: ListJobs) -> list[Job]:
    """What waits or runs first, then the newest. Raises NoSuchJob."""
    _require(app, given.type)
    _begin(app)
    with app.db.reading() as tx:
        return store.list_jobs(tx, given.type, given.status, given.limit, app.clock())


def clear(app: App, given: ClearJobs) -> Cleared:
    """Stuck work is queued anew, failed work is put aside and its kind runs at once. Raises NoSuchJob."""
    _require(app, given.type)
    now = app.clock()

    def work(tx: Tx) -> tuple[int, int]:
        if given.status == "stuck":
            freed = store.free_stuck(tx, given.type, now)
            return freed, freed
        types = store.clear_failed(tx, given.type)
        return len(types), sum(store.due(tx, one, now) for one in sorted(set(types)))

    cleared, requeued = app.db.transact(work)
    log.info("jobs_cleared", status=given.status, type=given.type, cleared=cleared, requeued=requeued)
    note = "" if cleared else f"nothing is {given.status}"
    return Cleared(status=given.status, type=given.type or "all", cleared=cleared, requeued=requeued, note=note)


UNSCHEDULED = "not scheduled"


class Standing(NamedTuple):
    """A kind of work: what waits or runs, the newest that is over, and whether any kind was ever scheduled."""

    next: Job | None
    last: Job | None
    known: bool


def standing(app: App, type: str) -> Standing:
    """Changes nothing, so that what was lost is seen to be."""
    with app.db.reading() as tx:
        found = store.list_jobs(tx, type, None, 1000, app.clock())
        known = bool(found or store.list_jobs(tx, None, None, 1, app.clock()))
    over = [one for one in found if one.finished_at]
    last = max(over, key=lambda one: one.finished_at or one.due_at) if over else None
    return Standing(next((one for one in found if one.status in ("queued", "running", "stuck")), None), last, known)


def schedule(app: App, type: str) -> Schedule:
    """When a kind of work runs next and ran last. Raises NoSuchJob."""
    _require(app, type)
    _begin(app)
    found, every = standing(app, type), interval(app, kinds(app)[type])
    waits, last = found.next, found.last
    return Schedule(
        type=type,
        state=waits.status if waits else UNSCHEDULED,
        worker=None if waits is None or waits.status == "queued" else waits.worker,
        every_seconds=int(every.total_seconds()),
        next_at=waits.due_at if waits else None,
        last_at=last.finished_at if last else None,
        last_result=(last.last_error or last.result) if last else None,
        note=_note(waits, app.clock(), every) if waits else "nobody does it: nself restart billing schedules it",
    )


def _note(job: Job, now: datetime, every: timedelta) -> str:
    late = now - job.due_at
    if job.status == "stuck":
        return f"{job.worker} began it and does not answer: nself billing jobs clear --status stuck"
    if job.status == "queued" and late > LATE:
        return f"due for {int(late.total_seconds())} s and nobody does it: nself restart billing"
    if job.status == "queued" and -late > every + LATE:
        return f"due in {int(-late.total_seconds())} s, though it is done every {int(every.total_seconds())} s"
    return ""


def runs(app: App, type: str) -> list[Job]:
    """The job of `type` that waits or runs, if there is one, and the last ones that are over. Only reads. Raises NoSuchJob."""
    _require(app, type)
    with app.db.reading() as tx:
        return store.list_jobs(tx, type, None, RUNS, app.clock())


def run_at(app: App, type: str, at: datetime) -> int:
    """Reschedule the job of `type` that waits; 0 where it runs at this moment. Raises NoSuchJob."""
    _require(app, type)
    ensure(app)
    return app.db.transact(lambda tx: store.due(tx, type, at))


def _require(app: App, type: str | None) -> None:
    known = kinds(app)
    if type is not None and type not in known:
        raise NoSuchJob(type=type, known=", ".join(sorted(known)))


def operate(app: App, work: Callable[[App, G], R], given: G) -> R | PutOff:
    """`work(app, given)`, a domain's long operation: left to the worker where BILLING_ASYNC_OPERATIONS and BILLING_USE_QUEUE are
    true, else done here, and measured, since whoever asked waits.
    """
    use = _reference(work)
    if app.settings.flag("BILLING_ASYNC_OPERATIONS") and app.settings.flag("BILLING_USE_QUEUE"):
        return _put_off(app, use, given)
    began, name = monotonic(), f"{use.partition('.')[0]}.{use.rpartition(':')[2]}"
    asker, outcome = "request" if acting.task.get() else "command", "failed"
    try:
        done = work(app, given)
        outcome = "ok"
    finally:
        measures.observe("operation", (name, asker, outcome), monotonic() - began)
    return done


def _reference(used: Callable[..., object]) -> str:
    """What the registry resolves to it: `sync.service.run:reconcile`."""
    return f"{used.__module__.removeprefix('nself.domains.')}:{used.__qualname__}"


def _put_off(app: App, use: str, given: msgspec.Struct) -> PutOff:
    """It survives kills of everybody. The same asked for again before it ends is one operation."""
    ensure(app)
    asked, live, now = msgspec.to_builtins(given), app.settings.live, app.clock()

    def work(tx: Tx) -> int | None:
        id = store.ask(tx, use, _reference(type(given)), asked, app.operator(), live, now)
        store.due(tx, OPERATIONS, now)
        return id

    id = None
    while id is None:
        id = app.db.transact(work)
    log.info("operation_queued", operation=id, use=use)
    return PutOff(operation=id, state="queued", note="it goes on in usage-collector: nself billing jobs operations")


def perform_operations(app: App) -> str:
    """The job: all that was asked for, in order. What needs somebody who is away is tried again later, and raised."""
    count = 0
    while not app.safe_mode and (one := app.db.transact(lambda tx: store.take(tx, app.settings.live, app.clock()))):
        _perform(app, one)
        count += 1
    return f"{count} operations"


def _perform(app: App, one: Asked) -> None:
    def end(state: str, result: object, error: str | None) -> None:
        app.db.transact(lambda tx: store.end(tx, one.id, state, result, error, app.clock()))
        log.info("operation", operation=one.id, use=one.use, state=state, error=error)

    try:
        use = cast("Callable[[App, object], object]", app.registry.resolve(one.use))
        given = msgspec.convert(one.given, cast("type[msgspec.Struct]", app.registry.resolve(one.input)))
        end("done", msgspec.to_builtins(use(app, given)), None)
    except Unavailable as error:
        end("queued", None, error.message)
        raise
    except Exception as error:  # what nobody foresaw must not be begun again for ever
        log.failure("operation_failed")
        end("failed", None, error.message if isinstance(error, BillingError) else f"{type(error).__name__}: {error}")


def list_operations(app: App, given: ListOperations) -> list[Operation]:
    """Newest first."""
    with app.db.reading() as tx:
        return store.operations(tx, given.limit)
