"""A subscription that became another is noted in the transaction that stored it; what it is worth is worked out behind it."""

from __future__ import annotations

from nself.app import App
from nself.db.connect import Tx
from nself.domains.connection.rules import part
from nself.domains.mirror import service as mirror
from nself.domains.mirror.model import Change
from nself.domains.revenue import rules, store
from nself.domains.revenue.model import Snapshot


def note(app: App, tx: Tx, change: Change) -> None:
    """Reaction to a subscription, and to a customer whose discount became another.

    Both hold the lock of the customer, so that neither misses what the other is about to store.
    """
    if change.kind == "customer":
        if part(change.before or {}, "discount") != part(change.after, "discount"):
            for snapshot in store.subscriptions_of(tx, change.id):
                _note(app, tx, change, snapshot)
    elif (snapshot := _ended(app, change)) and isinstance(snapshot.get("customer"), str):
        mirror.lock(tx, "customer", [snapshot["customer"]])
        _note(app, tx, change, snapshot)


def _ended(app: App, change: Change) -> Snapshot | None:
    """The subscription; one that is gone as it was, at its end."""
    if change.what != "deleted":
        return change.after
    now = int(app.clock().timestamp())
    return {**change.before, "status": "canceled", "ended_at": now} if change.before else None


def _note(app: App, tx: Tx, change: Change, snapshot: Snapshot) -> None:
    now, source = app.clock(), change.picture.source
    told = store.told_at(tx, source.split()[1:]) if source.startswith("webhook ") else None
    store.add_due(tx, snapshot, rules.instant(snapshot, int((told or now).timestamp())), now)
