"""The cache in PostgreSQL, how it is cleared, and where it is seen."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from nself.app import App
from nself.domains.connection.inputs import ShowConfig
from nself.domains.connection.service import cache
from nself.domains.connection.service.check import show_config
from nself.domains.quota.inputs import ClearCache
from nself.domains.quota.service import cache as clearing
from nself.gateway.cache import PREFIX, Cache


def filled(app: App) -> Cache:
    made = Cache(cache.Table(app), "sk_test_one", 60)
    made.keep("price", [{"id": "price_1"}, {"id": "price_2"}], whole=True)
    made.keep("product", [{"id": "prod_1"}])
    return made


def test_entries_live_in_the_database_until_their_time(app: App, clock: Any) -> None:
    made = filled(app)
    assert made.look("price", "price_1") == {"id": "price_1"} and made.filled("price")
    assert not made.own.entries
    made.keep("price", [{"id": "price_1", "active": False}])
    assert Cache(cache.Table(app), "sk_test_one", 60).look("price", "price_1") == {"id": "price_1", "active": False}
    made.drop("price", "price_1")
    assert made.look("price", "price_1") is None
    clock.now += timedelta(seconds=60)
    assert made.look("price", "price_2") is None


def test_it_is_cleared_by_pattern_and_by_age(app: App, clock: Any) -> None:
    made = filled(app)
    done = clearing.clear(app, ClearCache(pattern=f"{PREFIX}*:price:*"))
    assert (done.objects, done.counters) == (3, 0)
    assert made.look("product", "prod_1")
    assert clearing.clear(app, ClearCache(pattern="billing:quota:*")).objects == 0
    assert clearing.clear(app, ClearCache(pattern="billing:*", ttl_expired=True)).note == "nothing has expired"
    clock.now += timedelta(seconds=60)
    assert clearing.clear(app, ClearCache(pattern="billing:*", ttl_expired=True)).objects == 1
    assert clearing.clear(app, ClearCache(pattern="billing:*")).objects == 0
    assert cache.prune(app) == "0 entries"


def test_its_place_is_shown(app: App) -> None:
    assert show_config(app, ShowConfig()).cache == "off"
    app.environ = {**app.environ, "STRIPE_ENABLE_CACHE": "true", "STRIPE_CACHE_TTL": "2m"}
    del app.settings
    assert show_config(app, ShowConfig()).cache == "PostgreSQL, 120 s"
    app.environ = {**app.environ, "REDIS_URL": "redis://:hidden@127.0.0.1:1/0"}
    del app.settings
    shown = show_config(app, ShowConfig())
    assert shown.cache == "Redis, 120 s" and shown.batch_requests
