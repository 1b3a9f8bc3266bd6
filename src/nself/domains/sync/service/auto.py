"""Healing without being asked: the worker goes through everything again and again, with a share of the calls that are allowed."""

from __future__ import annotations

from nself import log
from nself.app import App
from nself.core.clock import monotonic
from nself.core.errors import Unavailable
from nself.db.connect import Tx
from nself.domains.sync import store
from nself.domains.sync.model import Run, RunUnderWay, Start
from nself.domains.sync.service import run as runs
from nself.domains.sync.service.page import Reader, TakenOver
from nself.domains.webhook.service import recover
from nself.gateway import budget
from nself.gateway.kinds import KINDS

SHARE = 5
"""A fifth of the calls of an interval, at most."""


def scheduled(app: App) -> str:
    """The job: begin or go on with the run `auto`; what it did. Raises the gateway's errors."""
    if not app.settings.flag("BILLING_AUTO_SYNC"):
        return "BILLING_AUTO_SYNC is false"
    if app.safe_mode:
        return "BILLING_SAFE_MODE is true"
    if not app.settings.text("STRIPE_SECRET_KEY"):
        return "STRIPE_SECRET_KEY is not set"
    recover.recover(app)
    try:
        run = _next(app)
    except RunUnderWay as error:
        return error.message
    return _for_a_while(app, Reader(app, run))


def _next(app: App) -> Run:
    """The run that waits to be gone on with, or a new one."""
    app.require_stripe(changing=False)

    def work(tx: Tx) -> Run | None:
        store.lock_purpose(tx, "auto")
        id = store.newest_run(tx, ["auto"], ["running", "stopped"], app.settings.live)
        return runs.take(app, tx, store.run(tx, id)) if id is not None else None

    waiting = app.db.transact(work)
    size = min(100, app.settings.integer("STRIPE_BATCH_SIZE"))
    return waiting or runs.begin(app, Start(purpose="auto", heal=True, kinds=list(KINDS), batch_size=size))


def _for_a_while(app: App, reader: Reader) -> str:
    """Steps until the interval's share of calls is spent, or the end of the run."""
    interval = app.settings.seconds("BILLING_SYNC_INTERVAL")
    before, until = app.stripe.counters().calls, monotonic() + interval
    allowed, id = max(50, int(budget.limit(app.settings) * interval) // SHARE), reader.run.id
    try:
        while reader.step():
            if not reader.run.over and (app.stripe.counters().calls - before >= allowed or monotonic() >= until):
                app.db.transact(lambda tx: store.rest_run(tx, reader.run))
                return f"run {id} rests at {reader.run.kind}: {_told(app, id)}"
    except TakenOver:
        return f"run {id} was taken over"
    except Unavailable as error:
        runs.note(app, reader.run, error)
        app.db.transact(lambda tx: store.rest_run(tx, reader.run))
        raise error
    app.db.transact(lambda tx: store.end_run(tx, reader.run, "done", None, app.clock()))
    log.info("sync", run=id, purpose="auto", state="done")
    return f"run {id} is done: {_told(app, id)}"


def _told(app: App, id: int) -> str:
    found = runs.result(app, id)
    causes = ", ".join(f"{count} {cause}" for cause, count in sorted(found.by_cause.items()))
    return f"{found.checked} compared, {found.differences} healed" + (f" ({causes})" if causes else "")
