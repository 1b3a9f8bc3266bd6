"""A payment is taken once, whatever happens on the way, and told in the guide's words where it is refused."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from money_bench import Bench
from money_seams import Crash, Seams, fragile

from nself.app import App
from nself.core.errors import BillingError, ExclusiveParameters, InvalidParameter, MissingParameter
from nself.domains.connection.model import StillPending
from nself.domains.payment.errors import (
    AmountUnconfirmed,
    NoCustomerYet,
    NoPaymentMethod,
    RepeatedPayment,
)
from nself.domains.payment.inputs import CreatePayment, ListFailures, ShowPaymentIntent, ShowPaymentMethod
from nself.domains.payment.service import declines, pay
from nself.gateway.errors import (
    BelowMinimum,
    CardDeclined,
    IdempotencyMismatch,
    NoSuchCustomer,
    NoSuchPayment,
    NoSuchPaymentMethod,
    RequiresAction,
)
from paying import Till

DECLINES = {
    "pm_card_visa_chargeDeclined": ("card_declined", "Declined"),
    "pm_card_visa_chargeDeclinedInsufficientFunds": ("card_declined", "Insufficient funds"),
    "pm_card_chargeDeclinedExpiredCard": ("expired_card", "Card expired"),
    "pm_card_chargeDeclinedIncorrectCvc": ("incorrect_cvc", "Incorrect CVC"),
    "pm_card_chargeDeclinedProcessingError": ("processing_error", "Processing error"),
    "pm_card_authenticationRequired": ("authentication_required", "Authentication required"),
}


def test_the_default_method_is_charged_and_the_mirror_has_it_at_once(till: Till) -> None:
    made = till.pay(description="Two hours", idempotency_key="order-1")
    assert (made.status, made.amount_minor, made.currency, made.created) == ("succeeded", 1000, "usd", True)
    assert till.charged() == [1000]
    assert till.bench.sql("select kind, amount_minor, customer_id, description from billing_transactions") == [
        ("charge", 1000, till.customer, "Two hours")
    ]
    by_user = pay.create(till.app, CreatePayment(amount=500, user="user"))
    assert by_user.customer == till.customer


def test_the_same_key_gives_the_same_payment(till: Till) -> None:
    made = till.pay(idempotency_key="k")
    till.sandbox.post("/v1/payment_methods/pm_card_mastercard/attach", customer=till.customer)
    again = till.pay(idempotency_key="k")
    assert (again.id, again.created) == (made.id, False)
    till.hear()
    assert till.pay(idempotency_key="k").id == made.id
    assert till.charged() == [1000]


def test_the_same_key_stays_the_same_when_the_default_card_is_another_one(till: Till) -> None:
    made = till.pay(idempotency_key="k")
    card = till.sandbox.post("/v1/payment_methods/pm_card_mastercard/attach", customer=till.customer)["id"]
    till.sandbox.post(f"/v1/customers/{till.customer}", invoice_settings={"default_payment_method": card})
    assert till.pay(idempotency_key="k").id == made.id


@pytest.mark.parametrize("other", [{"amount": 2000}, {"description": "x"}, {"currency": "eur"}, {"customer": None}])
def test_the_same_key_for_something_else_is_refused_in_the_guides_words(till: Till, other: dict[str, object]) -> None:
    till.pay(idempotency_key="k")
    with pytest.raises(IdempotencyMismatch) as refused:
        till.pay(idempotency_key="k", **other)  # type: ignore[arg-type]
    assert refused.value.message == (
        "Keys for idempotent requests can only be used with the same parameters they were first used with."
    )
    assert (refused.value.code, refused.value.guide) == ("idempotency_error", "10.6")
    assert till.charged() == [1000]


def test_what_was_declined_stays_so_under_its_key(till: Till) -> None:
    bad = "pm_card_visa_chargeDeclinedInsufficientFunds"
    for _ in range(2):
        with pytest.raises(CardDeclined, match="insufficient funds"):
            till.pay(idempotency_key="k", payment_method=bad)
    assert len(till.sandbox.get("/v1/charges", customer=till.customer)) == 1
    with pytest.raises(IdempotencyMismatch):
        till.pay(idempotency_key="k")
    assert till.charged() == []


def test_what_was_no_decline_may_be_tried_again_under_its_key(till: Till) -> None:
    with pytest.raises(BelowMinimum):
        till.pay(amount=49, idempotency_key="k")
    assert till.pay(amount=50, idempotency_key="k").status == "succeeded"


def test_without_a_key_the_same_payment_is_not_taken_twice_in_a_row(till: Till) -> None:
    made = till.pay()
    with pytest.raises(RepeatedPayment, match=f"{made.id} took 10.00 USD") as refused:
        till.pay()
    assert "--idempotency-key" in refused.value.hint[1]
    assert till.pay(amount=1001).created and till.pay(idempotency_key="meant").created
    assert till.charged() == [1000, 1000, 1001]


@pytest.mark.parametrize("card", DECLINES)
def test_a_decline_is_told_with_its_reason_everywhere(till: Till, card: str) -> None:
    code, title = DECLINES[card]
    with pytest.raises(CardDeclined) as declined:
        till.pay(payment_method=card)
    error = declined.value
    assert error.code == code and error.payment_intent and error.hint
    assert error.body()["error"]["payment_intent"] == error.payment_intent  # type: ignore[index]
    if code == "authentication_required":
        assert error.message == "This payment requires customer action to authenticate payment."
        assert error.hint[0] == f"nself billing payment-intent show {error.payment_intent} --show-secret"
        assert error.guide == "10.9"
    (failed,) = declines.failures(till.app, ListFailures(user="user"))
    assert (failed.code, failed.reason, failed.amount_minor) == (code, title, 1000)
    assert (failed.payment_intent, failed.payment_status) == (error.payment_intent, "requires_payment_method")
    assert failed.payment_method and failed.charge
    reason = declines.decline_reason(till.app, ShowPaymentMethod(payment_method=failed.payment_method))
    assert reason.declined and (reason.code, reason.reason) == (code, title)
    assert reason.message and reason.means and reason.helps and reason.command == failed.helps


def test_a_method_that_never_failed_has_no_reason(till: Till) -> None:
    made = till.pay()
    reason = declines.decline_reason(till.app, ShowPaymentMethod(payment_method=made.payment_method or ""))
    assert not reason.declined and reason.note == f"no failed payment with {made.payment_method} is known"
    with pytest.raises(NoSuchPaymentMethod, match="No such payment method: pm_none"):
        declines.decline_reason(till.app, ShowPaymentMethod(payment_method="pm_none"))


def test_failures_are_those_of_one_customer_and_time(till: Till) -> None:
    other = till.known("other")
    for customer in (till.customer, other):
        with pytest.raises(CardDeclined):
            till.pay(customer=customer, payment_method="pm_card_visa_chargeDeclined")
    assert [one.user for one in declines.failures(till.app, ListFailures(customer=other))] == ["other"]
    assert len(declines.failures(till.app, ListFailures())) == 2
    assert len(declines.failures(till.app, ListFailures(limit=1, last="7d"))) == 1
    till.bench.sql("update billing_charges set created_at = %s", till.app.clock())
    later = till.bench.app(clock=lambda: till.app.clock().replace(month=3))
    assert declines.failures(later, ListFailures(last="24h")) == []
    with pytest.raises(InvalidParameter, match="Invalid last: soon"):
        declines.failures(till.app, ListFailures(last="soon"))


def test_a_failed_invoice_is_named(till: Till) -> None:
    user = till.known("debtor", "pm_card_chargeCustomerFail")
    till.bench.use(till.app, "debtor", 120)
    till.bench.bill(till.app, "debtor")
    till.hear()
    (failed,) = declines.failures(till.app, ListFailures(customer=user))
    (invoice,) = till.sandbox.invoices(user)
    assert (failed.invoice, failed.amount_minor) == (invoice["id"], 500)


# ---- What is refused ----


@pytest.mark.parametrize("currency", ["usd", "eur", "jpy"])
def test_below_stripes_minimum_it_says_so(till: Till, currency: str) -> None:
    with pytest.raises(BelowMinimum, match=r"^Amount must be at least ") as refused:
        till.pay(amount=49, currency=currency)
    assert (refused.value.code, refused.value.guide) == ("amount_too_small", "10.3")
    if currency == "usd":
        assert refused.value.message == "Amount must be at least $0.50 usd"


@pytest.mark.parametrize(("currency", "much"), [("usd", 1_000_000), ("jpy", 1_000_000), ("kwd", 10_000_000)])
def test_an_absurd_amount_must_be_confirmed(till: Till, currency: str, much: int) -> None:
    with pytest.raises(AmountUnconfirmed) as refused:
        till.pay(amount=much, currency=currency)
    assert "--confirm" in refused.value.hint[0] and refused.value.exit_code == 4
    assert till.charged() == []
    assert till.pay(amount=much, currency=currency, confirm=True).status == "succeeded"
    with pytest.raises(InvalidParameter, match="no more than"):
        till.pay(amount=100_000_000, confirm=True)


def test_who_cannot_be_charged_is_told_so(till: Till) -> None:
    with pytest.raises(NoSuchCustomer, match="No such customer: cus_none"):
        till.pay(customer="cus_none")
    empty = till.sandbox.post("/v1/customers", email="empty@example.com")["id"]
    with pytest.raises(NoPaymentMethod, match="no attached payment source or default payment method") as refused:
        till.pay(customer=empty)
    assert refused.value.hint[0].startswith("nself billing payment-method attach --customer cus_")
    with pytest.raises(NoSuchPaymentMethod, match="No such payment method: pm_none"):
        till.pay(payment_method="pm_none")
    till.bench.use(till.app, "visitor", 1)
    with pytest.raises(NoCustomerYet):
        pay.create(till.app, CreatePayment(amount=1000, user="visitor"))
    with pytest.raises(ExclusiveParameters, match="not both"):
        till.pay(user="user")
    for key in ("", "with blank", "é"):
        with pytest.raises(InvalidParameter, match="idempotency_key"):
            till.pay(idempotency_key=key)
    for currency in ("dollars", "u1d", ""):
        if currency:
            with pytest.raises(InvalidParameter, match="currency"):
                till.pay(currency=currency)
    assert till.charged() == []


def test_in_live_mode_a_payment_needs_a_customer(bench: Bench) -> None:
    live = bench.app(STRIPE_MODE="live", STRIPE_SECRET_KEY="sk_live_bench")
    with pytest.raises(MissingParameter, match="customer") as refused:
        pay.create(live, CreatePayment(amount=1000))
    assert refused.value.exit_code == 2
    with pytest.raises(BillingError) as kept_back:
        pay.create(live, CreatePayment(amount=1000, customer="cus_1"))
    assert kept_back.value.exit_code == 4
    assert bench.intents() == []


def test_without_a_customer_it_waits_to_be_confirmed(till: Till) -> None:
    made = pay.create(till.app, CreatePayment(amount=1000))
    assert (made.status, made.customer, made.charge) == ("requires_payment_method", None, None)
    confirmed = till.sandbox.post(f"/v1/payment_intents/{made.id}/confirm", payment_method="pm_card_visa")
    assert confirmed["status"] == "succeeded"
    assert pay.create(till.app, CreatePayment(amount=1000)).id != made.id


# ---- Looking at it ----


def test_the_secret_is_masked_unless_asked_for(till: Till, caplog: pytest.LogCaptureFixture) -> None:
    id = pay.create(till.app, CreatePayment(amount=1000)).id
    masked = pay.show(till.app, ShowPaymentIntent(payment_intent=id))
    assert masked.client_secret == "***" and masked.status == "requires_payment_method"
    shown = pay.show(till.app, ShowPaymentIntent(payment_intent=id, show_secret=True)).client_secret
    assert shown.startswith(f"{id}_secret_")
    assert till.bench.sql("select count(*) from billing_object_changes where changes::text like '%%_secret_%%'") == [
        (0,)
    ]
    assert till.bench.sql("select count(*) from billing_objects where snapshot::text like '%%_secret_%%'") == [(0,)]
    with pytest.raises(NoSuchPayment, match="No such payment intent: pi_none"):
        pay.show(till.app, ShowPaymentIntent(payment_intent="pi_none"))
    assert till.bench.sql("select count(*) from billing_objects where object_id = 'pi_none'") == [(0,)]


def test_a_payment_that_waits_for_the_customer_is_shown_as_it_is_now(till: Till) -> None:
    id = pay.create(till.app, CreatePayment(amount=1000)).id
    till.sandbox.post(f"/v1/payment_intents/{id}/confirm", payment_method="pm_card_authenticationRequired")
    shown = pay.show(till.app, ShowPaymentIntent(payment_intent=id))
    assert (shown.status, shown.next_action) == ("requires_action", "use_stripe_sdk") or shown.next_action


# ---- Once ----


def finished(bench: Bench, app: App, given: CreatePayment) -> None:
    """Given again, as an operator does who saw nothing come."""
    try:
        pay.create(app, given)
    except RepeatedPayment:
        assert given.idempotency_key is None
    bench.work(app)


@pytest.mark.parametrize("keyed", [True, False])
def test_a_crash_at_any_seam_takes_one_payment(till: Till, keyed: bool) -> None:
    at, whole = 1, False
    while not whole:
        customer = till.known(f"user{at}")
        given = CreatePayment(amount=1000, customer=customer, idempotency_key=f"key-{at}" if keyed else None)
        app = fragile(till.bench, Seams(at))
        try:
            pay.create(app, given)
            whole = True
        except Crash:
            till.bench.pass_time()
            if at % 2:  # the worker comes first, or the operator
                till.bench.work(till.app)
            finished(till.bench, till.app, given)
        finally:
            app.close()
        paid = till.sandbox.payments(customer)
        assert [one["amount_received"] for one in paid] == [1000], at
        at += 1
    assert at > 12
    till.bench.check_quiet()


@pytest.mark.parametrize("fault", [{"status": 500}, {"drop": True}])
@pytest.mark.parametrize("keyed", [True, False])
def test_what_stripe_did_behind_an_error_is_not_done_again(till: Till, fault: dict[str, object], keyed: bool) -> None:
    key = "k" if keyed else None
    till.sandbox.fault("/v1/payment_intents", after=True, times=2, **fault)
    till.pay(idempotency_key=key)
    assert till.charged() == [1000]


@pytest.mark.usefixtures("impatient")
def test_an_outcome_that_stays_unknown_is_pending_and_then_found(till: Till) -> None:
    impatient = till.bench.app(STRIPE_MAX_RETRIES="0")
    till.sandbox.fault("/v1/payment_intents", drop=True, after=True, times=8)
    with pytest.raises(StillPending):
        till.pay(impatient)
    till.sandbox.admin("faults/clear")
    till.bench.pass_time(86_400)
    assert till.pay().created is False
    assert till.charged() == [1000]


@pytest.mark.usefixtures("impatient")
def test_a_decline_that_is_learned_a_day_later_is_told_as_one(till: Till) -> None:
    bad = "pm_card_visa_chargeDeclinedInsufficientFunds"
    till.sandbox.fault("/v1/payment_intents", drop=True, after=True, times=8)
    with pytest.raises(StillPending):
        till.pay(till.bench.app(STRIPE_MAX_RETRIES="0"), idempotency_key="k", payment_method=bad)
    till.sandbox.admin("faults/clear")
    till.bench.pass_time(86_400)
    with pytest.raises(CardDeclined, match="insufficient funds") as declined:
        till.pay(idempotency_key="k", payment_method=bad)
    assert declined.value.decline_code == "insufficient_funds" and declined.value.payment_intent
    assert till.charged() == []


@pytest.mark.parametrize("keyed", [True, False])
def test_two_at_once_take_one_payment(till: Till, keyed: bool) -> None:
    apps = [till.bench.app() for _ in range(6)]
    given = CreatePayment(amount=1000, customer=till.customer, idempotency_key="k" if keyed else None)

    def one(app: App) -> str:
        try:
            return pay.create(app, given).id
        except RepeatedPayment as refused:
            return str(refused.fields["payment"])

    with ThreadPoolExecutor(6) as pool:
        assert len(set(pool.map(one, apps))) == 1
    assert till.charged() == [1000]


def test_two_at_once_with_one_key_for_two_amounts_take_one(till: Till) -> None:
    def one(amount: int) -> Callable[[App], str]:
        def run(app: App) -> str:
            try:
                return str(till.pay(app, amount, idempotency_key="k").amount_minor)
            except IdempotencyMismatch:
                return "refused"

        return run

    with ThreadPoolExecutor(2) as pool:
        found = [pool.submit(one(amount), till.bench.app()) for amount in (1000, 2000)]
        outcomes = sorted(one.result() for one in found)
    assert outcomes in (["1000", "refused"], ["2000", "refused"])
    assert [str(one) for one in till.charged()] == outcomes[:1]


def test_three_d_secure_that_is_done_later_ends_as_paid(till: Till) -> None:
    with pytest.raises(RequiresAction) as needed:
        till.pay(payment_method="pm_card_authenticationRequired")
    id = needed.value.payment_intent or ""
    till.sandbox.post(f"/v1/payment_intents/{id}/confirm", payment_method="pm_card_visa")
    assert pay.show(till.app, ShowPaymentIntent(payment_intent=id)).status == "succeeded"
    assert till.charged() == [1000]
