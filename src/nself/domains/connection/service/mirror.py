"""Fetching an object and storing it, each snapshot with the number that was drawn before its fetch.

Two fetches may overtake each other, and Stripe's times have whole seconds; the numbers say which fetch began
later. One that arrives out of order may still be the newer picture, so it is neither applied nor dropped:
the object is fetched again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, cast

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


class Overtaken(Exception):
    """The mirror holds a picture with a higher number: nothing was written."""


class Picture(NamedTuple):
    snapshot: Snapshot
    number: int


def mirrored(app: App, kind: str) -> bool:
    """Whether objects of `kind` have a local table."""
    return any(row.kind == kind for row in _rows(app))


def _rows(app: App) -> tuple[entrypoint.Mirror, ...]:
    return cast("tuple[entrypoint.Mirror, ...]", app.registry.rows(entrypoint.Mirror))


def refresh(app: App, kind: str, object_id: str, also: Callable[[Tx], None] = lambda _: None) -> None:
    """Fetch the object and store it; `also` runs in the same transaction. Raises the gateway's errors."""
    apply = cast(Apply, app.registry.resolve(_row(app, kind).apply))

    def work(tx: Tx, picture: Picture) -> None:
        if not apply(tx, *picture):
            raise Overtaken
        also(tx)

    in_order(app, fetch(app, kind, object_id), work)


def in_order(app: App, picture: Picture, work: Callable[[Tx, Picture], None]) -> None:
    """Run `work` in a transaction, again with a later picture of the object as long as it raises Overtaken."""
    for _ in range(MAX_FETCHES):
        try:
            return app.db.transact(lambda tx, picture=picture: work(tx, picture))
        except Overtaken:
            log.debug("snapshot_out_of_order", object=picture.snapshot["id"], number=picture.number)
        picture = fetch(app, picture.snapshot["object"], picture.snapshot["id"])
    raise AssertionError(f"{picture.snapshot['id']}: {MAX_FETCHES} fetches in a row were overtaken")


def fetch(app: App, kind: str, object_id: str) -> Picture:
    """The object as Stripe has it now; one that is gone is `deleted`. Raises the gateway's errors."""
    with app.db.reading() as tx:
        number = store.draw_snapshot_number(tx)
    ask = cast(Fetch, app.registry.resolve(_row(app, kind).fetch))
    try:
        snapshot = ask(app.stripe, object_id)
    except NoSuchObject:
        snapshot: Snapshot = {"id": object_id, "object": kind, "deleted": True}
    return Picture({"livemode": app.stripe.live, **snapshot}, number)


def _row(app: App, kind: str) -> entrypoint.Mirror:
    return next(row for row in _rows(app) if row.kind == kind)
