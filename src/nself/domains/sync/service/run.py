"""Runs over all objects: one at a time of each purpose, page by page, resumed where they stopped.

The page and its cursor are one transaction, so a kill between any two lines repeats at most the comparison of one page.
Rate limits and outages slow a run down; what was not read is never counted as done.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import msgspec

from nself import log
from nself.app import App
from nself.core import period
from nself.core.clock import monotonic
from nself.core.errors import BillingError, InvalidParameter, Unavailable
from nself.db.connect import Tx
from nself.domains.job.model import PutOff
from nself.domains.job.service import operate
from nself.domains.sync import rules, store
from nself.domains.sync.inputs import CompareAll, Reconcile, SyncAll
from nself.domains.sync.model import (
    CompareStopped,
    Purpose,
    Run,
    RunResult,
    RunStopped,
    RunUnderWay,
    Start,
    Total,
)
from nself.domains.sync.service.page import LEASE, Reader, TakenOver
from nself.domains.webhook.service import recover
from nself.gateway.kinds import KINDS

PATIENCE = 600.0
"""Seconds for which a run tries again while Stripe or the database is away."""
LONGEST_PAUSE = 30.0
T = TypeVar("T")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
RESUMED: tuple[Purpose, ...] = ("reconcile", "sync")
OWN: tuple[Purpose, ...] = ("auto",)
"""What the worker begins by itself."""
NAMES = {
    "network": "network failure during sync",
    "rate": "API rate limits hit",
    "pool": "database connection pool exhausted",
    "memory": "memory limits",
    "records": "too many records to process",
}
"""Why a run did not come to its end."""
UNFORGOTTEN = timedelta(days=1)
"""A run that broke off longer ago tells nothing of today."""


def command(app: App, given: Reconcile) -> RunResult | PutOff:
    """`reconcile`, which may be left to the worker."""
    app.require_stripe(changing=False)
    return operate(app, reconcile, given)


def reconcile(app: App, given: Reconcile) -> RunResult:
    """Compare everything with Stripe and heal the mirror. Raises RunUnderWay, RunStopped, InvalidParameter."""
    if not given.resume:
        return drive(app, begin(app, _asked(app, given)))
    for name in ("batch_size", "start", "end", "kind", "dry_run"):
        if getattr(given, name) not in (None, False):
            option = f"--{name.replace('_', '-')}"
            raise InvalidParameter(f"--resume goes on as the run was begun: {option} cannot be changed", name)
    run = _resumed(app)
    if run is None:
        return drive(app, begin(app, _asked(app, given)))
    if run.state == "done":
        note = f"nothing was left to resume: run {run.id} is done"
        return msgspec.structs.replace(result(app, run.id), note=note)
    return drive(app, run)


def sync_all(app: App, given: SyncAll) -> RunResult:
    """The same over everything; without `execute` only what would be done."""
    if given.execute and given.dry_run:
        raise InvalidParameter("--execute and --dry-run exclude each other", "execute")
    start = Start(
        purpose="sync",
        heal=given.execute,
        kinds=list(KINDS),
        batch_size=min(100, app.settings.integer("STRIPE_BATCH_SIZE")),
    )
    return drive(app, begin(app, start))


def compare(app: App, given: CompareAll) -> RunResult:
    """Only compare."""
    kinds = [given.kind] if given.kind else list(KINDS)
    size = min(100, app.settings.integer("STRIPE_BATCH_SIZE"))
    found = drive(app, begin(app, Start(purpose="compare", heal=False, kinds=kinds, batch_size=size)))
    return msgspec.structs.replace(found, ok=not (given.exit_code and found.differences))


def _asked(app: App, given: Reconcile) -> Start:
    start = None if given.start is None else period.instant(given.start, app.timezone, "start")
    end = None if given.end is None else period.instant(given.end, app.timezone, "end", end=True)
    if any(at and at < EPOCH for at in (start, end)):
        raise InvalidParameter("Invalid date: Stripe has nothing from before 1970", "start")
    if start and end and start >= end:
        raise InvalidParameter("--start must be before --end", "start")
    return Start(
        purpose="reconcile",
        heal=not given.dry_run,
        kinds=[given.kind] if given.kind else list(KINDS),
        created_from=start,
        created_to=end,
        batch_size=given.batch_size or min(100, app.settings.integer("STRIPE_BATCH_SIZE")),
    )


def begin(app: App, start: Start) -> Run:
    """A new run; an older one of its purpose that nobody works at is given up. Raises RunUnderWay."""
    app.require_stripe(changing=False)
    live, now = app.settings.live, app.clock()

    def work(tx: Tx) -> Run:
        store.lock_purpose(tx, start.purpose)
        running = store.newest_run(tx, [start.purpose], ["running"], live)
        if running is not None:
            _free(store.run(tx, running))
        id = store.add_run(tx, start, live, app.operator(), _worker(), LEASE, now)
        store.give_up(tx, start.purpose, live, id, now)
        return store.run(tx, id)

    return app.db.transact(work)


def _resumed(app: App) -> Run | None:
    """The newest run of those that are begun by hand, taken over where it is not done; one that is done comes last."""

    def work(tx: Tx) -> Run | None:
        runs = list[Run]()
        for purpose in RESUMED:
            store.lock_purpose(tx, purpose)
            id = store.newest_run(tx, [purpose], ["running", "stopped", "done"], app.settings.live)
            if id is not None:
                runs.append(store.run(tx, id))
        run = min(runs, key=lambda run: (run.state == "done", -run.id), default=None)
        return run if run is None or run.state == "done" else take(app, tx, run)

    return app.db.transact(work)


def take(app: App, tx: Tx, run: Run) -> Run:
    """Step: go on with a run that nobody works at. Raises RunUnderWay."""
    _free(run)
    if not store.take_run(tx, run, _worker(), LEASE, app.clock()):
        raise RunUnderWay(run=run.id, purpose=run.purpose, since=run.started_at, worker="another process")
    return store.run(tx, run.id)


def _free(run: Run) -> None:
    """Raises RunUnderWay where somebody works at it; a process of this machine that is gone does not."""
    if run.state != "running" or not _worked_at(run):
        return
    raise RunUnderWay(run=run.id, purpose=run.purpose, since=f"{run.started_at:%Y-%m-%d %H:%M:%SZ}", worker=run.worker)


def _worked_at(run: Run) -> bool:
    host, _, pid = run.worker.rpartition(":")
    return run.leased and not (host == socket.gethostname() and not _alive(int(pid)))


def newest_broken(app: App) -> rules.Broken | None:
    """What became of the newest run by hand, or of the newest of the worker's, where it did not come to its end."""
    with app.db.reading() as tx:
        for purposes in (RESUMED, OWN):
            id = store.newest_run(tx, purposes, ["running", "stopped", "done"], app.settings.live)
            found = _broken(app, tx, store.run(tx, id)) if id is not None else None
            if found:
                return found
    return None


def _broken(app: App, tx: Tx, run: Run) -> rules.Broken | None:
    now = app.clock()
    if run.state == "done" or now - run.moved_at > UNFORGOTTEN:
        return None
    expected = sum(store.mirrored(tx, run.livemode, run.created_from, run.created_to).values())
    return rules.broken(run, _worked_at(run), expected, now)


def _worker() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def _alive(pid: int) -> bool:
    if pid == os.getpid():
        return False  # what this process left behind by itself
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def drive(app: App, run: Run) -> RunResult:
    """Work at a run until its end. Raises RunStopped; it can be resumed then."""
    log.info("reconciliation", run=run.id, purpose=run.purpose, state="running", kinds=run.kinds, heal=run.heal)
    reader = Reader(app, run)
    try:
        _patiently(app, run, lambda: recover.recover(app))
        _until_done(reader)
    except TakenOver:
        raise RunUnderWay(run=run.id, purpose=run.purpose, since=run.started_at, worker="another process") from None
    except BaseException as error:
        _stopped(app, reader.run, error)
        if isinstance(error, BillingError):
            at = reader.run
            stopped = CompareStopped if run.purpose == "compare" else RunStopped
            raise stopped(run=run.id, kind=at.kind, checked=at.checked, detail=error.message) from error
        raise
    finally:
        _progress(None, 0)
    app.db.transact(lambda tx: store.end_run(tx, reader.run, "done", None, app.clock()))
    found = result(app, run.id)
    log.info(
        "reconciliation", run=run.id, purpose=run.purpose, state="done", checked=found.checked, differences=found.differences,
        refused=found.refused,
    )  # fmt: skip
    return found


def _until_done(reader: Reader) -> None:
    with reader.app.db.reading() as tx:
        run = reader.run
        expected = sum(store.mirrored(tx, run.livemode, run.created_from, run.created_to).values())
    while _patiently(reader.app, run, reader.step):
        _progress(reader, expected)


def _patiently(app: App, run: Run, work: Callable[[], T]) -> T:
    """What `work` gives, tried again while Stripe or the database is away. Raises Unavailable after PATIENCE."""
    pause, began = 0.0, monotonic()
    while True:
        try:
            return work()
        except Unavailable as error:
            if monotonic() - began > PATIENCE:
                raise
            pause = min(LONGEST_PAUSE, max(0.5, pause * 2, getattr(error, "retry_after", None) or 0))
            log.warning("reconciliation", run=run.id, state="waiting", code=error.code, error=error.message)
            note(app, run, error)
            time.sleep(pause)


def note(app: App, run: Run, error: BillingError) -> None:
    """That it stands still, and why, for who looks at it meanwhile."""
    with contextlib.suppress(BillingError):  # the database may be what is away
        app.db.transact(lambda tx: store.note_run(tx, run, f"{error.code}: {error.message}"[:1000]))


def _stopped(app: App, run: Run, error: BaseException) -> None:
    text = log.redact(f"{type(error).__name__}: {error}")
    if isinstance(error, BillingError):
        text = f"{error.code}: {error.message}"
    log.warning("reconciliation", run=run.id, purpose=run.purpose, state="stopped", error=text)
    try:
        with app.db.transaction() as tx:
            known = None if isinstance(error, Exception) else store.run(tx, run.id).error  # who gave up waiting
            store.end_run(tx, run, "stopped", known or text[:1000], app.clock())
    except BillingError as unwritten:  # its lease ends by itself
        log.warning("reconciliation", run=run.id, state="stopped", error=unwritten.message)


def result(app: App, id: int) -> RunResult:
    """What a run has done so far."""
    with app.db.reading() as tx:
        run = store.run(tx, id)
        counts = store.difference_counts(tx, id)
        here: dict[str, int] = {}
        for kind in rules.SUMMED.keys() & set(run.kinds):
            here |= store.sums_here(tx, run, kind, rules.SUMMED[kind])
        broke = _broken(app, tx, run)
    by_cause: dict[str, int] = {}
    for one in counts:
        by_cause[one.cause] = by_cause.get(one.cause, 0) + one.count
    by_state = {state: sum(one.count for one in counts if one.state == state) for state in ("open", "refused")}
    seconds = max(1, round((run.moved_at - run.started_at).total_seconds()))
    return RunResult(
        run=run.id, purpose=run.purpose, state=run.state, healed=run.heal, checked=run.checked, pages=run.pages,
        differences=sum(by_cause.values()), by_cause=by_cause, open=by_state["open"], refused=by_state["refused"],
        totals=_totals(run, here), seconds=seconds, per_second=run.checked // seconds, started_at=run.started_at,
        finished_at=run.finished_at, error=run.error, note=_note(run, by_state, broke),
    )  # fmt: skip


def _totals(run: Run, here: dict[str, int]) -> list[Total]:
    found = list[Total]()
    for name in sorted(run.totals.keys() | here.keys()):
        kind, _, currency = name.rpartition(" ")
        ours, theirs = here.get(name, 0), int(run.totals.get(name, 0))
        found.append(Total(kind=kind, currency=currency, here_minor=ours, stripe_minor=theirs, equal=ours == theirs))
    return found


def _note(run: Run, by_state: dict[str, int], broke: rules.Broken | None) -> str:
    if (broke or run.state == "stopped") and run.purpose in RESUMED:
        why = f"{NAMES[broke.why]}: {broke.text}; " if broke else ""
        return f"{why}go on with `nself billing reconcile --resume`"
    if by_state["refused"]:
        return "some rows could not be stored: nself billing reconcile show-diff"
    if by_state["open"]:
        return "nothing was changed; look at it with `nself billing reconcile show-diff`, heal it with `nself billing sync all --execute`"
    return ""


def _progress(reader: Reader | None, expected: int) -> None:
    """A line that is written over and over, for who watches."""
    if not sys.stderr.isatty():
        return
    if reader is None:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
        return
    run = reader.run
    with reader.app.db.reading() as tx:
        now = store.run(tx, run.id)
    took = max(0.1, (now.moved_at - now.started_at).total_seconds())
    rate = now.checked / took
    share = min(1.0, now.checked / expected) if expected else 0.0
    left = f", {max(0, expected - now.checked) / rate:.0f} s left" if rate and share < 1 else ""
    bar = ("#" * int(share * 20)).ljust(20, ".")
    print(f"\r\x1b[K[{bar}] {now.checked} objects, {rate:.0f}/s{left}, {run.kind}", end="", file=sys.stderr, flush=True)
