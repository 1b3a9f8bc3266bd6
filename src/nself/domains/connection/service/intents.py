"""Recorded wishes to call Stripe: written with their key, called with that key, outcome written.

A kill between any two lines leaves a pending intent, which the worker (or whoever asks next) finishes.
While the outcome of a call is unknown the same key and parameters are sent again, which Stripe answers with
what it did the first time; after 23 hours, or when Stripe stored a failure under the key, the object is
looked up first and a new key is used only where nothing was found.
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from typing import cast

from nself import log
from nself.app import App
from nself.core import entrypoint
from nself.core.clock import monotonic
from nself.core.errors import BillingError, Denied, Unavailable
from nself.db.connect import Tx
from nself.domains.connection import rules, store
from nself.domains.connection.inputs import ListIntents
from nself.domains.connection.model import (
    Intent,
    IntentCounts,
    ListedIntent,
    OperationFailed,
    OperationState,
    PaymentGivenUp,
    PaymentQueued,
    Queued,
    Snapshot,
    StillPending,
    TooLate,
    Unpaid,
    Wish,
)
from nself.domains.mirror import service as mirror
from nself.domains.mirror.model import Picture
from nself.gateway.answers import recorded
from nself.gateway.api import STRIPE_VERSION, Stripe
from nself.gateway.errors import (
    CircuitOpen,
    IdempotencyMismatch,
    InsufficientPermissions,
    NoAnswer,
    StripeDown,
    StripeFailure,
)

KEY_LIFETIME = 23 * 3600
THREADS = 16
"""As many intents are claimed at once, so that each is called right after its claim."""
LONGEST_WAIT = 600
IDLE = 0.02
LATE = 60
"""Seconds after which a payment that was never tried is looked at again before it is made."""
PATIENCE = 20
"""Seconds for which a command goes on with operations that make no progress."""

Call = Callable[[Stripe, Snapshot, str], Snapshot]
Settle = Callable[[Tx, Intent, Picture], bool]
"""False where the mirror holds a later one: the object is fetched again."""
Find = Callable[[Stripe, Intent], Snapshot | None]
Attempt = Callable[[App, entrypoint.Intent, Intent], "Snapshot | None"]
ABSENCE = (NoAnswer.code, StripeDown.code, CircuitOpen.code)
"""Codes of failures that say that Stripe was not there, and nothing of the payment."""


def plan(tx: Tx, wishes: Sequence[Wish], livemode: bool) -> int:
    """Step: record wishes; one that stands already, open or done, is kept. Number of those added."""
    return _plan(tx, wishes, [f"{rules.KEY}{uuid.uuid4().hex}" for _ in wishes], livemode)


def _plan(tx: Tx, wishes: Sequence[Wish], keys: Sequence[str], livemode: bool, known_for: float | None = None) -> int:
    """`known_for`: seconds for which Stripe may know the keys already."""
    charging = [rules.charges(one.kind, one.params) for one in wishes]
    return store.add_intents(tx, wishes, charging, keys, livemode, known_for) if wishes else 0


def follow(tx: Tx, intent: Intent, wish: Wish, *, marked: bool = False) -> int:
    """Step: record the wish for the next step of an operation, under the key that follows from the one before it.

    `marked`: it makes an object that bears the key. In a restored database it may have been made long ago, so it is looked
    up first where the step before it had to be.
    """
    key = rules.following(intent.idempotency_key, wish.step)
    return _plan(tx, [wish], [key], intent.livemode, intent.seconds_since_first_sent if marked else None)


def retry_failed(tx: Tx, operations: Sequence[str], kinds: Sequence[str], livemode: bool) -> int:
    """Step: wish again, with another key, for what Stripe refused for good; only steps of `kinds`."""
    failed = store.failed_wishes(tx, operations, kinds)
    return _plan(tx, failed, [rules.another(one.idempotency_key) for one in failed], livemode)


def made(tx: Tx, operation: str, step: int) -> str | None:
    """Step: the id of the object that a step of an operation made."""
    return store.made(tx, operation, step)


def adopt(tx: Tx, wish: Wish, key: str, object_id: str, livemode: bool, *, touched: bool) -> bool:
    """Step: `wish` was done under `key` by a later state of this database; it is never wished for again.

    `touched`: more was done with the object, so that an open wish for it is not followed by its next steps either.
    """
    if store.adopt(tx, wish, key, object_id, livemode):
        return True
    return touched and store.close_adopted(tx, wish.operation, rules.root(key), object_id, livemode) > 0


def doubt(tx: Tx, since: datetime) -> int:
    """Step: this is the database of `since`, and what was open then may be done by now. Number of those.

    Each is repeated with its key while Stripe knows it, and else looked up before anything is done.
    """
    return store.doubt_unsent(tx, since)


def asked(tx: Tx, key: str) -> Snapshot | None:
    """Step: what was asked for under an idempotency key, which the object bears as its mark."""
    return store.asked(tx, key, rules.root(key))


def list_intents(app: App, given: ListIntents) -> list[ListedIntent]:
    """Open and failed intents, newest first."""
    with app.db.reading() as tx:
        return store.list_intents(tx, given.state, given.limit)


def counts(tx: Tx, livemode: bool) -> IntentCounts:
    """How many wishes wait or failed."""
    return store.standing(tx, livemode)


def states(app: App, operations: Sequence[str]) -> list[OperationState]:
    """Where each operation stands."""
    with app.db.reading() as tx:
        return store.operation_states(tx, operations)


def perform_due(app: App, operations: list[str] | None = None) -> int:
    """Claim and perform some intents, all at once; number of those claimed. None in safe mode.

    Payments wait in the payment queue instead where BILLING_QUEUE_PAYMENTS says so, and those that nobody asked for where
    BILLING_AUTO_PAYMENT is false.
    """
    if app.safe_mode:
        return 0
    livemode = app.settings.live
    everything, automatic = app.settings.flag("BILLING_QUEUE_PAYMENTS"), app.settings.flag("BILLING_AUTO_PAYMENT")
    with app.db.transaction() as tx:
        if everything or not automatic:
            store.enqueue(tx, livemode, operations, None if everything else rules.AUTOMATIC)
        claimed = store.claim(tx, livemode, operations, THREADS, lease(app))
    if len(claimed) == 1:
        perform(app, claimed[0])
    elif claimed:
        with ThreadPoolExecutor(THREADS, "intent") as pool:
            list(pool.map(partial(perform, app), claimed))
    return len(claimed)


def lease(app: App) -> timedelta:
    """Longer than a call and a look-up with all their retries, each at most three times STRIPE_TIMEOUT."""
    return timedelta(seconds=6 * app.settings.seconds("STRIPE_TIMEOUT"))


def drive(app: App, operations: Sequence[str]) -> list[OperationState]:
    """Perform all intents of `operations` to their end, together with a worker that may do the same.

    What waits in the payment queue is left there, as `queued`. Raises SafeMode, and StillPending when Stripe or the database keep them from ending for PATIENCE seconds; what a killed
    process held is waited for.
    """
    with app.db.reading() as tx:
        store.hasten(tx, operations)
    moved, newest = monotonic(), frozenset[int]()
    while True:
        found = states(app, operations)
        pending = [one for one in found if one.state == "pending"]
        if not pending:
            return found
        app.require_stripe()
        open_now = frozenset(one.id for one in pending)
        if open_now != newest:
            moved, newest = monotonic(), open_now
        if perform_due(app, [one.operation for one in pending]):
            continue
        held = lease(app).total_seconds() if any(one.held for one in pending) else 0
        if monotonic() - moved > PATIENCE + held:
            detail = next((one.error for one in pending if one.error), "another process holds them")
            raise StillPending(count=len(pending), total=len(operations), detail=detail)
        time.sleep(IDLE)


def drive_one(app: App, operation: str) -> str | None:
    """Perform one operation to its end; the id of the object it ended with.

    Raises what Stripe refused, PaymentQueued, StillPending, SafeMode.
    """
    (end,) = drive(app, [operation])
    if end.state == "failed":
        raise refusal(end)
    if end.state == "queued":
        raise PaymentQueued(end.id)
    return end.object_id


def refusal(end: OperationState) -> BillingError:
    """What Stripe answered for good to an operation that failed."""
    if end.failure:
        return recorded(end.failure)
    return OperationFailed(end.error_code or "api_error", end.error or "")


def queue_failed(app: App, since: datetime) -> int:
    """Take payments that Stripe's absence kept from being made since then from the worker into the queue; their number."""
    return app.db.transact(lambda tx: store.enqueue_failed(tx, app.settings.live, since, ABSENCE))


def queued(app: App, after: int, limit: int) -> list[Queued]:
    """What waits in the payment queue behind number `after`, in order."""
    with app.db.reading() as tx:
        return store.queued(tx, app.settings.live, after, limit)


def unpaid(app: App) -> Unpaid:
    """How many payments are not made yet."""
    with app.db.reading() as tx:
        return store.unpaid(tx, app.settings.live)


def perform_queued(app: App, operation: str, over: TooLate | None) -> bool:
    """Make a payment of the queue; whether it was ours to make. What was sent before is looked up before it is sent again.

    With `over` it is not made any more, unless it turns out that it was.
    """
    with app.db.transaction() as tx:
        claimed = store.claim(tx, app.settings.live, [operation], 1, lease(app), queued=True)

    def call(app: App, row: entrypoint.Intent, intent: Intent) -> Snapshot | None:
        find = cast(Find, app.registry.resolve(row.find))
        found = _look(app, find, intent) if intent.attempts > 1 else None
        if found is None and over:
            raise over
        return found or _send(app, row, intent)

    for one in claimed:
        perform(app, one, call)
    return bool(claimed)


def perform(app: App, intent: Intent, call: Attempt | None = None) -> None:
    """Call Stripe for one claimed intent and record what came of it. Raises only what keeps that from being recorded."""
    try:
        row = _row(app, intent.kind)
        picture = _outcome(app, row, intent, call or _call)
        if picture:
            _settle(app, row, intent, picture)
        else:
            with app.db.transaction() as tx:
                store.postpone(tx, intent, timedelta(0), None, None, rules.another(intent.idempotency_key))
    except Exception as error:  # the boundary: what nobody foresaw must be seen, and not repeated without pause
        _record_failure(app, intent, error)


def _row(app: App, kind: str) -> entrypoint.Intent:
    return next(row for row in app.registry.rows(entrypoint.Intent) if row.kind == kind)


def _outcome(app: App, row: entrypoint.Intent, intent: Intent, call: Attempt) -> Picture | None:
    """What Stripe made, now or by an earlier attempt; None: nothing was found and the key is of no more use.

    To a key that it knows Stripe gives its first answer again, which may be an old picture of the object.
    """
    number, source = mirror.draw(app), f"intent {intent.operation} {intent.kind}"
    snapshot = call(app, row, intent)
    if snapshot and intent.attempts > 1 and mirror.mirrored(app, snapshot["object"]):
        return mirror.fetch(app, snapshot["object"], snapshot["id"], source)
    return Picture({"livemode": app.stripe.live, **snapshot}, number, source, STRIPE_VERSION) if snapshot else None


def _call(app: App, row: entrypoint.Intent, intent: Intent) -> Snapshot | None:
    """An invoice may have been paid, or given up, while its payment waited."""
    invoice = rules.paid_invoice(intent.kind, intent.params)
    if invoice and (intent.attempts > 1 or intent.seconds_since_wished > LATE):
        found = _look(app, lambda stripe, _: _paid(stripe, invoice), intent)
        if found:
            return found
    return _send(app, row, intent)


def _paid(stripe: Stripe, invoice: str) -> Snapshot | None:
    """Stripe would charge for one that was given up. Raises PaymentGivenUp."""
    found = stripe.fetch("invoice", invoice)
    if found.get("status") == "uncollectible":
        raise PaymentGivenUp(invoice=invoice)
    return found if found.get("status") == "paid" else None


def _send(app: App, row: entrypoint.Intent, intent: Intent) -> Snapshot | None:
    """A refusal may mean that what we wish for stands: finalised or paid by hand, or made by an older version of us."""
    call, find = cast(Call, app.registry.resolve(row.call)), cast(Find, app.registry.resolve(row.find))
    if intent.seconds_since_first_sent >= KEY_LIFETIME:
        return _look(app, find, intent)
    try:
        return call(app.stripe, intent.params, intent.idempotency_key)
    except StripeFailure as error:
        if not error.stored and not _final(error):
            raise
        found = _look(app, find, intent, error)
        if found is None and not error.stored and not isinstance(error, IdempotencyMismatch):
            raise
        return found


def _look(app: App, find: Find, intent: Intent, answered: StripeFailure | None = None) -> Snapshot | None:
    """What was made before. Where the key may not look, only the first call knows that it was nothing: as it was `answered`."""
    try:
        return find(app.stripe, intent)
    except InsufficientPermissions as error:
        if answered and intent.attempts == 1:
            raise answered from error
        error.earlier_unknown = True
        raise


def _settle(app: App, row: entrypoint.Intent, intent: Intent, picture: Picture) -> None:
    settle = cast(Settle, app.registry.resolve(row.settle)) if row.settle else None
    object_id = cast("str | None", picture.snapshot.get("id"))

    def work(tx: Tx, picture: Picture) -> None:
        if not store.settle(tx, intent, object_id):
            return
        mirrored = mirror.mirrored(app, picture.snapshot["object"])
        if mirrored and settle:
            mirror.witness(app, tx, picture, partial(settle, tx, intent, picture))
        elif mirrored:
            mirror.accept(app, tx, picture)
        elif settle and not settle(tx, intent, picture):
            raise mirror.Overtaken

    mirror.in_order(app, picture, work)
    log.info("intent_settled", operation=intent.operation, kind=intent.kind, object=object_id)


def _final(error: Exception) -> bool:
    """Whether Stripe said for certain that it did not and never will do this."""
    if isinstance(error, TooLate):
        return True
    if not isinstance(error, StripeFailure) or error.outcome_unknown or error.earlier_unknown:
        return False
    return isinstance(error, InsufficientPermissions) or (
        error.conclusive and not isinstance(error, (Unavailable, Denied))
    )


def _record_failure(app: App, intent: Intent, error: Exception) -> None:
    """Wait and try again unless the failure is final."""
    final, code, text = _final(error), "internal_error", log.redact(f"{type(error).__name__}: {error}")
    if isinstance(error, BillingError):
        code, text = error.code, error.message
    else:
        log.failure("intent_broke", operation=intent.operation, kind=intent.kind)
    with app.db.transaction() as tx:
        if final:
            store.fail(tx, intent, code, text, getattr(error, "record", None))
        else:
            wait = random.uniform(0.5, 1) * min(LONGEST_WAIT, 2**intent.attempts)
            store.postpone(tx, intent, timedelta(seconds=wait), code, text, None)
    log.warning(
        "intent_failed" if final else "intent_postponed", operation=intent.operation, kind=intent.kind, code=code, error=text,
        outcome_unknown=getattr(error, "outcome_unknown", False),
    )  # fmt: skip
