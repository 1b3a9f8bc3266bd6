"""Stripe in our words: the calls that the product makes, plain snapshots in and out.

A `Snapshot` is a whole Stripe object as JSON types: amounts are integers in minor units, instants are Unix
seconds, numbers with a fraction are strings. Every call may raise the errors of `nself.gateway.errors`;
`outcome_unknown` on one tells whether the change may have happened all the same.

A change takes an idempotency key (1 to 255 visible characters): the same key and parameters again give the
first answer again. Lists page lazily through everything, a hundred at a time, and raise TooManyObjects
after MAX_OBJECTS rather than leave some out; take fewer with `itertools.islice`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Protocol

from nself.core.clock import wall_seconds
from nself.gateway.budget import Counters

Snapshot = dict[str, Any]
Params = Mapping[str, Any]
STRIPE_VERSION = "2026-05-27.dahlia"
MAX_OBJECTS = 100_000
PAGE = 100


class Page(NamedTuple):
    """Part of a list, newest first. `more`: Stripe has others after the last of `objects`."""

    objects: list[Snapshot]
    more: bool


class Seen(NamedTuple):
    """What the head of Stripe's last answer said; `at` is our own clock (Unix seconds) when it came."""

    at: float = 0.0
    date: str | None = None
    version: str | None = None
    request_id: str | None = None

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> Seen:
        """`headers` in lower case."""
        return cls(wall_seconds(), headers.get("date"), headers.get("stripe-version"), headers.get("request-id"))


class Stripe(Protocol):
    """Thread-safe. No call is made while a database transaction is open."""

    @property
    def live(self) -> bool:
        """Whether the calls concern real money."""
        ...

    def counters(self) -> Counters: ...
    def answered(self) -> Seen: ...
    def close(self) -> None: ...

    def account(self) -> Snapshot: ...
    def retrieve(self, collection: str, id: str, *expand: str) -> Snapshot:
        """Any object, as Stripe shows it: `webhook_endpoints`, `checkout/sessions`, as in Stripe's paths."""
        ...

    def fetch(self, kind: str, id: str) -> Snapshot:
        """An object of one of `nself.gateway.kinds`, with all of its nested list."""
        ...

    def look_up(self, kind: str, id: str) -> Snapshot:
        """The same, perhaps from the cache (STRIPE_ENABLE_CACHE): for kinds that change rarely, where a minute does not matter."""
        ...

    def page(
        self, kind: str, *, after: str | None = None, since: int | None = None, until: int | None = None,
        customer: str | None = None, limit: int = PAGE,
    ) -> Page:  # fmt: skip
        """One call: at most `limit` objects of one of `nself.gateway.kinds`, each with all of its nested list.

        Those after object `after` in Stripe's order; created from `since` (Unix seconds) and before `until`.
        """
        ...

    def change(self, *path: str, params: Params, key: str) -> Snapshot:
        """POST below /v1: `change("subscriptions", id, "resume", params={}, key=key)`. Nested lists are cut after ten."""
        ...

    def remove(self, *path: str, params: Params, key: str) -> Snapshot:
        """DELETE below /v1. Stripe keeps no key of a deletion: NoSuchObject in a later repetition means done."""
        ...

    def listed(self, *path: str, **filters: Any) -> Iterator[Snapshot]:
        """All of a list below /v1, newest first: `listed("customers", id, "tax_ids")`. Events go back 30 days."""
        ...

    def preview(self, params: Params) -> Snapshot:
        """The invoice that would come, with all its lines; changes nothing."""
        ...

    def client_secret(self, collection: str, id: str) -> str | None:
        """Of a payment or setup intent. Every other answer leaves it out, so that it is never stored."""
        ...
