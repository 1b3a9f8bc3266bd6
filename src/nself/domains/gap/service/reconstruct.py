"""Counting what logs know and the database does not (docs/decisions/0016)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from nself import log
from nself.app import App
from nself.core.errors import BillingError, MissingParameter
from nself.core.period import Period
from nself.db.connect import Tx
from nself.domains.customer import service as customer
from nself.domains.gap import rules, store
from nself.domains.gap.inputs import ReconstructUsage
from nself.domains.gap.model import (
    Entry,
    ImportedFile,
    NoLogGiven,
    Reconstructed,
    Reconstruction,
    Source,
)
from nself.domains.gap.service.events import require_events
from nself.domains.invoice.service import assess
from nself.domains.repair.model import PeriodInvoiced
from nself.domains.stack import service as stack
from nself.domains.stack.model import NoLog
from nself.domains.usage.inputs import ImportUsage, UsageEvent
from nself.domains.usage.model import Row
from nself.domains.usage.service import import_file, inspect, record

SOURCE = "reconstructed"
SERVICES = "services' logs"
MARGIN = timedelta(seconds=rules.TOLERANCE)
ORDER = ("service", "table", "access")
"""Kinds of logs, those that keep an event's own key first. One event may be in logs of several kinds, once in each."""


class Logged(NamedTuple):
    """Events of the logs, each once, ready to be stored."""

    sources: list[Source]
    rows: list[Row]


class Compared(NamedTuple):
    """The logs beside the database, of the period alone."""

    logged: list[Entry]
    stored: list[Entry]
    missing: list[Row]
    invoiced: Period | None


def reconstruct(app: App, given: ReconstructUsage) -> Reconstructed:
    """Events of a user that stand in logs and are not stored; with `execute` they are recorded.

    Raises NoSuchUser, InvalidParameter, NoLogGiven, NoSuchFile, UnreadableImport, PeriodInvoiced, EventsGone, and
    MissingParameter for a reason in live mode.
    """
    if not (given.from_logs or given.log):
        raise NoLogGiven()
    if given.execute and app.settings.live and not given.reason:
        raise MissingParameter("reason")
    customer.require_user(app, given.user)
    span = inspect.given_span(app, given.date, given.until or given.date)
    logged = _logged(app, given, Period(span.start - MARGIN, span.end + MARGIN))
    if not given.execute:
        with app.db.snapshot() as tx:
            found = _compare(app, tx, given.user, span, logged.rows)
        return _told(given, span, logged.sources, found, 0)
    record.ensure_months_of(app, [datetime.fromisoformat(row.at) for row in logged.rows])
    found, recorded = app.db.transact(lambda tx: _record(app, tx, given, span, logged))
    log.info(
        "usage_reconstructed",
        user=given.user,
        recorded=recorded,
        start=span.start,
        end=span.end,
        actor=app.operator(),
        reason=given.reason,
    )
    return _told(given, span, logged.sources, found, recorded)


def _record(app: App, tx: Tx, given: ReconstructUsage, span: Period, logged: Logged) -> tuple[Compared, int]:
    """Step: compare and record what is missing, while nobody else does so for this user or plans an invoice."""
    store.lock_user(tx, given.user)
    assess.lock(tx, [given.user])
    found, now = _compare(app, tx, given.user, span, logged.rows), app.clock()
    if found.invoiced and not given.invoiced:
        raise PeriodInvoiced(period=assess.month(app, found.invoiced.start), user=given.user)
    recorded = 0
    if found.missing:
        events = [_event(row) for row in found.missing]
        outcome = record.store_rows(tx, events, list(enumerate(found.missing)), {}, SOURCE, now)
        recorded = len(events) - len(outcome.duplicates) - len(outcome.refused)
    store.add_reconstruction(
        tx,
        Reconstruction(
            user=given.user,
            period_start=span.start,
            period_end=span.end,
            sources=", ".join(one.name for one in logged.sources),
            in_log=len(found.logged),
            missing=len(found.missing),
            recorded=recorded,
            invoiced=found.invoiced is not None,
            actor=app.operator(),
            reason=given.reason,
            reconstructed_at=now,
        ),
    )
    return found, recorded


def _event(row: Row) -> UsageEvent:
    return UsageEvent(user=row.user, metric=row.metric, value=row.value, at=row.at, key=row.key)


def _compare(app: App, tx: Tx, user: str, span: Period, rows: list[Row]) -> Compared:
    """Step: which of `rows` are not stored. Those just outside of `span` take part, so that none inside takes their place."""
    require_events(tx, user, span)
    stored = store.stored(tx, user, Period(span.start - MARGIN, span.end + MARGIN))
    entries = [_entry(row) for row in rows]
    missing = [at for at in rules.unmatched(entries, stored) if _inside(entries[at], span)]
    planned = assess.invoiced_periods(app, tx, user) if missing else []
    instants = [rules.EPOCH + timedelta(seconds=entries[at].second) for at in missing]
    invoiced = next((one for one in planned if any(one.start <= at < one.end for at in instants)), None)
    return Compared(
        [one for one in entries if _inside(one, span)],
        [one for one in stored if _inside(one, span)],
        [rows[at] for at in missing],
        invoiced,
    )


def _entry(row: Row) -> Entry:
    return Entry(row.metric, row.value, row.key, (datetime.fromisoformat(row.at) - rules.EPOCH) // timedelta(seconds=1))


def _inside(one: Entry, span: Period) -> bool:
    return span.start <= rules.EPOCH + timedelta(seconds=one.second) < span.end


def _logged(app: App, given: ReconstructUsage, frame: Period) -> Logged:
    """What the logs know of `given.user` in `frame`."""
    sources: list[Source] = []
    kinds: dict[str, dict[str, Row]] = {kind: {} for kind in ORDER}
    for name, kind, events in _read(app, given, frame):
        rows, note = _rows(app, given.user, frame, events)
        sources.append(Source(name=name, kind=kind, events=len(rows), note=note))
        kinds[kind].update({row.key: row for row in rows})
    found: list[Row] = []
    for rows in kinds.values():
        more = list(rows.values())
        fresh = rules.unmatched([_entry(row) for row in more], [_entry(row) for row in found])
        found += [more[at] for at in fresh]
    return Logged(sources, sorted(found, key=lambda row: (row.at, row.key)))


def _rows(app: App, user: str, frame: Period, events: Iterable[object]) -> tuple[list[Row], str]:
    """Events of `user` in `frame` as they would be stored, and what is to be said about the rest."""
    mine: list[record.Given] = []
    try:
        mine += [one for one in events if isinstance(one, UsageEvent) and one.user == user and one.at and one.key]
    except (BillingError, OSError) as error:
        return [], str(error)
    rows, refused = record.check(app, mine, app.clock())
    note = ", ".join(sorted({f"not countable: {error.code}" for error in refused.values()}))
    first, last = frame.start.isoformat(), frame.end.isoformat()
    return [row for _, row in rows if first <= row.at < last], note


Read = Iterator[tuple[str, str, Iterable[object]]]
"""A source's name and kind, and its events."""


def _read(app: App, given: ReconstructUsage, frame: Period) -> Read:
    """Files that were named must be there; what the project knows may be gone."""
    for name in given.log:
        plan = ImportUsage(file=name, count_metric=given.count_metric, bytes_metric=given.bytes_metric)
        yield name, import_file.kind_of(app, plan), list(import_file.events_of(app, plan))
    if not given.from_logs:
        return
    yield SERVICES, "service", _of_services(app, frame)
    with app.db.reading() as tx:
        imported = store.imported(tx)
    named = {str(Path(name).resolve()) for name in given.log}
    for one in imported:
        if one.path not in named:
            named.add(one.path)
            yield one.path, "access" if one.format == "access" else "table", import_file.events_of(app, _again(one))
    access = app.settings.text("BILLING_ACCESS_LOG")
    for path in store.rotated(app.project.root / Path(access).expanduser(), frame.start) if access else []:
        if str(path.resolve()) not in named:
            again = ImportUsage(
                file=str(path), kind="access", count_metric=given.count_metric, bytes_metric=given.bytes_metric
            )
            yield str(path), "access", import_file.events_of(app, again)


def _again(one: ImportedFile) -> ImportUsage:
    return ImportUsage(file=one.path, count_metric=one.count_metric, bytes_metric=one.bytes_metric, origin=one.origin)


def _of_services(app: App, frame: Period) -> Iterator[UsageEvent]:
    """Single events that were stored once: each is a line `usage_recorded` with its key."""
    try:
        for line in stack.entries(app, stack.BILLING, frame.start):
            match line:
                case {
                    "message": "usage_recorded", "accepted": 1,
                    "user": str(user), "metric": str(metric), "value": int(value), "at": str(at), "key": str(key),
                }:  # fmt: skip
                    yield UsageEvent(user=user, metric=metric, value=value, at=at, key=key)
                case _:
                    pass
    except NoLog:
        return


def _told(
    given: ReconstructUsage, span: Period, sources: list[Source], found: Compared, recorded: int
) -> Reconstructed:
    missing = [_entry(row) for row in found.missing]
    return Reconstructed(
        user=given.user,
        start=span.start,
        end=span.end,
        in_log=len(found.logged),
        missing=len(missing),
        recorded=recorded,
        invoiced=found.invoiced is not None,
        result=_result(found, recorded),
        sources=sources,
        hours=rules.by_hour(found.logged, found.stored, missing),
    )


def _result(found: Compared, recorded: int) -> str:
    if not found.logged:
        return "the logs know nothing of this user and time; --log FILE reads another one"
    if not found.missing:
        return "nothing is missing"
    if recorded:
        return "recorded"
    if found.invoiced:
        return "nothing was changed: the period is invoiced; --execute --invoiced records what is missing, the next invoice bills the difference"
    return "nothing was changed; --execute records what is missing"
