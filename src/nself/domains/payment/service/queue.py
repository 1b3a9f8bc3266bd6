"""Payments that wait for an operator: those of BILLING_QUEUE_PAYMENTS, and those that Stripe's absence kept from being made.

They are intents like all others, but only the drain performs them. Each is claimed with a lease, so that two drains and a
killed one make it once; what was sent before is looked up at Stripe before it is sent again.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

import msgspec

from nself import log
from nself.app import App
from nself.core import period
from nself.core.clock import monotonic
from nself.core.errors import BillingError
from nself.core.settings import seconds
from nself.db.connect import Tx
from nself.domains.connection.model import OperationState, PaymentExpired, PaymentGivenUp, Queued, Snapshot, TooLate
from nself.domains.connection.rules import part
from nself.domains.connection.service import intents
from nself.domains.customer import service as customers
from nself.domains.mirror import service as mirror
from nself.domains.notification.model import Note
from nself.domains.notification.service import outbox
from nself.domains.payment.errors import QueueStopped
from nself.domains.payment.inputs import ListQueue, ProcessQueue, QueueFailures, VerifyQueue
from nself.domains.payment.model import ProcessedQueue, QueuedFailures, QueuedPayment, QueueEmptiness
from nself.domains.payment.service import look, pay
from nself.gateway.errors import CardDeclined, NoAnswer, RequiresAction, StripeFailure

PROCESS = "nself billing process-queue --batch-size 100"
ACTION = "payment_action_required"
TRIES, PAUSE = 3, 0.05
MAX_TOLD = 20
SETTLED = frozenset({"paid", "void", "uncollectible", "deleted"})


class End(NamedTuple):
    """What became of a payment; `left`: it waits on; `elsewhere`: another process made it."""

    result: Literal["made", "skipped", "failed", "action_required", "left", "elsewhere"]
    told: str = ""


def failures(app: App, given: QueueFailures) -> QueuedFailures:
    """Those that the worker tries again and again wait for the drain from now on. Raises InvalidParameter."""
    since = _since(app, given.since)
    count, found = intents.queue_failed(app, since), intents.unpaid(app)
    log.info("payments_queued", count=count, since=since.isoformat())
    note = f"make them with: {PROCESS}" if found.queued else "no payment waits"
    return QueuedFailures(since=since, queued_now=count, queued=found.queued, note=note)


def _since(app: App, text: str) -> datetime:
    try:
        return app.clock() - timedelta(seconds=seconds(text))
    except (ValueError, OverflowError):
        return period.instant(text, app.timezone, "since")


def list_queue(app: App, given: ListQueue) -> list[QueuedPayment]:
    """In the order in which they will be made."""
    found = intents.queued(app, 0, given.limit)
    with app.db.reading() as tx:
        known = mirror.stored(tx, "invoice", [id for one in found if (id := _invoice(one))])
    return [_listed(one, known[id].snapshot if (id := _invoice(one)) in known else {}) for one in found]


def _listed(one: Queued, invoice: Snapshot) -> QueuedPayment:
    asked = part(one.params, "params")
    return QueuedPayment(
        id=f"queued_{one.id}",
        of=_invoice(one) or asked.get("customer") or "",
        amount_minor=invoice.get("amount_remaining") if _invoice(one) else asked.get("amount"),
        currency=invoice.get("currency") if _invoice(one) else asked.get("currency"),
        queued_at=one.queued_at,
        waits_seconds=int(one.age),
        attempts=one.attempts,
        error=one.error,
        operation=one.operation,
    )


def _invoice(one: Queued) -> str | None:
    """The invoice that a payment is of."""
    path = one.params.get("path")
    if path is None:
        return one.params["invoice"]
    return path[1] if path[0] == "invoices" else None


def verify(app: App, given: VerifyQueue) -> QueueEmptiness:
    """Also payments that the worker goes on with are not made yet."""
    found = intents.unpaid(app)
    empty = not found.queued and not found.with_worker
    notes = [f"make them with: {PROCESS}"] if found.queued else []
    notes += ["the worker goes on with them: nself status"] if found.with_worker else []
    return QueueEmptiness(
        empty=empty,
        queued=found.queued,
        with_worker=found.with_worker,
        oldest_at=found.oldest_at,
        oldest_seconds=found.oldest_seconds,
        note="; ".join(notes) or "every payment that was asked for is made, or has failed with its reason",
    )


def process(app: App, given: ProcessQueue) -> ProcessedQueue:
    """Go through the queue once, in its order, whatever BILLING_QUEUE_PAYMENTS says. Raises QueueStopped, SafeMode.

    A run that is killed anywhere leaves each payment made or in the queue; the next one goes on.
    """
    app.require_stripe()
    ends, after = list[End](), 0
    while batch := intents.queued(app, after, given.batch_size):
        for one in batch:
            try:
                ends.append(_make(app, one))
            except StripeFailure as error:
                made = sum(end.result == "made" for end in ends)
                raise QueueStopped(made=made, left=intents.unpaid(app).queued, detail=error.message) from error
        after = batch[-1].id
        log.info("payment_queue_processed", payments=len(ends), left=intents.unpaid(app).queued)
    return _processed(ends, intents.unpaid(app).queued)


def _processed(ends: list[End], left: int) -> ProcessedQueue:
    def count(result: str) -> int:
        return sum(end.result == result for end in ends)

    told = [end.told for end in ends if end.told]
    note = f"{left} wait on: nself billing queue list" if left else "the queue is empty"
    return ProcessedQueue(
        made=count("made"),
        skipped=count("skipped"),
        failed=count("failed") + count("action_required"),
        action_required=count("action_required"),
        left=left,
        failures=told[:MAX_TOLD],
        note=note if ends else "no payment waited",
    )


def _make(app: App, one: Queued) -> End:
    """Raises StripeFailure where Stripe is away."""
    invoice = _invoice(one)
    stood = _standing(app, invoice) if invoice else ""
    end, ours = _perform(app, one, _over(app, one, stood))
    if end is None:
        return End("left", f"queued_{one.id}: {_reason(app, one)}")
    if not ours:
        return End("elsewhere")
    if invoice:
        look.renew(app, "invoice", invoice)
        if stood in SETTLED and not (one.attempts and end.state == "done"):
            return End("skipped", f"queued_{one.id}: {invoice} is {stood}")
    error = intents.refusal(end) if end.state == "failed" else _unpaid(app, end, one)
    return _told(app, one, error) if error else End("made")


def _over(app: App, one: Queued, stood: str) -> TooLate | None:
    """Why a payment is not made any more. Stripe would still charge for an invoice that was given up."""
    if stood == "uncollectible":
        return PaymentGivenUp(invoice=_invoice(one))
    expiry = app.settings.seconds("BILLING_QUEUE_EXPIRY")
    return PaymentExpired(operation=one.operation, days=int(expiry // 86_400)) if one.age > expiry else None


def _standing(app: App, invoice: str) -> str:
    """The state of an invoice as Stripe has it now."""
    found = mirror.fetch(app, "invoice", invoice, look.SOURCE).snapshot
    return "deleted" if found.get("deleted") else found["status"]


def _perform(app: App, one: Queued, over: TooLate | None) -> tuple[OperationState | None, bool]:
    """How it ended, None where it waits on, and whether we made it. What another process has is waited for."""
    until, tries = monotonic() + intents.lease(app).total_seconds() + intents.PATIENCE, 0
    while tries < TRIES and monotonic() < until:
        mine = intents.perform_queued(app, one.operation, over)
        (end,) = intents.states(app, [one.operation])
        if end.id != one.id:  # the next step of the same operation
            end = msgspec.structs.replace(end, state="done")
        if end.state != "queued":
            return end, tries + mine > 0
        if mine and end.error_code in intents.ABSENCE:
            raise NoAnswer(detail=end.error)
        tries += mine
        if not mine:
            time.sleep(PAUSE)
    return None, tries > 0


def _reason(app: App, one: Queued) -> str:
    (end,) = intents.states(app, [one.operation])
    return end.error or "another process has it"


def _unpaid(app: App, end: OperationState, one: Queued) -> BillingError | None:
    """A payment that was found at Stripe much later may not have been one."""
    if _invoice(one) or end.object_id is None:
        return None
    try:
        pay.refuse_unpaid(look.stored(app, "payment_intent", end.object_id) or {"status": "succeeded"})
    except CardDeclined as error:
        return error
    return None


def _told(app: App, one: Queued, error: BillingError) -> End:
    """The mirror has what became of it, and a customer who must confirm is asked to."""
    intent = error.payment_intent if isinstance(error, CardDeclined) else None
    look.renew(app, "payment_intent", intent)
    if isinstance(error, CardDeclined):
        look.renew(app, "charge", error.charge)
    log.warning("payment_failed", queued=one.id, payment_intent=intent, code=error.code)
    told = f"queued_{one.id}: {error.code}: {error.message}"
    if not isinstance(error, RequiresAction):
        return End("failed", told)
    mailed = _ask(app, one, intent)
    helps = error.hint[0] if error.hint else ""
    return End("action_required", f"{told} {mailed or helps}".rstrip())


def _ask(app: App, one: Queued, intent: str | None) -> str:
    """Have the customer asked to authenticate, once a payment; to whom that goes, if to anybody."""
    asked, invoice = part(one.params, "params"), look.stored(app, "invoice", _invoice(one) or "") or {}
    customer = invoice.get("customer") or asked.get("customer")
    data = {
        "id": intent,
        "customer": customer,
        "amount": invoice.get("amount_remaining", asked.get("amount")),
        "currency": invoice.get("currency", asked.get("currency")),
        "number": invoice.get("number"),
        "hosted_invoice_url": invoice.get("hosted_invoice_url"),
    }

    def work(tx: Tx) -> str:
        who = customers.owners(tx, [customer]).get(customer) if customer else None
        note = Note(
            kind=ACTION,
            email=who.email if who else None,
            template=ACTION,
            data={**data, "user": who.user if who else None},
            once=f"{intent or one.operation} {ACTION}",
        )
        outbox.post(app, tx, [note], app.clock())
        return f"({note.email} is asked to by mail)" if note.email and app.settings.flag("MAIL_ENABLED") else ""

    return app.db.transact(work)
