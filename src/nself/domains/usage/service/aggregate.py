"""Folding deltas into rollups and quota counters. Totals are exact before and after; a fold only compacts.

Users are spread over sixteen shards with a lock each: folds of different shards run side by side, and whoever
decides about a user's quota holds the lock of that user's shard.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial

from nself import log
from nself.app import App
from nself.core.clock import monotonic
from nself.db.connect import Tx
from nself.domains.total import service as total
from nself.domains.usage import store
from nself.domains.usage.inputs import AggregateUsage
from nself.domains.usage.model import Folded, Pending
from nself.domains.usage.service import terms

BATCH = 5_000
"""Deltas in one transaction: a decision about a quota may have to wait for it."""
PAGE = 100_000
"""Rollups that are looked up at once."""
LEFT = (
    "the locks of some users are held: another run folds them, or a session keeps them; who it is: "
    "nself db query \"SELECT pid, application_name, state, xact_start FROM pg_stat_activity WHERE state <> 'idle'\""
)
FIRST = Pending("", "", datetime(1, 1, 1, tzinfo=UTC), 0, 0)


def aggregate(app: App, given: AggregateUsage | None = None) -> Folded:
    """Fold all that is there; a fold that runs elsewhere at the same moment is left its part."""
    terms.note(app)
    return fold_all(app, workers(app))


def workers(app: App) -> int:
    """How many threads fold at once, each a shard and a connection of its own."""
    settings = app.settings
    return settings.integer("USAGE_AGGREGATION_WORKERS") if settings.flag("USAGE_AGGREGATION_PARALLEL") else 1


def fold_all(app: App, most: int) -> Folded:
    """The same by at most `most` workers; whoever is done takes the next shard. What is left to another is not noted as done."""
    began, folded, hands, page, whole = monotonic(), 0, 1, [FIRST], True
    while page:
        with app.db.reading() as tx:
            page = store.pending(tx, page[-1], PAGE)
        shards: dict[int, list[Pending]] = defaultdict(list)
        for place in page:
            shards[place.shard].append(place)
        if shards:
            hands = max(hands, min(most, len(shards)))
            with ThreadPoolExecutor(min(most, len(shards)), thread_name_prefix="fold") as pool:
                done = [one for part in pool.map(partial(_fold_shard, app), shards.values()) for one in part]
            folded += sum(one for one in done if one is not None)
            whole = whole and None not in done
    took = monotonic() - began
    with app.db.transaction() as tx:
        if whole:
            store.note_fold(tx, app.clock(), folded, timedelta(seconds=took), hands)
        pending = store.pending_events(tx)
    if folded:
        log.info("aggregation", deltas=folded, seconds=round(took, 3), workers=hands)
    return Folded(deltas=folded, seconds=round(took, 3), workers=hands, pending=pending, note="" if whole else LEFT)


def scheduled(app: App) -> str:
    """The work of the kind `aggregation`, in a word."""
    done = aggregate(app)
    return f"{done.deltas} deltas folded by {done.workers} worker{'s' if done.workers > 1 else ''}"


def _fold_shard(app: App, places: Sequence[Pending]) -> list[int | None]:
    return [app.db.transact(lambda tx, chunk=chunk: fold_some(tx, chunk)) for chunk in _chunks(places)]


def _chunks(places: Sequence[Pending]) -> Iterator[list[Pending]]:
    """Of BATCH deltas at most, where one rollup has not more."""
    chunk, deltas = list[Pending](), 0
    for place in places:
        if chunk and deltas + place.deltas > BATCH:
            yield chunk
            chunk, deltas = [], 0
        chunk.append(place)
        deltas += place.deltas
    yield chunk


def fold_some(tx: Tx, places: Sequence[Pending]) -> int | None:
    """Step: fold what is there of `places`, all of one shard; None where somebody else has the shard's lock."""
    return _fold(tx, places) if store.try_shard(tx, places[0].shard) else None


def lock_users(tx: Tx, users: Sequence[str]) -> None:
    """Step: nobody else folds usage of `users` or changes their quota counters until this transaction ends."""
    store.lock_users(tx, users)


def lock_everybody(tx: Tx) -> None:
    """Step: the same for all users."""
    store.lock_everybody(tx)


def fold_users(tx: Tx, users: Sequence[str]) -> int:
    """Step: fold all deltas of `users`, whose locks the caller holds; number of deltas folded."""
    deltas = store.pending_of_users(tx, users)
    return _fold(tx, deltas) if deltas else 0


def _fold(tx: Tx, places: Sequence[Pending]) -> int:
    grown = store.fold(tx, places, store.last_fold_at(tx))
    total.add(tx, grown)
    return sum(one.deltas for one in grown)


def pending(tx: Tx, users: Sequence[str]) -> bool:
    """Step: whether usage of any of `users` waits to be folded."""
    return bool(store.pending_of_users(tx, users))


def pending_users(tx: Tx, limit: int) -> list[str]:
    """Step: users whose usage waits to be folded."""
    return store.pending_users(tx, limit)
