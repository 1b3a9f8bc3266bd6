"""Giving back once: by one operator at a time, and never more than what is left of a charge."""

from __future__ import annotations

from datetime import timedelta

from nself import log
from nself.app import App
from nself.core.errors import InvalidParameter, MissingParameter
from nself.core.money import Money
from nself.db.connect import Tx
from nself.domains.connection.model import Snapshot, operation_name
from nself.domains.connection.service import change, intents
from nself.domains.payment import rules, store
from nself.domains.payment.errors import (
    NothingPaid,
    NotRefundable,
    RefundInProgress,
    RefundUnconfirmed,
    RepeatedRefund,
)
from nself.domains.payment.inputs import CreateRefund, ListRefunds, ListTransactions
from nself.domains.payment.model import CreatedRefund, ListedRefund, Transaction, money
from nself.domains.payment.service import given_back, look
from nself.domains.payment.service.look import Standing
from nself.gateway.answers import no_such
from nself.gateway.errors import IdempotencyMismatch

REPEATED = timedelta(minutes=10)
"""For so long the same part of a charge is not given back again without a key of its own."""


def create(app: App, given: CreateRefund) -> CreatedRefund:
    """Give back a charge or a part of it.

    Two at once make one: the name of the operation holds how many refunds the charge has. Raises NoSuchPayment,
    NothingPaid, NotRefundable, RefundInProgress, RepeatedRefund, RefundUnconfirmed, IdempotencyMismatch, StillPending.
    """
    rules.check_key(given.idempotency_key)
    if given.reason == "fraudulent" and not given.confirm:
        raise RefundUnconfirmed(detail="Reason fraudulent blocks the customer's card and address at Stripe for good")
    app.require_stripe()
    charge = _charge_id(app, given)
    stands = _by_key(app, given, charge) if given.idempotency_key else _by_state(app, given, charge)
    return finish(app, stands, given.reason)


def _charge_id(app: App, given: CreateRefund) -> str:
    """Raises MissingParameter, InvalidParameter, NoSuchPayment, NothingPaid."""
    objects = [one for one in (given.charge, given.payment_intent, given.invoice) if one]
    if not objects:
        raise MissingParameter("charge")
    if len(objects) > 1:
        raise InvalidParameter("Give one of charge, payment_intent and invoice", "charge")
    return charge_of(app, objects[0])


def charge_of(app: App, object: str) -> str:
    """The charge of a charge, payment intent or invoice, told by its id. Raises NoSuchPayment, NothingPaid."""
    charge: str | None = object
    if object.startswith("in_"):
        charge = rules.paid_intent(look.fresh(app, "invoice", object))
        if charge is None:
            raise NothingPaid(object=object)
    if charge and charge.startswith("pi_"):
        charge = look.fresh(app, "payment_intent", charge).get("latest_charge")
    if charge is None:
        raise NothingPaid(object=object)
    if not charge.startswith(("ch_", "py_")):
        raise no_such("charge", charge[:100])
    return charge


def _amount(charge: Snapshot, credited: int, given: CreateRefund) -> int:
    """Raises NotRefundable, RefundUnconfirmed."""
    wrong = rules.refusal(charge, given.amount, credited=credited)
    if wrong:
        raise NotRefundable(charge["id"], *wrong)
    amount = given.amount or rules.left(charge) - credited
    if amount >= rules.much(charge["currency"]) and not given.confirm:
        raise RefundUnconfirmed(detail=f"{Money(amount, charge['currency'])} is a lot")
    return amount


def _by_key(app: App, given: CreateRefund, charge: str) -> Standing:
    """Under a key what was asked for counts, not what is left by now."""
    since = given_back.begin(app)
    request = rules.digest(charge, given.amount, given.reason)
    name = operation_name(app.settings.live, "refund.create", "key", given.idempotency_key)
    found = look.fresh(app, "charge", charge)
    credited = given_back.beside_refunds(app, found)

    def work(tx: Tx) -> Standing:
        before = change.earlier(tx, name, app.settings.live)
        fits = before is None or before.state == "failed"
        if fits:
            given_back.alone(app, tx, found.get("customer"), since, given_back.NOTES, own=name)
        amount = _amount(found, credited, given) if fits else given.amount or rules.left(found)
        params = rules.refund_params(found, amount, given.reason, request)
        return look.wish_once(app, tx, change.wish(name, "refunds", params=params), request)

    return app.db.transact(work)


def _by_state(app: App, given: CreateRefund, charge: str) -> Standing:
    since = given_back.begin(app)
    made = list(app.stripe.listed("refunds", charge=charge))
    found = look.fresh(app, "charge", charge)
    live, request = app.settings.live, rules.digest(charge, given.amount, given.reason)
    names = [operation_name(live, "refund.create", charge, number) for number in range(1, len(made) + 2)]
    if (standing := _standing(app, charge, names, request)) is not None:
        return standing
    amount = _amount(found, given_back.beside_refunds(app, found), given)
    if given.amount:
        _refuse_repetition(app, found, made, amount, given.reason)
    wish = change.wish(names[-1], "refunds", params=rules.refund_params(found, amount, given.reason, request))

    def work(tx: Tx) -> None:
        given_back.alone(app, tx, found.get("customer"), since, given_back.NOTES, own=wish.operation)
        change.plan(tx, wish, live)

    try:
        app.db.transact(work)
    except IdempotencyMismatch:
        raise RefundInProgress(charge=charge) from None
    return Standing(names[-1], created=True)


def _standing(app: App, charge: str, names: list[str], request: str) -> Standing | None:
    """One that is on its way, somebody else's, or ours before a crash: Stripe may have it already. Raises RefundInProgress."""
    going = [one.operation for one in intents.states(app, names) if one.state == "pending"]
    with app.db.reading() as tx:
        for name in (*going, names[-1]):
            before = change.earlier(tx, name, app.settings.live)
            if before is None or before.state == "failed":
                continue
            if before.params["params"]["metadata"]["nself_request"] != request:
                raise RefundInProgress(charge=charge)
            return Standing(name, created=False)
    return None


def _refuse_repetition(app: App, charge: Snapshot, made: list[Snapshot], amount: int, reason: str) -> None:
    now = int(app.clock().timestamp())
    same = rules.equal(made, amount, now - int(REPEATED.total_seconds()))
    if same:
        raise RepeatedRefund(
            refund=same["id"], money=money(same), charge=charge["id"], minor=amount, reason=reason,
            seconds=max(0, now - same["created"]),
        )  # fmt: skip


def finish(app: App, stands: Standing, reason: str) -> CreatedRefund:
    """Drive a refund to its end, and have the mirror show its charge. Raises what Stripe refuses, StillPending."""
    id = intents.drive_one(app, stands.operation) or ""
    made = look.stored(app, "refund", id) or look.fresh(app, "refund", id)
    look.renew(app, "charge", made["charge"])
    charge = look.stored(app, "charge", made["charge"])
    if stands.created:
        log.info("refund_created", refund=id, charge=made["charge"], amount=str(money(made)), reason=reason)
    return CreatedRefund(
        id=id,
        status=made["status"],
        charge=made["charge"],
        amount_minor=made["amount"],
        currency=made["currency"],
        reason=reason,
        left_minor=rules.left(charge) if charge else 0,
        created=stands.created,
        note=_note(made, stands.created),
    )


def _note(made: Snapshot, created: bool) -> str:
    if made["status"] in rules.SENT_BACK:
        return f"it is {made['status']}: nothing was given back"
    return "given back" if created else "the same was asked for before: nothing was given back twice"


def list_refunds(app: App, given: ListRefunds) -> list[ListedRefund]:
    """Newest first. Raises NoSuchUser, NoCustomerYet."""
    customer = look.customer_id(app, given.customer, given.user)
    with app.db.reading() as tx:
        return store.refunds(tx, given.charge, customer, app.settings.live, given.limit, given.offset)


def list_transactions(app: App, given: ListTransactions) -> list[Transaction]:
    """What came in and went out, newest first. Raises NoSuchUser, NoCustomerYet."""
    customer = look.customer_id(app, given.customer, given.user)
    with app.db.reading() as tx:
        return store.transactions(tx, customer, given.kind, app.settings.live, given.limit, given.offset)
