"""Changes at the end of the period: made once, shown, undone, carried out by Stripe, and told where something overtakes them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from nself.app import App
from nself.core.errors import ExclusiveParameters
from nself.domains.subscription.errors import NothingToChange, NotSchedulable
from nself.domains.subscription.inputs import (
    CancelSubscription,
    ReactivateSubscription,
    ShowSubscription,
    UpdateSubscription,
)
from nself.domains.subscription.model import Done, ShownSubscription
from nself.domains.subscription.service import cancel as canceling
from nself.domains.subscription.service import show
from nself.domains.subscription.service.update import update
from subscribing import Shop, crash_at_calls_and_commits


def later(app: App, id: str, **given: Any) -> Done:
    return update(app, UpdateSubscription(subscription=id, at_period_end=True, **given))


def keep(app: App, id: str) -> Done:
    return update(app, UpdateSubscription(subscription=id, keep=True))


def ends(app: App, id: str) -> Done:
    return canceling.cancel(app, CancelSubscription(subscription=id, at_period_end=True))


def shown(app: App, id: str) -> ShownSubscription:
    return show.show(app, ShowSubscription(subscription=id))


def subscribed(shop: Shop, app: App, user: str = "user", **more: Any) -> str:
    return shop.subscribe(shop.customer(app, user), shop.price(3000), **more)


def schedules(shop: Shop, id: str) -> list[str]:
    found = shop.sandbox.get("/v1/subscription_schedules", customer=shop.get(id)["customer"], limit=100)
    return [one["status"] for one in found]


def paid(shop: Shop, id: str) -> list[int]:
    return sorted(one["amount_received"] for one in shop.sandbox.payments(shop.get(id)["customer"]))


def test_a_downgrade_comes_with_the_next_period_and_costs_nothing_before(shop: Shop) -> None:
    app, price = shop.app(), shop.price(1000, metadata={"plan": "starter"})
    id = subscribed(shop, app)
    end = shop.get(id)["items"]["data"][0]["current_period_end"]
    done = later(app, id, price=price)
    assert done.changed and f"becomes 1 of {price} at " in done.note and "--keep" in done.note
    now = shown(app, id)
    assert (now.pending_price, now.pending_quantity, now.pending_at and int(now.pending_at.timestamp())) == (
        price,
        1,
        end,
    )
    assert now.helps == [f"nself billing subscription update {id} --keep"]
    assert now.items[0].amount_minor == 3000
    assert shop.sandbox.post("/v1/invoices/create_preview", subscription=id)["total"] == 1000
    again = later(app, id, price=price)
    assert (again.changed, again.note) == (False, "is so already, nothing changed")
    shop.sandbox.admin("clock", to=end + 2 * 3600)
    shop.hear(app)
    after = shown(app, id)
    assert (after.items[0].price, after.pending_price, after.status) == (price, None, "active")
    assert paid(shop, id) == [1000, 3000]
    shop.sandbox.admin("clock", advance=32 * 86_400)
    shop.hear(app)
    assert (schedules(shop, id), paid(shop, id)) == (["released"], [1000, 1000, 3000])
    assert shop.bench.sql("select snapshot -> 'schedule' from billing_subscriptions") == [(None,)]


def test_what_happens_to_a_schedule_is_heard_as_the_subscriptions(shop: Shop) -> None:
    app, price = shop.app(), shop.price(1000)
    id = subscribed(shop, app)
    later(app, id, price=price)
    (schedule,) = shop.sandbox.get("/v1/subscription_schedules", customer=shop.get(id)["customer"])
    shop.hear(app)
    start, end = (schedule["phases"][0][name] for name in ("start_date", "end_date"))
    now = {"items": [{"price": schedule["phases"][0]["items"][0]["price"]}], "start_date": start, "end_date": end}
    shop.sandbox.post(f"/v1/subscription_schedules/{schedule['id']}", phases=[now])  # by hand: nothing follows any more
    (event,) = [one for one in shop.events() if one["type"] == "subscription_schedule.updated"][1:]
    shop.hear(app, [event])
    assert shown(app, id).pending_price is None


def test_another_wish_takes_the_place_of_the_first_and_keep_undoes_it(shop: Shop) -> None:
    app, one, other = shop.app(), shop.price(1000), shop.price(500)
    id = subscribed(shop, app)
    later(app, id, price=one)
    later(app, id, price=other, quantity=3)
    assert (shown(app, id).pending_price, shown(app, id).pending_quantity) == (other, 3)
    assert keep(app, id).note == f"stays as it is: it does not become {other}"
    assert (shown(app, id).pending_price, schedules(shop, id)) == (None, ["released"])
    assert (keep(app, id).changed, keep(app, id).note) == (False, "nothing is to change at the end of its period")
    later(app, id, price=one)
    assert shown(app, id).pending_price == one
    kept = later(app, id, price=shop.get(id)["items"]["data"][0]["price"]["id"])
    assert (kept.changed, shown(app, id).pending_price) == (True, None)
    shop.pass_days(32)
    assert paid(shop, id) == [3000, 3000]


def test_what_overtakes_it_drops_it_and_says_how_to_have_it_again(shop: Shop) -> None:
    app, price, dear = shop.app(), shop.price(1000), shop.price(9000)
    id = subscribed(shop, app)
    later(app, id, price=price)
    done = ends(app, id)
    again = f"nself billing subscription update {id} --price {price} --quantity 1 --at-period-end"
    assert done.cancel_at and f"the change to {price} at " in done.note and again in done.note
    with pytest.raises(NotSchedulable, match="it ends before"):
        later(app, id, price=price)
    canceling.reactivate(app, ReactivateSubscription(subscription=id))
    later(app, id, price=price)
    assert shown(app, id).pending_price == price
    upgraded = update(app, UpdateSubscription(subscription=id, price=dear))
    assert again in upgraded.note and upgraded.items[0].price == dear
    assert (shown(app, id).pending_price, schedules(shop, id)) == (None, ["released", "released"])
    later(app, id, price=price)
    ended = canceling.cancel(app, CancelSubscription(subscription=id, immediate=True))
    assert ended.status == "canceled" and shown(app, id).pending_price is None
    assert schedules(shop, id) == ["canceled", "released", "released"]


def test_a_trial_ends_with_the_other_price(shop: Shop) -> None:
    app, year = shop.app(), shop.price(9000, recurring={"interval": "year"})
    id = subscribed(shop, app, trial_period_days=3)
    later(app, id, price=year)
    assert shop.get(id)["status"] == "trialing"
    shop.pass_days(3.2)
    shop.hear(app)
    assert (shown(app, id).items[0].every, shown(app, id).status, paid(shop, id)) == ("year", "active", [9000])


def test_what_a_schedule_cannot_do_is_refused_before_stripe_hears_of_it(shop: Shop) -> None:
    app, price = shop.app(), shop.price(1000)
    id = subscribed(shop, app)
    shop.sandbox.post("/v1/coupons", id="ten", percent_off=10, duration="forever")
    shop.sandbox.post(f"/v1/subscriptions/{id}", discounts=[{"coupon": "ten"}])
    with pytest.raises(NotSchedulable, match="discounts of its own"):
        later(app, id, price=price)
    with pytest.raises(NothingToChange):
        later(app, id)
    with pytest.raises(ExclusiveParameters):
        later(app, id, price=price, trial_end="now")
    with pytest.raises(ExclusiveParameters):
        update(app, UpdateSubscription(subscription=id, keep=True, at_period_end=True))
    assert schedules(shop, id) == []


def test_two_at_once_make_one_schedule(shop: Shop) -> None:
    apps, price = [shop.app() for _ in range(3)], shop.price(1000)
    id = subscribed(shop, apps[0])
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda app: later(app, id, price=price), apps))
        assert (shown(apps[0], id).pending_price, schedules(shop, id)) == (price, ["active"])
        list(pool.map(lambda app: keep(app, id), apps))
    assert (shown(apps[0], id).pending_price, schedules(shop, id)) == (None, ["released"])


@pytest.mark.parametrize("fault", [{"status": 500}, {"drop": True}, {"drop": True, "times": 3}])
def test_a_lost_answer_makes_one_schedule(shop: Shop, fault: dict[str, Any]) -> None:
    app, price = shop.app(STRIPE_MAX_RETRIES="1"), shop.price(1000)
    id = subscribed(shop, app)
    shop.sandbox.fault("/v1/subscription_schedules$", **{"after": True, **fault})
    later(app, id, price=price)
    assert (shown(app, id).pending_price, schedules(shop, id)) == (price, ["active"])


def test_a_crash_at_any_commit_or_call_leaves_one_schedule(shop: Shop) -> None:
    app, price = shop.app(), shop.price(1000)
    ids = (subscribed(shop, app, f"user{at}") for at in itertools.count())
    for id in crash_at_calls_and_commits(shop, ids, lambda app, sub: later(app, sub, price=price)):
        assert (shown(app, id).pending_price, schedules(shop, id)) == (price, ["active"])


def test_a_crash_at_any_commit_or_call_frees_it_and_cancels_it(shop: Shop) -> None:
    app, price = shop.app(), shop.price(1000)

    def waiting() -> Iterator[str]:
        for at in itertools.count():
            id = subscribed(shop, app, f"user{at}")
            later(app, id, price=price)
            yield id

    for id in crash_at_calls_and_commits(shop, waiting(), ends):
        assert (shop.get(id)["cancel_at_period_end"], schedules(shop, id)) == (True, ["released"])
        assert (shown(app, id).cancel_at_period_end, shown(app, id).pending_price) == (True, None)
