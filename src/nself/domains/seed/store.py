"""The seed files, and one function a query of seeds."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import psycopg

from nself.db.connect import Tx
from nself.db.queries import beside
from nself.domains.seed.model import BadSeeds, ConstraintFails, LastRun, Standing

SQL = beside(__file__)
ENDINGS = (".json", ".yml", ".yaml")
T = TypeVar("T")


def files(folder: Path, defaults: dict[str, str]) -> dict[str, str]:
    """Name -> text, in order of names. A folder without any gets the defaults. Raises BadSeeds."""
    try:
        found = _found(folder)
        if not found:
            folder.mkdir(parents=True, exist_ok=True)
            for name, text in defaults.items():
                with (folder / name).open("x", encoding="utf-8") as file:
                    file.write(text)
    except OSError as error:
        raise BadSeeds(detail=f"\n  {folder.name}: {error}") from error
    return own_files(folder)


def own_files(folder: Path) -> dict[str, str]:
    """Those that are there. Raises BadSeeds."""
    try:
        return {path.name: path.read_text(encoding="utf-8") for path in _found(folder)}
    except (OSError, UnicodeDecodeError) as error:
        raise BadSeeds(detail=f"\n  {folder.name}: {error}") from error


def _found(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*") if path.suffix in ENDINGS and not path.name.startswith("."))


def kept_whole(work: Callable[[], T]) -> T:
    """What `work` gives. Raises ConstraintFails where a constraint of the database refused a row."""
    try:
        return work()
    except psycopg.IntegrityError as error:
        found = error.diag
        place = found.constraint_name or found.column_name or "-"
        detail = f"{found.schema_name}.{found.table_name} ({place}): {found.message_primary}"
        raise ConstraintFails(detail=detail) from error


def standing(tx: Tx) -> list[Standing]:
    return tx.all(SQL["standing"], Standing)


def unfinished(tx: Tx) -> list[str]:
    return tx.values(SQL["unfinished"])


def begin(tx: Tx, what: str, at: datetime) -> int:
    return tx.value(SQL["begin"], what=what, at=at)


def finish(tx: Tx, id: int, errors: list[str], at: datetime) -> None:
    tx.run(SQL["finish"], id=id, errors=errors, at=at)


def last(tx: Tx) -> LastRun | None:
    return tx.maybe(SQL["last"], LastRun)
