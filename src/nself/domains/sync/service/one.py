"""One object: compared with Stripe, fetched and stored, imported, rebuilt."""

from __future__ import annotations

from contextlib import suppress
from typing import Literal, cast

import msgspec

from nself import log
from nself.app import App
from nself.db.connect import Tx
from nself.domains.customer import service as customer
from nself.domains.customer.inputs import ShowCustomer
from nself.domains.customer.model import Customer, NoSuchCustomer
from nself.domains.mirror import rules as mirror_rules
from nself.domains.mirror import service as mirror
from nself.domains.mirror.model import Picture, Stored
from nself.domains.quota.service import kept
from nself.domains.subscription.inputs import ShowSubscription
from nself.domains.subscription.model import NoSuchSubscription, ShownSubscription
from nself.domains.subscription.service import show as subscription
from nself.domains.sync import store
from nself.domains.sync.inputs import CompareSubscription, SyncCustomer, SyncSubscription
from nself.domains.sync.model import Comparison, FieldDifference, Finding, NowhereSubscription, Rebuilt, Synced
from nself.domains.sync.service.page import findings, of_customer

CHILDREN = ("subscription", "invoice", "payment_method", "payment_intent", "charge", "credit_note")
"""Kinds that Stripe lists by customer."""


def show_customer(app: App, given: ShowCustomer) -> Customer | Comparison:
    """Raises NoSuchCustomer; with `compare` only where it is neither here nor at Stripe."""
    return compare_one(app, "customer", given.customer) if given.compare else customer.show(app, given)


def show_subscription(app: App, given: ShowSubscription) -> ShownSubscription | Comparison:
    """Raises NoSuchSubscription; with `compare_stripe` only where it is neither here nor at Stripe."""
    if given.compare_stripe:
        return compare_one(app, "subscription", given.subscription)
    return shown_subscription(app, given)


def shown_subscription(app: App, given: ShowSubscription) -> ShownSubscription:
    """As it is here, with what it still grants where it is over. Raises NoSuchSubscription."""
    shown = subscription.show(app, given)
    note = kept.note(app, shown.user, shown.id) if shown.user and shown.status == "canceled" else ""
    return msgspec.structs.replace(shown, cancel_note=note)


def compare(app: App, given: CompareSubscription) -> Comparison:
    """Field by field. Raises NoSuchSubscription, the gateway's errors."""
    return compare_one(app, "subscription", given.subscription, given.exit_code)


def compare_one(app: App, kind: str, id: str, exit_code: bool = False) -> Comparison:
    """An object here and at Stripe. Raises NoSuchCustomer or NoSuchSubscription where it is at neither."""
    picture = mirror.fetch(app, kind, id, "compare")
    with app.db.reading() as tx:
        stored = mirror.stored(tx, kind, [id]).get(id)
        found = _finding(app, tx, picture)
    gone = bool(picture.snapshot.get("deleted"))
    if stored is None and gone:
        raise _no_such(kind, id)
    before = stored.snapshot if stored and not stored.deleted else {}
    after = {} if gone else picture.snapshot
    differences = mirror_rules.differences(before, after) if found and before and after else []
    return Comparison(
        kind=kind,
        object=id,
        user=_user(app, stored or None, picture),
        here="missing" if stored is None else "deleted" if stored.deleted else str(before.get("status") or "present"),
        stripe="deleted" if gone else str(after.get("status") or "present"),
        in_sync=found is None,
        cause=found.cause if found else "",
        detail=found.detail if found else "",
        built_from=stored.source if stored else "",
        synced_at=stored.synced_at if stored else None,
        differences=[FieldDifference(one.field, one.before, one.after) for one in differences],
        ok=found is None or not exit_code,
        mend=_mend(kind, id, stored, found) if found else "",
    )


def _finding(app: App, tx: Tx, picture: Picture) -> Finding | None:
    kind = picture.snapshot["object"]
    return next(iter(findings(tx, kind, [picture], store.ever_complete(tx, app.settings.live, [kind]))), None)


def _user(app: App, stored: Stored | None, picture: Picture) -> str | None:
    snapshot = picture.snapshot if not picture.snapshot.get("deleted") else stored.snapshot if stored else {}
    owner = snapshot.get("id") if snapshot.get("object") == "customer" else snapshot.get("customer")
    with app.db.reading() as tx:
        return customer.users_of(tx, [owner]).get(owner) if owner else None


def _mend(kind: str, id: str, stored: Stored | None, found: Finding) -> str:
    if found.cause == "mode mixed":
        return "nself billing stripe show-config"
    verb = "sync" if stored else "import"
    return f"nself billing {kind} import {id}" if verb == "import" else f"nself billing sync {kind} {id}"


def _no_such(kind: str, id: str) -> NoSuchCustomer | NoSuchSubscription:
    return NoSuchCustomer(customer=id) if kind == "customer" else NowhereSubscription(subscription=id)


def sync_subscription(app: App, given: SyncSubscription) -> list[Synced]:
    """Fetch a subscription and its customer. Raises NoSuchSubscription, the gateway's errors."""
    return _with_customer(app, "subscription", given.subscription, "sync subscription")


def import_subscription(app: App, given: SyncSubscription) -> list[Synced]:
    """The same, for one that is not here."""
    return _with_customer(app, "subscription", given.subscription, "import")


def import_customer(app: App, given: SyncCustomer) -> list[Synced]:
    """Fetch a customer and everything of it. Raises NoSuchCustomer, the gateway's errors."""
    return _customer(app, given.customer, "import")


def sync_customer(app: App, given: SyncCustomer) -> list[Synced]:
    """Fetch a customer and everything of it, here and at Stripe. Raises NoSuchCustomer, the gateway's errors."""
    return _customer(app, given.customer, "sync customer")


def _with_customer(app: App, kind: str, id: str, source: str) -> list[Synced]:
    """The customer first: what is told of the object is told to its owner."""
    picture = mirror.fetch(app, kind, id, source)
    with app.db.reading() as tx:
        stored = mirror.stored(tx, kind, [id]).get(id)
    known = stored.snapshot if stored and picture.snapshot.get("deleted") else picture.snapshot
    if "created" not in known:
        raise _no_such(kind, id)
    owner = known.get("customer")
    return [*([refresh(app, "customer", owner, source)] if owner else []), refresh(app, kind, id, source)]


def _customer(app: App, id: str, source: str) -> list[Synced]:
    done = [refresh(app, "customer", id, source)]
    with app.db.reading() as tx:
        here = {(one.kind, one.id) for one in store.objects_of_customer(tx, id)}
    listed = {
        (kind, picture.snapshot["id"]) for kind in CHILDREN for picture in of_customer(app, kind, id, source)
    }  # by now each of them is fetched whole, with the number of its own fetch
    for kind, one in sorted(here | listed):
        with suppress(NoSuchCustomer, NoSuchSubscription):  # a draft that was deleted since
            done.append(refresh(app, kind, one, source))
    with app.db.reading() as tx:
        known = mirror.stored(tx, "customer", [id])[id].snapshot
    if "created" not in known and len(done) == 1:
        raise _no_such("customer", id)
    return done


def refresh(app: App, kind: str, id: str, source: str) -> Synced:
    """Fetch an object, store it, and say why it was not here as it is at Stripe. Raises NoSuchCustomer, NoSuchSubscription."""
    picture = mirror.fetch(app, kind, id, source)
    with app.db.reading() as tx:
        if picture.snapshot.get("deleted") and id not in mirror.stored(tx, kind, [id]):
            raise _no_such(kind, id)
        found = _finding(app, tx, picture)
    picture = picture._replace(cause=found.cause if found else None)
    mirror.in_order(app, picture, lambda tx, picture: mirror.accept(app, tx, picture) and None)
    results = {"import": "imported", "update": "updated", "mark deleted": "marked deleted"}
    result = results[found.action] if found else "deleted at Stripe" if picture.snapshot.get("deleted") else "unchanged"
    log.info("sync", kind=kind, object=id, result=result, cause=found.cause if found else None, by=source)
    return Synced(
        kind=kind,
        object=id,
        result=cast('Literal["imported", "updated", "marked deleted", "unchanged", "deleted at Stripe"]', result),
        cause=found.cause if found else "",
        fields=[change["field"] for change in found.changes] if found else [],
    )


def rebuild(app: App, given: SyncSubscription) -> Rebuilt:
    """What the stored events say of a subscription, then Stripe's own word for it. Raises NoSuchSubscription."""
    id = given.subscription
    with app.db.reading() as tx:
        said = store.event_states(tx, id)
    done = _with_customer(app, "subscription", id, "rebuild-state")[-1]
    with app.db.reading() as tx:
        now = mirror.stored(tx, "subscription", [id])[id]
    last = said[-1].snapshot if said else {}
    truth = "deleted" if now.deleted else str(now.snapshot.get("status"))
    silent = [] if not last or now.deleted else [one.field for one in mirror_rules.differences(last, now.snapshot)]
    note = (
        f"no stored event tells of: {', '.join(silent[:10])}"
        if silent
        else ""
        if said
        else "no event of it is stored here"
    )
    return Rebuilt(
        subscription=id,
        events=len(said),
        history=[f"{one.at:%Y-%m-%d %H:%M:%SZ} {one.type}: {one.snapshot.get('status')}" for one in said],
        by_events=str(last.get("status") or "unknown"),
        at_stripe=truth,
        result=done.result,
        cause=done.cause,
        fields=done.fields,
        note=note,
    )
