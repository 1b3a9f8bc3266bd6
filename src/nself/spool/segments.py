"""The spool's folder: numbered segment files that are appended to under a lock, read in order and removed.

Only the segment with the highest number is appended to, and it is never removed, so numbers never come again.
"""

from __future__ import annotations

import errno
import fcntl
import os
import uuid
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from nself.spool import frames
from nself.spool.errors import BufferDamaged, BufferFull, BufferUnreadable, BufferUnwritable
from nself.spool.frames import SIZE, Header, Wrong

SEGMENT_BYTES = 1 << 20
"""A segment that is larger gets a successor."""
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class Place(NamedTuple):
    """A point in the spool: everything before it has been dealt with."""

    segment: int
    offset: int


class Record(NamedTuple):
    """A record between two places."""

    payload: bytes
    head: Header
    start: Place
    end: Place


class Waiting(NamedTuple):
    """What lies behind a place. `since`: milliseconds since 1970 of the oldest record."""

    events: int = 0
    bytes: int = 0
    since: int | None = None


class _Tail(NamedTuple):
    """How far a segment was walked; `whole`: nothing but records up to `end`, its size."""

    end: int = 0
    events: int = 0
    whole: bool = True


class Spool:
    """One per process; threads and processes may share the folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._walked: dict[int, _Tail] = {}
        self._sealed: dict[int, int] = {}

    @property
    def id(self) -> str:
        """Names this folder's content in the database; empty before the first record. Raises BufferUnreadable."""
        with self._reading(), suppress(FileNotFoundError):
            return (self.folder / "id").read_text()
        return ""

    def numbers(self) -> list[int]:
        """Of the segments that are there, in order."""
        try:
            return sorted(int(name[:-4]) for name in os.listdir(self.folder) if name.endswith(".seg"))
        except FileNotFoundError:
            return []

    def path(self, number: int) -> Path:
        return self.folder / f"{number:010}.seg"

    # Writing

    def append(self, payload: bytes, events: int, at: int, most: int) -> None:
        """Add a record; it is on the disk when this returns. `most` events may be there, these included.

        Raises BufferFull, BufferUnwritable; then the spool is as it was before.
        """
        frame = frames.pack(payload, events, at)
        with self._writing(), self._locked():
            standing = self._events()
            if standing + events > most:
                raise BufferFull(detail=f"{standing} events are kept, {events} more came, USAGE_BUFFER_SIZE is {most}")
            number, end = self._open_end()
            self._write(number, end, frame)
            old = self._walked.get(number, _Tail())
            self._walked[number] = _Tail(end + len(frame), old.events + events)

    def _write(self, number: int, end: int, frame: bytes) -> None:
        descriptor = os.open(self.path(number), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if end == 0:
                self._sync_folder()
            written = 0
            while written < len(frame):
                written += os.pwrite(descriptor, frame[written:], end + written)
            os.fsync(descriptor)
        except OSError:
            with suppress(OSError):
                os.ftruncate(descriptor, end)
            raise
        finally:
            os.close(descriptor)

    def _open_end(self) -> Place:
        """Where the next record goes: never behind bytes that are no whole record."""
        last = max(self.numbers(), default=0)
        if last == 0:
            return Place(1, 0)
        tail = self._walk(last)
        return Place(last, tail.end) if tail.whole and tail.end < SEGMENT_BYTES else Place(last + 1, 0)

    def _events(self) -> int:
        """In all segments; those that are appended to no more are walked once."""
        numbers = self.numbers()
        self._sealed = {
            one: self._sealed[one] if one in self._sealed else self._walk(one).events for one in numbers[:-1]
        }
        self._walked = {one: tail for one, tail in self._walked.items() if one in numbers[-1:]}
        return sum(self._sealed.values()) + sum(self._walk(one).events for one in numbers[-1:])

    def _walk(self, number: int) -> _Tail:
        """Count a segment's records by their headers, from where an earlier walk ended."""
        known = self._walked.get(number, _Tail())
        end, events = known.end, known.events
        with suppress(FileNotFoundError), self._opened(number) as (descriptor, size):
            if not (known.whole and known.end == size):
                try:
                    for start, head in _headers(descriptor, size, end):
                        end, events = start + SIZE + head.length, events + head.events
                except Wrong:
                    pass
                known = self._walked[number] = _Tail(end, events, end == size)
        return known

    def seal(self) -> None:
        """Let the next record begin a new segment, so that those before it may be read and removed. Raises BufferUnwritable."""
        with self._writing(full=False), self._locked():
            last = max(self.numbers(), default=0)
            if last and self.path(last).stat().st_size:
                os.close(os.open(self.path(last + 1), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
                self._sync_folder()

    def remove_before(self, number: int) -> None:
        """Remove what is wholly in the database. Raises BufferUnwritable."""
        with self._writing(full=False):
            old = [one for one in self.numbers()[:-1] if one < number]
            for one in old:
                self.path(one).unlink(missing_ok=True)
            if old:
                self._sync_folder()

    def forget(self) -> None:
        """Remove every record, and be another spool from the next one on. Raises BufferUnwritable."""
        with self._writing(full=False), self._locked():
            for number in self.numbers():
                self.path(number).unlink(missing_ok=True)
            self._walked.clear()
            self._write_id()

    # Reading

    def first(self) -> Place:
        return Place(min(self.numbers(), default=1), 0)

    def idle(self) -> bool:
        """Whether nothing waits to be read; a stat, no reading."""
        numbers = self.numbers()
        with suppress(FileNotFoundError):
            return not numbers or (len(numbers) == 1 and not self.path(numbers[0]).stat().st_size)
        return False

    def read(self, place: Place, most: int) -> tuple[list[Record], Place]:
        """Sealed records from `place` on, of one segment, of up to `most` events but at least one; the place after them.

        Half a record at a segment's end was never acknowledged and is passed over. Raises BufferDamaged, BufferUnreadable.
        """
        last = max(self.numbers(), default=0)
        while place.segment < last:
            found = self._read_segment(place, most)
            if found:
                return found, found[-1].end
            place = Place(place.segment + 1, 0)
        return [], place

    def _read_segment(self, place: Place, most: int) -> list[Record]:
        found, events, start = list[Record](), 0, place.offset
        try:
            with self._reading(), self._opened(place.segment) as (descriptor, size):
                if start > size:
                    raise Wrong("the file is shorter than what was read of it")
                for start, head in _headers(descriptor, size, place.offset):
                    if found and events + head.events > most:
                        break
                    payload = os.pread(descriptor, head.length, start + SIZE)
                    frames.require_whole(head, payload)
                    end = start + SIZE + head.length
                    found.append(Record(payload, head, Place(place.segment, start), Place(place.segment, end)))
                    events += head.events
        except FileNotFoundError:
            raise self._damaged(place, "the file is gone") from None
        except Wrong as error:
            if not found:
                raise self._damaged(place, str(error)) from None
        return found

    def _damaged(self, place: Place, detail: str) -> BufferDamaged:
        return BufferDamaged(segment=place.segment, offset=place.offset, detail=detail)

    def waiting(self, place: Place) -> Waiting:
        """What lies behind `place`, by the headers that can be read. Raises BufferUnreadable."""
        events, size_of_all, since = 0, 0, None
        for number in self.numbers():
            start = place.offset if number == place.segment else 0
            with self._reading(), suppress(FileNotFoundError, Wrong), self._opened(number) as (descriptor, size):
                if number < place.segment or size <= start:
                    continue
                size_of_all += size - start
                for _, head in _headers(descriptor, size, start):
                    events += head.events
                    since = head.at if since is None else min(since, head.at)
        return Waiting(events, size_of_all, since)

    def set_aside(self, place: Place) -> tuple[Path, Place, int | None]:
        """Copy the unreadable bytes at `place`, durably: the copy, the place behind them, and the events lost where known.

        The segment itself is left as it is. Raises BufferUnwritable, BufferUnreadable.
        """
        try:
            with self._reading():
                data = self.path(place.segment).read_bytes()[place.offset :]
        except FileNotFoundError:
            data = b""
        end, events = frames.next_whole(data, 1), None
        with suppress(Wrong):
            if head := frames.header(data[:SIZE]):
                end, events = min(len(data), SIZE + head.length), head.events
        copy = self.folder / "aside" / f"{place.segment:010}-{place.offset}.bytes"
        with self._writing(full=False):
            copy.parent.mkdir(mode=0o700, exist_ok=True)
            descriptor = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data[:end])
                file.flush()
                os.fsync(file.fileno())
            _sync(copy.parent)
            self._sync_folder()
        if end < len(data):
            return copy, Place(place.segment, place.offset + end), events
        return copy, Place(min(one for one in self.numbers() if one > place.segment), 0), events

    # The frame of both

    @contextmanager
    def _opened(self, number: int) -> Generator[tuple[int, int]]:
        """Descriptor and size. Raises FileNotFoundError."""
        descriptor = os.open(self.path(number), os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield descriptor, os.fstat(descriptor).st_size
        finally:
            os.close(descriptor)

    @contextmanager
    def _locked(self) -> Generator[None]:
        """The lock of all who change the folder, made where it is not there; gone with its process."""
        if not self.folder.is_dir():
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _sync(self.folder.parent)
        descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if not (self.folder / "id").exists():
                self._write_id()
            yield
        finally:
            os.close(descriptor)

    def _write_id(self) -> None:
        fresh = self.folder / "id.new"
        with fresh.open("w") as file:
            file.write(uuid.uuid4().hex)
            file.flush()
            os.fsync(file.fileno())
        fresh.rename(self.folder / "id")
        self._sync_folder()

    def _sync_folder(self) -> None:
        _sync(self.folder)

    @contextmanager
    def _writing(self, full: bool = True) -> Generator[None]:
        """`full`: a disk without room is told as a buffer without room."""
        try:
            yield
        except OSError as error:
            where = error.filename or self.folder
            if full and error.errno in NO_ROOM:
                raise BufferFull(detail=f"{where}: {error.strerror}") from error
            raise BufferUnwritable(path=where, detail=error.strerror or error) from error

    @contextmanager
    def _reading(self) -> Generator[None]:
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError as error:
            raise BufferUnreadable(path=error.filename or self.folder, detail=error.strerror or error) from error


def _headers(descriptor: int, size: int, start: int) -> Iterator[tuple[int, Header]]:
    """Whole records with the offset at which each begins, up to half a one. Raises Wrong."""
    while start < size:
        head = frames.header(os.pread(descriptor, SIZE, start))
        if head is None or start + SIZE + head.length > size:
            return
        yield start, head
        start += SIZE + head.length


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
