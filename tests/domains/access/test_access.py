"""Plans follow subscriptions, revocations hold at once, and whoever asks over HTTP sees both within a second."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from money_bench import Bench, served

from nself.app import App
from nself.domains.access import service as access
from nself.domains.access.inputs import GrantAccess, RevokeAccess, ShowAccess
from nself.domains.api_key import service as api_key
from nself.domains.api_key.inputs import CreateApiKey
from nself.domains.customer.model import NoSuchUser
from nself.domains.invoice.inputs import GenerateInvoices
from nself.domains.invoice.service.generate import generate
from nself.domains.quota.inputs import SetQuota, UnblockUser
from nself.domains.quota.service import block, limits
from nself.domains.quota.service.ask import states
from nself.domains.sync.inputs import LinkCustomer
from nself.domains.sync.service import link
from subscribing import Shop

USER = "user1"


def limit(app: App, user: str = USER) -> tuple[int, str, bool]:
    (found,) = states(app, user, "api_calls", 1, "look")
    return found.limit, found.source, found.allowed


def asker(app: App, address: str, user: str = USER) -> Callable[[], tuple[int, dict[str, Any]]]:
    key = api_key.create(app, CreateApiKey(name="test", scopes="quota")).key

    def ask() -> tuple[int, dict[str, Any]]:
        body = json.dumps({"user": user, "metric": "api_calls", "value": 1}).encode()
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"{address}/api/v1/quota/check", body, headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    return ask


def test_the_plan_is_the_one_that_the_price_or_its_product_names(shop: Shop, bench: Bench):
    app = shop.app()
    customer = shop.customer(app, USER)
    assert limit(app)[1:] == ("plan free", True)
    subscription = shop.subscribe(customer, shop.price(metadata={"plan": "pro"}))
    shop.hear(app)
    assert limit(app) == (1_000_000, "plan pro", True)
    product = bench.sandbox.post("/v1/products", name="Starter", metadata={"plan": "starter"})["id"]
    other = bench.sandbox.post(
        "/v1/prices", product=product, currency="usd", unit_amount=900, recurring={"interval": "month"}
    )["id"]
    item = shop.get(subscription)["items"]["data"][0]["id"]
    bench.sandbox.post(f"/v1/subscriptions/{subscription}", items=[{"id": item, "price": other}])
    shop.hear(app)
    assert limit(app) == (100_000, "plan starter", True)
    bench.sandbox.post(f"/v1/products/{product}", metadata={"plan": "enterprise"})
    shop.hear(app)
    assert limit(app)[:2] == (-1, "plan enterprise")


def test_a_price_that_names_another_plan_and_a_product_that_comes_last_count_at_once(shop: Shop, bench: Bench):
    app = shop.app()
    product = bench.sandbox.post("/v1/products", name="Starter", metadata={"plan": "starter"})["id"]
    plain = bench.sandbox.post(
        "/v1/prices", product=product, currency="usd", unit_amount=900, recurring={"interval": "month"}
    )["id"]
    shop.subscribe(shop.customer(app, USER), plain)
    events = shop.events()
    shop.hear(app, [one for one in events if one["data"]["object"]["object"] != "product"])
    assert limit(app)[1] == "plan free"
    shop.hear(app, events)
    assert limit(app)[1] == "plan starter"
    bench.sandbox.post(f"/v1/prices/{plain}", metadata={"plan": "pro"})
    shop.hear(app)
    assert limit(app)[1] == "plan pro"


def test_a_newer_subscription_that_names_no_plan_takes_none_away(shop: Shop):
    app = shop.app()
    customer = shop.customer(app, USER)
    shop.subscribe(customer, shop.price(metadata={"plan": "pro"}))
    shop.pass_days(1)
    shop.subscribe(customer, shop.price(500))
    shop.hear(app)
    assert limit(app)[1] == "plan pro"


def test_canceling_takes_the_plan_away_over_http_at_once(shop: Shop, bench: Bench):
    app = shop.app(BILLING_DEFAULT_PLAN="none")
    with served(app) as address:
        customer = shop.customer(app, USER)
        ask = asker(app, address)
        status, body = ask()
        assert (status, body["note"]) == (429, f"blocked: {limits.UNSUBSCRIBED}")
        subscription = shop.subscribe(customer, shop.price(metadata={"plan": "pro"}))
        shop.hear(app)
        assert ask()[0] == 200
        assert access.show(app, ShowAccess(user=USER)).access
        bench.sandbox.client.v1.subscriptions.cancel(subscription)
        shop.hear(app)
        assert ask()[0] == 429
        shown = access.show(app, ShowAccess(user=USER))
        assert (shown.access, shown.reason, shown.plan) == (False, limits.UNSUBSCRIBED, "none")


def test_a_revocation_holds_at_once_and_until_it_is_taken_back(shop: Shop):
    app = shop.app()
    with served(app) as address:
        subscription = shop.subscribe(shop.customer(app, USER), shop.price(metadata={"plan": "pro"}))
        shop.hear(app)
        ask = asker(app, address)
        assert ask()[0] == 200
        shown = access.revoke(app, RevokeAccess(user=USER, reason="chargeback"))
        assert not shown.access
        assert "chargeback" in shown.reason
        assert subscription in shown.note
        assert ask()[0] == 429
        assert "chargeback" in ask()[1]["note"]
        assert not block.unblock(app, UnblockUser(user=USER)).allowed
        shown = access.grant(app, GrantAccess(user=USER, reason="paid"))
        assert shown.access
        assert [one.access for one in shown.changes] == ["granted", "revoked"]
        assert ask()[0] == 200


def test_a_revocation_for_a_time_ends_by_itself(shop: Shop):
    now = [datetime(2026, 2, 10, tzinfo=UTC)]
    app = shop.app(lambda: now[0])
    shop.customer(app, USER)
    access.revoke(app, RevokeAccess(user=USER, lasting="2h"))
    assert not limit(app)[2]
    now[0] += timedelta(hours=2)
    assert limit(app)[2]
    assert access.show(app, ShowAccess(user=USER)).access


def test_two_operators_at_once_leave_the_word_of_the_last(shop: Shop, bench: Bench):
    app = shop.app()
    shop.customer(app, USER)
    with ThreadPoolExecutor(8) as pool:
        deeds = [access.revoke, access.grant] * 8
        given = [RevokeAccess(user=USER), GrantAccess(user=USER)] * 8
        list(pool.map(lambda deed, one: deed(app, one), deeds, given))  # type: ignore[arg-type]
    shown = access.show(app, ShowAccess(user=USER))
    assert len(shown.changes) == 16
    assert shown.access == limit(app)[2] == (shown.changes[0].access == "granted")


def test_a_customer_that_is_given_to_another_user_takes_the_plan_along(shop: Shop):
    app = shop.app()
    customer = shop.customer(app, USER)
    shop.customer(app, "user2")
    shop.subscribe(customer, shop.price(metadata={"plan": "pro"}))
    shop.hear(app)
    assert limit(app)[1] == "plan pro"
    assert limit(app, "user2")[1] == "plan free"
    link.link(app, LinkCustomer(customer=customer, user="user3", force=True, reason="wrong user"))
    assert limit(app)[1] == "plan free"
    assert limit(app, "user3")[1] == "plan pro"


def test_a_month_is_billed_by_the_plan_of_the_month_also_when_it_ended_since(shop: Shop, bench: Bench):
    app = shop.app(lambda: datetime.now(UTC))
    subscription = shop.subscribe(shop.customer(app, USER), shop.price(metadata={"plan": "pro"}))
    shop.hear(app)
    limits.set_quota(app, SetQuota(plan="pro", metric="api_calls", limit=100, mode="overage"))
    month = f"{datetime.now(UTC):%Y-%m}"
    bench.use(app, USER, 120, at=f"{month}-01T00:00:00Z")
    bench.sandbox.client.v1.subscriptions.cancel(subscription)
    shop.hear(app)
    assert limit(app)[1] == "plan free"
    later = shop.app(lambda: datetime.now(UTC) + timedelta(days=31))
    done = generate(later, GenerateInvoices(period=month, user=USER))
    assert (done.paid, done.errors) == (1, [])


def test_nobody_knows_an_unknown_user(shop: Shop):
    for deed in (
        lambda app: access.revoke(app, RevokeAccess(user="nobody")),
        lambda app: access.show(app, ShowAccess(user="nobody")),
    ):
        with pytest.raises(NoSuchUser):
            deed(shop.app())
