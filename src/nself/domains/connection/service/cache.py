"""Where cached objects of Stripe are kept (docs/decisions/0037), and how they are forgotten."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from fnmatch import fnmatchcase

from nself.app import App
from nself.db.connect import Tx
from nself.domains.connection import store
from nself.gateway.cache import PREFIX, Redis


class Table:
    """An unlogged table of PostgreSQL."""

    name = "PostgreSQL"

    def __init__(self, app: App) -> None:
        self.app = app

    def get(self, key: str) -> bytes | None:
        with self.app.db.reading() as tx:
            found = store.cached(tx, key, self.app.clock())
        return None if found is None else found.encode()

    def put(self, entries: Mapping[str, bytes], seconds: float) -> None:
        until = self.app.clock() + timedelta(seconds=seconds)
        with self.app.db.reading() as tx:
            store.cache(tx, {key: value.decode() for key, value in entries.items()}, until)

    def drop(self, key: str) -> None:
        with self.app.db.reading() as tx:
            store.uncache(tx, key)


def described(app: App) -> str:
    """For people: where it is and how long."""
    if not app.settings.flag("STRIPE_ENABLE_CACHE"):
        return "off"
    place = Redis.name if app.settings.text("REDIS_URL") else Table.name
    return f"{place}, {app.settings.seconds('STRIPE_CACHE_TTL'):g} s"


def clear(app: App, pattern: str) -> int:
    """Forget entries whose key matches (*, ?); their number."""
    count = 0
    if url := app.settings.text("REDIS_URL"):
        count = Redis(url).clear(pattern)

    def work(tx: Tx) -> int:
        return store.uncache_all(tx, [key for key in store.cache_keys(tx) if fnmatchcase(key, pattern)])

    return count + app.db.transact(work)


def prune(app: App) -> str:
    """Forget what is out of date."""
    return f"{expired(app)} entries"


def expired(app: App) -> int:
    """The same; their number. Redis does so by itself."""
    now = app.clock()
    return app.db.transact(lambda tx: store.uncache_expired(tx, now))


def reaches(pattern: str) -> bool:
    """Whether keys of the cache may match."""
    return fnmatchcase(PREFIX, pattern) or pattern.startswith(PREFIX)
