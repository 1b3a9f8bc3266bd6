"""Keeps objects that change rarely, so that looking them up costs no call: prices, products, tax rates; nothing of customers.

What is kept is shared by all processes: one that changes an object drops it for all. While the shared place is away each
process keeps its own. A cache that fails is no failure.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, cast

from nself import log
from nself.core.clock import monotonic
from nself.core.errors import Unavailable
from nself.core.settings import Settings

CACHED = frozenset({"price", "product", "tax_rate"})
"""Kinds; amounts of prices and percentages of tax rates never change at Stripe."""
PREFIX = "billing:stripe:"
MOST = 10_000
"""Entries that a process keeps by itself."""
REDIS_SECONDS = 1.0
FILLED = "*"
"""Id of the mark that all of a kind was read a moment ago."""


class RedisMissing(Unavailable):
    code = "redis_extra_missing"
    text = "REDIS_URL is set, but redis is not installed: pip install 'nself-billing[redis]'"
    hints = ("nself env unset REDIS_URL",)


class Store(Protocol):
    """Where entries are. Any method may raise when it is away."""

    name: str

    def get(self, key: str) -> bytes | None: ...
    def put(self, entries: Mapping[str, bytes], seconds: float) -> None: ...
    def drop(self, key: str) -> None: ...


class Own:
    """In this process."""

    name = "this process"

    def __init__(self) -> None:
        self.entries: dict[str, tuple[float, bytes]] = {}

    def get(self, key: str) -> bytes | None:
        until, value = self.entries.get(key, (0.0, None))
        return value if monotonic() < until else None

    def put(self, entries: Mapping[str, bytes], seconds: float) -> None:
        if len(self.entries) > MOST:
            self.entries.clear()
        until = monotonic() + seconds
        self.entries.update({key: (until, value) for key, value in entries.items()})

    def drop(self, key: str) -> None:
        self.entries.pop(key, None)


class Redis:
    """At REDIS_URL. Redis forgets what is out of date by itself."""

    name = "Redis"

    def __init__(self, url: str) -> None:
        """Connects when it is first used. Raises RedisMissing."""
        try:
            import redis
        except ImportError as error:
            raise RedisMissing from error
        connect = cast("Callable[..., Any]", redis.Redis.from_url)  # pyright: ignore[reportUnknownMemberType]
        self.client = connect(url, socket_timeout=REDIS_SECONDS, socket_connect_timeout=REDIS_SECONDS)

    def get(self, key: str) -> bytes | None:
        return cast("bytes | None", self.client.get(key))

    def put(self, entries: Mapping[str, bytes], seconds: float) -> None:
        for key, value in entries.items():
            self.client.set(key, value, px=max(1, round(seconds * 1000)))

    def drop(self, key: str) -> None:
        self.client.delete(key)

    def clear(self, pattern: str) -> int:
        """Entries of ours whose key matches (* and ?); their number."""
        count = 0
        for key in self.client.scan_iter(match=pattern, count=500):
            if key.startswith(PREFIX.encode()):
                count += int(self.client.delete(key))
        return count


def _read(kept: bytes | None) -> dict[str, Any] | None:
    """Raises ValueError."""
    return cast("dict[str, Any]", json.loads(kept)) if kept else None


class Cache:
    """Of one key's view of Stripe. Thread-safe."""

    def __init__(self, shared: Store, key: str, seconds: float) -> None:
        self.shared, self.seconds, self.own = shared, seconds, Own()
        self.prefix = f"{PREFIX}{hashlib.sha256(key.encode()).hexdigest()[:12]}:"

    def look(self, kind: str, id: str) -> dict[str, Any] | None:
        key = self._key(kind, id)
        try:
            return _read(self.shared.get(key))
        except Exception as error:  # whatever a store fails with, or another program put there: Stripe is asked then
            self._away(error)
            return _read(self.own.get(key))

    def keep(self, kind: str, objects: Iterable[Mapping[str, Any]], *, whole: bool = False) -> None:
        """`whole`: these are a list of the kind."""
        entries = {self._key(kind, str(one["id"])): json.dumps(one).encode() for one in objects}
        if whole:
            entries[self._key(kind, FILLED)] = b"{}"
        try:
            self.shared.put(entries, self.seconds)
        except Exception as error:  # what was done at Stripe stands, whatever keeps it from being kept here
            self._away(error)
            self.own.put(entries, self.seconds)

    def filled(self, kind: str) -> bool:
        """Whether a list of the kind was kept a moment ago."""
        return self.look(kind, FILLED) is not None

    def drop(self, kind: str, id: str) -> None:
        key = self._key(kind, id)
        self.own.drop(key)
        try:
            self.shared.drop(key)
        except Exception as error:  # as above; what others keep is out of date after STRIPE_CACHE_TTL
            self._away(error)

    def _key(self, kind: str, id: str) -> str:
        return f"{self.prefix}{kind}:{id}"

    def _away(self, error: Exception) -> None:
        log.debug("cache_away", place=self.shared.name, error=str(error))


def cache(settings: Settings, key: str, table: Store | None) -> Cache | None:
    """None where STRIPE_ENABLE_CACHE is off. `table`: where entries are without REDIS_URL. Raises RedisMissing."""
    if not settings.flag("STRIPE_ENABLE_CACHE"):
        return None
    url = settings.text("REDIS_URL")
    shared = Redis(url) if url else table or Own()
    return Cache(shared, key, settings.seconds("STRIPE_CACHE_TTL"))
