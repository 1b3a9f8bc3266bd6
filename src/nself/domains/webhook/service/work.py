"""The processing of one object's waiting events by the holder of its lease."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar, cast

from nself import log
from nself.app import App
from nself.core import acting
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

P = ParamSpec("P")
T = TypeVar("T")
MAX_ATTEMPTS = 12
LONGEST_WAIT = 3600
MAX_NAMED = 5
"""Events that are named as the source of a change."""
MARGIN = timedelta(seconds=30)
"""Of a lease, beyond the time that an event has, for storing what came of it."""


class LeaseLost(Exception):
    """Another worker has claimed the object meanwhile; it will do the work."""


def lease(app: App) -> timedelta:
    return timedelta(seconds=app.settings.seconds("WEBHOOK_TIMEOUT")) + MARGIN


def _on_its_task(method: Callable[Concatenate[Work, P], T]) -> Callable[Concatenate[Work, P], T]:
    """Several threads take turns at one object."""

    @wraps(method)
    def done(self: Work, *args: P.args, **named: P.kwargs) -> T:
        with acting.on(self.task):
            return method(self, *args, **named)

    return done


class Work:
    """First `look`, then `store`; instead of it `finish` stores many together."""

    def __init__(self, app: App, claimed: Claimed, events: list[Waiting], before: int, number: int) -> None:
        """`number` is that of the picture that will be fetched, `before` a lower one than any picture's in this round."""
        self.app, self.claimed, self.object_id = app, claimed, claimed.object_id
        self.began, self.claimed_at, self.fetch_ms = monotonic(), app.clock(), 0
        self.events, self.before, self.number = events, before, number
        self.status = self._verdict()
        self.task = acting.new_task(events[-1].event_id if events else claimed.object_id)
        self.source = "webhook " + " ".join(event.event_id for event in events[-MAX_NAMED:])
        self.limit, self.picture = app.settings.seconds("WEBHOOK_TIMEOUT"), cast("Picture | None", None)

    def _verdict(self) -> str:
        """What becomes of events. Those that came while we worked in the other mode are of no object that we can fetch."""
        if any(event.livemode != self.app.settings.live for event in self.events):
            return "parked"
        known = self.events and mirror.mirrored(self.app, self.events[-1].object_kind)
        return "processed" if known else "ignored"

    @property
    def customer(self) -> str | None:
        """Whose object it is."""
        found = self.picture.snapshot.get("customer") if self.picture else None
        return found if isinstance(found, str) else None

    @_on_its_task
    def look(self) -> bool:
        """Fetch the object where its events are to be processed; whether there is something to store."""
        if self.status != "processed":
            return True
        try:
            with retry.within(self.limit):
                picture = mirror.fetch(
                    self.app, self.events[-1].object_kind, self.object_id, self.source, number=self.number
                )
                self.fetch_ms = self.ms()
                if not switches.on(self.app, "WEBHOOK_TRACK_VERSIONS"):
                    picture = picture._replace(number=mirror.draw(self.app))
                self.picture = picture
        except Exception as error:  # the boundary: what nobody foresaw must be seen, and not hold up other events
            self.fail(error)
            return False
        return True

    @_on_its_task
    def store(self) -> None:
        """By itself. Raises only what keeps the outcome from being recorded."""
        try:
            if self.picture:
                self._keep(self.picture)
            else:
                self.app.db.transact(lambda tx: finish(self.app, tx, [self]))
        except LeaseLost:
            self._tell_lost()
        except Exception as error:  # the boundary, as above
            self.fail(error)
        else:
            self.tell_done()

    @_on_its_task
    def tell_done(self) -> None:
        self._observe("ok")
        log.infos(
            "webhook_processed",
            [
                {"event": event.event_id, "type": event.type, "object": self.object_id, "status": self.status, "duration": round(self.ms() / 1000, 3), "took_ms": self.ms()}
                for event in self.events
            ],
        )  # fmt: skip

    def _keep(self, picture: Picture) -> None:
        """Store it, or a later one, together with the mark. Raises the gateway's errors."""
        imported = False

        def keep(tx: Tx, picture: Picture) -> bool:
            if not imported and mirror.strangers(tx, [picture]):
                return False
            mirror.accept(self.app, tx, picture)
            finish(self.app, tx, [self])
            return True

        with retry.within(max(0, self.limit - self.ms() / 1000)):
            if not mirror.in_order(self.app, picture, keep):
                self._import_customer(picture.snapshot["customer"])
                imported = True
                mirror.in_order(self.app, picture, keep)

    def _import_customer(self, customer: str) -> None:
        """First, so that a kill repeats both. Its own events may be worked on beside us: their picture is the newer one."""

        def keep(tx: Tx, picture: Picture) -> None:
            mirror.lock(tx, "customer", [customer])
            if not mirror.known(tx, "customer", customer):
                mirror.accept(self.app, tx, picture)

        picture = mirror.fetch(self.app, "customer", customer, self.source, number=self.before)
        mirror.in_order(self.app, picture, keep)

    def _tell_lost(self) -> None:
        log.warning("webhook concurrent", object=self.object_id, detail="another worker took it over meanwhile")

    def _observe(self, outcome: str) -> None:
        """All events of the object, under its kind."""
        if self.events:
            measures.observe(
                "webhook", (self.events[-1].object_kind, outcome), self.ms() / 1000, times=len(self.events)
            )

    @_on_its_task
    def fail(self, error: Exception) -> None:
        """Try again later; an outage or a refused key is never the event's fault and is not counted out.

        Raises only what keeps that from being recorded.
        """
        if isinstance(error, TimedOut) and self.ms() >= self.limit * 1000:
            error = ProcessingTooLong(limit=self.limit, detail=error.message)
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
                ids = [event.id for event in self.events]
                store.fail_events(tx, ids, f"{code}: {text}", permanent, self.claimed_at, self.fetch_ms, self.ms())
                _release(self.app, tx, [self], timedelta(seconds=wait))
        except LeaseLost:
            self._tell_lost()
            return
        log.warning(
            "webhook_failed", object=self.object_id, events=[event.event_id for event in self.events], code=code, error=text,
            attempts=attempts, permanent=permanent,
        )  # fmt: skip

    def ms(self) -> int:
        """Since the claim."""
        return round((monotonic() - self.began) * 1000)


def finish(app: App, tx: Tx, work: Sequence[Work]) -> None:
    """Step: mark their events as done and give the objects back. Raises LeaseLost.

    Events first, their objects after them, as the receiver locks them.
    """
    store.finish_events(
        tx,
        [(event.id, one.status, one.claimed_at, one.fetch_ms, one.ms()) for one in work for event in one.events],
        app.settings.live,
        app.clock(),
    )
    _release(app, tx, work, timedelta(0))


def _release(app: App, tx: Tx, work: Sequence[Work], wait: timedelta) -> None:
    fences = store.lock_objects(tx, [one.object_id for one in work])
    taken = any(fences[one.object_id] != one.claimed.fence for one in work)
    if taken and switches.on(app, "WEBHOOK_USE_LOCKS"):
        raise LeaseLost
    store.release_objects(tx, list(fences), wait)
