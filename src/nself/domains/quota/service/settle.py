"""The end of a reservation: its usage is recorded, or what it held is given back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from nself.app import App
from nself.core.errors import BillingError
from nself.db.connect import Tx
from nself.domains.catalog import service as catalog
from nself.domains.catalog.model import NoSuchMetric
from nself.domains.quota import rules, store
from nself.domains.quota.errors import NoSuchReservation, ReservationSettled
from nself.domains.quota.model import Ask, Counter, Decision, Key, Policy, Reservation, Verdict
from nself.domains.quota.service.counters import Place
from nself.domains.usage import figures
from nself.domains.usage import rules as usage_rules
from nself.domains.usage.inputs import UsageEvent
from nself.domains.usage.model import Row
from nself.domains.usage.service import aggregate, record

LATE = "the reservation had expired; what was used is recorded all the same"


class Settling:
    """What the commits and releases of a group have led to so far."""

    def __init__(
        self,
        app: App,
        policy: Policy,
        now: datetime,
        counters: Mapping[Place, Counter],
        known: dict[Key, Reservation],
    ) -> None:
        self.app, self.policy, self.now = app, policy, now
        self.counters, self.known = counters, known
        self.events: list[tuple[UsageEvent, Row]] = []
        self.settled: list[tuple[Reservation, str, int]] = []
        self.ended: list[Reservation] = []
        self.places: dict[int, Place] = {}
        self.recorded: set[Place] = set()

    def counter(self, one: Reservation) -> Counter:
        return self.counters[_place(one)]

    def close(self, one: Reservation, state: str, value: int) -> None:
        """End the hold, if there still is one."""
        counter = self.counter(one)
        counter.held -= self.holding(one)
        if self.holding(one):
            self.ended.append(one)
        self.settled.append((one, state, value))
        self.known[Key(one.user, one.id)] = msgspec.structs.replace(one, state=state, settled_value=value)

    def holding(self, one: Reservation) -> int:
        """What it takes of its counter. Expired holds were ended before (`counters.prepare`)."""
        alive = one.state == "held" and one.expires_at > self.now and self.counter(one).covers(one.reserved_at)
        return one.amount if alive else 0

    def write(self, tx: Tx) -> None:
        """Usage first, folded into the counters at once; then the holds. Raises KeyReused."""
        if self.events:
            events = [event for event, _ in self.events]
            rows = list(enumerate(row for _, row in self.events))
            outcome = record.store_rows(tx, events, rows, {}, "quota", self.now)
            for error in outcome.refused.values():
                raise error
            aggregate.fold_users(tx, sorted({event.user for event in events}))
        if self.ended:
            store.give_back(tx, self.ended)
        if self.settled:
            store.settle_reservations(tx, self.settled, self.now)


def _place(one: Reservation) -> Place:
    return Place(Key(one.user, one.metric), one.reserved_at)


def settle(settling: Settling, at: int, ask: Ask) -> Decision | BillingError:
    """The answer to the commit or release that is number `at` of its group; repeated, it is the same."""
    name = rules.spell(ask.user, ask.id)
    one = settling.known.get(Key(ask.user, ask.id))
    if one is None:
        return NoSuchReservation(reservation=name[:100])
    if one.metric not in catalog.metered(settling.app):
        return NoSuchMetric(metric=one.metric)
    settling.places[at] = _place(one)
    try:
        return _commit(settling, one, ask, name) if ask.kind == "commit" else _release(settling, one, name)
    except BillingError as error:
        return error


def _commit(settling: Settling, one: Reservation, ask: Ask, name: str) -> Decision:
    value = one.value if ask.value is None else ask.value
    counter = settling.counter(one)
    if one.state == "committed" and one.settled_value == value:
        return rules.decision(counter, Verdict(True, False, _late(one, settling.now)), settling.now, name)
    if one.state in ("committed", "released"):
        detail = f" with the value {one.settled_value}" if one.state == "committed" else ""
        raise ReservationSettled(reservation=name[:100], state=one.state, detail=detail)
    late = _late(one, settling.now)
    verdict = Verdict(True, False, late) if late or value <= one.value else _more(settling, one, value)
    if not verdict.allowed:
        return rules.decision(counter, verdict, settling.now, name)
    if value:
        _record(settling, one, value, ask.properties)
    settling.close(one, "committed", value)
    if value and counter.covers(one.reserved_at):
        counter.used = figures.value_after(counter.aggregation, counter.used, value)
    return rules.decision(counter, verdict, settling.now, name)


def _late(one: Reservation, now: datetime) -> str:
    return LATE if one.state == "expired" or (one.state == "held" and one.expires_at <= now) else ""


def _more(settling: Settling, one: Reservation, value: int) -> Verdict:
    """More than was reserved needs room like a new request; the hold itself is room."""
    counter = settling.counter(one)
    if not counter.covers(one.reserved_at):
        return Verdict(True, False, "")
    counter.held -= settling.holding(one)
    try:
        verdict = rules.judge(counter, value, settling.now, settling.policy)
    finally:
        counter.held += settling.holding(one)
    if verdict.allowed:
        return verdict
    note = "; ".join(part for part in (verdict.note, f"{value} is more than the {one.value} reserved") if part)
    return verdict._replace(note=f"{note}: nothing was recorded, commit less or release")


def _record(settling: Settling, one: Reservation, value: int, properties: dict[str, Any] | None) -> None:
    """The usage is dated at the reservation: it counts in the window that held it. Raises what refuses an event."""
    event = UsageEvent(
        user=one.user,
        metric=one.metric,
        value=value,
        at=one.reserved_at.isoformat(),
        key=f"{rules.PREFIX}{one.id}",
        properties=properties,
    )
    metrics, now = catalog.metered(settling.app), max(settling.now, one.reserved_at)
    row = usage_rules.check(event, metrics, now, settling.app.timezone, one.id)
    settling.events.append((event, row))
    settling.recorded.add(_place(one))


def _release(settling: Settling, one: Reservation, name: str) -> Decision:
    if one.state == "committed":
        raise ReservationSettled(reservation=name[:100], state="committed", detail="")
    if one.state != "released":
        settling.close(one, "released", 0)
    return rules.decision(settling.counter(one), Verdict(True, False, ""), settling.now, name)
