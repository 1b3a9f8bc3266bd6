"""Files of results: for their owner alone, whole or not there, harmless in a spreadsheet."""

from __future__ import annotations

import csv
import errno
import io
import os
import stat
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Literal, TextIO

import msgspec

from nself.core.errors import Conflict

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
RISKY = ("=", "+", "-", "@", "\t", "\r")
Format = Literal["csv", "json"]


class FileNotWritten(Conflict):
    code, param = "file_not_written", "output"
    text = "{path} cannot be written: {detail}"


def refuse_foreign(path: Path) -> None:
    """Only a regular file of this user's is replaced. Raises FileNotWritten."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise FileNotWritten(path=path, detail=error.strerror) from None
    if stat.S_ISLNK(found.st_mode):
        raise FileNotWritten(path=path, detail="it is a symbolic link")
    if not stat.S_ISREG(found.st_mode):
        raise FileNotWritten(path=path, detail="it is no regular file")
    if found.st_uid != os.geteuid():
        raise FileNotWritten(path=path, detail="it belongs to somebody else")


@contextmanager
def private(path: Path) -> Generator[TextIO]:
    """A file that appears under its name when it is whole; that it can be made is known before anything is done.

    Raises FileNotWritten.
    """
    refuse_foreign(path)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        part.unlink(missing_ok=True)  # left by a killed process that had this number
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise FileNotWritten(path=path, detail=error.strerror) from None
    try:
        with open(descriptor, "w", encoding="utf-8", newline="") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        refuse_foreign(path)
        part.replace(path)
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise FileNotWritten(path=path, detail=error.strerror) from None
    finally:
        part.unlink(missing_ok=True)


def write(file: TextIO, format: Format, row: type[msgspec.Struct], rows: Iterable[msgspec.Struct]) -> int:
    """Rows as they come, one array where `json`; their number."""
    count = 0
    if format == "csv":
        writer = csv.writer(file)
        writer.writerow(row.__struct_fields__)
        for one in rows:
            writer.writerow([safe(cell) for cell in msgspec.structs.astuple(one)])
            count += 1
        return count
    file.write("[")
    for count, one in enumerate(rows, 1):
        file.write(f"{',' if count > 1 else ''}\n{msgspec.json.encode(one).decode()}")
    file.write("\n]\n")
    return count


def csv_line(cells: Iterable[object]) -> str:
    """Without its newline."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerow([safe(cell) for cell in cells])  # quotes cells with either
    return out.getvalue().removesuffix("\r\n")


def safe(value: object) -> object:
    """Formula-safe for spreadsheets, as facts.md 8.3 asks; numbers stay numbers."""
    if isinstance(value, str) and value.startswith(RISKY):
        return f"'{value}"
    if isinstance(value, (datetime, date)):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, Decimal)) or value is None:
        return value
    return msgspec.json.encode(value).decode()
