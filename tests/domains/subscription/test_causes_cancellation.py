"""A subscription that ended at Stripe and goes on here: its event is in the way, or the row is wrong."""

from __future__ import annotations

from nself.app import App
from nself.diagnosis import Look
from nself.domains.webhook.service.causes.cancellation import CAUSES
from subscribing import Shop


def found(app: App) -> list[str]:
    look = Look(app)
    return [one.id for one in CAUSES if one.detect(look)]


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
