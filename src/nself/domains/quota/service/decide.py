"""Checks, reservations, commits and releases, many in one transaction.

A group is decided under the locks of its users' shards, so nobody else changes their counters meanwhile. First what
ends holds (commits and releases), then what asks for room, in the order of the requests; each is granted whole or
refused.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime, timedelta

from nself import log
from nself.app import App
from nself.core.errors import BillingError
from nself.db.connect import Tx
from nself.db.server import DatabaseUnavailable
from nself.domains.catalog import service as catalog
from nself.domains.catalog.model import NoSuchMetric
from nself.domains.customer import rules as customer_rules
from nself.domains.customer import service as customer
from nself.domains.customer.model import NoSuchUser
from nself.domains.notification.service import outbox
from nself.domains.quota import rules, store
from nself.domains.quota.errors import JournalUnsettled, NoSuchReservation
from nself.domains.quota.model import Ask, Counter, Decision, Key, Notice, Policy, Reservation, Verdict
from nself.domains.quota.service import counters, ready
from nself.domains.quota.service.counters import Place
from nself.domains.quota.service.settle import Settling, settle
from nself.domains.usage.errors import KeyReused
from nself.domains.usage.service import aggregate, record

Answer = Decision | BillingError
COUNTED_AGAIN = ("unique", "time_weighted")
"""Whether an event brings a new value, and what it weighs since it is dated, only a count can tell."""


def policy(app: App) -> Policy:
    settings = app.settings
    return Policy(
        enforced=settings.flag("QUOTA_ENFORCEMENT_ENABLED"),
        grace=settings.seconds("BILLING_QUOTA_GRACE_PERIOD"),
        lease=settings.seconds("QUOTA_RESERVATION_TTL"),
        thresholds=settings.percents("QUOTA_WARNING_THRESHOLDS"),
    )


def new_id() -> str:
    """Of a reservation, without its user."""
    return os.urandom(16).hex()


def decide(app: App, asks: Sequence[Ask], *, pending: bool = False) -> list[Answer]:
    """One answer or error for each, after the commit. Raises DatabaseUnavailable.

    `pending`: the journal held what is not entered yet before this was called.
    """
    refused = wrong(app, asks)
    right = [ask for at, ask in enumerate(asks) if at not in refused]
    found = iter(_decided(app, right) if right else ())
    answers = [refused[at] if at in refused else next(found) for at in range(len(asks))]
    if not pending:
        return answers
    return [
        JournalUnsettled(reservation=rules.spell(ask.user, ask.id)[:100]) if _unknown(ask, answer) else answer
        for ask, answer in zip(asks, answers, strict=True)
    ]


def _unknown(ask: Ask, answer: Answer) -> bool:
    """Whether only the journal can tell: an end of what is not there, a refusal of what it may have let through."""
    if not rules.may_be_journaled(ask.id):
        return False
    refused = isinstance(answer, Decision) and ask.kind == "reserve" and not answer.allowed
    return refused or isinstance(answer, NoSuchReservation)


def wrong(app: App, asks: Sequence[Ask]) -> dict[int, BillingError]:
    """What cannot be decided, and why."""
    metrics = catalog.metered(app)
    wanting = [(at, ask) for at, ask in enumerate(asks) if ask.kind not in ("commit", "release")]
    known = customer.known_users(app, {ask.user for _, ask in wanting}) if wanting else set[str]()
    found: dict[int, BillingError] = {}
    for at, ask in wanting:
        if ask.metric not in metrics:
            found[at] = NoSuchMetric(metric=ask.metric[:100])
        elif not customer_rules.is_name(ask.user):
            found[at] = customer_rules.bad_name(ask.user)
        elif ask.user not in known:
            found[at] = NoSuchUser(user=ask.user)
    return found


def _decided(app: App, asks: Sequence[Ask]) -> list[Answer]:
    """Checks that can be answered at once, and the rest together."""
    now = app.clock()
    if not any(ask.kind in ("check", "look") for ask in asks):
        return _together(app, asks, now)
    found = ready.check(app, asks, now, policy(app))
    rest = [ask for at, ask in enumerate(asks) if at not in found]
    others = iter(_together(app, rest, now) if rest else ())
    return [found[at] if at in found else next(others) for at in range(len(asks))]


def _together(app: App, asks: Sequence[Ask], now: datetime) -> list[Answer]:
    """All in one transaction; where that fails for a reason that is not the database's, each in its own."""
    if all(ask.kind in ("check", "look") for ask in asks):
        seen = _looked(app, asks, now)
        if seen:
            return seen
    if any(ask.kind == "commit" for ask in asks):
        record.ensure_months_of(app, (now - rules.KEPT, now, now + rules.KEPT))
    attempts = 0

    def work(tx: Tx) -> Group:
        nonlocal attempts
        attempts += 1
        group = Group(app, tx, asks, now)
        group.run(again=attempts > 1)
        return group

    try:
        group = app.db.transact(work)
    except BillingError as error:
        if isinstance(error, DatabaseUnavailable):
            raise
        if len(asks) == 1:
            return [error]
        return [answer for ask in asks for answer in _together(app, [ask], now)]
    group.tell()
    return group.answers


def _looked(app: App, asks: Sequence[Ask], now: datetime) -> list[Answer] | None:
    """Answers to checks without a transaction, where nothing has to be written for them."""
    rule = policy(app)
    places = {Place(Key(ask.user, ask.metric), now) for ask in asks}
    with app.db.reading() as tx:
        if aggregate.pending(tx, sorted({ask.user for ask in asks})):
            return None
        found = counters.ready(app, tx, places)
    if len(found) < len(places):
        return None
    for counter in found.values():
        if counter.expires_next <= now or rules.crossed(counter, rule.thresholds):
            return None
    answers: list[Answer] = []
    for ask in asks:
        counter = found[Place(Key(ask.user, ask.metric), now)]
        verdict = rules.judge(counter, ask.value or 0, now, rule)
        if verdict.passed and counter.exceeded_at is None and ask.kind == "check":
            return None
        answers.append(rules.decision(counter, verdict, now))
        if not verdict.allowed and ask.kind == "check":
            tell_refusal(counter, ask)
    return answers


def tell_refusal(counter: Counter, ask: Ask) -> None:
    log.warning(
        "quota_enforcement",
        user=counter.user, metric=counter.metric, limit=counter.limit, used=counter.used, held=counter.held, value=ask.value,
        kind=ask.kind,
    )  # fmt: skip


class Group:
    """The asks of one transaction."""

    def __init__(self, app: App, tx: Tx, asks: Sequence[Ask], now: datetime, rule: Policy | None = None) -> None:
        self.app, self.tx, self.asks, self.now = app, tx, asks, now
        self.policy = rule or policy(app)
        self.expires_at = now + timedelta(seconds=self.policy.lease)
        self.found: dict[int, Answer] = {}
        self.counters: dict[Place, Counter] = {}
        self.granted: list[Reservation] = []
        self.taken: dict[int, tuple[Counter, int, bool]] = {}  # by id(counter): what is held more, and whether checked
        self.exceeded: dict[int, Counter] = {}
        self.refused: list[tuple[Counter, Ask]] = []
        self.notices: list[Notice] = []

    @property
    def answers(self) -> list[Answer]:
        return [self.found[at] for at in range(len(self.asks))]

    def run(self, again: bool) -> None:
        """`again`: the commit of an earlier try may have happened."""
        aggregate.lock_users(self.tx, sorted({ask.user for ask in self.asks}))
        if not again:
            self.found = ready.reserve(self.app, self.tx, self.asks, self.now, self.policy)
        if len(self.found) < len(self.asks):
            self._run_rest(again)

    def _run_rest(self, again: bool) -> None:
        known = self._known(again)
        metrics = catalog.metered(self.app)
        places = {Place(Key(one.user, one.metric), one.reserved_at) for one in known.values() if one.metric in metrics}
        places |= {
            Place(Key(ask.user, ask.metric), self.now)
            for at, ask in enumerate(self.asks)
            if ask.metric and at not in self.found
        }
        self.counters = counters.prepare(self.app, self.tx, places, self.now)
        settling = Settling(self.app, self.policy, self.now, self.counters, known)
        for at, ask in enumerate(self.asks):
            if ask.kind in ("commit", "release"):
                self.found[at] = settle(settling, at, ask)
        settling.write(self.tx)
        self._count_again(settling)
        for at, ask in enumerate(self.asks):
            if at not in self.found:
                try:
                    self.found[at] = self._answer(ask, known)
                except KeyReused as error:
                    self.found[at] = error
        self._write()

    def _count_again(self, settling: Settling) -> None:
        """What a commit did to a figure that is no sum is seen when it is recorded."""
        places = {place for place in settling.recorded if self.counters[place].aggregation in COUNTED_AGAIN}
        if not places:
            return
        self.counters |= counters.prepare(self.app, self.tx, places, self.now)
        for at, place in settling.places.items():
            told = self.found[at]
            if place in places and isinstance(told, Decision):
                self.found[at] = rules.retold(told, self.counters[place], self.now)

    def _known(self, again: bool) -> dict[Key, Reservation]:
        """Reservations by user and id."""
        wanted = [
            ask
            for at, ask in enumerate(self.asks)
            if at not in self.found
            and (ask.kind in ("commit", "release") or (ask.kind == "reserve" and (again or ask.key)))
        ]
        if not wanted:
            return {}
        found = store.reservations(self.tx, [ask.user for ask in wanted], [ask.id for ask in wanted])
        return {Key(one.user, one.id): one for one in found}

    def _answer(self, ask: Ask, known: dict[Key, Reservation]) -> Decision:
        """A check or reserve, against what is left after those before it. Raises KeyReused."""
        counter, value = self.counters[Place(Key(ask.user, ask.metric), self.now)], ask.value or 0
        verdict = rules.judge(counter, value, self.now, self.policy)
        made = known.get(Key(ask.user, ask.id)) if ask.kind == "reserve" else None
        if made:  # by a try whose answer was lost
            note = rules.repeated(ask, made, self.now)
            return rules.decision(counter, Verdict(True, False, note), self.now, rules.spell(made.user, made.id))
        if ask.kind != "look" and verdict.passed and counter.exceeded_at is None:
            counter.exceeded_at = self.now
            self.exceeded[id(counter)] = counter
        if not verdict.allowed and ask.kind != "look":
            self.refused.append((counter, ask))
        if ask.kind != "reserve" or not verdict.allowed:
            return rules.decision(counter, verdict, self.now)
        known[Key(ask.user, ask.id)] = self._hold(
            counter, ask, value, checked=not verdict.passed and counter.aggregation in ("sum", "count", "unique")
        )
        return rules.decision(counter, verdict, self.now, rules.spell(ask.user, ask.id))

    def _hold(self, counter: Counter, ask: Ask, value: int, checked: bool) -> Reservation:
        """A clock that lags behind a reset dates what it grants at the reset, so that it counts."""
        amount = rules.amount(counter.aggregation, value)
        reservation = Reservation(
            user=ask.user,
            id=ask.id,
            metric=ask.metric,
            value=value,
            amount=amount,
            window_start=counter.window_start,
            reserved_at=max(self.now, counter.counted_from),
            expires_at=self.expires_at,
        )
        self.granted.append(reservation)
        counter.held += amount
        _, before, all_checked = self.taken.get(id(counter), (counter, 0, True))
        self.taken[id(counter)] = (counter, before + amount, all_checked and checked)
        return reservation

    def _write(self) -> None:
        tx, now = self.tx, self.now
        if self.granted:
            taken = list(self.taken.values())
            hard = self.policy.enforced
            most = [
                rules.bound(counter, now) if hard and checked and counter.mode == "hard" else None
                for counter, _, checked in taken
            ]
            touched = store.grant_holds(
                tx, [one for one, _, _ in taken], [amount for _, amount, _ in taken], most, self.expires_at
            )
            assert touched == len(taken), "a counter changed under its lock"
            store.add_reservations(tx, self.granted)
        self._note()

    def _note(self) -> None:
        """When limits were first passed, and thresholds that are told once."""
        changed = {id(one): one for one in self.counters.values()}
        levels = {key: found for key, one in changed.items() if (found := rules.crossed(one, self.policy.thresholds))}
        if levels:
            noted = [(changed[key], level) for key, found in levels.items() for level in found]
            self.notices = store.add_notices(self.tx, noted, self.now)
            self._post(noted)
        rows = [
            (changed[key], self.exceeded[key].exceeded_at if key in self.exceeded else None, max(levels.get(key, [0])))
            for key in {*levels, *self.exceeded}
        ]
        if rows:
            store.note_counters(self.tx, rows)

    def _post(self, noted: Sequence[tuple[Counter, int]]) -> None:
        """Mail and webhooks for the thresholds that nobody was told of before, in this transaction."""
        fresh = {(one.user, one.metric, one.threshold) for one in self.notices}
        passed = [(one, level) for one, level in noted if (one.user, one.metric, level) in fresh]
        emails = customer.emails(self.tx, sorted({one.user for one, _ in passed})) if passed else {}
        notes = [rules.told(one, level, emails.get(one.user)) for one, level in passed]
        outbox.post(self.app, self.tx, notes, self.now)

    def tell(self) -> None:
        """After the commit: the log's lines are of what happened."""
        for counter, ask in self.refused:
            tell_refusal(counter, ask)
        for one in self.notices:
            log.warning(
                "quota_warning",
                user=one.user, metric=one.metric, threshold=one.threshold, used=int(one.used), limit=one.limit,
            )  # fmt: skip
