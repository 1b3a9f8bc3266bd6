"""One function a query of documents."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from nself.db.connect import Tx
from nself.db.queries import beside
from nself.domains.document.model import Claimed, Document, DocumentCounts, State, Undone, Warned, Work

SQL = beside(__file__)


def request(tx: Tx, invoices: Sequence[str], now: datetime) -> None:
    tx.run(SQL["request"], invoices=list(invoices), now=now)


def begin(tx: Tx, invoice: str, now: datetime, lease: datetime) -> Claimed:
    """Take the work on an invoice over from whoever has it."""
    return tx.one(SQL["begin"], Claimed, invoice=invoice, now=now, lease=lease)


def claim(tx: Tx, now: datetime, lease: datetime, limit: int) -> list[Claimed]:
    return tx.all(SQL["claim"], Claimed, now=now, lease=lease, limit=limit)


def finish(
    tx: Tx, one: Claimed, state: State, now: datetime, due: datetime, *,
    version: str | None = None, code: str | None = None, error: str | None = None, hint: Sequence[str] = (),
) -> bool:  # fmt: skip
    """False where somebody else has taken it over."""
    done = tx.run(
        SQL["finish"],
        invoice=one.invoice,
        token=one.token,
        state=state,
        now=now,
        due=due,
        version=version,
        code=code,
        error=error,
        hint=list(hint),
    )
    return done == 1


def counts(tx: Tx) -> DocumentCounts:
    return tx.one(SQL["counts"], DocumentCounts)


def revive(tx: Tx, now: datetime) -> int:
    return tx.run(SQL["revive"], now=now)


def keep(tx: Tx, document: Document) -> None:
    """One that is there already has the same bytes."""
    tx.run(SQL["keep"], **msgspec.structs.asdict(document))


def file(tx: Tx, invoice: str, version: str) -> Document | None:
    return tx.maybe(SQL["file"], Document, invoice=invoice, version=version)


def work(tx: Tx, invoice: str) -> Work | None:
    return tx.maybe(SQL["work"], Work, invoice=invoice)


# Root causes


def undone(tx: Tx, limit: int) -> list[Undone]:
    """Newest first."""
    return tx.all(SQL["undone"], Undone, limit=limit)


def warned(tx: Tx, since: datetime, limit: int) -> list[Warned]:
    """Newest first."""
    return tx.all(SQL["warned"], Warned, since=since, limit=limit)
