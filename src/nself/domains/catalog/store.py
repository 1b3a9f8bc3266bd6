"""The catalog's files, read again when they change; created with commented defaults when first needed."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TypeVar

import msgspec
import yaml

from nself.domains.catalog.model import BrokenCatalog, FlatPrice, MetricFile, PriceFile, Version

T = TypeVar("T", MetricFile, PriceFile)
# msgspec looks into a type when it first meets it, and crashes where two threads do so at once: here only one does.
for _kind in (MetricFile, PriceFile, FlatPrice, Version):
    msgspec.json.Decoder(_kind)


def load(path: Path, kind: type[T], default: str) -> T:
    """Raises BrokenCatalog, which names the file and the place in it."""
    try:
        if not path.exists():
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
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
        if found is None:
            raise BrokenCatalog(path=path, detail="the file is empty")
        return msgspec.convert(found, kind)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, msgspec.ValidationError) as error:
        raise BrokenCatalog(path=path, detail=" ".join(str(error).split())) from error
