"""One function a query of links to users' pages."""

from __future__ import annotations

from datetime import datetime

from nself.db.connect import Tx
from nself.db.queries import beside

SQL = beside(__file__)


def add(tx: Tx, hash: bytes, user: str, at: datetime, expires_at: datetime) -> None:
    tx.run(SQL["add"], hash=hash, user=user, at=at, expires_at=expires_at)


def user(tx: Tx, hash: bytes, at: datetime) -> str | None:
    return tx.value(SQL["user"], hash=hash, at=at)


def revoke(tx: Tx, user: str) -> int:
    return int(tx.value(SQL["revoke"], user=user) or 0)
