"""Files of results: for their owner alone, whole or not there, harmless in a spreadsheet."""

from __future__ import annotations

import csv
import errno
import fcntl
import glob
import io
import os
import stat
import tempfile
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Literal, TextIO

import msgspec

from nself.core.errors import Conflict

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
PART = ".part"
RISKY = ("=", "+", "-", "@", "\t", "\r")
Format = Literal["csv", "json"]


class FileNotWritten(Conflict):
    code, param = "file_not_written", "output"
    text = "{path} cannot be written: {detail}"


@contextmanager
def refusing(path: Path) -> Generator[None]:
    """Turns the system's refusals (read-only, full, forbidden) into FileNotWritten."""
    try:
        yield
    except OSError as error:
        raise FileNotWritten(path=path, detail=error.strerror or error) from None


def refuse_foreign(path: Path) -> None:
    """Only a regular file of this user's is replaced. Raises FileNotWritten."""
    with refusing(path):
        try:
            found = path.lstat()
        except FileNotFoundError:
            return
    if stat.S_ISDIR(found.st_mode):
        raise FileNotWritten(path=path, detail="it is a folder")
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
    with part(path) as (fresh, descriptor), open(descriptor, "w", encoding="utf-8", newline="", closefd=False) as file:
        yield file
        file.flush()
        os.fsync(descriptor)
        refuse_foreign(path)
        with refusing(path):
            fresh.replace(path)


@contextmanager
def part(path: Path) -> Generator[tuple[Path, int]]:
    """A private file beside `path` for what is to become it; what killed commands left there goes. Raises FileNotWritten."""
    with refusing(path):
        sweep(path.parent, path.name)
        fresh, descriptor = _begin(path)
    try:
        yield fresh, descriptor
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise FileNotWritten(path=path, detail=error.strerror) from None
    finally:
        fresh.unlink(missing_ok=True)
        os.close(descriptor)


def _begin(path: Path) -> tuple[Path, int]:
    """It is locked as long as its process lives."""
    while True:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=PART, dir=path.parent)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:  # else somebody swept it between the two
            return Path(name), descriptor
        os.close(descriptor)


def sweep(folder: Path, name: str | None = None) -> None:
    """Remove parts of `name`, or of anything, that no living process writes."""
    for left in folder.glob(f".{glob.escape(name) if name else '*'}.????????{PART}"):
        with suppress(OSError):
            descriptor = os.open(left, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                left.unlink()
            finally:
                os.close(descriptor)


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
