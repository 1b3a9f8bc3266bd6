"""One function a query of measurements."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from nself.core.period import Period
from nself.db.connect import Tx
from nself.db.queries import beside
from nself.domains.measurement.model import MINUTE, Minute, Total
from nself.measure import Measured

SQL = beside(__file__)


def add(tx: Tx, at: datetime, given: Sequence[Measured]) -> None:
    tx.run(SQL["add"], at=at, width=MINUTE, given=msgspec.json.encode(given).decode())


def between(tx: Tx, span: Period, name: str | None) -> list[Total]:
    return tx.all(SQL["between"], Total, start=span.start, end=span.end, name=name)


def by_minute(tx: Tx, span: Period, name: str) -> list[Minute]:
    return tx.all(SQL["by_minute"], Minute, start=span.start, end=span.end, name=name)


def ever(tx: Tx) -> list[Total]:
    return tx.all(SQL["ever"], Total)


def widen(tx: Tx, before: datetime) -> None:
    tx.run(SQL["widen"], before=before)


def forget(tx: Tx, before: datetime) -> int:
    return tx.run(SQL["forget"], before=before)
