"""Subscriptions are shown with the words that the guide greps, from the mirror alone."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from money_bench import served

from nself.app import App
from nself.cli import render
from nself.domains.api_key import service as api_key
from nself.domains.api_key.inputs import CreateApiKey
from nself.domains.customer import service as customers
from nself.domains.customer.inputs import ShowCustomer
from nself.domains.mirror import service as mirror
from nself.domains.subscription.inputs import ListSubscriptions, ShowSubscription
from nself.domains.subscription.model import NoSuchSubscription, ShownSubscription
from nself.domains.subscription.service import show as service
from subscribing import Shop


def shown(app: App, id: str) -> ShownSubscription:
    return service.show(app, ShowSubscription(subscription=id))


def grep(app: App, id: str, word: str) -> list[str]:
    return [line for line in render.text(shown(app, id), "table") if word in line]


def listed(app: App, **given: Any) -> list[str]:
    return [one.id for one in service.list_subscriptions(app, ListSubscriptions(**given))]


def test_every_item_is_shown_with_its_price_quantity_and_period(shop: Shop) -> None:
    app = shop.app()
    quarterly = {"interval": "month", "interval_count": 3}
    prices = [shop.price(9_000 + at, recurring=quarterly) for at in range(13)]
    id = shop.subscribe(shop.customer(app, "user"), *prices)
    shop.look(app, "sync 7")
    found = shown(app, id)
    assert [one.price for one in found.items] == prices
    first, theirs = found.items[0], shop.get(id)["items"]["data"][0]
    assert (first.amount_minor, first.currency, first.quantity, first.every) == (9_000, "usd", 1, "3 months")
    assert first.current_period_end and int(first.current_period_end.timestamp()) == theirs["current_period_end"]
    assert (found.user, found.status, found.source, found.intact) == ("user", "active", "sync 7", True)
    lines = list(render.text(found, "table"))
    assert any(prices[0] in line and "9000 (90.00 USD)" in line and "3 months" in line for line in lines)
    assert "source: sync 7" in lines and any(line.startswith("synced_at: 20") for line in lines)


def test_trial_and_cancellation_are_found_with_grep(shop: Shop) -> None:
    app = shop.app()
    customer = shop.customer(app, "user")
    id = shop.subscribe(customer, trial_period_days=14)
    shop.look(app)
    end = shop.get(id)["trial_end"]
    assert "trial: running" in grep(app, id, "trial")
    assert grep(app, id, "trial_end") == [f"trial_end: {_iso(end)}"]
    assert grep(app, id, "cancel")[:2] == ["cancel: no", "cancel_at: -"]
    assert grep(app, id, "items") == ["items:"]
    shop.sandbox.post(f"/v1/subscriptions/{id}", cancel_at_period_end="true")
    shop.look(app)
    assert grep(app, id, "cancel")[0] == "cancel: at the end of the period"
    shop.pass_days(15)
    shop.look(app)
    assert (shown(app, id).status, shown(app, id).trial) == ("canceled", "over")
    assert "cancel: done" in grep(app, id, "cancel")


def _iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_the_payment_intent_that_waits_for_its_owner_is_named(shop: Shop) -> None:
    app = shop.app()
    customer = shop.customer(app, "user", "pm_card_authenticationRequired")
    id = shop.subscribe(customer, payment_behavior="default_incomplete")
    assert shop.get(id)["status"] == "incomplete"
    shop.look(app)
    (payment,) = shop.sandbox.get("/v1/payment_intents", customer=customer)
    assert shown(app, id).status == "incomplete"
    assert grep(app, id, "payment_intent") == [
        f"payment_intent: {payment['id']}", f"payment_intent_status: {payment['status']}",
    ]  # fmt: skip
    assert payment["status"].startswith("requires_")


def test_one_that_is_not_there_is_refused_in_stripes_words(shop: Shop) -> None:
    with pytest.raises(NoSuchSubscription) as refusal:
        shown(shop.app(), "sub_none")
    error = refusal.value
    assert (str(error), error.code, error.guide, error.status) == (
        "No such subscription: sub_none", "resource_missing", "7.2", 404,
    )  # fmt: skip


def test_lists_are_of_a_user_of_a_status_and_newest_first(shop: Shop) -> None:
    app = shop.app()
    ada, bob = shop.customer(app, "ada"), shop.customer(app, "bob")
    made = [shop.subscribe(one) for one in (ada, bob)]
    shop.pass_days(1)
    made.append(shop.subscribe(ada, trial_period_days=7))
    shop.look(app)
    assert listed(app)[0] == made[2] and set(listed(app)) == set(made)
    assert listed(app, user="ada") == [made[2], made[0]]
    assert listed(app, user="ada", status="active") == [made[0]]
    assert listed(app, limit=1) == [made[2]] and len(listed(app, offset=1)) == 2
    assert listed(app, user="nobody") == []
    (row,) = service.list_subscriptions(app, ListSubscriptions(status="trialing"))
    assert (row.items, row.user, row.trial_end == row.current_period_end) == (1, "ada", True)


def test_over_http(shop: Shop) -> None:
    app = shop.app()
    id = shop.subscribe(shop.customer(app, "user"))
    shop.look(app)
    token = api_key.create(app, CreateApiKey(name="app", scopes="subscription:read")).key

    def ask(address: str, path: str) -> tuple[int, Any]:
        request = urllib.request.Request(f"{address}{path}", headers={"Authorization": f"Bearer {token}"})
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as refusal:
            with refusal:
                return refusal.code, json.loads(refusal.read())

    with served(app) as address:
        status, found = ask(address, f"/api/v1/subscriptions/{id}")
        assert (status, found["id"], found["items"][0]["quantity"]) == (200, id, 1)
        status, rows = ask(address, "/api/v1/subscriptions?user=user&status=active")
        assert (status, [row["id"] for row in rows]) == (200, [id])
        status, refusal = ask(address, "/api/v1/subscriptions/sub_none")
        assert (status, refusal["error"]["code"]) == (404, "resource_missing")
        assert ask(address, "/api/v1/subscriptions?status=wrong")[0] == 400
        assert ask(address, "/api/v1/invoices")[0] == 403


# Who has had a trial has had it


def trial_used(app: App, customer: str) -> bool:
    return customers.show(app, ShowCustomer(customer=customer)).trial_used


@pytest.mark.parametrize("first", ["customer", "subscription"])
def test_a_trial_is_used_for_good(shop: Shop, first: str) -> None:
    app = shop.app()
    customer = shop.sandbox.post("/v1/customers", email="user@example.com")["id"]
    id = shop.subscribe(customer, trial_period_days=7)
    kinds = {"customer": customer, "subscription": id}
    for kind in sorted(kinds, reverse=first == "subscription"):
        mirror.refresh(app, kind, kinds[kind], "test")
    assert trial_used(app, customer)
    assert "trial_used: true" in list(render.text(customers.show(app, ShowCustomer(customer=customer)), "table"))
    shop.sandbox.client.raw_request("delete", f"/v1/subscriptions/{id}")
    shop.sandbox.edit("customer", customer, name="Ada")
    shop.look(app)
    assert trial_used(app, customer)
    shop.bench.sql("delete from billing_customers")
    shop.look(app)
    assert trial_used(app, customer)


def test_no_trial_is_used_without_one(shop: Shop) -> None:
    app = shop.app()
    customer = shop.customer(app, "user")
    shop.subscribe(customer)
    shop.look(app)
    assert not trial_used(app, customer)


def test_a_trial_is_used_also_where_both_are_stored_at_once(shop: Shop) -> None:
    apps, price = [shop.app(), shop.app()], shop.price()
    for number in range(12):
        customer = shop.sandbox.post("/v1/customers", email=f"user{number}@example.com")["id"]
        id, start = shop.subscribe(customer, price, trial_period_days=7), threading.Barrier(2)

        def store(app: App, kind: str, id: str, start: threading.Barrier = start) -> None:
            picture = mirror.fetch(app, kind, id, "test")
            start.wait()
            mirror.in_order(app, picture, lambda tx, picture: mirror.accept(app, tx, picture) and None)

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(store, apps, ["customer", "subscription"], [customer, id]))
        assert trial_used(apps[0], customer), number
