"""Taking usage in: one path for the CLI, HTTP and files."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime
from threading import Lock

import msgspec

from nself import log
from nself.app import App
from nself.core.errors import BillingError
from nself.core.redact import without_keys
from nself.db.connect import Tx, unavailable
from nself.domains.catalog import service as catalog
from nself.domains.customer import service as customer
from nself.domains.customer.model import NoSuchUser
from nself.domains.usage import rules, store
from nself.domains.usage.errors import BatchTooLarge, KeyReused
from nself.domains.usage.inputs import RecordUsage, UsageEvent
from nself.domains.usage.model import Intake, Recorded, Refused, Row
from nself.domains.usage.service import buffer
from nself.domains.usage.service.buffer import Reason

MAX_KEPT = 4000  # characters of a rejected event and of its reason that are kept
FEW = 500
"""Events of a commit up to which one statement with arrays costs less than COPY and its round trips."""
CAUTIOUS_COMMITS = 100
"""How long after a known key keys are not expected to be new: resends come in bursts, and a wrong guess is paid in dead rows."""

_months: set[tuple[str, date]] = set()
_months_lock = Lock()
_cautious = 0


class Outcome(msgspec.Struct, frozen=True):
    """What became of events 0..n-1 of a commit: everything that is in neither map was counted, or is `buffered`."""

    refused: dict[int, BillingError]
    duplicates: frozenset[int]
    buffered: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether every event was counted."""
        return not (self.refused or self.duplicates or self.buffered)

    def part(self, start: int, stop: int) -> Intake:
        """The answer for the events `[start, stop)`, numbered from 0 again."""
        refused = [
            Refused(index=at - start, code=error.code, message=_kept(error.message))
            for at in (range(start, stop) if self.refused else ())
            if (error := self.refused.get(at))
        ]
        duplicate = sum(at in self.duplicates for at in range(start, stop)) if self.duplicates else 0
        accepted = stop - start - len(refused) - duplicate
        buffered = accepted if self.buffered else msgspec.UNSET
        return Intake(accepted=accepted, duplicate=duplicate, rejected=refused, buffered=buffered)


Given = UsageEvent | bytes | msgspec.Raw | BillingError
"""An event, its JSON, or the reason why a line of a file could not be read as one."""
Written = Callable[[int], Given]
"""The text of event n as it came, where it was decoded before it was handed over."""


def record(app: App, given: RecordUsage) -> Recorded:
    """Count one event. Raises InvalidParameter, the error for which it was refused."""
    key = _drawn() if given.key is None else given.key
    properties = rules.properties(given.properties) if given.properties is not None else None
    event = UsageEvent(
        user=given.user, metric=given.metric, value=given.value, at=given.at, key=key, properties=properties
    )
    outcome = ingest(app, [event], "cli")
    for error in outcome.refused.values():
        raise error
    return Recorded(
        user=given.user,
        metric=given.metric,
        value=given.value,
        key=key,
        result="buffered" if outcome.buffered else "duplicate" if outcome.duplicates else "recorded",
    )


def require_batch_size(app: App, count: int) -> None:
    """Raises BatchTooLarge."""
    limit = app.settings.integer("USAGE_MAX_BATCH")
    if count > limit:
        raise BatchTooLarge(count=count, limit=limit)


def ingest(app: App, events: Sequence[Given], source: str, written: Written | None = None) -> Outcome:
    """Count `events` in one transaction; repeated as a whole where the database asks for it.

    Keys are drawn before the first try, so that a commit whose answer was lost is a duplicate at the second, also
    where that is made from the buffer. Raises DatabaseUnavailable, BufferFull, BufferUnwritable.
    """
    now = app.clock()
    rows, refused = examine(app, events, now)
    try:
        known, refused_all = without_strangers(app, rows, refused)
        ensure_months(app, known)
        outcome = _store_few(app, known, source, now) if len(events) == len(known) <= FEW else None
        outcome = outcome or app.db.transact(
            lambda tx: store_rows(tx, events, known, refused_all, source, now, written)
        )
    except Exception as error:
        away = unavailable(error)
        if not away:
            raise
        if not buffer.enabled(app):
            buffer.refuse(app, away, source, len(events))
            raise
        buffer.keep(app, [(events[at], row) for at, row in rows], _reasons(events, refused, written), source, now, away)
        return Outcome(refused, frozenset(), buffered=True)
    _tell(source, events, known, outcome)
    return outcome


def check(app: App, events: Sequence[Given], now: datetime) -> tuple[list[tuple[int, Row]], dict[int, BillingError]]:
    """Numbered rows that can be stored, and why the others cannot."""
    return without_strangers(app, *examine(app, events, now))


def examine(
    app: App, events: Sequence[Given], now: datetime, prefix: str | None = None
) -> tuple[list[tuple[int, Row]], dict[int, BillingError]]:
    """What can be said without the database: numbered rows, and why the others can be none.

    `prefix` begins the keys of events without one; None draws it.
    """
    metrics, tz = catalog.metered(app), app.timezone
    prefix = prefix or _drawn()
    rows: list[tuple[int, Row]] = []
    refused: dict[int, BillingError] = {}
    for at, given in enumerate(events):
        try:
            if isinstance(given, BillingError):
                raise given
            event = given if isinstance(given, UsageEvent) else rules.decode(given)
            rows.append((at, rules.check(event, metrics, now, tz, f"{prefix}:{at}" if event.key is None else "")))
        except BillingError as error:
            refused[at] = error
    return rows, refused


def _drawn() -> str:
    return f"{rules.MARK}{uuid.uuid4().hex}"


def without_strangers(
    app: App, rows: list[tuple[int, Row]], refused: dict[int, BillingError]
) -> tuple[list[tuple[int, Row]], dict[int, BillingError]]:
    """Refuses the events of users that are not known."""
    users = {row.user for _, row in rows}
    known = customer.known_users(app, users)
    if len(known) == len(users):
        return rows, refused
    refused = refused | {at: NoSuchUser(user=row.user) for at, row in rows if row.user not in known}
    return [(at, row) for at, row in rows if row.user in known], refused


def ensure_months(app: App, rows: Sequence[tuple[int, Row]]) -> None:
    """Make the partitions that `rows` need, in a transaction of their own."""
    _ensure({date.fromisoformat(f"{month}-01") for month in {row.at[:7] for _, row in rows}}, app)


def ensure_months_of(app: App, instants: Iterable[datetime]) -> None:
    """The same for what is stored later."""
    _ensure({at.date().replace(day=1) for at in instants}, app)


def _ensure(months: set[date], app: App) -> None:
    needed = {(app.db.conninfo, month) for month in months}
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
    written: Written | None = None,
    came: Sequence[datetime] | None = None,
) -> Outcome:
    """Step: count `rows`, keep what was refused with its reason, note the intake.

    `came`: when each event did, where that was before `now`: without a time of its own a refused one happened then.
    """
    duplicates, reused = _count(tx, rows, source, now)
    refused = refused | reused
    if refused:
        kept = _reasons(events, refused, written)
        store.add_rejected(
            tx,
            source,
            [came[at] if came else now for at in sorted(refused)],
            [one.event for one in kept],
            [one.code for one in kept],
            [one.message for one in kept],
        )
    store.add_intake(tx, source, len(events), len(duplicates), now)
    return Outcome(refused, frozenset(duplicates))


def replay_rows(tx: Tx, rows: Sequence[tuple[int, Row]], source: str, now: datetime) -> Outcome:
    """Step: count `rows`, whose events were taken in and refused before: the intake has them already."""
    duplicates, reused = _count(tx, rows, source, now)
    store.add_intake(tx, source, 0, len(duplicates), now)
    return Outcome(reused, frozenset(duplicates))


def _count(
    tx: Tx, rows: Sequence[tuple[int, Row]], source: str, now: datetime
) -> tuple[set[int], dict[int, BillingError]]:
    """Store what is new; the numbers of duplicates, and of those whose key stands for something else."""
    old = _store(tx, rows, source, now) if rows else set[int]()
    reused = store.reused_keys(tx, sorted(old)) if old else set[int]()
    if len(old) < len(rows):
        store.add_deltas(tx, rules.deltas(row for at, row in rows if at not in old))
    return old - reused, {at: KeyReused(key=row.key) for at, row in rows if at in reused}


def _store_few(app: App, rows: Sequence[tuple[int, Row]], source: str, now: datetime) -> Outcome | None:
    """Count `rows` in one statement where all of their keys are new."""
    if not rows or _cautious > 0:
        return None
    fresh = [row for _, row in rows]
    deltas = rules.deltas(fresh)
    if app.db.transact(lambda tx: store.add_new(tx, fresh, deltas, source, now), alone=True):
        return Outcome({}, frozenset())
    return _be_cautious()


def _store(tx: Tx, rows: Sequence[tuple[int, Row]], source: str, now: datetime) -> set[int]:
    """Store keys and events; the numbers of those whose keys are known."""
    global _cautious
    if _cautious <= 0:
        if store.add_rows(tx, [row for _, row in rows], source, now):
            return set()
        _be_cautious()
    _cautious -= 1
    store.stage(tx, rows)
    return set(store.store_staged(tx, source, now))


def _be_cautious() -> None:
    global _cautious
    _cautious = CAUTIOUS_COMMITS


def _reasons(events: Sequence[Given], refused: dict[int, BillingError], written: Written | None = None) -> list[Reason]:
    return [
        Reason(event=_text(written(at) if written else events[at]), code=error.code, message=_kept(error.message))
        for at, error in sorted(refused.items())
    ]


def _text(given: Given) -> str:
    """A refused event as it came, so that it can be replayed; but a secret is not kept."""
    if isinstance(given, BillingError):
        text = str(given.fields.get("line", ""))
    elif isinstance(given, UsageEvent):
        text = msgspec.json.encode(given).decode()
    else:
        text = bytes(given).decode("utf-8", "replace")
    return _kept(without_keys(text))


def _kept(text: str) -> str:
    """What PostgreSQL can store of `text`, and not more than is useful."""
    return text[:MAX_KEPT].replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def _tell(source: str, events: Sequence[Given], rows: Sequence[tuple[int, Row]], outcome: Outcome) -> None:
    """A single event is told so that it can be counted again from the log."""
    counted = len(events) - len(outcome.refused) - len(outcome.duplicates)
    fields: dict[str, object] = {"source": source, "accepted": counted, "duplicate": len(outcome.duplicates)}
    if len(events) == len(rows) == 1:
        row = rows[0][1]
        fields |= {"user": row.user, "metric": row.metric, "value": row.value, "at": row.at, "key": row.key}
    if outcome.refused:
        log.warning(
            "usage_rejected",
            source=source,
            rejected=len(outcome.refused),
            codes=sorted({e.code for e in outcome.refused.values()}),
        )
    log.info("usage_recorded", **fields)
