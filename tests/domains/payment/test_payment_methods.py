"""Payment methods: a card number becomes a token at once; one is charged by default; the last one is kept."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from money_seams import Crash, Seams, fragile

from nself.app import App
from nself.core.errors import BillingError, MissingParameter
from nself.domains.connection.model import Wish
from nself.domains.payment import errors
from nself.domains.payment.errors import LastPaymentMethod, MethodsChanged, NotAttached
from nself.domains.payment.inputs import (
    AttachPaymentMethod,
    CreatePaymentMethod,
    DefaultPaymentMethod,
    ListPaymentMethods,
    RemovePaymentMethod,
    ShowPaymentMethod,
)
from nself.domains.payment.model import TEST_CARDS, AttachedMethod, RemovedMethod
from nself.domains.payment.service import methods
from nself.gateway.errors import CardDeclined, NoSuchCustomer, NoSuchPaymentMethod, Refused
from paying import Till

NUMBER = {token: number for number, token in TEST_CARDS.items()}


def create(till: Till, app: App | None = None, token: str = "pm_card_mastercard", **more: Any) -> AttachedMethod:
    given = {
        "customer": till.customer,
        "card_number": NUMBER[token],
        "exp_month": "12",
        "exp_year": "2030",
        "cvc": "123",
    }
    return methods.create(app or till.app, CreatePaymentMethod(**{**given, **more}))


def remove(till: Till, id: str, app: App | None = None, force: bool = False) -> RemovedMethod:
    return methods.remove(app or till.app, RemovePaymentMethod(payment_method=id, force=force))


def attached(till: Till) -> list[str]:
    return [one["id"] for one in till.sandbox.get(f"/v1/customers/{till.customer}/payment_methods")]


def default(till: Till) -> str | None:
    return till.sandbox.get(f"/v1/customers/{till.customer}")["invoice_settings"]["default_payment_method"]


def ids(found: Iterable[Any]) -> list[str]:
    return [one.id for one in found]


def test_a_test_card_is_attached_with_its_expiry(till: Till) -> None:
    made = create(till)
    assert (made.brand, made.last4, made.expires, made.default) == ("mastercard", "4444", "2030-12", False)
    assert made.note == f"nself billing payment-method default {made.id} --customer {till.customer}"
    assert made.id in attached(till)
    shown = methods.show(till.app, ShowPaymentMethod(payment_method=made.id))
    assert (shown.exp_month, shown.exp_year, shown.expired, shown.user) == (12, 2030, False, "user")
    assert (shown.funding, shown.country, shown.cvc_check, shown.type) == ("credit", "US", "pass", "card")
    later = till.bench.app(clock=lambda: till.app.clock().replace(year=2031))
    assert methods.show(later, ShowPaymentMethod(payment_method=made.id)).expired


def test_the_first_one_is_charged_and_the_next_only_where_wished(till: Till) -> None:
    till.customer = till.sandbox.post("/v1/customers", email="empty@example.com")["id"]
    first = create(till)
    assert first.default and default(till) == first.id
    second = create(till, token="pm_card_visa")
    assert not second.default
    third = create(till, token="pm_card_amex", cvc="1234", default=True)
    assert third.default and default(till) == third.id
    listed = methods.list_methods(till.app, ListPaymentMethods(customer=till.customer))
    assert {one.id: one.default for one in listed} == {first.id: False, second.id: False, third.id: True}
    again = methods.make_default(till.app, DefaultPaymentMethod(payment_method=second.id, customer=till.customer))
    assert again.default and default(till) == second.id
    same = methods.make_default(till.app, DefaultPaymentMethod(payment_method=second.id, customer=till.customer))
    assert "nothing changed" in same.note


def test_a_method_of_the_customers_own_is_attached_once(till: Till) -> None:
    card = till.sandbox.post("/v1/payment_methods", type="card", card={
        "number": "4242424242424242", "exp_month": 1, "exp_year": 2031, "cvc": "123"})["id"]  # fmt: skip
    for _ in range(2):
        made = methods.attach(till.app, AttachPaymentMethod(payment_method=card, user="user"))
        assert made.id == card
    assert len(attached(till)) == 2
    other = till.known("other")
    with pytest.raises(Refused, match="already been attached"):
        methods.attach(till.app, AttachPaymentMethod(payment_method=card, customer=other))
    with pytest.raises(MissingParameter):
        methods.attach(till.app, AttachPaymentMethod(payment_method=card))
    with pytest.raises(NoSuchPaymentMethod, match="No such payment method: pm_none"):
        methods.attach(till.app, AttachPaymentMethod(payment_method="pm_none", customer=till.customer))
    with pytest.raises(NoSuchCustomer):
        methods.attach(till.app, AttachPaymentMethod(payment_method=card, customer="cus_none"))
    with pytest.raises(NotAttached, match="it is of cus_"):
        methods.make_default(till.app, DefaultPaymentMethod(payment_method=card, customer=other))


@pytest.mark.parametrize(
    ("token", "code"),
    [
        ("pm_card_visa_chargeDeclined", "card_declined"),
        ("pm_card_visa_chargeDeclinedInsufficientFunds", "card_declined"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card"),
        ("pm_card_chargeDeclinedIncorrectCvc", "incorrect_cvc"),
    ],
)
def test_a_card_that_is_declined_is_not_attached(till: Till, token: str, code: str) -> None:
    with pytest.raises(CardDeclined) as declined:
        create(till, token=token)
    assert (declined.value.code, declined.value.guide) == (code, "10.4")
    assert len(attached(till)) == 1


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"card_number": "4111111111111111"}, errors.NotATestCard),
        ({"card_number": "4242 4242 4242 4243"}, errors.NotATestCard),
        ({"card_number": "4242-4242-4242-424x"}, errors.IncorrectNumber),
        ({"card_number": "42"}, errors.IncorrectNumber),
        ({"card_number": "４２４２４２４２４２４２４２４２"}, errors.IncorrectNumber),
        ({"exp_month": "13"}, errors.InvalidExpiryMonth),
        ({"exp_month": "4242424242424242"}, errors.InvalidExpiryMonth),
        ({"exp_year": "2025"}, errors.InvalidExpiryYear),
        ({"exp_year": "20300"}, errors.InvalidExpiryYear),
        ({"exp_month": "1", "exp_year": "26"}, errors.InvalidExpiryYear),
        ({"cvc": "12"}, errors.InvalidCvc),
        ({"cvc": "1234"}, errors.InvalidCvc),
        ({"cvc": "12a"}, errors.InvalidCvc),
    ],
)
def test_what_is_no_test_card_is_refused_before_anything(
    till: Till, wrong: dict[str, str], error: type[BillingError]
) -> None:
    with pytest.raises(error) as refused:
        create(till, untouchable(till), **wrong)
    told = f"{refused.value} {refused.value.hint} {refused.value.body()} {refused.value.fields}"
    assert not any(part in told for value in wrong.values() for part in (value, value[:6]) if len(part) > 4)


def untouchable(till: Till, **settings: str) -> App:
    """Neither its database nor Stripe can be touched."""
    app = till.bench.app(**settings)
    app.__dict__.update(db=None, stripe=None)
    till.bench.apps.remove(app)
    return app


def test_in_live_mode_no_number_is_taken(till: Till) -> None:
    live = untouchable(till, STRIPE_MODE="live", STRIPE_SECRET_KEY="sk_live_bench")
    with pytest.raises(errors.CardsInTestModeOnly) as refused:
        create(till, live)
    assert refused.value.exit_code == 4 and "4444" not in str(refused.value)


# ---- Removing ----


def test_the_newest_of_the_others_takes_the_place_of_the_default(till: Till) -> None:
    first = default(till) or ""
    second, third = create(till).id, create(till, token="pm_card_visa").id
    till.sandbox.edit("payment_method", third, created=9_999_999_999)
    gone = remove(till, first)
    assert (gone.default, gone.customer) == (third, till.customer)
    assert gone.note == f"detached; {third} is charged from now on"
    assert default(till) == third and set(attached(till)) == {second, third}
    plain = remove(till, second)
    assert (plain.note, plain.default) == ("detached", third)
    assert "nothing changed" in remove(till, second).note
    assert ids(methods.list_methods(till.app, ListPaymentMethods(customer=till.customer))) == [third]
    with pytest.raises(NoSuchPaymentMethod):
        remove(till, "pm_none")


def test_the_only_one_of_a_subscriber_stays_unless_forced(till: Till) -> None:
    only = default(till) or ""
    product = till.sandbox.post("/v1/products", name="Pro")["id"]
    price = till.sandbox.post(
        "/v1/prices", product=product, currency="usd", unit_amount=500, recurring={"interval": "month"}
    )
    made = till.sandbox.post("/v1/subscriptions", customer=till.customer, items=[{"price": price["id"]}])
    with pytest.raises(LastPaymentMethod, match=made["id"]) as refused:
        remove(till, only)
    assert refused.value.hint[1] == f"nself billing payment-method remove {only} --force"
    assert attached(till) == [only]
    assert "no payment method any more" in remove(till, only, force=True).note
    assert attached(till) == []


def test_without_a_subscription_the_last_one_goes(till: Till) -> None:
    assert remove(till, default(till) or "").default is None
    assert (attached(till), default(till)) == ([], None)


def test_a_crash_at_any_seam_leaves_no_customer_without_a_default(till: Till) -> None:
    at, whole = 1, False
    while not whole:
        till.customer = till.known(f"user{at}")
        first, second = default(till) or "", create(till).id
        app = fragile(till.bench, Seams(at))
        try:
            remove(till, first, app)
            whole = True
        except Crash:
            assert default(till) in (first, second)
            till.bench.pass_time()
            till.bench.work(till.app)
            remove(till, first)
        finally:
            app.close()
        assert (attached(till), default(till)) == ([second], second), at
        at += 1
    assert at > 15


def test_two_who_remove_at_once_do_not_leave_a_subscriber_without(till: Till) -> None:
    product = till.sandbox.post("/v1/products", name="Pro")["id"]
    price = till.sandbox.post(
        "/v1/prices", product=product, currency="usd", unit_amount=500, recurring={"interval": "month"}
    )
    till.sandbox.post("/v1/subscriptions", customer=till.customer, items=[{"price": price["id"]}])
    first, second = default(till) or "", create(till).id
    barrier, apps = threading.Barrier(2), [till.bench.app(), till.bench.app()]

    def one(app: App, id: str) -> str:
        barrier.wait()
        try:
            return remove(till, id, app).note
        except (LastPaymentMethod, MethodsChanged) as refused:
            return refused.code

    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(one, apps, (first, second)))
    assert len(attached(till)) == 1 and default(till) == attached(till)[0], outcomes


def test_one_who_decided_on_what_is_past_is_refused(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = default(till) or "", create(till).id
    record = methods._drive_alone
    other = till.bench.app()

    def late(app: App, wish: Wish, customer: str) -> None:
        """Between the decision and its record another command removes the other one."""
        if app is till.app:
            remove(till, second, other)
        record(app, wish, customer)

    monkeypatch.setattr(methods, "_drive_alone", late)
    with pytest.raises(MethodsChanged):
        remove(till, first)
    assert attached(till) == [first] == [default(till)]


def test_a_card_is_attached_whatever_seam_it_crashes_at(till: Till) -> None:
    at, whole = 1, False
    while not whole:
        till.customer = till.sandbox.post("/v1/customers", email=f"{at}@example.com")["id"]
        app = fragile(till.bench, Seams(at))
        try:
            create(till, app)
            whole = True
        except Crash:
            till.bench.pass_time()
            till.bench.work(till.app)
            if not attached(till):  # it was not even wished for
                create(till)
        finally:
            app.close()
        (id,) = attached(till)
        assert default(till) == id, at
        assert till.sandbox.get(f"/v1/payment_methods/{id}")["card"]["exp_year"] == 2030, at
        at += 1
    assert at > 20
