"""Fetching an object and storing it, each snapshot with the number that was drawn before its fetch.

Two fetches may overtake each other, and Stripe's times have whole seconds; the numbers say which fetch began
later. One that arrives out of order may still be the newer picture, so it is neither applied nor dropped:
the object is fetched again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from nself import log
from nself.app import App
from nself.core import entrypoint
from nself.db.connect import Tx
from nself.domains.connection import store
from nself.domains.connection.model import Snapshot
from nself.gateway.api import Stripe
from nself.gateway.errors import NoSuchObject

MAX_FETCHES = 20

Fetch = Callable[[Stripe, str], Snapshot]
Apply = Callable[[Tx, Snapshot, int], bool]
"""Stores a snapshot with its number; false where the stored one has a higher number."""


def mirrored(app: App, kind: str) -> bool:
    """Whether objects of `kind` have a local table."""
    return any(row.kind == kind for row in _rows(app))


def _rows(app: App) -> tuple[entrypoint.Mirror, ...]:
    return cast("tuple[entrypoint.Mirror, ...]", app.registry.rows(entrypoint.Mirror))


def refresh(app: App, kind: str, object_id: str, also: Callable[[Tx], None] | None = None) -> None:
    """Fetch the object and store it; `also` runs in the same transaction. Raises the gateway's errors."""
    row = next(row for row in _rows(app) if row.kind == kind)
    fetch, apply = cast(Fetch, app.registry.resolve(row.fetch)), cast(Apply, app.registry.resolve(row.apply))
    for _ in range(MAX_FETCHES):
        with app.db.reading() as tx:
            number = store.draw_snapshot_number(tx)
        snapshot = _fetch(app, fetch, kind, object_id)

        def work(tx: Tx, snapshot: Snapshot = snapshot, number: int = number) -> bool:
            applied = apply(tx, snapshot, number)
            if applied and also:
                also(tx)
            return applied

        if app.db.transact(work):
            return
        log.debug("snapshot_out_of_order", object=object_id, number=number)
    raise AssertionError(f"{object_id}: {MAX_FETCHES} fetches in a row were overtaken")


def _fetch(app: App, fetch: Fetch, kind: str, object_id: str) -> Snapshot:
    try:
        return fetch(app.stripe, object_id)
    except NoSuchObject:
        return {"id": object_id, "object": kind, "deleted": True}
