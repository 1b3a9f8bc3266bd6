"""Stripe fails, hangs, drops, refuses: nothing happens twice, the reason is visible, and it ends well once mended."""

from __future__ import annotations

from typing import Any

import pytest
from money_bench import Bench, Books, email
from money_seams import Crash, Pause, Seams, fragile

from nself.domains.connection.inputs import ListIntents
from nself.domains.connection.model import StillPending
from nself.domains.connection.service import intents
from nself.domains.invoice.inputs import ListInvoices
from nself.domains.invoice.service import show
from nself.gateway.errors import CardDeclined, NoAnswer

CALLS = ("/v1/customers$", "/v1/invoices$", "/v1/invoiceitems$", "/finalize$", "/pay$")
ONCE = Books(1, [("paid", 500)], [("api_calls", 500)], [500])
DAY = 24 * 3600


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands do not wait for what will not come in a test."""
    monkeypatch.setattr(intents, "PATIENCE", 0.1)


class Away:
    """Stripe in live mode, which tests never ask."""

    live = True

    def close(self) -> None: ...

    def __getattr__(self, name: str) -> Any:
        raise NoAnswer(detail="away")


def survive(bench: Bench, user: str, **environ: str) -> list[str]:
    """A run for `user` through whatever stands in its way; the codes by which its intents were postponed."""
    app, codes = bench.app(**environ), []
    for _ in range(8):
        try:
            bench.whole_run(app, user)
            break
        except StillPending:
            open_ones = intents.list_intents(app, ListIntents(state="pending"))
            assert open_ones
            codes += [one.error_code for one in open_ones if one.error_code and one.error]
            bench.pass_time(60)
    app.close()
    return codes


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 500},
        {"status": 500, "after": True},
        {"status": 500, "times": 12},
        {"status": 503, "times": 2},
        {"drop": True},
        {"drop": True, "after": True},
        {"drop": True, "times": 12},
        {"drop": True, "after": True, "times": 6},
        {"status": 429, "times": 6},
    ],
    ids=str,
)
def test_a_fault_at_any_call_makes_nothing_twice(bench: Bench, fault: dict[str, Any]):
    for number, call in enumerate(CALLS):
        user = f"user{number}"
        bench.use(bench.apps[0], user, 120)
        bench.sandbox.fault(call, **fault)
        survive(bench, user)
        bench.sandbox.admin("faults/clear")
        assert bench.books(user) == ONCE, call
    bench.check_quiet()


def test_answers_that_come_too_late_are_not_made_twice(bench: Bench):
    """The call that timed out goes on at Stripe: its repetition meets idempotency_key_in_use."""
    for number, call in enumerate(CALLS):
        for after in (False, True):
            user = f"user{number}{after}"
            bench.use(bench.apps[0], user, 120)
            bench.sandbox.fault(call, delay=0.6, after=after)
            survive(bench, user, STRIPE_TIMEOUT="200ms", STRIPE_MAX_RETRIES="1")
            assert bench.books(user) == ONCE, (call, after)
    bench.check_quiet()


def test_a_revoked_key_postpones_everything_until_it_is_mended(bench: Bench):
    bench.use(bench.apps[0], "user", 120)
    bench.sandbox.admin("keys/revoke", key="sk_test_revoked")
    app = bench.app(STRIPE_SECRET_KEY="sk_test_revoked")
    with pytest.raises(StillPending, match="Invalid API key provided"):
        bench.create(app, "user")
    (shown,) = intents.list_intents(app, ListIntents())
    assert (shown.kind, shown.state, shown.error_code) == ("customer.create", "pending", "invalid_api_key")
    assert "revoked" not in str(shown.error)  # no key is shown
    bench.pass_time(60)
    bench.work(bench.app())
    survive(bench, "user")
    assert bench.books("user") == ONCE
    bench.check_quiet()


def test_a_declined_card_makes_no_customer_and_says_why(bench: Bench):
    app = bench.app()
    with pytest.raises(CardDeclined, match="insufficient funds") as refusal:
        bench.create(app, "user", card="pm_card_chargeDeclinedInsufficientFunds")
    assert refusal.value.code == "card_declined"
    (shown,) = intents.list_intents(app, ListIntents(state="failed"))
    assert (shown.kind, shown.error_code) == ("customer.create", "card_declined")
    assert bench.sandbox.customers(email("user")) == []
    bench.use(app, "user", 120)
    bench.whole_run(app, "user")
    assert bench.books("user") == ONCE
    bench.check_law()


def test_an_invoice_whose_card_is_declined_stays_open_and_visible(bench: Bench):
    app = bench.app()
    bench.use(app, "user", 120)
    bench.create(app, "user", card="pm_card_chargeCustomerFail")
    for _ in range(2):
        done = bench.bill(app, "user")
        bench.deliver(app)
        bench.work(app)
        assert (done.failed, done.paid, done.unpaid) == (1, 0, 1)
        assert "declined" in done.errors[0]
        assert bench.books("user") == Books(1, [("open", 500)], [("api_calls", 500)], [])
    (open_one,) = show.list_invoices(app, ListInvoices(status="open"))
    (failed,) = intents.list_intents(app, ListIntents(state="failed"))
    assert (failed.kind, failed.error_code) == ("invoice.pay", "card_declined")

    card = bench.sandbox.post("/v1/payment_methods/pm_card_visa/attach", customer=open_one.customer)
    bench.sandbox.post(f"/v1/invoices/{open_one.id}/pay", payment_method=card["id"])
    bench.deliver(app)
    bench.work(app)
    done = bench.bill(app, "user")
    assert (done.failed, done.paid, done.errors) == (0, 1, [])
    assert bench.books("user") == ONCE
    bench.check_quiet()


@pytest.mark.parametrize("call", range(len(CALLS)))
def test_an_old_intent_whose_outcome_is_unknown_is_looked_up_and_not_repeated(bench: Bench, call: int):
    names = ("customers", "invoices", "invoiceitems", "invoices finalize", "invoices pay")
    bench.use(bench.apps[0], "user", 120)
    bench.sandbox.fault(CALLS[call], drop=True, after=True, times=8)
    with pytest.raises(StillPending):
        bench.whole_run(bench.app(), "user")
    bench.sandbox.admin("faults/clear")
    bench.pass_time(DAY)
    seams = Seams()
    bench.work(fragile(bench, seams))
    assert f"before change {names[call]}" not in seams.passed
    survive(bench, "user")
    assert bench.books("user") == ONCE
    bench.check_quiet()


def test_an_old_intent_that_never_reached_stripe_is_done_with_a_new_key(bench: Bench):
    for number, call in enumerate(CALLS):
        user = f"user{number}"
        bench.use(bench.apps[0], user, 120)
        bench.sandbox.fault(call, drop=True, times=8)
        with pytest.raises(StillPending):
            bench.whole_run(bench.apps[0], user)
        bench.sandbox.admin("faults/clear")
        before = bench.sql("select idempotency_key from billing_intents where state = 'pending'")
        bench.pass_time(DAY)
        bench.work(bench.apps[0])
        assert bench.sql("select 1 from billing_intents where idempotency_key = %s", *before[0]) == []
        survive(bench, user)
        assert bench.books(user) == ONCE, call
    bench.check_quiet()


def test_a_stored_500_is_looked_up_before_a_new_key_is_used(bench: Bench):
    bench.use(bench.apps[0], "user", 120)
    bench.sandbox.fault("/v1/invoices$", status=500, after=True)
    seams = Seams()
    bench.whole_run(fragile(bench, seams), "user")
    assert seams.passed.count("before change invoices") == seams.passed.count("before listed invoices") == 1
    assert bench.books("user") == ONCE


@pytest.mark.parametrize("deed", ["finalize", "pay"])
def test_what_was_done_by_hand_meanwhile_is_taken_as_done(bench: Bench, deed: str):
    bench.use(bench.apps[0], "user", 120)

    def by_hand() -> None:
        (invoice,) = bench.sandbox.get("/v1/invoices")
        bench.sandbox.post(f"/v1/invoices/{invoice['id']}/{deed}")

    bench.whole_run(fragile(bench, Pause(f"before change invoices {deed}", by_hand)), "user")
    assert bench.books("user") == ONCE
    assert [state for _, state, _ in bench.intents()] == ["done"] * 5
    bench.check_quiet()


def test_an_invoice_that_was_voided_by_hand_is_not_paid(bench: Bench):
    bench.use(bench.apps[0], "user", 120)

    def by_hand() -> None:
        (invoice,) = bench.sandbox.get("/v1/invoices")
        bench.sandbox.post(f"/v1/invoices/{invoice['id']}/void")

    bench.whole_run(fragile(bench, Pause("before change invoices pay", by_hand)), "user")
    assert bench.books("user") == Books(1, [("void", 500)], [("api_calls", 500)], [])
    assert bench.intents()[-1][:2] == ("invoice.pay", "failed")
    bench.check_quiet()


def test_a_draft_that_was_deleted_by_hand_is_told_and_not_made_again(bench: Bench):
    bench.use(bench.apps[0], "user", 120)

    def by_hand() -> None:
        (invoice,) = bench.sandbox.get("/v1/invoices")
        bench.sandbox.client.v1.invoices.delete(invoice["id"])

    app = fragile(bench, Pause("before change invoiceitems", by_hand))
    bench.create(app, "user")
    done = bench.bill(app, "user")
    assert (done.failed, done.paid) == (1, 0)
    assert "No such invoice" in done.errors[0]
    bench.deliver(app)
    bench.work(app)
    assert bench.books("user") == Books(1, [], [], [])
    bench.check_quiet()


def test_a_customer_that_was_deleted_right_after_it_was_made_is_made_again_when_asked(bench: Bench):
    bench.use(bench.apps[0], "user", 120)

    def by_hand() -> None:
        (made,) = bench.sandbox.customers(email("user"))
        bench.sandbox.edit("customer", made["id"], delete=True)
        bench.deliver(bench.apps[0])
        bench.work(bench.apps[0])

    with pytest.raises(Exception, match="deleted at Stripe"):
        bench.create(fragile(bench, Pause("after change customers", by_hand)), "user")
    bench.check_quiet()
    bench.whole_run(bench.apps[0], "user")
    assert bench.books("user") == ONCE
    bench.check_quiet()


def test_an_answer_that_is_given_again_is_an_old_picture(bench: Bench):
    """Finalised, then killed; paid by hand, and the mirror knows. The repeated call answers `open` all the same."""
    bench.use(bench.apps[0], "user", 120)

    def killed() -> None:
        raise Crash

    app = fragile(bench, Pause("after change invoices finalize", killed))
    bench.create(app, "user")
    with pytest.raises(Crash):
        bench.bill(app, "user")
    (invoice,) = bench.sandbox.get("/v1/invoices")
    bench.sandbox.post(f"/v1/invoices/{invoice['id']}/pay")
    bench.deliver(bench.apps[0])
    bench.work(bench.apps[0])
    bench.pass_time(60)
    bench.work(bench.apps[0])
    bench.deliver(bench.apps[0])
    bench.work(bench.apps[0])
    assert bench.books("user") == ONCE
    kinds = ["customer.create", "invoice.create", "invoice.add_line", "invoice.finalize"]
    assert bench.intents() == [(kind, "done", None) for kind in kinds]  # that it is to be paid was not even wished for
    bench.check_quiet()


def test_an_answer_that_was_overtaken_by_a_change_does_not_undo_it(bench: Bench):
    """Between the answer and its settlement the customer is changed by hand, and the mirror knows."""

    def by_hand() -> None:
        (made,) = bench.sandbox.customers(email("user"))
        bench.sandbox.edit("customer", made["id"], name="Newer")
        bench.deliver(bench.apps[0])
        bench.work(bench.apps[0])

    bench.create(fragile(bench, Pause("after change customers", by_hand)), "user")
    assert bench.sql("select name, user_id from billing_customers") == [("Newer", "user")]
    bench.check_quiet()


def test_an_intent_that_another_process_holds_is_left_to_it(bench: Bench):
    bench.use(bench.apps[0], "user", 120)

    def killed() -> None:
        raise Crash

    with pytest.raises(Crash):
        bench.create(fragile(bench, Pause("after change customers", killed)), "user")
    assert intents.perform_due(bench.apps[0]) == 0
    ((left,),) = bench.sql("select extract(epoch from lease_until - now())::float8 from billing_intents")
    assert 80 < left <= 90
    bench.pass_time(90)
    assert intents.perform_due(bench.apps[0]) == 1


def test_a_process_that_lost_its_claim_cannot_undo_what_the_other_recorded(bench: Bench):
    """It was paused before the call; when it wakes up its key has been revoked."""
    bench.use(bench.apps[0], "user", 120)

    def take_over() -> None:
        bench.pass_time(90)
        bench.work(bench.apps[0])
        bench.sandbox.fault("/pay$", status=401)

    bench.whole_run(fragile(bench, Pause("before change invoices pay", take_over)), "user")
    assert bench.books("user") == ONCE
    assert bench.intents()[-1] == ("invoice.pay", "done", None)
    bench.check_quiet()


def test_a_key_that_an_older_version_used_with_other_parameters_is_looked_up(bench: Bench):
    for number, call in enumerate(CALLS[:3]):
        user = f"user{number}"
        bench.use(bench.apps[0], user, 120)
        bench.sandbox.fault(call, drop=True, after=True, times=8)
        with pytest.raises(StillPending):
            bench.whole_run(bench.apps[0], user)
        bench.sandbox.admin("faults/clear")
        field = "{item,description}" if "items" in call else "{description}"
        bench.sql(
            "update billing_intents set params = jsonb_set(params, %s, '\"other\"') where state = 'pending'", field
        )
        bench.pass_time(60)
        bench.work(bench.apps[0])
        survive(bench, user)
        assert bench.books(user) == ONCE, call
    bench.check_quiet()


def test_what_nobody_foresaw_is_recorded_and_tried_again(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    app = bench.app()
    bench.use(app, "user", 120)
    with monkeypatch.context() as patch:
        patch.setattr("nself.domains.customer.store.upsert", lambda *_: 1 / 0)
        with pytest.raises(StillPending):
            bench.create(app, "user")
    (shown,) = intents.list_intents(app, ListIntents())
    assert (shown.state, shown.error_code) == ("pending", "internal_error")
    assert "division by zero" in str(shown.error)
    bench.pass_time(60)
    survive(bench, "user")
    assert bench.books("user") == ONCE
    bench.check_quiet()


def test_what_was_wished_for_in_one_mode_is_never_done_in_the_other(bench: Bench):
    app = bench.app()
    bench.use(app, "user", 120)
    bench.sandbox.fault(".*", drop=True, times=50)
    with pytest.raises(StillPending):
        bench.create(app, "user")
    bench.pass_time(60)
    before = bench.sql("select id, attempts, fence from billing_intents")

    live = bench.app(STRIPE_MODE="live", STRIPE_SECRET_KEY="sk_live_never", STRIPE_MOCK_ENABLED="false")
    live.__dict__["stripe"] = Away()
    assert intents.perform_due(live) == 0
    assert intents.perform_due(live, ["test:customer:user:1"]) == 0
    assert bench.sql("select id, attempts, fence from billing_intents") == before


def test_a_month_that_was_billed_in_test_mode_is_billed_in_live_mode_too(bench: Bench):
    app = bench.app()
    bench.use(app, "user", 120)
    bench.whole_run(app, "user")
    bench.sql(
        "insert into billing_customers (customer_id, user_id, livemode, snapshot, snapshot_number, created_at, synced_at)"
        " values ('cus_live', 'user', true, '{}', 1, now(), now())"
    )

    live = bench.app(STRIPE_MODE="live", STRIPE_SECRET_KEY="sk_live_never", STRIPE_MOCK_ENABLED="false")
    live.__dict__["stripe"] = Away()
    with pytest.raises(StillPending, match="away"):
        bench.bill(live, "user")
    plans = bench.sql("select livemode, customer_id = 'cus_live', total_minor from billing_invoice_plans order by 1")
    assert plans == [(False, False, 500), (True, True, 500)]
    wishes = bench.sql("select livemode, params ->> 'customer' from billing_intents where state = 'pending'")
    assert wishes == [(True, "cus_live")]
