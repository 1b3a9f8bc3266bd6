"""Quotas while the database is away: QUOTA_FAIL_MODE says whether requests are let through. What was reserved,
committed and released then is kept on disk in order, and settled once when the database is back (docs/decisions/0018).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

import msgspec

from nself import log
from nself.app import App
from nself.core.errors import BillingError, Unavailable
from nself.db.connect import Tx, unavailable
from nself.domains.catalog import service as catalog
from nself.domains.catalog.model import NoSuchMetric
from nself.domains.quota import rules, store
from nself.domains.quota.errors import JournalDamaged, JournalSound
from nself.domains.quota.inputs import ShowJournal, SkipJournal
from nself.domains.quota.model import Ask, Decision, Journaled, JournalStatus, Settled
from nself.domains.quota.service.decide import Answer, Group, decide, policy, wrong
from nself.domains.usage.errors import NothingDamaged
from nself.domains.usage.inputs import SkipDamage
from nself.domains.usage.model import Skipped
from nself.domains.usage.service import collector, record, spooled
from nself.domains.usage.service.spooled import Part
from nself.spool.errors import BufferDamaged
from nself.spool.segments import Record, Waiting

SOURCE = "quota-journal"


_encode = msgspec.json.Encoder().encode
_read = msgspec.json.Decoder(Journaled).decode


def decide_or_fail(app: App, asks: Sequence[Ask]) -> list[Answer]:
    """`decide`; while the database is away what QUOTA_FAIL_MODE lets through. Raises DatabaseUnavailable where it is closed."""
    pending = any(rules.may_be_journaled(ask.id) for ask in asks) and not app.journal.idle()
    try:
        return decide(app, asks, pending=pending)
    except Exception as error:
        if not unavailable(error) or app.settings.text("QUOTA_FAIL_MODE") != "open":
            raise
        return _let_through(app, asks, error)


def _let_through(app: App, asks: Sequence[Ask], away: Exception) -> list[Answer]:
    """Answers that nobody could count; those that take or give something are on disk before."""
    now, metrics = app.clock(), catalog.metered(app)
    answers: list[Answer] = []
    kept: dict[int, Ask] = {}
    for at, ask in enumerate(asks):
        if ask.metric and ask.metric not in metrics:
            answers.append(NoSuchMetric(metric=ask.metric[:100]))
            continue
        if ask.kind not in ("check", "look"):
            kept[at] = rules.journaled(ask)
        reservation = rules.spell(ask.user, kept[at].id) if at in kept else None
        answers.append(rules.uncounted(ask, now, reservation))
    try:
        if kept:
            _append(app, list(kept.values()), now)
    except Unavailable as error:
        answers = [error if at in kept else answer for at, answer in enumerate(answers)]
    let = sum(isinstance(one, Decision) for one in answers)
    log.warning("quota_let_through", let_through=let, refused=len(asks) - let, journaled=len(kept), cause=str(away))
    return answers


def _append(app: App, asks: list[Ask], now: datetime) -> None:
    """Raises BufferFull, BufferUnwritable."""
    most = app.settings.integer("USAGE_BUFFER_SIZE")
    try:
        app.journal.append(_encode(Journaled(at=now, asks=asks)), len(asks), int(now.timestamp() * 1000), most)
    except Unavailable as error:
        log.error(error.code, source=SOURCE, requests=len(asks), error=error.message)
        raise


def settle(app: App) -> Settled:
    """Enter what was let through, in order and whatever the limits say: it happened. Any number of processes may do so at once.

    Raises JournalDamaged where a record cannot be read, DatabaseUnavailable.
    """
    asks = refused = 0
    try:
        for answers in spooled.drained(app, app.journal, partial(_part, app)):
            asks += len(answers)
            refused += _tell_refused(answers)
    except BufferDamaged as error:
        raise JournalDamaged(**error.fields) from None
    if asks:
        log.info("quota_journal_settled", requests=asks, refused=refused)
    return Settled(asks=asks, refused=refused)


def _tell_refused(answers: Sequence[tuple[Ask, Answer]]) -> int:
    """Their number."""
    refused = [(ask, answer) for ask, answer in answers if isinstance(answer, BillingError)]
    for ask, error in refused:
        log.error("quota_journal_refused", kind=ask.kind, user=ask.user, value=ask.value, code=error.code)
    return len(refused)


def _part(app: App, records: Sequence[Record]) -> Part[list[tuple[Ask, Answer]]]:
    kept, end = list[Journaled](), records[0].end
    for one in records:
        try:
            kept.append(_read(one.payload))
        except msgspec.DecodeError as error:
            if kept:
                break
            raise BufferDamaged(segment=one.start.segment, offset=one.start.offset, detail=error) from None
        end = one.end
    strange = [wrong(app, one.asks) for one in kept]
    months = {at for one in kept for at in (one.at - rules.KEPT, one.at, one.at + rules.KEPT)}
    record.ensure_months_of(app, months)

    def work(tx: Tx) -> list[tuple[Ask, Answer]]:
        found: list[tuple[Ask, Answer]] = []
        for one, refused in zip(kept, strange, strict=True):
            right = [ask for at, ask in enumerate(one.asks) if at not in refused]
            found += [(ask, refused[at]) for at, ask in enumerate(one.asks) if at in refused]
            found += zip(right, _enter(app, tx, right, one.at), strict=True)
        _note_refused(app, tx, found)
        return found

    return Part(end, sum(len(one.asks) for one in kept), work)


def _enter(app: App, tx: Tx, asks: list[Ask], at: datetime) -> list[Answer]:
    """As if decided at `at`, without a limit; where one of them makes that impossible, each by itself."""
    if not asks:
        return []
    unlimited = msgspec.structs.replace(policy(app), enforced=False)
    try:
        with tx.savepoint():
            group = Group(app, tx, asks, at, unlimited)
            group.run(again=False)
            return group.answers
    except BillingError as error:
        if len(asks) == 1:
            return [error]
        return [answer for ask in asks for answer in _enter(app, tx, [ask], at)]


def _note_refused(app: App, tx: Tx, found: Sequence[tuple[Ask, Answer]]) -> None:
    """Usage that was let through and cannot be counted is kept with its reason, as all usage is."""
    errors = [(ask, answer) for ask, answer in found if ask.kind == "commit" and isinstance(answer, BillingError)]
    for ask, error in errors:
        error.fields["line"] = _encode(ask).decode()
    if errors:
        events = [error for _, error in errors]
        record.store_rows(tx, events, [], dict(enumerate(events)), SOURCE, app.clock())


def status(app: App, given: ShowJournal) -> JournalStatus:
    """The fail mode and what waits, also while the database is away."""
    left, settled_at = Waiting(), None
    try:
        left, database = spooled.waiting(app, app.journal), "answers"
        with app.db.reading() as tx:
            settled_at = store.journal_settled_at(tx, app.journal.id)
    except BillingError as error:
        left, database = app.journal.waiting(app.journal.first()), error.message
    since = datetime.fromtimestamp(left.since // 1000, UTC) if left.since is not None else None
    return JournalStatus(
        fail_mode=app.settings.text("QUOTA_FAIL_MODE"),
        database=database,
        waiting_requests=left.events,
        waiting_bytes=left.bytes,
        capacity=app.settings.integer("USAGE_BUFFER_SIZE"),
        oldest_at=since,
        oldest_age_seconds=max(0, (app.clock() - since) // timedelta(seconds=1)) if since else None,
        last_settled_at=settled_at,
    )


def forget(app: App) -> None:
    """What waits is gone: for a sandbox that begins anew. Raises BufferUnwritable."""
    if app.project.journal.is_dir():
        app.journal.forget()


def skip(app: App, given: SkipJournal) -> Skipped:
    """Set unreadable bytes of the journal aside and go on behind them. Raises JournalSound, MissingParameter."""
    damage = SkipDamage(segment=given.segment, confirm=given.confirm)
    try:
        return collector.skip_damage(app, app.journal, settle, SOURCE, damage)
    except NothingDamaged as error:
        raise JournalSound(**error.fields) from None
