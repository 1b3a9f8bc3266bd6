"""Folding deltas into rollups and quota counters. Totals are exact before and after; a fold only compacts.

Users are spread over sixteen shards with a lock each: folds of different shards run side by side, and whoever
decides about a user's quota holds the lock of that user's shard.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial

from nself import log
from nself.app import App
from nself.core.clock import monotonic
from nself.db.connect import Tx
from nself.domains.usage import store
from nself.domains.usage.inputs import AggregateUsage
from nself.domains.usage.model import Folded

BATCH = 5_000
"""Deltas in one transaction: a decision about a quota may have to wait for it."""
MAX_BATCHES = 10_000


def aggregate(app: App, given: AggregateUsage | None = None) -> Folded:
    """Fold all that is there; a fold that runs elsewhere at the same moment is left its part."""
    return fold_all(app, workers(app))


def workers(app: App) -> int:
    """How many threads fold at once, each a shard and a connection of its own."""
    settings = app.settings
    return settings.integer("USAGE_AGGREGATION_WORKERS") if settings.flag("USAGE_AGGREGATION_PARALLEL") else 1


def fold_all(app: App, most: int) -> Folded:
    """The same by at most `most` workers; whoever is done takes the next shard."""
    began = monotonic()
    with app.db.reading() as tx:
        shards = store.pending_shards(tx)
    hands = max(1, min(most, len(shards)))
    with ThreadPoolExecutor(hands, thread_name_prefix="fold") as pool:
        folded = sum(pool.map(partial(_fold_shard, app), shards))
    took = monotonic() - began
    with app.db.transaction() as tx:
        store.note_fold(tx, app.clock(), folded, timedelta(seconds=took), hands)
        pending = store.pending_events(tx)
    if folded:
        log.info("aggregation", deltas=folded, seconds=round(took, 3), workers=hands)
    return Folded(deltas=folded, seconds=round(took, 3), workers=hands, pending=pending)


def scheduled(app: App) -> str:
    """The work of the kind `aggregation`, in a word."""
    done = aggregate(app)
    return f"{done.deltas} deltas folded by {done.workers} worker{'s' if done.workers > 1 else ''}"


def _fold_shard(app: App, shard: int) -> int:
    folded = 0
    for _ in range(MAX_BATCHES):
        done = app.db.transact(lambda tx: fold_some(tx, shard, BATCH))
        folded += done
        if done < BATCH:
            break
    return folded


def fold_some(tx: Tx, shard: int, limit: int) -> int:
    """Step: fold at most `limit` deltas of a shard; number of deltas folded."""
    deltas = store.pending_of_shard(tx, shard, limit) if store.try_shard(tx, shard) else []
    return store.fold(tx, deltas) if deltas else 0


def lock_users(tx: Tx, users: Sequence[str]) -> None:
    """Step: nobody else folds usage of `users` or changes their quota counters until this transaction ends."""
    store.lock_users(tx, users)


def lock_everybody(tx: Tx) -> None:
    """Step: the same for all users."""
    store.lock_everybody(tx)


def fold_users(tx: Tx, users: Sequence[str]) -> int:
    """Step: fold all deltas of `users`, whose locks the caller holds; number of deltas folded."""
    deltas = store.pending_of_users(tx, users)
    return store.fold(tx, deltas) if deltas else 0


def pending(tx: Tx, users: Sequence[str]) -> bool:
    """Step: whether usage of any of `users` waits to be folded."""
    return bool(store.pending_of_users(tx, users))


def pending_users(tx: Tx, limit: int) -> list[str]:
    """Step: users whose usage waits to be folded."""
    return store.pending_users(tx, limit)
