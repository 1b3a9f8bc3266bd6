"""The catalog's files, read again when they change; created with commented defaults when first needed."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, TypeVar

import msgspec
import yaml

from nself.db.connect import Tx
from nself.db.queries import beside
from nself.domains.catalog.model import BrokenCatalog, FlatPrice, Metric, MetricFile, PinnedFormula, PriceFile, Version
from nself.domains.mirror.model import Snapshot

SQL = beside(__file__)

T = TypeVar("T", MetricFile, PriceFile)
# msgspec looks into a type when it first meets it, and crashes where two threads do so at once: here only one does.
for _kind in (MetricFile, Metric, PriceFile, FlatPrice, Version):
    msgspec.json.Decoder(_kind)


class Loader(yaml.SafeLoader):
    """A name that stands twice is a mistake, not the last one's."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set[str]()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value != "<<":
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} stands twice", key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def load(path: Path, kind: type[T], default: str) -> T:
    """Raises BrokenCatalog, which names the file and the place in it."""
    try:
        try:
            state = path.stat()
        except FileNotFoundError:
            _create(path, default)
            state = path.stat()
    except OSError as error:
        raise BrokenCatalog(path=path, detail=error) from error
    return _read(path, kind, state.st_mtime_ns, state.st_size)


def _create(path: Path, text: str) -> None:
    """The whole file at once, so that nobody reads a half of it; one that is there by now is kept."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}.") as file:
        file.write(text)
        file.flush()
        os.chmod(file.name, 0o644)
        with suppress(FileExistsError):
            os.link(file.name, path)


@lru_cache(maxsize=8)
def _read(path: Path, kind: type[T], changed: int, size: int) -> T:
    try:
        found = yaml.load(path.read_text(encoding="utf-8"), Loader)  # noqa: S506  it is a SafeLoader
        if found is None:
            raise BrokenCatalog(path=path, detail="the file is empty")
        return msgspec.convert(found, kind)
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:  # ValueError: bytes, dates, wrong fields
        raise BrokenCatalog(path=path, detail=" ".join(str(error).split())) from error


def pinned(tx: Tx, start: datetime) -> list[PinnedFormula]:
    """What the figures of the billing period that begins at `start` are kept by."""
    return tx.all(SQL["pinned"], PinnedFormula, start=start)


def pins(tx: Tx, metric: str) -> list[PinnedFormula]:
    """The same of one metric in all periods, oldest first."""
    return tx.all(SQL["pins"], PinnedFormula, metric=metric)


def pin(tx: Tx, start: datetime, formulas: dict[str, str], now: datetime) -> None:
    """The first that is kept of a period and metric stays."""
    tx.run(SQL["pin"], start=start, metrics=list(formulas), formulas=list(formulas.values()), now=now)


def prices(tx: Tx, product: str | None, all: bool, livemode: bool, limit: int) -> list[Snapshot]:
    return tx.values(SQL["prices"], product=product, all=all, livemode=livemode, limit=limit)
