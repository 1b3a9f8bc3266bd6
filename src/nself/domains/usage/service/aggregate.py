"""Folding deltas into rollups. Totals are exact before and after; a fold only compacts."""

from __future__ import annotations

from datetime import timedelta

from nself import log
from nself.app import App
from nself.core.clock import monotonic
from nself.domains.usage import store
from nself.domains.usage.inputs import AggregateUsage
from nself.domains.usage.model import Folded

BATCH = 20_000
MAX_BATCHES = 10_000


def aggregate(app: App, given: AggregateUsage | None = None) -> Folded:
    """Fold all that is there; a fold that runs elsewhere at the same moment is left its part."""
    began, folded = monotonic(), 0
    for _ in range(MAX_BATCHES):
        done = fold_once(app)
        folded += done
        if done < BATCH:
            break
    took = monotonic() - began
    with app.db.transaction() as tx:
        store.note_fold(tx, app.clock(), folded, timedelta(seconds=took))
        pending = store.pending_events(tx)
    if folded:
        log.info("aggregation", deltas=folded, seconds=round(took, 3))
    return Folded(deltas=folded, seconds=round(took, 3), pending=pending)


def fold_once(app: App) -> int:
    """One bounded fold in one transaction; number of deltas folded."""
    with app.db.transaction() as tx:
        return store.fold(tx, BATCH) if store.lock_fold(tx) else 0
