"""The catalog's files, read again when they change; created with commented defaults when first needed."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import msgspec
import yaml

from nself.domains.catalog.model import BrokenCatalog, MetricFile, PriceFile

T = TypeVar("T", MetricFile, PriceFile)


def load(path: Path, kind: type[T], default: str) -> T:
    """Raises BrokenCatalog, which names the file and the place in it."""
    try:
        state = path.stat()
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(default)
        except FileExistsError:
            pass
        state = path.stat()
    return _read(path, kind, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=8)
def _read(path: Path, kind: type[T], changed: int, size: int) -> T:
    try:
        return msgspec.convert(yaml.safe_load(path.read_text(encoding="utf-8")), kind)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, msgspec.ValidationError) as error:
        raise BrokenCatalog(path=path, detail=" ".join(str(error).split())) from error
