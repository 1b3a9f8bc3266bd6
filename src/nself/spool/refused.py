"""What was refused for want of room: counted on disk, since there is no database then that could be told.

One small file that is written in place, so that a full disk does not hinder it once it is there.
"""

from __future__ import annotations

import fcntl
import os
import uuid
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

NAME = "refused.json"
SIZE = 4096
APART = timedelta(minutes=1)
"""Refusals with less between them are one span."""
MOST = 20
"""Spans; what comes then is added to the last, whatever its code."""


class Span(msgspec.Struct, kw_only=True):
    """Refusals between two instants; `number` names it for ever."""

    number: int
    code: str
    began_at: datetime
    ended_at: datetime
    requests: int = 0
    events: int = 0


class Book(msgspec.Struct, kw_only=True):
    """All that is not in the database yet."""

    origin: str
    next: int = 1
    spans: list[Span] = []


def prepare(folder: Path) -> None:
    """Make the file while there is room for it."""
    with suppress(OSError), _opened(folder):
        pass


def note(folder: Path, code: str, events: int, now: datetime) -> None:
    """One more request with `events` was refused. That this cannot be written is told by nobody."""
    with suppress(OSError), _opened(folder) as book:
        last = book.spans[-1] if book.spans else None
        joins = last and (len(book.spans) >= MOST or (last.code == code and abs(now - last.ended_at) <= APART))
        if not last or not joins:
            last = Span(number=book.next, code=code, began_at=now, ended_at=now)
            book.next += 1
            book.spans.append(last)
        last.began_at, last.ended_at = min(last.began_at, now), max(last.ended_at, now)
        last.requests += 1
        last.events += events


def read(folder: Path) -> Book | None:
    """What is to be told; None where there is nothing."""
    try:
        descriptor = os.open(folder / NAME, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        book = _decoded(os.read(descriptor, SIZE))
        return book if book.spans else None
    finally:
        os.close(descriptor)


def told(folder: Path, spans: Sequence[Span]) -> None:
    """The database has these; those that grew since stay."""
    with suppress(OSError), _opened(folder) as book:
        book.spans = [one for one in book.spans if one not in spans]


@contextmanager
def _opened(folder: Path) -> Generator[Book]:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(folder / NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        book = _decoded(os.pread(descriptor, SIZE, 0))
        yield book
        os.pwrite(descriptor, msgspec.json.encode(book).ljust(SIZE), 0)
    finally:
        os.close(descriptor)


def _decoded(text: bytes) -> Book:
    """A file that cannot be read is another origin from now on."""
    try:
        return msgspec.json.decode(text, type=Book)
    except msgspec.DecodeError:
        return Book(origin=uuid.uuid4().hex)
