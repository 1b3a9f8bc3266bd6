"""What subscriptions show of root causes: there, healthy, and the neighbour that looks alike."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from nself.app import App
from nself.core.errors import BillingError
from nself.diagnosis import Evidence, Look
from nself.domains.subscription.inputs import CancelSubscription, CreateSubscription, Recalculate, UpdateSubscription
from nself.domains.subscription.service import cancel as canceling
from nself.domains.subscription.service import create as creating
from nself.domains.subscription.service import prorate
from nself.domains.subscription.service import update as updating
from nself.domains.subscription.service.causes import CAUSES
from subscribing import Shop


def found(app: App) -> dict[str, Evidence]:
    look = Look(app)
    return {one.id: evidence for one in CAUSES if (evidence := one.detect(look))}


def create(app: App, customer: str, price: str, **more: Any) -> str:
    return creating.create(app, CreateSubscription(customer=customer, price=price, **more)).id


def by_hand(app: App, id: str, **params: Any) -> None:
    """In the Dashboard; the mirror sees it."""
    app.stripe.change("subscriptions", id, params=params, key=f"hand-{id}-{len(params)}")
    updating.look.fresh(app, id, "test")


def test_a_failed_creation_is_told_by_its_reason_until_it_is_made_up_for(shop: Shop) -> None:
    app, price = shop.app(), shop.price(2000)
    customer = shop.customer(app, "user")
    assert found(app) == {}
    with pytest.raises(BillingError):
        create(app, customer, "price_missing")
    assert list(found(app)) == ["3.1.2"]
    assert "price_missing" in found(app)["3.1.2"].text
    create(app, customer, price)
    assert found(app) == {}


def test_what_failed_for_one_customer_is_not_made_up_for_by_another(shop: Shop) -> None:
    app, price = shop.app(), shop.price(2000)
    with pytest.raises(BillingError):
        create(app, shop.customer(app, "user"), "price_missing")
    create(app, shop.customer(app, "other"), price)
    assert list(found(app)) == ["3.1.2"]


def test_a_customer_that_is_not_there_is_told_until_another_one_is_subscribed(shop: Shop) -> None:
    app, price = shop.app(), shop.price(2000)
    with pytest.raises(BillingError):
        create(app, "cus_missing", price)
    assert list(found(app)) == ["3.1.3"]
    create(app, shop.customer(app, "user"), price)
    assert found(app) == {}


def test_one_cancellation_is_healthy_and_a_second_one_is_told(shop: Shop) -> None:
    app = shop.app()
    id = create(app, shop.customer(app, "user"), shop.price(2000))
    canceling.cancel(app, CancelSubscription(subscription=id, at_period_end=True))
    assert found(app) == {}
    canceling.cancel(app, CancelSubscription(subscription=id))
    assert list(found(app)) == ["3.5.1"]
    canceling.cancel(app, CancelSubscription(subscription=id, immediate=True))
    assert found(app) == {}


def test_a_trial_is_held_against_what_was_asked(shop: Shop) -> None:
    app = shop.app()
    id = create(app, shop.customer(app, "user"), shop.price(2000), trial_days=14)
    assert found(app) == {}
    by_hand(app, id, trial_end=int((app.clock() + timedelta(days=3)).timestamp()))
    assert list(found(app)) == ["3.4.4"]
    until = f"{app.clock() + timedelta(days=20):%Y-%m-%dT%H:%M:%SZ}"
    updating.update(app, UpdateSubscription(subscription=id, trial_end=until))
    assert found(app) == {}


def test_a_date_that_was_counted_in_another_zone_is_told(shop: Shop) -> None:
    there, here = shop.app(BILLING_TIMEZONE="Pacific/Auckland"), shop.app(BILLING_TIMEZONE="UTC")
    id = create(there, shop.customer(there, "user"), shop.price(2000))
    until = f"{here.clock() + timedelta(days=20):%Y-%m-%d}"
    updating.update(there, UpdateSubscription(subscription=id, trial_end=until))
    assert found(there) == {}
    assert list(found(here)) == ["3.3.2"]
    updating.update(here, UpdateSubscription(subscription=id, trial_end=until))
    assert found(here) == {}


def test_another_proration_behavior_is_told_where_something_was_changed_by_it(shop: Shop) -> None:
    app = shop.app(STRIPE_PRORATION_BEHAVIOR="none")
    id = create(app, shop.customer(app, "user"), shop.price(2000))
    assert found(app) == {}
    updating.update(app, UpdateSubscription(subscription=id, quantity=2))
    assert list(found(app)) == ["3.3.1"]
    assert found(shop.app()) == {}


def test_a_trial_that_the_price_grants_now_is_told_of_whoever_began_without_one(shop: Shop) -> None:
    app, price = shop.app(), shop.price(2000)
    id = create(app, shop.customer(app, "user"), price)
    create(app, shop.customer(app, "other"), price, trial_days=0)  # nobody wanted one
    shop.sandbox.post(f"/v1/prices/{price}", metadata={"trial_period_days": "14"})
    assert list(found(app)) == ["3.4.1"]
    assert id in found(app)["3.4.1"].text
    assert "more like it" not in found(app)["3.4.1"].text
    until = f"{app.clock() + timedelta(days=14):%Y-%m-%d}"
    updating.update(app, UpdateSubscription(subscription=id, trial_end=until))
    assert found(app) == {}


def test_a_trial_of_another_length_than_the_prices_is_told_unless_its_end_was_asked_by_date(shop: Shop) -> None:
    app, price = shop.app(), shop.price(2000, metadata={"trial_period_days": "14"})
    customer = shop.customer(app, "user")
    id = create(app, customer, price)
    assert found(app) == {}
    canceling.cancel(app, CancelSubscription(subscription=id, immediate=True))
    id = create(app, customer, price, trial_days=7)
    assert list(found(app)) == ["3.4.3"]
    until = f"{app.clock() + timedelta(days=30):%Y-%m-%d}"
    updating.update(app, UpdateSubscription(subscription=id, trial_end=until))
    assert found(app) == {}


def test_a_second_trial_that_an_app_asks_for_is_told_until_an_operator_gives_it(shop: Shop) -> None:
    app, price = shop.app(), shop.price(2000)
    customer = shop.customer(app, "user")
    id = create(app, customer, price, trial_days=7)
    canceling.cancel(app, CancelSubscription(subscription=id, immediate=True))
    with pytest.raises(BillingError):
        creating.subscribe(app, CreateSubscription(customer=customer, price=price, trial_days=7))
    assert list(found(app)) == ["3.4.2"]
    create(app, customer, price, trial_days=7)
    assert found(app) == {}


def in_a_week(app: App) -> int:
    return int((app.clock() + timedelta(days=7)).timestamp())


def test_a_trial_within_a_paid_period_is_told_until_what_was_paid_is_credited_once(shop: Shop) -> None:
    app, price = shop.app(), shop.price(2000)
    healthy, id = (create(app, shop.customer(app, user), price) for user in ("other", "user"))
    shop.pass_days(1)
    by_hand(app, healthy, trial_end=in_a_week(app))
    shop.hear(app)
    assert found(app) == {}
    by_hand(app, id, trial_end=in_a_week(app), proration_behavior="none")
    assert list(found(app)) == ["3.3.4"]
    assert id in found(app)["3.3.4"].text
    shown = prorate.recalculate(app, Recalculate(subscription=id))
    assert (shown.pending_minor, -1940 < shown.expected_minor < -1925, shown.executed) == (0, True, False)
    assert list(found(app)) == ["3.3.4"]
    for executed in (True, False):
        assert prorate.recalculate(app, Recalculate(subscription=id, execute=True)).executed == executed
        assert found(app) == {}
    waiting = shop.sandbox.get("/v1/invoiceitems", customer=shop.get(id)["customer"], pending=True)
    assert [one["amount"] for one in waiting] == [shown.expected_minor]


def test_a_paid_period_that_was_given_back_by_a_credit_note_overlaps_no_trial(shop: Shop) -> None:
    app = shop.app()
    id = create(app, shop.customer(app, "user"), shop.price(2000))
    invoice = shop.newest_invoice(id)["id"]
    shop.pass_days(1)
    by_hand(app, id, trial_end=in_a_week(app), proration_behavior="none")
    shop.hear(app)
    assert list(found(app)) == ["3.3.4"]
    shop.sandbox.post("/v1/credit_notes", invoice=invoice, amount=2000, refund_amount=2000)
    shop.hear(app)
    assert found(app) == {}


def test_a_price_that_was_withdrawn_for_its_amount_is_told_of_whoever_was_changed_to_it(shop: Shop) -> None:
    app, product = shop.app(), shop.sandbox.post("/v1/products", name="Pro")["id"]
    basic, wrong, right = (
        shop.price(amount, product=product, nickname=name)
        for amount, name in ((1000, "Basic"), (99, "Pro"), (9900, "Pro"))
    )
    id = create(app, shop.customer(app, "user"), basic)
    create(app, shop.customer(app, "other"), wrong)  # from the begin on: nothing was prorated
    updating.update(app, UpdateSubscription(subscription=id, price=wrong))
    shop.hear(app)
    assert found(app) == {}
    shop.sandbox.post(f"/v1/prices/{wrong}", active=False)
    shop.hear(app)
    assert list(found(app)) == ["3.3.3"]
    evidence = found(app)["3.3.3"]
    assert (evidence.fields["subscription"], evidence.fields["price"]) == (id, right)
    assert "asks 0.99 usd" in evidence.text and "asks 99.00" in evidence.text and "more like it" not in evidence.text
    updating.update(app, UpdateSubscription(subscription=id, price=right))
    assert found(app) == {}


def test_a_price_that_was_sold_for_long_or_has_a_name_of_its_own_is_healthy(shop: Shop) -> None:
    app, product = shop.app(), shop.sandbox.post("/v1/products", name="Pro")["id"]
    basic, old, new, promotion = (
        shop.price(amount, product=product, nickname=name)
        for amount, name in ((1000, "Basic"), (2900, "Pro"), (4900, "Pro"), (900, "Pro, in November"))
    )
    for user, price in (("user", old), ("other", promotion)):
        updating.update(app, UpdateSubscription(subscription=create(app, shop.customer(app, user), basic), price=price))
        shop.sandbox.post(f"/v1/prices/{price}", active=False)
    shop.hear(app)
    assert list(found(app)) == ["3.3.3"]
    assert new in found(app)["3.3.3"].text
    shop.bench.sql("update billing_subscription_requests set made_at = made_at + interval '8 days'")
    assert found(app) == {}
