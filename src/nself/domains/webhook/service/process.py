"""Processing events: one object at a time, fetched once for all its waiting events.

Stripe guarantees no order and its times have whole seconds, so an event only says that its object changed;
what is stored is the object as Stripe has it now. State and the mark "processed" are one transaction.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import timedelta

from nself import log
from nself.app import App
from nself.core.clock import monotonic
from nself.core.errors import BillingError, Denied, Unavailable
from nself.db.connect import Tx
from nself.domains.mirror import service as mirror
from nself.domains.mirror.model import Picture
from nself.domains.webhook import store
from nself.domains.webhook.errors import ProcessingTooLong
from nself.domains.webhook.model import Claimed, Waiting
from nself.domains.webhook.service import switches
from nself.gateway import retry
from nself.gateway.errors import TimedOut
from nself.measure import measures

THREADS = 16
"""As many objects are claimed at once, so that each is fetched right after its claim."""
MAX_ATTEMPTS = 12
LONGEST_WAIT = 3600
MAX_NAMED = 5
"""Events that are named as the source of a change."""
MARGIN = timedelta(seconds=30)
"""Of a lease, beyond the time that an event has, for storing what came of it."""
_pool = ThreadPoolExecutor(THREADS, "webhook")
_told = dict[str, int]()


class _LeaseLost(Exception):
    """Another worker has claimed the object meanwhile; it will do the work."""


def lease(app: App) -> timedelta:
    return timedelta(seconds=app.settings.seconds("WEBHOOK_TIMEOUT")) + MARGIN


def process_due(app: App, only: Sequence[str] | None = None) -> int:
    """Claim objects with waiting events and process them, all at once; number of objects claimed. `only` these objects."""
    free = not switches.on(app, "WEBHOOK_SEQUENTIAL_PER_OBJECT")
    with app.db.reading() as tx:
        claimed = store.claim_objects(tx, THREADS, lease(app), only, free)
        held = [] if len(claimed) == THREADS else store.held_objects(tx, THREADS, only)
        events = store.waiting(tx, [one.object_id for one in claimed]) if claimed else []
        numbers = mirror.numbers(tx, 2 * len(claimed)) if claimed else []
    _tell_held([one for one in held if one.object_id not in {own.object_id for own in claimed}])
    work = [
        _Work(app, one, [event for event in events if event.object_id == one.object_id], before, number)
        for one, before, number in zip(claimed, numbers, numbers[len(claimed) :], strict=False)
    ]
    if len(work) == 1:
        work[0].do()
    elif work:
        done = [_pool.submit(one.do) for one in work]
        wait(done)
        for one in done:
            one.result()
    return len(claimed)


def process_now(app: App, objects: Sequence[str]) -> None:
    """Process what waits on these objects, here. What another worker has is left to it, and what fails to the next try."""
    while process_due(app, objects):
        pass


def _tell_held(held: list[Claimed]) -> None:
    """Once a lease: something new waits on an object that another worker is processing."""
    for one in held:
        if _told.get(one.object_id) != one.fence:
            if len(_told) > 1000:
                _told.clear()
            _told[one.object_id] = one.fence
            log.info("webhook concurrent", object=one.object_id, detail="another worker has it; its new events wait")


def _unknown_customer(tx: Tx, picture: Picture) -> str | None:
    """Whose object it is, where nothing of that customer is here."""
    customer = picture.snapshot.get("customer")
    return customer if isinstance(customer, str) and not mirror.known(tx, "customer", customer) else None


class _Work:
    """The processing of one object's events by the holder of its lease."""

    def __init__(self, app: App, claimed: Claimed, events: list[Waiting], before: int, number: int) -> None:
        """`number` is that of the picture that will be fetched, `before` a lower one than any picture's in this round."""
        self.app, self.claimed, self.object_id = app, claimed, claimed.object_id
        self.began, self.claimed_at, self.fetch_ms = monotonic(), app.clock(), 0
        self.events, self.before, self.number = events, before, number
        self.ids = [event.id for event in events]

    def do(self) -> None:
        """Raises only what keeps the outcome from being recorded."""
        status = self._verdict()
        try:
            if status == "processed":
                self._refresh()
            else:
                self.app.db.transact(lambda tx: self._finish(tx, status))
        except _LeaseLost:
            self._tell_lost()
        except Exception as error:  # the boundary: what nobody foresaw must be seen, and not hold up other events
            self._fail(error)
        else:
            self._observe("ok")
            for event in self.events:
                log.info(
                    "webhook_processed", event=event.event_id, type=event.type, object=self.object_id, status=status,
                    duration=round(monotonic() - self.began, 3), took_ms=self._ms(),
                )  # fmt: skip

    def _verdict(self) -> str:
        """What becomes of events. Those that came while we worked in the other mode are of no object that we can fetch."""
        if any(event.livemode != self.app.settings.live for event in self.events):
            return "parked"
        known = self.events and mirror.mirrored(self.app, self.events[-1].object_kind)
        return "processed" if known else "ignored"

    def _refresh(self) -> None:
        """The object as Stripe has it now is stored, together with the mark. Raises the gateway's errors, ProcessingTooLong."""
        app, limit = self.app, self.app.settings.seconds("WEBHOOK_TIMEOUT")
        source = "webhook " + " ".join(event.event_id for event in self.events[-MAX_NAMED:])

        imported = False

        def keep(tx: Tx, picture: Picture) -> str | None:
            unknown = None if imported else _unknown_customer(tx, picture)
            if unknown is None:
                mirror.accept(app, tx, picture)
                self._finish(tx, "processed")
            return unknown

        try:
            with retry.within(limit):
                picture = mirror.fetch(app, self.events[-1].object_kind, self.object_id, source, number=self.number)
                self.fetch_ms = self._ms()
                if not switches.on(app, "WEBHOOK_TRACK_VERSIONS"):
                    picture = picture._replace(number=mirror.draw(app))
                unknown = mirror.in_order(app, picture, keep)
                if unknown:
                    self._import_customer(unknown, source)
                    imported = True
                    mirror.in_order(app, picture, keep)
        except TimedOut as error:
            if self._ms() < limit * 1000:
                raise
            raise ProcessingTooLong(limit=limit, detail=error.message) from error

    def _import_customer(self, customer: str, source: str) -> None:
        """First, so that a kill repeats both. Its own events may be worked on beside us: their picture is the newer one."""

        def keep(tx: Tx, picture: Picture) -> None:
            mirror.lock(tx, "customer", [customer])
            if not mirror.known(tx, "customer", customer):
                mirror.accept(self.app, tx, picture)

        picture = mirror.fetch(self.app, "customer", customer, source, number=self.before)
        mirror.in_order(self.app, picture, keep)

    def _finish(self, tx: Tx, status: str) -> None:
        """Events first, their object after them, as the receiver locks them."""
        store.finish_events(tx, self.ids, status, self.claimed_at, self.fetch_ms, self._ms(), self.app.clock())
        self._require_lease(tx)
        store.release_object(tx, self.object_id, timedelta(0))

    def _require_lease(self, tx: Tx) -> None:
        fence = store.lock_object(tx, self.object_id)
        if fence != self.claimed.fence and switches.on(self.app, "WEBHOOK_USE_LOCKS"):
            raise _LeaseLost

    def _tell_lost(self) -> None:
        log.warning("webhook concurrent", object=self.object_id, detail="another worker took it over meanwhile")

    def _fail(self, error: Exception) -> None:
        """Try again later; an outage or a refused key is never the event's fault and is not counted out."""
        attempts = max((event.attempts for event in self.events), default=0) + 1
        permanent = attempts >= MAX_ATTEMPTS and not isinstance(error, (Unavailable, Denied))
        wait = random.uniform(0.5, 1) * min(LONGEST_WAIT, 2**attempts)
        code, text = "internal_error", log.redact(f"{type(error).__name__}: {error}")
        if isinstance(error, BillingError):
            code, text = error.code, error.message
        else:
            log.failure("webhook_broke", object=self.object_id)
        self._observe(code)
        try:
            with self.app.db.transaction() as tx:
                store.fail_events(
                    tx, self.ids, f"{code}: {text}", permanent, self.claimed_at, self.fetch_ms, self._ms()
                )
                self._require_lease(tx)
                store.release_object(tx, self.object_id, timedelta(seconds=wait))
        except _LeaseLost:
            self._tell_lost()
            return
        log.warning(
            "webhook_failed", object=self.object_id, events=[event.event_id for event in self.events], code=code, error=text,
            attempts=attempts, permanent=permanent,
        )  # fmt: skip

    def _observe(self, outcome: str) -> None:
        """All events of the object, under its kind."""
        if self.events:
            kind = self.events[-1].object_kind
            measures.observe("webhook", (kind, outcome), monotonic() - self.began, times=len(self.events))

    def _ms(self) -> int:
        return round((monotonic() - self.began) * 1000)
