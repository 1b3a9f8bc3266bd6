"""A subscription that ended at Stripe and goes on here: its event is in the way, the row is wrong, or what it granted is."""

from __future__ import annotations

from nself.app import App
from nself.diagnosis import Look
from nself.domains.quota.inputs import ClearCache, SetQuota, ShowQuota
from nself.domains.quota.service import ask, cache, limits
from nself.domains.quota.service.causes import ending
from nself.domains.subscription.inputs import ShowSubscription
from nself.domains.sync.service.one import shown_subscription
from nself.domains.webhook.service.causes.cancellation import CAUSES
from subscribing import Shop


def found(app: App) -> list[str]:
    look = Look(app)
    return [one.id for one in (*CAUSES, *ending.CAUSES) if one.detect(look)]


def granted(app: App) -> int:
    return next(one.limit for one in ask.show(app, ShowQuota(user="user")) if one.metric == "api_calls")


def test_a_processed_cancellation_is_healthy_and_a_row_that_forgot_it_is_not(shop: Shop) -> None:
    app = shop.app()
    id = shop.subscribe(shop.customer(app, "user"))
    shop.hear(app)
    app.stripe.remove("subscriptions", id, params={}, key="hand")
    shop.hear(app)
    assert found(app) == []
    shop.bench.sql(
        "update billing_objects set snapshot = snapshot || %s::jsonb where object_id = %s", '{"status": "active"}', id
    )
    assert found(app) == ["3.5.4"]


def test_a_cancellation_whose_event_fails_is_told_until_it_is_processed(shop: Shop) -> None:
    app = shop.app()
    id = shop.subscribe(shop.customer(app, "user"))
    shop.hear(app)
    app.stripe.remove("subscriptions", id, params={}, key="hand")
    shop.sandbox.admin("faults", on="request", status=500, method="GET", path=f"/v1/subscriptions/{id}", times=100)
    shop.hear(app)
    assert found(app) == ["3.5.2"]
    shop.sandbox.admin("faults/clear")
    shop.bench.sql("update billing_webhook_objects set next_at = now() where object_id = %s", id)
    shop.hear(app)
    assert found(app) == []


def test_a_counter_that_outlives_its_plan_is_told_until_it_is_cleared(shop: Shop) -> None:
    app = shop.app()
    for plan, most in (("free", 10), ("pro", 1000)):
        limits.set_quota(app, SetQuota(plan=plan, metric="api_calls", limit=most, period="month"))
    id = shop.subscribe(shop.customer(app, "user"), shop.price(metadata={"plan": "pro"}))
    shop.hear(app)
    assert granted(app) == 1000
    app.stripe.remove("subscriptions", id, params={}, key="hand")
    shop.hear(app)
    assert found(app) == []
    shop.bench.sql("update billing_quota_counters set stale = false")
    assert (granted(app), found(app)) == (1000, ["3.5.3"])
    assert (
        "user still has its plan for api_calls"
        in shown_subscription(app, ShowSubscription(subscription=id)).cancel_note
    )
    assert cache.clear(app, ClearCache(pattern="billing:subscription:sub_other")).counters == 0
    assert cache.clear(app, ClearCache(pattern=f"billing:subscription:{id[:8]}*")).counters
    assert (granted(app), found(app)) == (10, [])
    assert shown_subscription(app, ShowSubscription(subscription=id)).cancel_note == ""


def test_a_plan_that_another_subscription_grants_is_healthy(shop: Shop) -> None:
    app, price = shop.app(), shop.price(metadata={"plan": "pro"})
    limits.set_quota(app, SetQuota(plan="pro", metric="api_calls", limit=1000, period="month"))
    customer = shop.customer(app, "user")
    over = shop.subscribe(customer, price)
    shop.subscribe(customer, price)
    app.stripe.remove("subscriptions", over, params={}, key="hand")
    shop.hear(app)
    assert granted(app) == 1000
    assert found(app) == []
