"""The chain in the database, and the file where entries wait for it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import msgspec

from nself.db.connect import Tx
from nself.db.queries import beside
from nself.domains.trail.model import Chained, Deed, Entry, Head

SQL = beside(__file__)


def lock_head(tx: Tx) -> Head:
    """Until the end of the transaction nobody else chains."""
    return tx.one(SQL["lock_head"], Head)


def head(tx: Tx) -> Head:
    return tx.one(SQL["head"], Head)


def known(tx: Tx, entries: Sequence[Entry]) -> set[str]:
    """`entry phase` of those that are chained already."""
    return set(tx.values(SQL["known"], names=[f"{one.entry} {one.phase}" for one in entries]))


def open_incident(tx: Tx) -> str:
    """The newest one; empty where none is open."""
    return tx.value(SQL["open_incident"]) or ""


def add(tx: Tx, made: Sequence[Chained]) -> None:
    tx.run_many(SQL["add"], [msgspec.structs.asdict(one) for one in made])
    tx.run(SQL["move_head"], number=made[-1].number, hash=made[-1].hash)


def deeds(
    tx: Tx, since: datetime, until: datetime, incident: str | None, limit: int, words: Sequence[str] | None = None
) -> list[Deed]:
    """Newest first; where `words` are given, those in whose command one of them stands."""
    found = None if words is None else list(words)
    return tx.all(SQL["deeds"], Deed, since=since, until=until, incident=incident, limit=limit, words=found)


def chain(tx: Tx) -> Generator[Chained]:
    """All of it, in the order of its numbers."""
    return tx.stream(SQL["chain"], Chained)


def mentions(tx: Tx, texts: Iterable[str]) -> set[str]:
    """Those that stand in a command that was done."""
    return set(tx.values(SQL["mentions"], texts=list(texts)))


# ---- The file ----


@contextmanager
def _locked(path: Path) -> Generator[int]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def keep(path: Path, one: Entry) -> None:
    """On disk when this returns. A line that a killed process left unfinished is ended first."""
    with _locked(path) as descriptor:
        size = os.fstat(descriptor).st_size
        unfinished = size and os.pread(descriptor, 1, size - 1) != b"\n"
        os.write(descriptor, (b"\n" if unfinished else b"") + msgspec.json.encode(one) + b"\n")
        os.fsync(descriptor)


@contextmanager
def waiting(path: Path) -> Generator[list[Entry]]:
    """What waits; it is forgotten when the block ends well. Meanwhile nobody adds to it."""
    if not path.exists() or not path.stat().st_size:
        yield []
        return
    with _locked(path) as descriptor:
        lines = os.pread(descriptor, os.fstat(descriptor).st_size, 0).splitlines()
        yield [one for one in map(_entry, lines) if one]
        os.ftruncate(descriptor, 0)


def _entry(line: bytes) -> Entry | None:
    """None of a line that was left unfinished."""
    try:
        return msgspec.json.decode(line, type=Entry)
    except msgspec.DecodeError:
        return None
