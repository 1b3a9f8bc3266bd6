"""One function a query of quotas."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from nself.db.connect import Tx
from nself.db.queries import beside
from nself.domains.quota.model import Limit

SQL = beside(__file__)


def set_user(tx: Tx, user: str, metric: str, limit: int, period: str, mode: str, now: datetime) -> None:
    tx.run(SQL["set_user"], user=user, metric=metric, limit=limit, period=period, mode=mode, now=now)


def set_plan(tx: Tx, plan: str, metric: str, limit: int, period: str, mode: str, now: datetime) -> None:
    tx.run(SQL["set_plan"], plan=plan, metric=metric, limit=limit, period=period, mode=mode, now=now)


def limits(tx: Tx, users: Sequence[str], metric: str | None, plan: str) -> list[Limit]:
    """Effective limits, by user and metric."""
    return tx.all(SQL["limits"], Limit, users=list(users), metric=metric, plan=plan)
