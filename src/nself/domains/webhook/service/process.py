"""Processing events: one object at a time, fetched once for all its waiting events.

Stripe guarantees no order and its times have whole seconds, so an event only says that its object changed;
what is stored is the object as Stripe has it now. State and the mark "processed" are one transaction.
"""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial

from nself import log
from nself.app import App
from nself.core.clock import monotonic
from nself.core.errors import BillingError, Denied, Unavailable
from nself.db.connect import Tx
from nself.domains.connection.service import intents
from nself.domains.mirror import service as mirror
from nself.domains.webhook import store
from nself.domains.webhook.model import Claimed, Waiting

THREADS = 16
"""As many objects are claimed at once, so that each is fetched right after its claim."""
MAX_ATTEMPTS = 12
LONGEST_WAIT = 3600
MAX_NAMED = 5
"""Events that are named as the source of a change."""


class _LeaseLost(Exception):
    """Another worker has claimed the object meanwhile; it will do the work."""


def process_due(app: App) -> int:
    """Claim objects with waiting events and process them, all at once; number of objects claimed."""
    lease = intents.lease(app)
    with app.db.reading() as tx:
        claimed = store.claim_objects(tx, THREADS, lease)
    if len(claimed) == 1:
        process(app, claimed[0])
    elif claimed:
        with ThreadPoolExecutor(THREADS, "webhook") as pool:
            list(pool.map(partial(process, app), claimed))
    return len(claimed)


def process(app: App, claimed: Claimed) -> None:
    """All waiting events of one object. Raises only what keeps the outcome from being recorded."""
    began = monotonic()
    with app.db.reading() as tx:
        events = store.waiting(tx, claimed.object_id)
    status = _verdict(app, events)
    try:
        if status == "processed":
            kind = events[-1].object_kind
            source = "webhook " + " ".join(event.event_id for event in events[-MAX_NAMED:])
            mirror.refresh(app, kind, claimed.object_id, source, lambda tx: _finish(app, tx, claimed, events, status))
        else:
            app.db.transact(lambda tx: _finish(app, tx, claimed, events, status))
    except _LeaseLost:
        return
    except Exception as error:  # the boundary: what nobody foresaw must be seen, and not hold up other events
        _fail(app, claimed, events, error)
        return
    for event in events:
        log.info(
            "webhook_processed", event=event.event_id, type=event.type, object=claimed.object_id, status=status,
            duration=round(monotonic() - began, 3),
        )  # fmt: skip


def _verdict(app: App, events: list[Waiting]) -> str:
    """What becomes of events. Those that came while we worked in the other mode are of no object that we can fetch."""
    if any(event.livemode != app.settings.live for event in events):
        return "parked"
    return "processed" if events and mirror.mirrored(app, events[-1].object_kind) else "ignored"


def _finish(app: App, tx: Tx, claimed: Claimed, events: list[Waiting], status: str) -> None:
    if store.lock_object(tx, claimed.object_id) != claimed.fence:
        raise _LeaseLost
    store.finish_events(tx, [event.id for event in events], status, app.clock())
    store.release_object(tx, claimed.object_id, timedelta(0))


def _fail(app: App, claimed: Claimed, events: list[Waiting], error: Exception) -> None:
    """Try again later; an outage or a refused key is never the event's fault and is not counted out."""
    attempts = max((event.attempts for event in events), default=0) + 1
    permanent = attempts >= MAX_ATTEMPTS and not isinstance(error, (Unavailable, Denied))
    wait = random.uniform(0.5, 1) * min(LONGEST_WAIT, 2**attempts)
    code, text = "internal_error", log.redact(f"{type(error).__name__}: {error}")
    if isinstance(error, BillingError):
        code, text = error.code, error.message
    else:
        log.failure("webhook_broke", object=claimed.object_id)
    with app.db.transaction() as tx:
        if store.lock_object(tx, claimed.object_id) != claimed.fence:
            return
        store.fail_events(tx, [event.id for event in events], f"{code}: {text}", permanent)
        store.release_object(tx, claimed.object_id, timedelta(seconds=wait))
    log.warning(
        "webhook_failed", object=claimed.object_id, events=[event.event_id for event in events], code=code, error=text,
        attempts=attempts, permanent=permanent,
    )  # fmt: skip
