"""One function a query of the mirror."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

import msgspec
from psycopg.types.json import Jsonb

from nself.db.connect import Tx
from nself.db.queries import beside
from nself.domains.mirror.model import Change, ListedChange, Picture, Stored

SQL = beside(__file__)


def draw_snapshot_numbers(tx: Tx, count: int) -> list[int]:
    return tx.values(SQL["draw_snapshot_numbers"], count=count)


def lock_objects(tx: Tx, objects: Collection[tuple[str, str]]) -> None:
    """By kind and id."""
    tx.values(SQL["lock_objects"], names=[f"{kind} {id}" for kind, id in objects])


def stored(tx: Tx, kind: str, ids: Sequence[str]) -> dict[str, Stored]:
    """By id, those that are known; deleted ones too."""
    return {one.id: one for one in tx.all(SQL["stored"], Stored, kind=kind, ids=list(ids))}


def known(tx: Tx, kind: str, ids: Collection[str]) -> set[str]:
    return set(tx.values(SQL["known"], kind=kind, ids=list(ids)))


def keep(tx: Tx, pictures: Sequence[Picture]) -> bool:
    """False where one that is stored has a higher number; the others are written."""
    return tx.run(SQL["keep"], rows=Jsonb([one.row() for one in pictures])) == len(pictures)


def record_changes(tx: Tx, changes: Sequence[Change], now: datetime) -> None:
    rows = [
        {
            "kind": one.kind, "id": one.id, "livemode": one.livemode, "what": one.what, "source": one.picture.source,
            "cause": one.picture.cause, "number": one.picture.number, "changes": msgspec.to_builtins(one.fields),
        }
        for one in changes
    ]  # fmt: skip
    tx.run(SQL["record_changes"], rows=Jsonb(rows), now=now)


def changed_before(tx: Tx, ids: Collection[str]) -> set[str]:
    """Those with more than one change."""
    return set(tx.values(SQL["changed_before"], ids=list(ids)))


def watched_since(tx: Tx, livemode: bool) -> datetime | None:
    return tx.value(SQL["watched_since"], livemode=livemode)


def changes(tx: Tx, id: str, limit: int) -> list[ListedChange]:
    return tx.all(SQL["changes"], ListedChange, id=id, limit=limit)
