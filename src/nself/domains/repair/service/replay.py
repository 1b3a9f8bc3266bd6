"""Counting events that were rejected, once the cause is mended."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from nself import log
from nself.app import App
from nself.core import period
from nself.core.errors import BillingError
from nself.db.connect import Tx
from nself.domains.invoice.service import assess
from nself.domains.repair import rules, store
from nself.domains.repair.inputs import ReplayRejected
from nself.domains.repair.model import NoSuchRejected, PeriodInvoiced, Replay, Replayed
from nself.domains.repair.service import steps
from nself.domains.usage.model import RejectedEvent, Row
from nself.domains.usage.service import record

BATCH = 1_000


class Ready(NamedTuple):
    """A rejected event that can be counted now."""

    event: RejectedEvent
    row: Row


def replay(app: App, given: ReplayRejected) -> Replay:
    """Oldest first; what is still refused stays. Raises NoSuchRejected, MissingParameter for a reason in live mode."""
    with app.db.reading() as tx:
        found = store.rejected(tx, given.event, given.code, given.limit)
    if given.event is not None and not found:
        raise NoSuchRejected(event=given.event)
    events: list[Replayed] = []
    for start in range(0, len(found), BATCH):
        events += _batch(app, given, found[start : start + BATCH])
    done = Replay(
        executed=given.execute,
        counted=sum(one.result == "counted" for one in events),
        duplicate=sum(one.result == "duplicate" for one in events),
        still_rejected=sum(one.result not in ("counted", "duplicate") for one in events),
        events=events,
    )
    if given.execute:
        log.info(
            "usage_replayed",
            counted=done.counted,
            duplicate=done.duplicate,
            still_rejected=done.still_rejected,
            actor=app.operator(),
            reason=given.reason,
        )
    return done


def _batch(app: App, given: ReplayRejected, found: Sequence[RejectedEvent]) -> list[Replayed]:
    ready, refused = _examined(app, found)
    record.ensure_months(app, list(enumerate(one.row for one in ready)))

    def work(tx: Tx) -> list[Replayed]:
        mine = store.take_rejected(tx, [one.event.id for one in ready])
        taken = [one for one in ready if one.event.id in mine]
        barred = {} if given.invoiced else _invoiced(app, tx, taken)
        taken = [one for one in taken if one.event.id not in barred]
        outcome = record.replay_rows(tx, [(at, one.row) for at, one in enumerate(taken)], "replay", app.clock())
        results = refused | barred
        counted = [one.event.id for at, one in enumerate(taken) if at not in outcome.refused]
        store.remove_rejected(tx, counted)
        rows = {one.event.id: one.row for one in ready}
        for at, one in enumerate(taken):
            results[one.event.id] = outcome.refused.get(at) or ("duplicate" if at in outcome.duplicates else "counted")
        return [_replayed(one, rows.get(one.id), results[one.id]) for one in found if one.id in results]

    return steps.attempt(app, given.execute, given.reason, work)


def _examined(app: App, found: Sequence[RejectedEvent]) -> tuple[list[Ready], dict[int, BillingError | str]]:
    """Judged as at the moment of the rejection: an event without a time happened then."""
    rows: list[tuple[int, Row]] = []
    refused: dict[int, BillingError | str] = {}
    for one in found:
        given, why = record.examine(app, [one.event.encode()], one.rejected_at, f"rejected:{one.id}")
        rows += [(one.id, row) for _, row in given]
        if why:
            refused[one.id] = why[0]
    known, strangers = record.without_strangers(app, rows, {})
    by_id = {one.id: one for one in found}
    return [Ready(by_id[at], row) for at, row in known], refused | strangers


def _invoiced(app: App, tx: Tx, ready: Sequence[Ready]) -> dict[int, BillingError | str]:
    """Why events of invoiced periods are not taken up."""
    users: dict[str, list[Ready]] = defaultdict(list)
    for one in ready:
        users[one.row.user].append(one)
    found: dict[int, BillingError | str] = {}
    for user, events in users.items():
        closed = assess.invoiced_periods(app, tx, user)
        for one in events:
            held = rules.holding(period.instant(one.row.at, app.timezone), closed)
            if held:
                found[one.event.id] = PeriodInvoiced(period=assess.month(app, held.start), user=user)
    return found


def _replayed(one: RejectedEvent, row: Row | None, result: BillingError | str) -> Replayed:
    user, metric, value = (row.user, row.metric, row.value) if row else rules.claimed(one.event)
    return Replayed(
        id=one.id,
        rejected_as=one.code,
        user=user,
        metric=metric,
        value=value,
        result=result.code if isinstance(result, BillingError) else result,
        detail=result.message if isinstance(result, BillingError) else None,
    )
