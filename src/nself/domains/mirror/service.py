"""Fetching an object and storing it, each picture with the number that was drawn before its fetch.

Two fetches may overtake each other, and Stripe's times have whole seconds; the numbers say which fetch began
later. One that arrives out of order may still be the newer picture, so it is neither applied nor dropped:
the object is fetched again. What a picture changed is recorded with it, and higher domains react to the change
in the same transaction, so that an effect follows from what changed and not from how often we were told.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import TypeVar, cast

from nself import log
from nself.app import App
from nself.core import entrypoint
from nself.db.connect import Tx, refused
from nself.domains.mirror import rules, store
from nself.domains.mirror.model import (
    Change,
    ListedChange,
    Picture,
    Seen,
    Snapshot,
    Stored,
    StoredInOtherMode,
    Unstorable,
)
from nself.gateway.api import STRIPE_VERSION
from nself.gateway.errors import NoAnswer, NoSuchObject, StripeDown
from nself.gateway.kinds import KINDS

MAX_FETCHES = 20

Apply = Callable[[Tx, Sequence[Picture]], bool]
"""Stores pictures of a kind; false where one that is stored has a higher number."""
T = TypeVar("T")
React = Callable[[App, Tx, Sequence[Change]], None]


class Overtaken(Exception):
    """The mirror holds a picture with a higher number: nothing was written."""


def mirrored(app: App, kind: str) -> bool:
    """Whether objects of `kind` have a local table."""
    return any(row.kind == kind for row in _rows(app))


def _rows(app: App) -> tuple[entrypoint.Mirror, ...]:
    return app.registry.rows(entrypoint.Mirror)


def refresh(
    app: App, kind: str, object_id: str, source: str, also: Callable[[Tx], None] = lambda _: None, cause: str | None = None
) -> Change | None:  # fmt: skip
    """Fetch the object and store it; `also` runs in the same transaction. What changed. Raises the gateway's errors."""
    found: list[Change | None] = [None]

    def work(tx: Tx, picture: Picture) -> None:
        found[0] = accept(app, tx, picture)
        also(tx)

    in_order(app, fetch(app, kind, object_id, source, cause), work)
    return found[0]


def in_order(app: App, picture: Picture, work: Callable[[Tx, Picture], T]) -> T:
    """What `work` gives in a transaction, again with a later picture of the object as long as it raises Overtaken."""
    for _ in range(MAX_FETCHES):
        try:
            return app.db.transact(lambda tx, picture=picture: work(tx, picture))
        except Overtaken:
            log.debug("snapshot_out_of_order", object=picture.snapshot["id"], number=picture.number)
        picture = fetch(app, picture.snapshot["object"], picture.snapshot["id"], picture.source, picture.cause)
    raise AssertionError(f"{picture.snapshot['id']}: {MAX_FETCHES} fetches in a row were overtaken")


def draw(app: App) -> int:
    """The number of pictures that are asked for from now on."""
    with app.db.reading() as tx:
        return numbers(tx, 1)[0]


def numbers(tx: Tx, count: int) -> list[int]:
    """Step: one for each of `count` fetches that begin after it."""
    return store.draw_snapshot_numbers(tx, count)


def fetch(
    app: App, kind: str, object_id: str, source: str, cause: str | None = None, number: int | None = None
) -> Picture:  # fmt: skip
    """The object as Stripe has it now; one that is gone is `deleted`. `number` was drawn before. Raises the gateway's errors."""
    number = draw(app) if number is None else number
    try:
        snapshot = app.stripe.fetch(kind, object_id)
    except NoSuchObject:
        snapshot: Snapshot = {"id": object_id, "object": kind, "deleted": True}
    return Picture({"livemode": app.stripe.live, **snapshot}, number, source, STRIPE_VERSION, cause)


def look(app: App, kind: str, id: str) -> Seen:
    """An object that is only shown: as Stripe has it now or, while Stripe is away, as the mirror has it.

    The latter where BILLING_GRACEFUL_DEGRADATION is true. Raises NoSuchObject, the gateway's errors.
    """
    try:
        return Seen(app.stripe.fetch(kind, id))
    except (NoAnswer, StripeDown):
        found = latest(app, kind, id) if app.settings.flag("BILLING_GRACEFUL_DEGRADATION") else None
        if found is None:
            raise
        log.warning("answered_from_mirror", object=id, synced_at=found.synced_at.isoformat())
        return Seen(found.snapshot, found.synced_at)


def latest(app: App, kind: str, id: str) -> Stored | None:
    """The object as the mirror has it, where it is not deleted."""
    with app.db.reading() as tx:
        found = store.stored(tx, kind, [id]).get(id)
    return found if found and not found.deleted else None


def accept(app: App, tx: Tx, picture: Picture) -> Change | None:
    """Step: store a picture, record what it changed and have it reacted to. Raises Overtaken, StoredInOtherMode."""
    return witness(app, tx, picture, lambda: _apply(app, tx, [picture]))


def accept_all(app: App, tx: Tx, pictures: Sequence[Picture]) -> list[Change]:
    """Step: `accept` of many objects, those first that others name. Raises Overtaken where one of them is."""
    by_kind = {kind: [one for one in pictures if one.snapshot["object"] == kind] for kind in KINDS}
    # Reactions lock customers: here already, so that all locks are taken in one order.
    named = {("customer", customer) for one in pictures if (customer := _customer(one))}
    store.lock_objects(tx, named | {(kind, one.snapshot["id"]) for kind, found in by_kind.items() for one in found})
    changes = list[Change]()
    for kind, found in by_kind.items():
        if found:
            before = store.stored(tx, kind, [one.snapshot["id"] for one in found])
            changes += _record(app, tx, before, found, _apply(app, tx, found))
    return changes


def _apply(app: App, tx: Tx, pictures: Sequence[Picture]) -> bool:
    """Of one kind."""
    return cast(Apply, app.registry.resolve(_row(app, pictures[0].snapshot["object"]).apply))(tx, pictures)


def witness(app: App, tx: Tx, picture: Picture, act: Callable[[], bool]) -> Change | None:
    """Step: `act` stores the picture of a mirrored kind; record what that changed. Raises Overtaken where it is false, Unstorable, StoredInOtherMode."""
    kind, id = cast("str", picture.snapshot["object"]), cast("str", picture.snapshot["id"])
    store.lock_objects(tx, [(kind, id)])
    before = store.stored(tx, kind, [id])
    try:
        return next(iter(_record(app, tx, before, [picture], act())), None)
    except Exception as error:
        if detail := refused(error):
            raise Unstorable(kind=kind, id=id, detail=detail) from error
        raise


def _record(app: App, tx: Tx, before: dict[str, Stored], pictures: Sequence[Picture], applied: bool) -> list[Change]:
    """Of one kind."""
    for one in pictures:
        _require_mode(before.get(one.snapshot["id"]), one)
    if not applied:
        raise Overtaken
    found = [change for one in pictures if (change := compare(before.get(one.snapshot["id"]), one))]
    if found:
        store.record_changes(tx, found, app.clock())
        for row in app.registry.rows(entrypoint.Reaction):
            if row.kind == found[0].kind:
                cast(React, app.registry.resolve(row.use))(app, tx, found)
    return found


def _require_mode(before: Stored | None, picture: Picture) -> None:
    """Raises StoredInOtherMode."""
    if before is not None and before.livemode != picture.snapshot["livemode"]:
        other, mode = ("live", "test") if before.livemode else ("test", "live")
        raise StoredInOtherMode(kind=before.kind, id=before.id, other=other, mode=mode)


def compare(before: Stored | None, picture: Picture) -> Change | None:
    """What a picture changes, or None. After a deletion only what was asked for later: then it was none, and the object is new."""
    after, gone = picture.snapshot, bool(picture.snapshot.get("deleted"))
    if before is not None and before.deleted:
        if gone or picture.number <= before.number:
            return None
        before = None
    fields = [] if before is None or gone else rules.differences(before.snapshot, after)
    what = "deleted" if gone else "created" if before is None else "updated"
    if what == "updated" and not fields:
        return None
    return Change(
        kind=after["object"],
        id=after["id"],
        livemode=after["livemode"],
        what=what,
        before=before.snapshot if before else None,
        after=after,
        fields=fields,
        picture=picture,
        intact=before is None or before.intact,
    )


def keep(tx: Tx, pictures: Sequence[Picture]) -> bool:
    """Step: store pictures of kinds that have no columns of their own. False also where part of a nested list is missing."""
    return not any(_in_part(one.snapshot) for one in pictures) and store.keep(tx, pictures)


def _in_part(snapshot: Snapshot) -> bool:
    return bool(cast("Snapshot", snapshot.get(KINDS[snapshot["object"]].nested) or {}).get("has_more"))


def stored(tx: Tx, kind: str, ids: list[str]) -> dict[str, Stored]:
    """Step: what is known of objects, by id; deleted ones too."""
    return store.stored(tx, kind, ids)


def known(tx: Tx, kind: str, id: str) -> bool:
    """Step: whether an object is stored, a deleted one too."""
    return bool(store.known(tx, kind, [id]))


def strangers(tx: Tx, pictures: Sequence[Picture]) -> set[str]:
    """Step: whose objects they are, of whom nothing is stored and no picture is among them."""
    named = {customer for one in pictures if (customer := _customer(one))}
    named -= {one.snapshot["id"] for one in pictures}
    return named - store.known(tx, "customer", named) if named else named


def _customer(picture: Picture) -> str | None:
    found = picture.snapshot.get("customer")
    return found if isinstance(found, str) else None


def lock(tx: Tx, kind: str, ids: list[str]) -> None:
    """Step: until the end of `tx` nobody else stores these objects."""
    store.lock_objects(tx, [(kind, id) for id in ids])


def watched_since(tx: Tx, livemode: bool) -> datetime | None:
    """Step: when the first object of a mode was stored."""
    return store.watched_since(tx, livemode)


def changed_before(tx: Tx, ids: Collection[str]) -> set[str]:
    """Step: those of the objects whose newest change is not their first."""
    return store.changed_before(tx, ids)


def changes_of_customer(tx: Tx, customer: str, since: datetime, limit: int) -> list[ListedChange]:
    """Step: what was changed here on a customer and on all that is theirs, newest first."""
    return store.changes_of_customer(tx, customer, since, limit)


def changes(tx: Tx, object_id: str, limit: int) -> list[ListedChange]:
    """Step: what was changed here on an object, oldest first."""
    return store.changes(tx, object_id, limit)


def _row(app: App, kind: str) -> entrypoint.Mirror:
    return next(row for row in _rows(app) if row.kind == kind)
