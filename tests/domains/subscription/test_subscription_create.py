"""Subscriptions are created once, whatever happens on the way, and what cannot be is told with what to do."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from money_bench import served
from money_seams import Crash, Seams, fragile

from nself.app import App
from nself.core.errors import ExclusiveParameters
from nself.domains.api_key import service as api_key
from nself.domains.api_key.inputs import CreateApiKey
from nself.domains.customer import service as customers
from nself.domains.customer.inputs import ShowCustomer
from nself.domains.customer.model import NoSuchCustomer
from nself.domains.subscription.errors import (
    BadTrialEnd,
    NoPaymentMethod,
    PaymentFailed,
    RequiresAction,
    TrialUsed,
)
from nself.domains.subscription.inputs import CreateSubscription, ShowSubscription
from nself.domains.subscription.model import Done
from nself.domains.subscription.service import create as creating
from nself.domains.subscription.service import show as showing
from nself.gateway.errors import IdempotencyMismatch, NoSuchObject, NoSuchPrice
from subscribing import Shop

UNABLE = "Unable to create subscription"


def create(app: App, customer: str, price: str, **more: Any) -> Done:
    return creating.create(app, CreateSubscription(customer=customer, price=price, **more))


def subscriptions(shop: Shop, customer: str) -> list[dict[str, Any]]:
    return shop.sandbox.get("/v1/subscriptions", customer=customer, status="all", limit=100)


def charged(shop: Shop, customer: str) -> list[int]:
    return [one["amount_received"] for one in shop.sandbox.payments(customer)]


def test_a_subscription_is_created_paid_and_in_the_mirror(shop: Shop) -> None:
    app, price = shop.app(), shop.price(2000)
    customer = shop.customer(app, "user")
    done = create(app, customer, price, quantity=3)
    assert (done.status, done.changed, done.user, done.customer) == ("active", True, "user", customer)
    assert (done.items[0].price, done.items[0].quantity) == (price, 3)
    assert charged(shop, customer) == [6000]
    shown = showing.show(app, ShowSubscription(subscription=done.id))
    assert (shown.status, shown.user, shown.payment_intent_status) == ("active", "user", "succeeded")


def test_again_it_stands_already(shop: Shop) -> None:
    app, price = shop.app(), shop.price()
    customer = shop.customer(app, "user")
    first = create(app, customer, price)
    again = create(app, customer, price)
    assert (again.id, again.changed, again.note) == (first.id, False, "stands already, nothing changed")
    assert charged(shop, customer) == [2000]


def test_one_made_by_hand_stands_as_well(shop: Shop) -> None:
    app, price = shop.app(), shop.price()
    customer = shop.customer(app, "user")
    id = shop.subscribe(customer, price)
    assert create(app, customer, price).id == id
    assert charged(shop, customer) == [2000]


def test_after_one_has_ended_another_is_made(shop: Shop) -> None:
    app, price = shop.app(), shop.price()
    customer = shop.customer(app, "user")
    ids: list[str] = []
    for _ in range(3):
        ids.append(create(app, customer, price).id)
        shop.sandbox.client.raw_request("delete", f"/v1/subscriptions/{ids[-1]}")
    assert len(set(ids)) == 3 and charged(shop, customer) == [2000] * 3


def test_after_one_moved_to_another_price_another_is_made(shop: Shop) -> None:
    app, price = shop.app(), shop.price()
    customer = shop.customer(app, "user")
    first = create(app, customer, price).id
    item = shop.get(first)["items"]["data"][0]["id"]
    shop.sandbox.post(f"/v1/subscriptions/{first}", items=[{"id": item, "price": shop.price(3000)}])
    assert create(app, customer, price).id != first


def test_many_at_once_make_one(shop: Shop) -> None:
    apps, price = [shop.app() for _ in range(4)], shop.price()
    customer = shop.customer(apps[0], "user")
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda app: create(app, customer, price), apps))
    assert len({one.id for one in done}) == 1
    assert len(subscriptions(shop, customer)) == 1 and charged(shop, customer) == [2000]


def test_a_key_makes_one_and_another_key_another(shop: Shop) -> None:
    app, price = shop.app(), shop.price()
    customer = shop.customer(app, "user")
    first = create(app, customer, price, idempotency_key="order-1")
    again = create(app, customer, price, idempotency_key="order-1")
    assert (again.id, again.changed) == (first.id, False)
    with pytest.raises(IdempotencyMismatch, match="Keys for idempotent requests"):
        create(app, customer, price, quantity=2, idempotency_key="order-1")
    assert create(app, customer, price, idempotency_key="order-2").id != first.id
    assert charged(shop, customer) == [2000, 2000]


def test_a_key_is_kept_where_the_price_grants_a_trial(shop: Shop) -> None:
    """The second time the customer has had the trial that the first time gave."""
    app = shop.app()
    price = shop.price(metadata={"trial_period_days": "14"})
    customer = shop.customer(app, "user")
    first = create(app, customer, price, idempotency_key="order-1")
    assert first.status == "trialing"
    assert create(app, customer, price, idempotency_key="order-1").id == first.id


def test_a_crash_at_any_seam_leaves_one_subscription_and_one_charge(shop: Shop) -> None:
    price, at, whole = shop.price(), 0, False
    while not whole:
        at += 1
        customer = shop.customer(shop.app(), f"user{at}")
        app = fragile(shop.bench, Seams(at), **shop.settings)
        try:
            create(app, customer, price)
            whole = True
        except Crash:
            shop.bench.pass_time(600)
            create(shop.app(), customer, price)
        finally:
            app.close()
        shop.bench.work(shop.app())
        assert [one["status"] for one in subscriptions(shop, customer)] == ["active"], at
        assert charged(shop, customer) == [2000], at
        assert [one for one in shop.bench.intents() if one[1] == "pending"] == []
    assert at > 12


@pytest.mark.parametrize(
    "fault", [{"status": 500}, {"drop": True}, {"status": 500, "times": 2}, {"drop": True, "times": 3}]
)
def test_lost_answers_and_500_after_the_work_make_one(shop: Shop, fault: dict[str, Any]) -> None:
    app, price = shop.app(STRIPE_MAX_RETRIES="1"), shop.price()
    customer = shop.customer(app, "user")
    shop.sandbox.fault("/v1/subscriptions$", **{"after": True, **fault})
    done = create(app, customer, price)
    assert done.status == "active"
    assert len(subscriptions(shop, customer)) == 1 and charged(shop, customer) == [2000]
    assert len(shop.sandbox.invoices(customer)) == 1


# What cannot be


def test_without_a_payment_method_it_says_whose_and_how(shop: Shop) -> None:
    app = shop.app()
    customer = shop.sandbox.post("/v1/customers", email="user@example.com")["id"]
    with pytest.raises(NoPaymentMethod, match=f"{UNABLE}: customer {customer} has no payment method") as error:
        create(app, customer, shop.price())
    assert "payment-method attach --customer" in error.value.hint[0] and error.value.exit_code == 1
    assert subscriptions(shop, customer) == []
    method = shop.sandbox.post("/v1/payment_methods/pm_card_visa/attach", customer=customer)["id"]
    assert create(app, customer, shop.price(), payment_method=method).status == "active"


def test_free_needs_no_payment_method(shop: Shop) -> None:
    app = shop.app()
    customer = shop.sandbox.post("/v1/customers", email="user@example.com")["id"]
    assert create(app, customer, shop.price(0)).status == "active"


def test_what_is_missing_is_named(shop: Shop) -> None:
    app, price = shop.app(), shop.price()
    customer = shop.customer(app, "user")
    with pytest.raises(NoSuchPrice, match=f"{UNABLE}: No such price: price_none") as error:
        create(app, customer, "price_none")
    assert (error.value.code, error.value.exit_code) == ("resource_missing", 1)
    with pytest.raises(NoSuchCustomer, match=f"{UNABLE}: No such customer: cus_none"):
        create(app, "cus_none", price)
    with pytest.raises(NoSuchObject, match=f"{UNABLE}: No such coupon: none"):
        create(app, customer, price, coupon="none")
    with pytest.raises(NoSuchObject, match=f"{UNABLE}: No such payment method: pm_none"):
        create(app, customer, price, payment_method="pm_none")
    assert subscriptions(shop, customer) == []
    assert create(app, customer, price).status == "active"


def test_a_coupon_is_applied(shop: Shop) -> None:
    app = shop.app()
    customer = shop.customer(app, "user")
    coupon = shop.sandbox.post("/v1/coupons", percent_off=25, duration="once")["id"]
    create(app, customer, shop.price(), coupon=coupon)
    assert charged(shop, customer) == [1500]


def test_a_declined_card_is_told_with_the_state_also_the_second_time(shop: Shop) -> None:
    app, price = shop.app(), shop.price()
    customer = shop.customer(app, "user", "pm_card_chargeCustomerFail")
    for _ in range(2):
        with pytest.raises(PaymentFailed, match=rf"{UNABLE}: .*declined.* is incomplete") as error:
            create(app, customer, price)
        assert (error.value.code, error.value.exit_code) == ("card_declined", 1)
        (id,) = [one["id"] for one in subscriptions(shop, customer)]
        assert f"nself billing subscription complete {id}" in error.value.hint
    assert charged(shop, customer) == []
    assert showing.show(app, ShowSubscription(subscription=id)).payment_intent_status == "requires_payment_method"


def test_3d_secure_is_told_in_the_guides_words(shop: Shop) -> None:
    app = shop.app()
    customer = shop.customer(app, "user", "pm_card_authenticationRequired")
    with pytest.raises(RequiresAction, match="requires customer action to authenticate payment") as error:
        create(app, customer, shop.price())
    (intent,) = shop.sandbox.get("/v1/payment_intents", customer=customer)
    assert error.value.code == "subscription_payment_intent_requires_action"
    assert error.value.hint[0] == f"nself billing payment-intent show {intent['id']} --show-secret"
    assert "client_secret" not in str(shop.bench.sql("select snapshot from billing_objects"))


# Trials


def test_trials_by_days_and_by_date_in_the_time_zone(shop: Shop) -> None:
    app = shop.app(BILLING_TIMEZONE="America/New_York")
    price = shop.price()
    customer = shop.sandbox.post("/v1/customers", email="user@example.com")["id"]
    done = create(app, customer, price, trial_days=14)
    assert done.status == "trialing" and done.trial_end
    assert abs(done.trial_end - datetime.now(UTC) - timedelta(days=14)) < timedelta(minutes=5)
    day = datetime.now(UTC).date() + timedelta(days=20)
    other = create(app, customer, shop.price(), trial_end=day.isoformat())
    assert other.trial_end and other.trial_end.astimezone(app.timezone).isoformat()[:19] == f"{day}T00:00:00"
    assert "another one" in other.note


@pytest.mark.parametrize(("given", "what"), [("2020-01-01", "in the past"), ("2099-01-01", "more than 730 days away")])
def test_trial_ends_that_cannot_be(shop: Shop, given: str, what: str) -> None:
    with pytest.raises(BadTrialEnd, match=what):
        create(shop.app(), shop.customer(shop.app(), "user"), shop.price(), trial_end=given)


def test_days_and_date_exclude_each_other(shop: Shop) -> None:
    with pytest.raises(ExclusiveParameters):
        create(shop.app(), "cus_1", "price_1", trial_days=3, trial_end="2030-01-01")


def test_the_prices_trial_is_given_once_a_customer(shop: Shop) -> None:
    app = shop.app()
    price = shop.price(metadata={"trial_period_days": "7"})
    customer = shop.customer(app, "user")
    first = create(app, customer, price)
    assert (first.status, first.note) == ("trialing", "a trial of 7 days, as the price grants it")
    assert customers.show(app, ShowCustomer(customer=customer)).trial_used
    shop.sandbox.client.raw_request("delete", f"/v1/subscriptions/{first.id}")
    second = create(app, customer, price)
    assert second.status == "active" and "has had a trial already" in second.note
    assert charged(shop, customer) == [2000]


def test_no_days_is_no_trial_whatever_the_price_says(shop: Shop) -> None:
    app = shop.app()
    done = create(app, shop.customer(app, "user"), shop.price(metadata={"trial_period_days": "7"}), trial_days=0)
    assert done.status == "active"


# Over HTTP


def test_over_http(shop: Shop) -> None:
    app, price = shop.app(), shop.price()
    customer = shop.customer(app, "user")
    keys = {
        scope: api_key.create(app, CreateApiKey(name=scope[-5:], scopes=scope)).key
        for scope in ("subscription:read", "subscription:write")
    }
    with served(app) as address:

        def post(body: object, path: str = "", scope: str = "subscription:write") -> tuple[int, Any]:
            headers = {"Authorization": f"Bearer {keys[scope]}"}
            request = urllib.request.Request(
                f"{address}/api/v1/subscriptions{path}", json.dumps(body).encode(), headers, method="POST"
            )
            try:
                with urllib.request.urlopen(request, timeout=20) as answer:
                    return answer.status, json.loads(answer.read())
            except urllib.error.HTTPError as refusal:
                with refusal:
                    return refusal.code, json.loads(refusal.read())

        wish = {"customer": customer, "price": price}
        assert post(wish, scope="subscription:read")[0] == 403
        status, made = post({**wish, "trial_days": 7})
        assert (status, made["status"], made["changed"]) == (200, "trialing", True)
        status, again = post(wish)
        assert (status, again["id"], again["changed"]) == (200, made["id"], False)
        status, refusal = post({"customer": customer, "price": shop.price(), "trial_days": 7})
        assert (status, refusal["error"]["code"]) == (409, TrialUsed.code)
        status, refusal = post({"customer": customer, "price": "price_none"})
        assert (status, refusal["error"]["message"]) == (404, f"{UNABLE}: No such price: price_none")
        status, preview = post({"new_price": shop.price(4000)}, f"/{made['id']}/preview")
        assert (status, preview["change_minor"], preview["token"][:4]) == (200, 0, "pvt_")
        status, changed = post({"token": preview["token"]}, f"/{made['id']}")
        assert (status, changed["items"][0]["amount_minor"]) == (200, 4000)
        assert post({"subscription": "sub_other", "quantity": 2}, f"/{made['id']}")[1]["id"] == made["id"]
        status, done = post({}, f"/{made['id']}/cancel")
        assert (status, done["cancel_at"] is not None, done["status"]) == (200, True, "trialing")
        status, done = post({"immediate": True, "reason": "too-expensive"}, f"/{made['id']}/cancel")
        assert (status, done["status"]) == (200, "canceled")
        assert shop.get(made["id"])["cancellation_details"]["feedback"] == "too_expensive"
        assert post({"quantity": 1}, f"/{made['id']}")[1]["error"]["code"] == "subscription_canceled"
