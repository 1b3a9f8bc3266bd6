"""Subscriptions that became others are noted in the transaction that stored them; what they are worth is worked out behind it."""

from __future__ import annotations

from collections.abc import Sequence

from nself.app import App
from nself.db.connect import Tx
from nself.domains.connection.rules import part
from nself.domains.mirror import service as mirror
from nself.domains.mirror.model import Change
from nself.domains.revenue import rules, store
from nself.domains.revenue.model import Snapshot

WEBHOOK = "webhook "
"""What a change's source begins with that events tell of."""


def note(app: App, tx: Tx, changes: Sequence[Change]) -> None:
    """Reaction to subscriptions, and to customers whose discount became another.

    Both hold the locks of the customers, so that neither misses what the other is about to store.
    """
    found = [
        (one, snapshot)
        for one in changes
        if one.kind == "subscription" and isinstance((snapshot := _ended(app, one)).get("customer"), str)
    ]
    if found:
        mirror.lock(tx, "customer", sorted({snapshot["customer"] for _, snapshot in found}))
    moved = {one.id: one for one in changes if one.kind == "customer" and _discount(one.before) != _discount(one.after)}
    if moved:
        found += [(moved[one["customer"]], one) for one in store.subscriptions_of(tx, list(moved))]
    if found:
        events, now = [event for one, _ in found for event in _events(one)], app.clock()
        told = store.told(tx, events) if events else {}
        since = [max((told[id] for id in _events(one) if id in told), default=now) for one, _ in found]
        store.add_due(
            tx,
            [(one, rules.instant(one, int(at.timestamp()))) for (_, one), at in zip(found, since, strict=True)],
            now,
        )


def _discount(snapshot: Snapshot | None) -> Snapshot:
    return part(snapshot or {}, "discount")


def _events(change: Change) -> list[str]:
    """Those that told of it."""
    source = change.picture.source
    return source.removeprefix(WEBHOOK).split() if source.startswith(WEBHOOK) else []


def _ended(app: App, change: Change) -> Snapshot:
    """The subscription; one that is gone as it was, at its end, and empty where nobody knows how that was."""
    if change.what != "deleted":
        return change.after
    now = int(app.clock().timestamp())
    return {**change.before, "status": "canceled", "ended_at": now} if change.before else {}
