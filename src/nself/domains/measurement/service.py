"""What the processes of this project counted: written with each beat, read over any span of the last ninety days."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime

from nself.app import App
from nself.core.period import Period
from nself.db.connect import Tx
from nself.domains.measurement import store
from nself.domains.measurement.model import HOURS_KEPT, MINUTES_KEPT, Minute, Total
from nself.measure import Measured, measures


def write(tx: Tx, given: list[Measured], now: datetime) -> None:
    """Add to the minute of `now`, and to what is counted for ever."""
    if given:
        store.add(tx, now.replace(second=0, microsecond=0), given)


@contextmanager
def counted() -> Generator[list[Measured]]:
    """What this process counted, for `write`; an error that ends the block keeps it for the next time."""
    given = measures.take()
    try:
        yield given
    except BaseException:
        measures.give_back(given)
        raise


def flush(app: App) -> None:
    """Write what this process counted. Raises DatabaseUnavailable."""
    with counted() as given, app.db.transaction() as tx:
        write(tx, given, app.clock())


def between(tx: Tx, span: Period, name: str | None = None) -> list[Total]:
    """By name and labels. Minutes count as a whole, those of more than two days ago by the hour."""
    return store.between(tx, span, name)


def by_minute(tx: Tx, span: Period, name: str) -> list[Minute]:
    return store.by_minute(tx, span, name)


def ever(tx: Tx) -> list[Total]:
    """Since the database was made: these never fall."""
    return store.ever(tx)


def widen(app: App) -> str:
    """Minutes of long ago become hours, hours of very long ago are forgotten."""
    now = app.clock().replace(minute=0, second=0, microsecond=0)

    def work(tx: Tx) -> int:
        store.widen(tx, now - MINUTES_KEPT)
        return store.forget(tx, now - HOURS_KEPT)

    return f"{app.db.transact(work)} hours forgotten"
