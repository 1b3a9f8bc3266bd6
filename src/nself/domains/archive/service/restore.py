"""Raw events from the archive back into the database. What was counted is stored again and not counted again."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, date
from itertools import groupby, islice
from typing import NamedTuple

from nself import log
from nself.app import App
from nself.bucket import parquet
from nself.bucket.errors import BucketNotSet, ObjectMissing
from nself.core.errors import BillingError
from nself.core.period import Period
from nself.db.connect import Tx
from nself.domains.archive import rules, store
from nself.domains.archive.inputs import RestoreUsage
from nself.domains.archive.model import Event, Manifest, MonthBusy, MonthsInvoiced, NothingArchived, Restored
from nself.domains.archive.service import files
from nself.domains.customer import service as customer
from nself.domains.invoice.service import assess
from nself.domains.usage.inputs import UsageEvent
from nself.domains.usage.model import Row
from nself.domains.usage.service import record, recount

BATCH = 2000
SOURCE = "archive"
"""Of events that are counted anew; what is only put back keeps its own."""


class Found(NamedTuple):
    """An archive that has a part of what is wanted."""

    month: date
    folder: str
    manifest: Manifest


class Sorted(NamedTuple):
    """Archived events by what is known of them here."""

    present: list[Event]
    away: list[Event]
    """Their keys are known, so they were counted."""
    lost: list[Event]
    strangers: list[Event]
    """Of users that are not known."""
    reused: list[Event]
    """Other content took their keys since."""


class Tally(NamedTuple):
    events: int = 0
    present: int = 0
    put_back: int = 0
    counted: int = 0
    refused: int = 0

    def plus(self, other: Tally) -> Tally:
        return Tally(*(a + b for a, b in zip(self, other, strict=True)))


class Seen(NamedTuple):
    """What looking at all of it found: invoiced months with their numbers of lost events, and what is to be said."""

    tally: Tally
    invoiced: Counter[str]
    notes: list[str]


def restore(app: App, given: RestoreUsage) -> Restored:
    """Raises InvalidParameter, NoSuchUser, NothingArchived, MonthsInvoiced, MonthBusy, ObjectDamaged and the bucket's errors.

    A run that is killed is simply run again: what it brought back is found.
    """
    span = rules.given_day(given.date, given.month, app.timezone)
    if given.user:
        customer.require_user(app, given.user)
    try:
        found = _archives(app, given, span)
    except (BucketNotSet, NothingArchived) as error:
        if given.execute:
            raise
        return _result(given, span, [], Tally(), Seen(Tally(), Counter(), _hints(error)))
    try:
        seen = _look(app, found, given.user, span)
        if seen.invoiced and given.execute and not given.invoiced:
            raise MonthsInvoiced(events=seen.invoiced.total(), months=", ".join(sorted(seen.invoiced)))
        tally = _bring_back(app, found, given, span) if given.execute else seen.tally
    except ObjectMissing:
        if busy := _given_up(app, found):
            raise busy from None
        raise
    return _result(given, span, found, tally, seen)


def _given_up(app: App, found: Sequence[Found]) -> MonthBusy | None:
    """Where an archive is none any more: somebody makes the month's anew at this moment."""
    gone = (one.month for one in found if files.read_manifest(app, one.folder) is None)
    return next((MonthBusy(month=rules.name(month)) for month in gone), None)


def _hints(error: BillingError) -> list[str]:
    """Looking is no failure where there is nothing to be found."""
    return [error.message, *(f"try: {hint}" for hint in error.hint)]


def _archives(app: App, given: RestoreUsage, span: Period) -> list[Found]:
    """Every whole archive of the months in `span`, oldest first."""
    mine = files.owner(app)
    owner = given.owner or mine
    with app.db.reading() as tx:
        rows = {row.location: row for row in store.archives(tx, None)}
    found: list[Found] = []
    for month in rules.overlapping(span):
        for folder in app.bucket.folders(files.home(owner, month)):
            row = rows.get(folder)
            manifest = files.read_manifest(app, folder, row.manifest_sha256 if row else None)
            if manifest and (manifest.owner, manifest.livemode) == (owner, app.settings.live):
                found.append(Found(month, folder, manifest))
    if not found:
        raise NothingArchived(span=given.date or given.month, other="" if owner == mine else f" of {owner}")
    return found


def _wanted(app: App, found: Sequence[Found], user: str | None, span: Period) -> Iterator[tuple[date, list[Event]]]:
    """Months with batches of their events; each event once, also where several archives hold it."""
    for month, group in groupby(found, lambda one: one.month):
        archives, taken = list(group), set[tuple[str, str]]()
        events = (event for one in archives for event in _events(app, one, user, span))
        if len(archives) > 1:
            events = (event for event in events if _first(taken, event))
        while batch := list(islice(events, BATCH)):
            yield month, batch


def _events(app: App, one: Found, user: str | None, span: Period) -> Iterator[Event]:
    for piece in one.manifest.objects:
        if rules.may_hold(piece, user):
            for table in files.open_piece(app, one.folder, piece):
                yield from parquet.chosen(table, user, *span)


def _first(taken: set[tuple[str, str]], event: Event) -> bool:
    place = (event["user_id"], event["idempotency_key"])
    fresh = place not in taken
    taken.add(place)
    return fresh


def _sorted(tx: Tx, batch: Sequence[Event], users: set[str]) -> Sorted:
    """Step: `users` are those that are known."""
    sort = Sorted([], [], [], [], [])
    for event, what in zip(batch, store.known(tx, batch), strict=True):
        if what.known:
            (sort.reused if not what.same else sort.present if what.present else sort.away).append(event)
        else:
            (sort.lost if event["user_id"] in users else sort.strangers).append(event)
    return sort


def _users(app: App, batch: Sequence[Event]) -> set[str]:
    return customer.known_users(app, {str(event["user_id"]) for event in batch})


def _look(app: App, found: Sequence[Found], user: str | None, span: Period) -> Seen:
    seen = Seen(Tally(), Counter(), [])
    for _, batch in _wanted(app, found, user, span):
        users = _users(app, batch)
        with app.db.reading() as tx:
            sort = _sorted(tx, batch, users)
            seen.invoiced.update(_invoiced(app, tx, sort.lost))
        tally = Tally(
            len(batch), len(sort.present), len(sort.away), len(sort.lost), len(sort.strangers) + len(sort.reused)
        )
        seen = seen._replace(tally=seen.tally.plus(tally), notes=seen.notes or _reasons(sort))
    return seen


def _invoiced(app: App, tx: Tx, lost: Sequence[Event]) -> Iterator[str]:
    """Step: for each lost event of a month that was invoiced to its user, the month."""
    for user, events in groupby(lost, lambda event: str(event["user_id"])):
        periods = assess.invoiced_periods(app, tx, user)
        for event in events:
            yield from (assess.month(app, one.start) for one in periods if one.start <= event["created_at"] < one.end)


def _reasons(sort: Sorted) -> list[str]:
    found: list[str] = []
    if sort.strangers:
        user = shlex.quote(str(sort.strangers[0]["user_id"]))
        found.append(
            f"events of unknown users are left out, like those of {user}: nself billing customer create --user {user}"
        )
    if sort.reused:
        key = sort.reused[0]["idempotency_key"]
        found.append(f"events whose keys other events took since are left out, like {key}")
    return found


def _bring_back(app: App, found: Sequence[Found], given: RestoreUsage, span: Period) -> Tally:
    tally = Tally()
    for month, batch in _wanted(app, found, given.user, span):
        record.ensure_months_of(app, [rules.span(month).start])
        users = _users(app, batch)

        def work(tx: Tx, month: date = month, batch: list[Event] = batch, users: set[str] = users) -> Tally:
            if not store.try_month(tx, month):
                raise MonthBusy(month=rules.name(month))
            return _store(app, tx, month, batch, users)

        tally = tally.plus(app.db.transact(work))
    log.warning(
        "usage_restored", user=given.user, start=span.start, end=span.end, actor=app.operator(), **tally._asdict()
    )
    return tally


def _store(app: App, tx: Tx, month: date, batch: Sequence[Event], users: set[str]) -> Tally:
    """Step: what was counted is stored again, what was lost is counted by the way that all usage takes."""
    sort, now = _sorted(tx, batch, users), app.clock()
    if sort.away:
        recount.forget(tx)
    back = store.put_back(tx, sort.away) if sort.away else 0
    if back:
        store.returned(tx, month, back)
    twice = 0
    if sort.lost:
        rows = list(enumerate(_row(event) for event in sort.lost))
        outcome = record.store_rows(tx, [_event(row) for _, row in rows], rows, {}, SOURCE, now)
        twice = len(outcome.duplicates) + len(outcome.refused)
    counted = len(sort.lost) - twice
    if back or counted:
        store.note(tx, month, "restored", back + counted, f"{counted} of them counted", app.operator(), now)
    present = len(batch) - back - counted - len(sort.strangers) - len(sort.reused)
    return Tally(len(batch), present, back, counted, len(sort.strangers) + len(sort.reused))


def _row(event: Event) -> Row:
    return Row(
        user=event["user_id"],
        metric=event["metric_type"],
        value=event["value"],
        at=event["created_at"].astimezone(UTC).isoformat(),
        key=event["idempotency_key"],
        digest=bytes.fromhex(event["digest"]),
        properties=event["properties"],
        dimensions=event["dimensions"],
    )


def _event(row: Row) -> UsageEvent:
    return UsageEvent(user=row.user, metric=row.metric, value=row.value, at=row.at, key=row.key)


def _result(given: RestoreUsage, span: Period, found: Sequence[Found], tally: Tally, seen: Seen) -> Restored:
    notes = list(seen.notes)
    if seen.invoiced:
        notes.append(
            f"missing events of {', '.join(sorted(seen.invoiced))} were invoiced already: the next invoice bills the difference"
        )
    todo = tally.put_back + tally.counted
    if todo and not given.execute:
        notes.append(f"nothing was done; to do it: {_again(given, bool(seen.invoiced))}")
    words = "restored" if given.execute else "would be restored"
    return Restored(
        result="nothing is archived" if not found else words if todo else "nothing is missing",
        start=span.start,
        end=span.end,
        archives=len(found),
        events=tally.events,
        present=tally.present,
        put_back=tally.put_back,
        counted=tally.counted,
        of_invoiced_months=seen.invoiced.total(),
        refused=tally.refused,
        notes=notes,
    )


def _again(given: RestoreUsage, invoiced: bool) -> str:
    words = ["nself billing usage restore"]
    for name, value in (("user", given.user), ("date", given.date), ("month", given.month), ("owner", given.owner)):
        words += [f"--{name} {shlex.quote(value)}"] if value else []
    return " ".join([*words, *(["--invoiced"] if invoiced else []), "--execute"])
