"""One function a query of access."""

from __future__ import annotations

from nself.db.connect import Tx
from nself.db.queries import beside
from nself.domains.access.model import AccessChange

SQL = beside(__file__)


def add(tx: Tx, user: str, change: AccessChange) -> None:
    tx.run(
        SQL["add"],
        user=user,
        access=change.access,
        reason=change.reason,
        actor=change.actor,
        now=change.changed_at,
        until=change.until,
    )


def changes(tx: Tx, user: str, limit: int) -> list[AccessChange]:
    """Newest first."""
    return tx.all(SQL["changes"], AccessChange, user=user, limit=limit)
