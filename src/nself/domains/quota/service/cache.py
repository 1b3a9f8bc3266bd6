"""`nself cache clear`: what is kept to answer faster can be forgotten; what keeps money right cannot."""

from __future__ import annotations

from fnmatch import fnmatchcase

from nself import log
from nself.app import App
from nself.db.connect import Tx
from nself.domains.connection.service import cache as stripe_cache
from nself.domains.quota import store
from nself.domains.quota.errors import NothingToClear, ProtectedCache
from nself.domains.quota.inputs import ClearCache
from nself.domains.quota.model import ClearedCache
from nself.domains.usage.service import aggregate

QUOTA, SUBSCRIPTION, IDEMPOTENCY = "billing:quota:", "billing:subscription:", "billing:idempotency:"
BATCH = 1_000


def clear(app: App, given: ClearCache) -> ClearedCache:
    """Raises NothingToClear, ProtectedCache."""
    if given.ttl_expired:
        return _expired(app)
    if given.pattern is None or not given.pattern.startswith("billing:"):
        raise NothingToClear(pattern=given.pattern or "")
    if given.pattern.startswith(IDEMPOTENCY):
        if app.settings.live:
            raise ProtectedCache(pattern=given.pattern)
        note = "keys for idempotency are rows of PostgreSQL, not a cache: nothing was cleared"
        return ClearedCache(pattern=given.pattern, counters=0, note=note)
    count, objects = _clear(app, given.pattern), 0
    if stripe_cache.reaches(given.pattern):
        objects = stripe_cache.clear(app, given.pattern)
    note = "counters are counted anew from what is recorded when they are next asked for"
    if not count:
        note = "nothing else that matches is kept" if objects else "nothing that matches is kept"
    log.info("cache_cleared", pattern=given.pattern, counters=count, objects=objects)
    return ClearedCache(pattern=given.pattern, counters=count, objects=objects, note=note)


def _clear(app: App, pattern: str) -> int:
    """Counters are named billing:quota:USER, and billing:subscription:ID after what their user is or was subscribed to.

    A pattern that ends in * takes all that begin so.
    """
    users = _subscribers(app, pattern) if pattern.startswith(SUBSCRIPTION) else _users(app, pattern)
    return sum(_forget(app, users[start : start + BATCH]) for start in range(0, len(users), BATCH))


def _users(app: App, pattern: str) -> list[str]:
    if pattern.startswith(QUOTA) and not _many(pattern):
        return [pattern.removeprefix(QUOTA)]
    with app.db.reading() as tx:
        return [one for one in store.counted_users(tx) if fnmatchcase(f"{QUOTA}{one}", pattern)]


def _subscribers(app: App, pattern: str) -> list[str]:
    with app.db.reading() as tx:
        found = store.subscribers(tx, None if _many(pattern) else pattern.removeprefix(SUBSCRIPTION))
    return sorted({one.user for one in found if fnmatchcase(f"{SUBSCRIPTION}{one.subscription}", pattern)})


def _many(pattern: str) -> bool:
    return "*" in pattern or "?" in pattern


def _forget(app: App, users: list[str]) -> int:
    def work(tx: Tx) -> int:
        aggregate.lock_users(tx, users)
        return forget(tx, users)

    return app.db.transact(work)


def forget(tx: Tx, users: list[str]) -> int:
    """Step: counters of `users`, whose locks the caller holds, are counted anew; their number."""
    return store.stale_counters(tx, users, "*")


def _expired(app: App) -> ClearedCache:
    """Counters whose window is over."""
    now = app.clock()

    def work(tx: Tx) -> int:
        ended = store.ended_counters(tx, now, BATCH)
        aggregate.lock_users(tx, sorted({one.user for one in ended}))
        store.stale_ended(tx, ended)
        return len(ended)

    count, objects = app.db.transact(work), stripe_cache.expired(app)
    note = "counters of windows that are over, objects older than STRIPE_CACHE_TTL"
    if not (count or objects):
        note = "nothing has expired"
    return ClearedCache(pattern="--ttl-expired", counters=count, objects=objects, note=note)
