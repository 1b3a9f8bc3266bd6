"""Payments that wait in the queue are made once each, in order, whatever happened meanwhile."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from money_bench import Bench
from money_seams import Crash, Seams, fragile

from nself.app import App
from nself.core.errors import SafeMode
from nself.domains.connection.model import StillPending, Wish
from nself.domains.connection.service import intents
from nself.domains.invoice.inputs import Pay, Void
from nself.domains.invoice.service import finish
from nself.domains.payment.errors import QueueStopped
from nself.domains.payment.inputs import ListQueue, ProcessQueue, QueueFailures, VerifyQueue
from nself.domains.payment.model import ProcessedQueue, QueueEmptiness
from nself.domains.payment.service import queue
from paying import Till

QUEUE = {"BILLING_QUEUE_PAYMENTS": "true"}


@pytest.fixture
def waiting(till: Till) -> Till:
    """Payments of its app wait."""
    till.app = till.bench.app(**QUEUE)
    return till


def drain(app: App, size: int = 100) -> ProcessedQueue:
    return queue.process(app, ProcessQueue(batch_size=size))


def verify(app: App) -> QueueEmptiness:
    return queue.verify(app, VerifyQueue())


def test_a_payment_waits_for_the_drain_and_is_made_once(waiting: Till) -> None:
    made = waiting.pay(idempotency_key="order-1")
    assert (made.status, made.amount_minor, made.created) == ("queued", 1000, True)
    assert "nself billing process-queue" in made.note
    again = waiting.pay(idempotency_key="order-1")
    assert (again.id, again.status, again.created) == (made.id, "queued", False)
    waiting.bench.work(waiting.bench.app())  # a worker, also one that was started before the setting
    assert waiting.charged() == []
    (row,) = queue.list_queue(waiting.app, ListQueue())
    assert (row.id, row.of, row.amount_minor, row.attempts) == (made.id, waiting.customer, 1000, 0)
    before = verify(waiting.app)
    assert (before.empty, before.queued, before.with_worker) == (False, 1, 0)
    assert before.oldest_at is not None
    assert drain(waiting.app).made == 1
    assert verify(waiting.app).empty
    assert waiting.pay(idempotency_key="order-1").status == "succeeded"
    assert waiting.charged() == [1000]


def away(till: Till) -> None:
    till.sandbox.fault(".*", method=".*", times=100_000, drop=True)


def back(till: Till) -> None:
    till.sandbox.admin("faults/clear")


def test_a_payment_is_recorded_while_stripe_is_away(waiting: Till) -> None:
    away(waiting)
    assert waiting.pay().status == "queued"
    with pytest.raises(QueueStopped) as stopped:
        drain(waiting.app)
    assert "0 made, 1 left" in stopped.value.message
    back(waiting)
    assert drain(waiting.bench.app(**QUEUE)).made == 1
    assert waiting.charged() == [1000]


def test_without_the_queue_the_worker_goes_on_with_a_payment(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intents, "PATIENCE", 0)
    away(till)
    with pytest.raises(StillPending):
        till.pay()
    assert (verify(till.app).with_worker, verify(till.app).empty) == (1, False)
    back(till)
    till.bench.pass_time(0)
    till.bench.work(till.bench.app())
    assert till.charged() == [1000]
    assert verify(till.app).empty


def test_what_stripes_absence_kept_from_being_made_is_queued(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intents, "PATIENCE", 0)
    away(till)
    with pytest.raises(StillPending):
        till.pay(idempotency_key="k")
    later = till.bench.app(clock=lambda: future)
    future = till.app.clock().replace(year=2100)
    assert queue.failures(later, QueueFailures(since="1h")).queued_now == 0
    found = queue.failures(till.app, QueueFailures(since="1h"))
    assert (found.queued_now, found.queued) == (1, 1)
    back(till)
    till.bench.pass_time(0)
    fresh = till.bench.app()
    till.bench.work(fresh)
    assert till.charged() == []  # it is not the worker's any more
    assert drain(fresh).made == 1
    assert till.charged() == [1000]


@pytest.mark.parametrize("hours", [0, 30])
def test_a_lost_answer_is_looked_up_before_it_is_sent_again(
    waiting: Till, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """After a day Stripe does not know the key any more."""
    waiting.pay()
    for _ in range(8):
        waiting.sandbox.fault("payment_intents$", drop=True, after=True)
    with pytest.raises(QueueStopped):
        drain(waiting.app)
    back(waiting)
    assert waiting.charged() == [1000]
    waiting.bench.pass_time(hours * 3600)
    made = drain(waiting.bench.app(**QUEUE))
    assert (made.made, made.left) == (1, 0)
    assert waiting.charged() == [1000]


def test_one_that_was_never_made_is_made_after_a_day(waiting: Till) -> None:
    waiting.pay()
    away(waiting)
    with pytest.raises(QueueStopped):
        drain(waiting.app)
    back(waiting)
    waiting.bench.pass_time(30 * 3600)
    assert drain(waiting.bench.app(**QUEUE)).made == 1
    assert waiting.charged() == [1000]


@pytest.mark.parametrize("expiry", ["7d", "30d"])
def test_one_that_waited_too_long_is_not_made(waiting: Till, expiry: str) -> None:
    waiting.pay()
    waiting.bench.sql("update billing_intents set created_at = now() - interval '8 days' where queued_at is not null")
    done = drain(waiting.bench.app(**QUEUE, BILLING_QUEUE_EXPIRY=expiry))
    if expiry == "30d":
        assert (done.made, waiting.charged()) == (1, [1000])
        return
    assert (done.failed, done.made, done.left) == (1, 0, 0)
    assert "queued_payment_expired" in done.failures[0]
    assert waiting.charged() == []


def test_a_declined_one_leaves_the_queue_with_its_reason_and_the_others_are_made(waiting: Till) -> None:
    other = waiting.known("other", "pm_card_chargeCustomerFail")
    waiting.pay(customer=other, amount=700)
    waiting.pay(amount=800)
    done = drain(waiting.app, size=1)
    assert (done.made, done.failed, done.action_required, done.left) == (1, 1, 0, 0)
    assert "card_declined" in done.failures[0]
    assert verify(waiting.app).empty
    assert (waiting.charged(), len(waiting.sandbox.payments(other))) == ([800], 0)
    assert ("change", "failed", "card_declined") in waiting.bench.intents()


def test_who_must_confirm_is_asked_once_by_mail(telling: Till) -> None:
    app = telling.app
    app.environ = {**app.environ, **QUEUE}
    vars(app).pop("settings")
    other = telling.known("other", "pm_card_authenticationRequired")
    telling.pay(customer=other, amount=700, idempotency_key="sca")
    done = drain(app)
    assert (done.made, done.failed, done.action_required, done.left) == (0, 1, 1, 0)
    assert "other@example.com is asked to by mail" in done.failures[0]
    assert telling.bench.sql(
        "select kind, recipient from billing_notifications where kind = 'payment_action_required' and channel = 'mail'"
    ) == [("payment_action_required", "other@example.com")]


def test_the_order_is_kept(waiting: Till) -> None:
    for amount in (500, 400, 300, 200):
        waiting.pay(amount=amount)
    assert drain(waiting.app, size=3).made == 4
    newest_first = [one["amount"] for one in waiting.sandbox.get("/v1/payment_intents", customer=waiting.customer)]
    assert newest_first == [200, 300, 400, 500]


def test_two_drains_at_once_charge_once(waiting: Till) -> None:
    for amount in range(100, 112):
        waiting.pay(amount=amount)
    apps = [waiting.bench.app(**QUEUE) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(drain, apps))
    assert sum(one.made for one in done) == 12
    assert verify(waiting.app).empty
    assert waiting.charged() == list(range(100, 112))


def test_a_drain_that_is_killed_anywhere_is_gone_on_with(waiting: Till) -> None:
    at, amounts = 0, list[int]()
    while True:
        at += 1
        amounts.append(1000 + at)
        waiting.pay(amount=1000 + at)
        killed = fragile(waiting.bench, Seams(at), **QUEUE)
        try:
            drain(killed)
            break
        except Crash:
            waiting.bench.pass_time(0)
            drain(waiting.bench.app(**QUEUE))
        finally:
            killed.close()
        assert verify(waiting.app).empty, at
    assert at > 8
    assert waiting.charged() == amounts


def open_invoice(till: Till, amount: int = 900) -> str:
    """Finalised by hand and known here."""
    id = till.sandbox.post("/v1/invoices", customer=till.customer, auto_advance=False)["id"]
    till.sandbox.post("/v1/invoiceitems", customer=till.customer, invoice=id, amount=amount, currency="usd")
    till.sandbox.post(f"/v1/invoices/{id}/finalize", auto_advance=False)
    till.bench.deliver(till.app)
    till.bench.work(till.bench.app())
    return str(id)


def test_invoices_wait_too_and_what_is_settled_meanwhile_is_skipped(waiting: Till) -> None:
    paid, void, due = (open_invoice(waiting, amount) for amount in (900, 800, 700))
    for one in (paid, void, due):
        assert finish.pay(waiting.app, Pay(invoice=one)).result.startswith("queued_")
    assert "queued_" in finish.pay(waiting.app, Pay(invoice=due)).result
    assert [(one.of, one.amount_minor) for one in queue.list_queue(waiting.app, ListQueue())] == [
        (paid, 900), (void, 800), (due, 700),
    ]  # fmt: skip
    waiting.sandbox.post(f"/v1/invoices/{paid}/pay")
    finish.void(waiting.app, Void(invoice=void, reason="duplicate"))
    done = drain(waiting.app)
    assert (done.made, done.skipped, done.failed, done.left) == (1, 2, 0, 0)
    assert waiting.charged() == [700, 900]
    assert waiting.sandbox.get(f"/v1/invoices/{due}")["status"] == "paid"


def test_an_invoice_that_was_given_up_meanwhile_is_not_charged(waiting: Till) -> None:
    invoice = open_invoice(waiting)
    finish.pay(waiting.app, Pay(invoice=invoice))
    waiting.sandbox.post(f"/v1/invoices/{invoice}/mark_uncollectible")
    done = drain(waiting.app)
    assert (done.made, done.skipped, done.left) == (0, 1, 0)
    assert (waiting.charged(), waiting.sandbox.get(f"/v1/invoices/{invoice}")["status"]) == ([], "uncollectible")
    assert drain(waiting.app).skipped == 0


def test_the_worker_does_not_charge_either_for_an_invoice_that_was_given_up(till: Till, impatient: None) -> None:
    invoice = open_invoice(till)
    away(till)
    with pytest.raises(StillPending):
        finish.pay(till.app, Pay(invoice=invoice))
    back(till)
    given_up(till, invoice)


def test_nor_for_one_that_was_given_up_before_the_worker_came_to_it(till: Till) -> None:
    invoice = open_invoice(till)
    wish = Wish("test:late", "invoice.pay", {"invoice": invoice})
    till.app.db.transact(lambda tx: intents.plan(tx, [wish], till.app.settings.live))
    till.bench.sql("update billing_intents set created_at = created_at - interval '1 hour' where state = 'pending'")
    given_up(till, invoice)


def given_up(till: Till, invoice: str) -> None:
    till.sandbox.post(f"/v1/invoices/{invoice}/mark_uncollectible")
    till.bench.pass_time(0)
    till.bench.work(till.bench.app())
    assert (till.charged(), till.sandbox.get(f"/v1/invoices/{invoice}")["status"]) == ([], "uncollectible")
    ((code, state),) = till.bench.sql(
        "select error_code, state from billing_intents where payment order by id desc limit 1"
    )
    assert (code, state) == ("queued_payment_given_up", "failed")


def test_what_was_paid_by_hand_while_its_payment_waited_counts_as_paid(till: Till, impatient: None) -> None:
    invoice = open_invoice(till, 900)
    away(till)
    with pytest.raises(StillPending):
        finish.pay(till.app, Pay(invoice=invoice))
    back(till)
    till.sandbox.post(f"/v1/invoices/{invoice}/pay")
    till.bench.pass_time(0)
    till.bench.work(till.bench.app())
    assert (till.charged(), verify(till.app).empty) == ([900], True)


@pytest.mark.parametrize("setting", ["BILLING_QUEUE_PAYMENTS=true", "BILLING_AUTO_PAYMENT=false"])
def test_the_automatic_payment_of_an_invoice_made_here_waits(bench: Bench, setting: str) -> None:
    name, _, value = setting.partition("=")
    app = bench.app(**{name: value})
    bench.use(app, "u", 40)
    bench.create(app, "u")
    made = bench.bill(app, "u")
    assert (made.invoices, made.paid, made.queued, made.failed) == (1, 0, 1, 0)
    bench.work(app)
    ((customer,),) = bench.sql("select customer_id from billing_customers")
    (invoice,) = bench.sandbox.invoices(customer)
    assert (invoice["status"], invoice["auto_advance"]) == ("open", False)
    assert drain(app).made == 1
    assert [one["amount"] for one in bench.sandbox.payments(customer)] == [100]


def test_without_automatic_payment_an_operator_still_has_an_invoice_paid(bench: Bench) -> None:
    app = bench.app(BILLING_AUTO_PAYMENT="false")
    bench.use(app, "u", 40)
    bench.create(app, "u")
    bench.bill(app, "u")
    ((invoice,),) = bench.sql("select invoice_id from billing_invoices")
    assert finish.pay(app, Pay(invoice=invoice)).status == "paid"
    assert drain(app).skipped == 1


def test_safe_mode_keeps_the_queue(waiting: Till) -> None:
    waiting.pay()
    with pytest.raises(SafeMode):
        drain(waiting.bench.app(BILLING_SAFE_MODE="true"))
    assert waiting.charged() == []
