"""Looking at runs, at what they found, and at what cannot be right here."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from datetime import timedelta

from nself.app import App
from nself.core.entrypoint import Rows
from nself.db.connect import Tx
from nself.domains.sync import store
from nself.domains.sync.inputs import FindInconsistencies, Nothing, ShowDiff
from nself.domains.sync.model import Counted, Difference, Inconsistency, NeverRun, RunResult, Status
from nself.domains.sync.service import run as runs
from nself.gateway import budget
from nself.gateway.kinds import KINDS

EXACT = 10_000
"""Objects of a kind that are counted; more are estimated."""
ENDED = ["done"]
ALL = ["running", "stopped", "done"]


def reconcile_status(app: App, given: Nothing) -> RunResult | NeverRun:
    """The newest run of `reconcile` or `sync all`."""
    with app.db.reading() as tx:
        id = store.newest_run(tx, ["reconcile", "sync"], ALL, app.settings.live)
    return runs.result(app, id) if id is not None else NeverRun()


def show_diff(app: App, given: ShowDiff) -> Rows[Difference]:
    """What a run found, and whether it was healed. Raises NoSuchRun."""
    with app.db.reading() as tx:
        id = given.run or store.newest_run(tx, ["reconcile", "sync", "compare"], ALL, app.settings.live)
        if id is None:
            return Rows([], NeverRun().remarks())
        run = store.run(tx, id)
        found = store.differences(tx, id, given.cause, given.limit)
    return Rows(
        found,
        [f"run {id} ({run.purpose}) is {run.state}: {run.checked} objects compared, {len(found)} differences shown"],
    )


def count(app: App, given: Nothing) -> list[Counted]:
    """Objects here by kind, the calls that comparing them takes, and the seconds at the rate that is allowed."""
    with app.db.reading() as tx:
        here = store.mirrored(tx, app.settings.live, None, None)
    size, rate = min(100, app.settings.integer("STRIPE_BATCH_SIZE")), budget.limit(app.settings)

    def calls(kind: str) -> int:
        if KINDS[kind].of_customer:
            return here.get("customer", 0)
        return max(1, math.ceil(here.get(kind, 0) / size))

    return [
        Counted(kind=kind, here=here.get(kind, 0), calls=calls(kind), seconds=math.ceil(calls(kind) / rate))
        for kind in KINDS
    ]


def status(app: App, given: Nothing) -> Status:
    """How well the mirror is known to agree with Stripe."""
    live, now, kinds = app.settings.live, app.clock(), list(KINDS)
    with app.db.reading() as tx:
        complete = store.newest_complete(tx, live, kinds)
        running = store.newest_run(tx, ["reconcile", "sync", "compare", "auto"], ["running"], live)
        current = store.run(tx, running) if running is not None else None
        last = store.run(tx, complete) if complete is not None else None
        healed = store.healed_since(tx, now - timedelta(days=1))
        events = store.events_open(tx)
        counts = store.difference_counts(tx, last.id) if last else []
        mirrored = store.mirrored_about(tx, live, kinds, EXACT)
    auto = app.settings.flag("BILLING_AUTO_SYNC")
    note = "" if last else "not everything was compared yet: nself billing sync all --execute"
    if not note and max(mirrored.values(), default=0) > EXACT:
        note = f"objects of which there are more than {EXACT} are estimated: nself billing reconcile count"
    return Status(
        auto_sync=auto,
        interval_seconds=int(app.settings.seconds("BILLING_SYNC_INTERVAL")),
        last_complete_at=last.finished_at if last else None,
        last_complete_run=last.id if last else None,
        running=current.id if current else None,
        progress=f"{current.purpose}: {current.kind}, {current.checked} compared" if current else "",
        healed_last_day=sum(healed.values()),
        healed_causes=healed,
        open_differences=sum(one.count for one in counts if one.state == "open"),
        refused_differences=sum(one.count for one in counts if one.state == "refused"),
        events_waiting=events.waiting,
        events_failed=events.failed,
        mirrored=mirrored,
        note=note,
    )


def find_inconsistencies(app: App, given: FindInconsistencies) -> list[Inconsistency]:
    """What cannot be right here, found without a call to Stripe; then what the newest run left open."""
    live, limit = app.settings.live, given.limit
    with app.db.reading() as tx:
        found = [
            *(_rowed(one, "local write lost", "its row is not what was written from Stripe's answer") for one in store.tampered(tx, live, limit)),
            *(_rowed(one, "mode mixed", f"it is not of {app.settings.text('STRIPE_MODE')} mode") for one in store.other_mode(tx, live, limit)),
            *(
                _of(one.kind, one.object, "event failed", one.customer or "", f"nself billing webhook events --object {one.object}")
                for one in store.failed_objects(tx, live, limit)
            ),
            *_orphans(tx, live, limit),
            *_left_open(tx, live, limit),
        ]  # fmt: skip
    broke = runs.newest_broken(app)
    if broke:
        found.insert(0, _of("run", "newest", runs.NAMES[broke.why], broke.text, "nself billing reconcile --resume"))
    return found[:limit]


def find_orphaned(app: App, given: FindInconsistencies) -> list[Inconsistency]:
    """Objects without the one that they belong to: users without customers' data, customers without users."""
    with app.db.reading() as tx:
        live, limit = app.settings.live, given.limit
        unlinked = (
            _of("customer", one.object, "no user", f"email {one.customer}", f"nself billing customer link --customer {one.object} --user USER")
            for one in store.without_user(tx, live, limit)
        )  # fmt: skip
        return [*_orphans(tx, live, limit), *unlinked][:limit]


def _orphans(tx: Tx, live: bool, limit: int) -> Iterator[Inconsistency]:
    for one in store.without_customer(tx, live, limit):
        what = "was deleted at Stripe" if one.gone else "is not here"
        command = "sync customer" if one.gone else "customer import"
        yield _of(
            one.kind, one.object, "no customer", f"{one.customer} {what}", f"nself billing {command} {one.customer}"
        )
    for one in store.claimed_twice(tx, live, limit):
        detail = f"it names user {one.customer}, who belongs to {one.holder}"
        yield _of(
            "customer", one.object, "second customer", detail, f"nself billing customer show {one.object} --compare"
        )


def _left_open(tx: Tx, live: bool, limit: int) -> Iterable[Inconsistency]:
    newest = store.newest_run(tx, ["reconcile", "sync", "compare", "auto"], ALL, live)
    if newest is None:
        return
    for one in store.differences(tx, newest, None, limit):
        if one.state != "healed":
            mend = (
                f"nself billing sync {one.kind} {one.object}"
                if one.kind in ("customer", "subscription")
                else "nself billing sync all --execute"
            )
            yield _of(one.kind, one.object, one.cause, one.error or one.detail, mend)


def _rowed(one: store.Odd, problem: str, detail: str) -> Inconsistency:
    mend = (
        f"nself billing sync {one.kind} {one.object}"
        if one.kind in ("customer", "subscription")
        else "nself billing sync all --execute"
    )
    return _of(
        one.kind, one.object, problem, detail, "nself billing stripe show-config" if problem == "mode mixed" else mend
    )


def _of(kind: str, object: str, problem: str, detail: str, mend: str) -> Inconsistency:
    return Inconsistency(kind=kind, object=object, problem=problem, detail=detail, mend=mend)
