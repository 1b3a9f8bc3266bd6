"""One function a query of access."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

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


class Owned(NamedTuple):
    kind: str
    id: str
    user: str


def owners(tx: Tx, named: Mapping[str, str]) -> dict[tuple[str, str], str]:
    """Users of the Stripe objects that `named` gives as id by kind, '' where their customer has none; by kind and id."""
    found = tx.all(SQL["owners"], Owned, kinds=list(named), ids=list(named.values()))
    return {(one.kind, one.id): one.user for one in found}


def changes(tx: Tx, user: str, limit: int) -> list[AccessChange]:
    """Newest first."""
    return tx.all(SQL["changes"], AccessChange, user=user, limit=limit)
