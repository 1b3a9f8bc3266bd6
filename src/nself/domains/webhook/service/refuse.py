"""What is remembered of deliveries that were not taken. The table holds the newest; the log was told of each already."""

from __future__ import annotations

from collections.abc import Sequence

from nself.app import App
from nself.domains.webhook import rules, store
from nself.domains.webhook.model import Refusal

KEPT = 1000


def record(app: App, refused: Sequence[Refusal]) -> None:
    """Like ones of a moment are one row. Raises DatabaseUnavailable."""
    rows = rules.grouped(refused)
    with app.db.transaction() as tx:
        store.refuse(tx, rows, KEPT)
