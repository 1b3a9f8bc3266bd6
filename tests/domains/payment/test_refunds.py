"""Refunds: never above the charge, once, whoever else gives back meanwhile; and the ledger that they stand in."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import msgspec
import psycopg
import pytest
from money_seams import Crash, Pause, Seams, fragile

from nself.app import App
from nself.core.errors import BillingError, InvalidParameter, MissingParameter
from nself.domains.connection.model import StillPending
from nself.domains.payment.errors import (
    NothingPaid,
    NotRefundable,
    RefundInProgress,
    RefundUnconfirmed,
    RepeatedRefund,
)
from nself.domains.payment.inputs import CreatePayment, CreateRefund, ListRefunds, ListTransactions
from nself.domains.payment.model import CreatedRefund
from nself.domains.payment.service import pay, refunds
from nself.gateway.errors import IdempotencyMismatch, NoSuchPayment, Refused
from paying import Till
from telling import Receiver, send_all


def give(
    till: Till, charge: str | None, app: App | None = None, reason: str = "billing_error", **more: Any
) -> CreatedRefund:
    return refunds.create(app or till.app, CreateRefund(charge=charge, reason=reason, **more))


def charge(till: Till, amount: int = 1000) -> str:
    return till.pay(amount=amount, idempotency_key=f"charge-{amount}-{len(till.charged())}").charge or ""


def test_a_charge_is_given_back_whole_and_in_parts(till: Till) -> None:
    one = charge(till)
    part = give(till, one, amount=300)
    assert (part.amount_minor, part.left_minor, part.status, part.reason) == (300, 700, "succeeded", "billing_error")
    rest = give(till, one, reason="duplicate")
    assert (rest.amount_minor, rest.left_minor) == (700, 0)
    assert till.refunded(one) == [300, 700]
    made = {at["amount"]: at for at in till.sandbox.get("/v1/refunds", charge=one)}
    assert (made[300]["reason"], made[300]["metadata"]["nself_reason"]) == (None, "billing_error")
    assert made[700]["reason"] == "duplicate"
    with pytest.raises(NotRefundable, match=f"Charge {one} has already been refunded") as refused:
        give(till, one)
    assert refused.value.code == "charge_already_refunded"
    listed = refunds.list_refunds(till.app, ListRefunds(charge=one))
    assert sorted((row.amount_minor, row.reason, row.user) for row in listed) == [
        (300, "billing_error", "user"), (700, "duplicate", "user"),
    ]  # fmt: skip
    assert till.net(one) == 0


def test_it_is_found_by_payment_intent_and_invoice(till: Till) -> None:
    made = till.pay()
    back = give(till, None, payment_intent=made.id, amount=1)
    assert back.charge == made.charge
    till.bench.use(till.app, "user", 120)
    till.bench.bill(till.app, "user")
    (invoice,) = till.sandbox.invoices(till.customer)
    assert give(till, None, invoice=invoice["id"]).amount_minor == 500
    draft = till.sandbox.post("/v1/invoices", customer=till.customer)["id"]
    with pytest.raises(NothingPaid, match=draft):
        give(till, None, invoice=draft)
    with pytest.raises(NothingPaid):
        give(till, None, payment_intent=pay.create(till.app, CreatePayment(amount=100)).id)


def test_what_cannot_be_refunded_is_told(till: Till) -> None:
    one = charge(till)
    with pytest.raises(NotRefundable, match="is greater than what is left") as over:
        give(till, one, amount=1001)
    assert over.value.code == "amount_too_large"
    for unknown, words in (("ch_none", "No such charge: ch_none"), ("sub_1", "No such charge: sub_1")):
        with pytest.raises(NoSuchPayment, match=words):
            give(till, unknown)
    with pytest.raises(NoSuchPayment, match="No such payment intent: pi_none"):
        give(till, None, payment_intent="pi_none")
    with pytest.raises(MissingParameter):
        give(till, None)
    with pytest.raises(InvalidParameter, match="Give one of"):
        give(till, one, invoice="in_1")
    with pytest.raises(RefundUnconfirmed, match="blocks the customer's card"):
        give(till, one, reason="fraudulent")
    assert give(till, one, reason="fraudulent", confirm=True, amount=1).status == "succeeded"
    disputed = pay.create(till.app, CreatePayment(
        amount=700, customer=till.customer, payment_method="pm_card_createDispute")).charge  # fmt: skip
    with pytest.raises(NotRefundable, match="charged back") as refused:
        give(till, disputed)
    assert refused.value.code == "charge_disputed"
    big = till.pay(amount=2_000_000, confirm=True).charge
    with pytest.raises(RefundUnconfirmed, match=r"20000\.00 USD is a lot"):
        give(till, big)


def test_a_key_makes_it_once_and_another_key_again(till: Till) -> None:
    one = charge(till)
    first = give(till, one, amount=300, idempotency_key="a")
    again = give(till, one, amount=300, idempotency_key="a")
    assert (again.id, again.created) == (first.id, False)
    with pytest.raises(IdempotencyMismatch):
        give(till, one, amount=301, idempotency_key="a")
    with pytest.raises(RepeatedRefund, match=f"{first.id} gave back 3.00 USD") as refused:
        give(till, one, amount=300)
    assert "--amount 300 --reason billing_error --idempotency-key" in refused.value.hint[1]
    assert give(till, one, amount=300, idempotency_key="b").created
    rest = give(till, one, idempotency_key="rest")
    assert (rest.amount_minor, give(till, one, idempotency_key="rest").id) == (400, rest.id)
    assert till.refunded(one) == [300, 300, 400]


def test_who_gives_back_meanwhile_is_reckoned_with(till: Till) -> None:
    """In the Dashboard, between our decision and our call: Stripe refuses, and the next one decides anew."""
    one = charge(till)

    def dashboard() -> None:
        till.sandbox.post("/v1/refunds", charge=one, amount=800)

    slow = fragile(till.bench, Pause("before change refunds", dashboard))
    with pytest.raises(Refused, match="greater than"):
        give(till, one, slow)
    slow.close()
    assert till.refunded(one) == [800]
    assert give(till, one).amount_minor == 200
    assert till.refunded(one) == [200, 800]


def test_two_operators_at_once_give_back_once(till: Till) -> None:
    for amount in (None, 300):
        one, barrier = charge(till), threading.Barrier(5)

        def run(app: App, one: str = one, amount: int | None = amount, barrier: threading.Barrier = barrier) -> str:
            barrier.wait()
            try:
                return give(till, one, app, amount=amount).id
            except (NotRefundable, RepeatedRefund, RefundInProgress) as refused:
                return refused.code

        with ThreadPoolExecutor(5) as pool:
            outcomes = set(pool.map(run, [till.bench.app() for _ in range(5)]))
        assert till.refunded(one) == [amount or 1000], outcomes
        assert len([out for out in outcomes if out.startswith("re_")]) == 1


def test_two_with_different_wishes_at_once_make_one(till: Till) -> None:
    one, barrier = charge(till), threading.Barrier(2)

    def run(app: App, amount: int) -> object:
        barrier.wait()
        try:
            return give(till, one, app, amount=amount).amount_minor
        except (
            RefundInProgress,
            NotRefundable,
        ) as refused:  # the other is on its way, or was so quick that too little is left
            return refused.code

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(run, [till.bench.app(), till.bench.app()], (300, 900)))
    assert till.refunded(one) in ([300], [900])


@pytest.mark.parametrize("amount", [None, 300])
def test_a_crash_at_any_seam_gives_back_once(till: Till, amount: int | None) -> None:
    at, whole = 1, False
    while not whole:
        one = charge(till)
        app = fragile(till.bench, Seams(at))
        try:
            give(till, one, app, amount=amount)
            whole = True
        except Crash:
            till.bench.pass_time()
            if at % 2:  # the worker comes first, or the operator
                till.bench.work(till.app)
            with suppress(NotRefundable, RepeatedRefund):
                give(till, one, amount=amount)
        finally:
            app.close()
        assert till.refunded(one) == [amount or 1000], at
        at += 1
    assert at > 12
    till.bench.check_quiet()


def test_one_that_was_begun_is_gone_on_with_whatever_was_given_back_by_hand_meanwhile(till: Till) -> None:
    one = charge(till)

    def killed() -> None:
        raise Crash

    with pytest.raises(Crash):
        give(till, one, fragile(till.bench, Pause("before change refunds", killed)), amount=400)
    till.sandbox.post("/v1/refunds", charge=one, amount=100)
    till.bench.pass_time()
    with pytest.raises(RefundInProgress):
        give(till, one, amount=50)
    assert give(till, one, amount=400).created is False
    assert till.refunded(one) == [100, 400]


@pytest.mark.parametrize("fault", [{"status": 500}, {"drop": True}])
@pytest.mark.parametrize("keyed", [True, False])
def test_what_stripe_did_behind_an_error_is_not_done_again(till: Till, fault: dict[str, Any], keyed: bool) -> None:
    one = charge(till)
    till.sandbox.fault("/v1/refunds", after=True, times=2, **fault)
    give(till, one, amount=400, idempotency_key="k" if keyed else None)
    assert till.refunded(one) == [400]


@pytest.mark.usefixtures("impatient")
def test_an_outcome_that_stays_unknown_is_pending_and_then_found(till: Till) -> None:
    one = charge(till)
    till.sandbox.fault("/v1/refunds", drop=True, after=True, times=8)
    with pytest.raises(StillPending):
        give(till, one, till.bench.app(STRIPE_MAX_RETRIES="0"), amount=400, idempotency_key="k")
    till.sandbox.admin("faults/clear")
    till.bench.pass_time(86_400)
    assert give(till, one, amount=400, idempotency_key="k").created is False
    assert till.refunded(one) == [400]


def test_it_is_told_once(telling: Till, receiver: Receiver) -> None:
    one = charge(telling)
    give(telling, one, amount=100)
    telling.hear()
    give(telling, one, amount=200)
    telling.hear()
    send_all(telling.app)
    told = [json.loads(body) for body, _ in receiver.taken]
    assert [at["data"]["object"]["amount_refunded"] for at in told if at["type"] == "charge.refunded"] == [100, 300]


# ---- The ledger ----


def test_the_ledger_has_signed_amounts_of_all_that_moved(till: Till) -> None:
    one = charge(till)
    give(till, one, amount=300)
    with pytest.raises(BillingError):
        till.pay(payment_method="pm_card_visa_chargeDeclined")
    disputed = till.pay(amount=700, payment_method="pm_card_createDispute").charge or ""
    till.hear()
    rows = refunds.list_transactions(till.app, ListTransactions(user="user"))
    assert sorted((row.kind, row.amount_minor, row.currency) for row in rows) == [
        ("charge", 700, "usd"), ("charge", 1000, "usd"), ("dispute", -700, "usd"), ("refund", -300, "usd"),
    ]  # fmt: skip
    assert {row.customer for row in rows} == {till.customer}
    (dispute,) = till.sandbox.get("/v1/disputes", charge=disputed)
    till.sandbox.post(f"/v1/disputes/{dispute['id']}", evidence={"uncategorized_text": "winning_evidence"})
    till.hear()
    assert (till.net(disputed), till.net(one)) == (700, 700)
    found = refunds.list_transactions(till.app, ListTransactions(kind="dispute"))
    assert sorted(row.amount_minor for row in found) == [-700, 700]
    assert len(refunds.list_transactions(till.app, ListTransactions(limit=2))) == 2
    for id, amount, back in till.bench.sql(
        "select object_id, snapshot ->> 'amount_captured', snapshot ->> 'amount_refunded' from billing_charges"
    ):
        ours = till.bench.sql(
            "select coalesce(sum(amount_minor), 0) from billing_transactions where charge = %s and kind <> 'dispute'",
            id,
        )
        assert ours == [(int(amount) - int(back),)]


def test_the_ledger_cannot_be_emptied(till: Till) -> None:
    charge(till)
    for statement in (
        "truncate billing_transactions cascade",
        "delete from billing_transactions",
        "insert into billing_transactions values (1)",
    ):
        with pytest.raises(psycopg.Error):
            till.bench.sql(statement)
    assert len(till.bench.sql("select * from billing_transactions")) == 1


def test_a_part_that_was_sent_back_may_be_given_back_at_once(till: Till) -> None:
    charge = till.pay().charge or ""
    wish = CreateRefund(charge=charge, amount=400, reason="billing_error")
    first = refunds.create(till.app, wish)
    till.sandbox.edit("refund", first.id, status="failed")
    till.sandbox.edit("charge", charge, amount_refunded=0)
    till.hear()
    assert refunds.create(till.app, wish).id != first.id
    keyed = msgspec.structs.replace(wish, amount=500, idempotency_key="k")
    made = refunds.create(till.app, keyed)
    till.sandbox.edit("refund", made.id, status="failed")
    till.hear()
    again = refunds.create(till.app, keyed)
    assert (again.id, again.status, again.note) == (made.id, "failed", "it is failed: nothing was given back")
