"""Counting all raw events takes a while where there are many: it is done once a day, and in between only those recorded since.

Where there are few, or the law does not hold with what is known, all of them are counted.
"""

from __future__ import annotations

from datetime import timedelta

from nself.app import App
from nself.db.connect import Tx
from nself.domains.usage import store

MANY = 5_000_000
"""Raw events up to which each look counts them all."""
SETTLED = timedelta(hours=1)
"""What was recorded longer ago than this is committed."""

KEPT = 10_000
"""Commits of which it stays known what each took in: root causes are looked for in the newest."""


def scheduled(app: App) -> str:
    """The work of the kind `usage_recount`, in words."""
    now = app.clock()

    def work(tx: Tx) -> str:
        if store.raw_events_about(tx) < MANY:
            forget(tx)
            return ""
        store.lock_recount(tx)
        store.gather_intake(tx, now - SETTLED, KEPT)
        return f"{store.recount(tx, now - SETTLED, now)} raw events"

    return app.db.transact(work)


def forget(tx: Tx) -> None:
    """Step: raw events are taken away or put back in this transaction, so that all are counted until the next recount."""
    store.lock_recount(tx)
    store.forget_recount(tx)
