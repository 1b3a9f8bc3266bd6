"""Taking usage in: one path for the CLI, HTTP and files."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from threading import Lock

import msgspec

from nself import log
from nself.app import App
from nself.core.errors import BillingError
from nself.db.connect import Tx
from nself.domains.catalog import service as catalog
from nself.domains.customer import service as customer
from nself.domains.customer.model import NoSuchUser
from nself.domains.usage import rules, store
from nself.domains.usage.inputs import RecordUsage, UsageEvent
from nself.domains.usage.model import BatchTooLarge, Intake, KeyReused, Recorded, Refused, Row

MAX_KEPT = 4000  # characters of a rejected event and of its reason that are kept

_months: set[tuple[str, date]] = set()
_months_lock = Lock()


class Outcome(msgspec.Struct, frozen=True):
    """What became of events 0..n-1 of a commit: everything that is in neither map was counted."""

    refused: dict[int, BillingError]
    duplicates: frozenset[int]

    def part(self, start: int, stop: int) -> Intake:
        """The answer for the events `[start, stop)`, numbered from 0 again."""
        refused = [
            Refused(index=at - start, code=error.code, message=_kept(error.message))
            for at in (range(start, stop) if self.refused else ())
            if (error := self.refused.get(at))
        ]
        duplicate = sum(at in self.duplicates for at in range(start, stop)) if self.duplicates else 0
        return Intake(accepted=stop - start - len(refused) - duplicate, duplicate=duplicate, rejected=refused)


Given = UsageEvent | bytes | msgspec.Raw | BillingError
"""An event, its JSON, or the reason why a line of a file could not be read as one."""


def record(app: App, given: RecordUsage) -> Recorded:
    """Count one event. Raises the error for which it was refused."""
    key = uuid.uuid4().hex if given.key is None else given.key
    event = UsageEvent(user=given.user, metric=given.metric, value=given.value, at=given.at, key=key)
    outcome = ingest(app, [event], "cli")
    for error in outcome.refused.values():
        raise error
    return Recorded(
        user=given.user,
        metric=given.metric,
        value=given.value,
        key=key,
        result="duplicate" if outcome.duplicates else "recorded",
    )


def require_batch_size(app: App, count: int) -> None:
    """Raises BatchTooLarge."""
    limit = app.settings.integer("USAGE_MAX_BATCH")
    if count > limit:
        raise BatchTooLarge(count=count, limit=limit)


def ingest(app: App, events: Sequence[Given], source: str) -> Outcome:
    """Count `events` in one transaction; repeated as a whole where the database asks for it.

    Keys are drawn before the first try, so that a commit whose answer was lost is a duplicate at the second.
    """
    now = app.clock()
    rows, refused = check(app, events, now)
    ensure_months(app, rows)
    outcome = app.db.transact(lambda tx: store_rows(tx, events, rows, refused, source, now))
    _tell(source, events, outcome)
    return outcome


def check(app: App, events: Sequence[Given], now: datetime) -> tuple[list[tuple[int, Row]], dict[int, BillingError]]:
    """Numbered rows that can be stored, and why the others cannot."""
    metrics, tz = catalog.metrics(app), app.timezone
    prefix = uuid.uuid4().hex
    rows: list[tuple[int, Row]] = []
    refused: dict[int, BillingError] = {}
    for at, given in enumerate(events):
        try:
            if isinstance(given, BillingError):
                raise given
            event = given if isinstance(given, UsageEvent) else rules.decode(given)
            rows.append((at, rules.check(event, metrics, now, tz, f"{prefix}:{at}")))
        except BillingError as error:
            refused[at] = error
    known = customer.known_users(app, {row.user for _, row in rows})
    for at, row in rows:
        if row.user not in known:
            refused[at] = NoSuchUser(user=row.user)
    return [(at, row) for at, row in rows if row.user in known], refused


def ensure_months(app: App, rows: Sequence[tuple[int, Row]]) -> None:
    """Make the partitions that `rows` need, in a transaction of their own."""
    ensure_months_of(app, [row.at for _, row in rows])


def ensure_months_of(app: App, instants: Iterable[datetime]) -> None:
    """The same for what is stored later."""
    needed = {(app.db.conninfo, at.date().replace(day=1)) for at in instants}
    with _months_lock:
        missing = needed - _months
    for _, first_day in sorted(missing):
        app.db.transact(lambda tx, day=first_day: store.ensure_month(tx, day))
    with _months_lock:
        _months.update(missing)


def store_rows(
    tx: Tx,
    events: Sequence[Given],
    rows: Sequence[tuple[int, Row]],
    refused: dict[int, BillingError],
    source: str,
    now: datetime,
) -> Outcome:
    """Step: count `rows`, keep what was refused with its reason, note the intake."""
    refused = dict(refused)
    duplicates: set[int] = set()
    if rows:
        store.stage(tx, rows)
        old = store.store_staged(tx, source, now)
        if old:
            reused = store.reused_keys(tx, old)
            keys = {at: row.key for at, row in rows if at in reused}
            refused |= {at: KeyReused(key=keys[at]) for at in reused}
            duplicates = set(old) - reused
    if refused:
        kept = sorted(refused.items())
        store.add_rejected(
            tx,
            source,
            now,
            [_text(events[at]) for at, _ in kept],
            [error.code for _, error in kept],
            [_kept(error.message) for _, error in kept],
        )
    store.add_intake(tx, source, len(events), len(duplicates), now)
    return Outcome(refused, frozenset(duplicates))


def _text(given: Given) -> str:
    """A refused event as it came, so that it can be replayed."""
    if isinstance(given, BillingError):
        text = str(given.fields.get("line", ""))
    elif isinstance(given, UsageEvent):
        text = msgspec.json.encode(given).decode()
    else:
        text = bytes(given).decode("utf-8", "replace")
    return _kept(text)


def _kept(text: str) -> str:
    """What PostgreSQL can store of `text`, and not more than is useful."""
    return text[:MAX_KEPT].replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def _tell(source: str, events: Sequence[Given], outcome: Outcome) -> None:
    counted = len(events) - len(outcome.refused) - len(outcome.duplicates)
    fields: dict[str, object] = {"source": source, "accepted": counted, "duplicate": len(outcome.duplicates)}
    first = events[0] if len(events) == 1 else None
    if isinstance(first, UsageEvent):
        fields |= {"user": first.user, "metric": first.metric, "value": first.value}
    if outcome.refused:
        log.warning(
            "usage_rejected",
            source=source,
            rejected=len(outcome.refused),
            codes=sorted({e.code for e in outcome.refused.values()}),
        )
    log.info("usage_recorded", **fields)
