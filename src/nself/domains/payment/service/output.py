"""Files of results: for their owner alone, whole or not there, harmless in a spreadsheet."""

from __future__ import annotations

import csv
import os
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from nself.domains.payment.errors import BadBatch

RISKY = ("=", "+", "-", "@", "\t", "\r")


@contextmanager
def private(path: Path) -> Generator[TextIO]:
    """A file that appears under its name when it is whole; that it can be made is known before anything is done.

    Raises BadBatch.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise BadBatch(path=path, detail=error.strerror) from None
    try:
        with open(descriptor, "w", encoding="utf-8", newline="") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_rows(file: TextIO, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    writer = csv.writer(file)
    writer.writerow(header)
    writer.writerows([_safe(cell) for cell in row] for row in rows)


def _safe(cell: object) -> object:
    if isinstance(cell, str) and cell.startswith(RISKY):
        return f"'{cell}"
    return "" if cell is None else cell
