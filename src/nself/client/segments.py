"""One process's queue on disk: segment files that it appends to, reads in order and removes (docs/decisions/0014).

A segment begins with how far it was delivered, then come records as in the service's spool (`nself.spool.frames`).
"""

from __future__ import annotations

import errno
import os
import struct
import zlib
from collections import deque
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from nself.client.errors import BufferFull, BufferUnwritable, ClientClosed
from nself.spool import frames
from nself.spool.frames import SIZE, Wrong
from nself.spool.segments import NO_ROOM

_CURSOR = struct.Struct(">4sQI")
MAGIC = b"nCl1"
START = _CURSOR.size
"""Where the first record of a segment begins."""
READ_BYTES = 1 << 20
to_disk = getattr(os, "fdatasync", os.fsync)  # macOS has none


class Batch(NamedTuple):
    """Whole records of one segment from `start` on; `ends` has where each ends."""

    segment: Segment
    start: int
    payloads: list[bytes]
    ends: list[int]


class Damage(NamedTuple):
    """Bytes that no interrupted write can have left."""

    segment: Segment
    start: int
    end: int
    data: bytes
    cause: str


class Reach(NamedTuple):
    """Up to where, and how many records."""

    end: int
    records: int


class Segment:
    """One file. Everything before `cursor` was delivered, everything before `synced.end` is on the disk."""

    __slots__ = ("cursor", "descriptor", "failed", "path", "synced", "syncing", "written")

    def __init__(self, path: Path, descriptor: int, end: int, cursor: int = START) -> None:
        self.path, self.descriptor, self.cursor = path, descriptor, cursor
        self.written = self.synced = Reach(end, 0)
        self.syncing = Lock()
        self.failed: OSError | None = None

    def write(self, frame: bytes) -> int:
        """Where it ends. Raises OSError; then the file is as it was."""
        written, (end, records) = 0, self.written
        try:
            while written < len(frame):
                written += os.pwrite(self.descriptor, frame[written:], end + written)
        except OSError:
            with suppress(OSError):
                os.ftruncate(self.descriptor, end)
            raise
        self.written = Reach(end + written, records + 1)
        return self.written.end

    def flush(self, end: int) -> None:
        """Bring it to the disk up to `end`; threads that come together do so once. Raises OSError, from then on always."""
        with self.syncing:
            if self.synced.end >= end:
                return
            if self.failed:
                raise self.failed
            reach = self.written
            try:
                to_disk(self.descriptor)
            except OSError as error:
                self.failed = error
                raise
            self.synced = reach

    def cut(self) -> Reach:
        """Take back what did not reach the disk; bytes and records."""
        lost = Reach(self.written.end - self.synced.end, self.written.records - self.synced.records)
        if lost.end:
            with suppress(OSError):
                os.ftruncate(self.descriptor, self.synced.end)
            self.written = self.synced
        return lost

    def move(self, cursor: int) -> None:
        """Not synced: what it forgets is sent again, and known there."""
        self.cursor = cursor
        with suppress(OSError):
            os.pwrite(self.descriptor, packed(cursor), 0)


def packed(cursor: int) -> bytes:
    return _CURSOR.pack(MAGIC, cursor, zlib.crc32(MAGIC + cursor.to_bytes(8, "big")))


def delivered(head: bytes, size: int) -> int:
    """How far a segment of `size` bytes was delivered; its beginning where that cannot be read."""
    if len(head) == START:
        cursor = _CURSOR.unpack(head)[1]
        if packed(cursor) == head and START <= cursor <= size:
            return cursor
    return min(START, size)


def waiting_bytes(path: Path) -> int:
    """Of a segment of any process; 0 where it is gone or cannot be read."""
    with suppress(OSError), path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        return size - delivered(file.read(START), size)
    return 0


def records(data: bytes, most: int) -> tuple[list[bytes], list[int]]:
    """The whole records that `data` begins with, and where each ends. Raises Wrong where the first is none.

    Nothing where there is but the beginning of one, or the zeros that a power failure leaves.
    """
    found, ends, at = list[bytes](), list[int](), 0
    try:
        while len(found) < most and (head := frames.header(data[at : at + SIZE])):
            end = at + SIZE + head.length
            if end > len(data):
                break
            payload = data[at + SIZE : end]
            frames.require_whole(head, payload)
            found.append(payload)
            ends.append(end)
            at = end
    except Wrong:
        if not found and data.strip(b"\0"):
            raise
    return found, ends


class Queue:
    """The segments of one process, in its `folder`, whose lock `lock` it holds. Threads may share it; one reads.

    `each`: a record is on the disk when `append` returns. `bytes` and `records` wait to be delivered; `settled`
    counts the bytes that do not any more, `number` the segments there were.
    """

    def __init__(self, folder: Path, lock: int, each: bool, segment_bytes: int) -> None:
        self.folder, self.lock, self.each, self.segment_bytes = folder, lock, each, segment_bytes
        self.bytes = self.records = self.settled = 0
        self.closed = False
        self._segments: deque[Segment] = deque()
        self._active: Segment | None = None
        self.number = 0
        self._changing = Lock()

    @classmethod
    def of_the_dead(cls, folder: Path, lock: int) -> Queue:
        """What a process left; it is only read. Raises OSError."""
        queue = cls(folder, lock, True, 0)
        try:
            for path in sorted(folder.glob("*.seg")):
                descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
                size = os.fstat(descriptor).st_size
                segment = Segment(path, descriptor, size, delivered(os.pread(descriptor, START, 0), size))
                queue._segments.append(segment)
                queue.bytes += size - segment.cursor
                queue.records += _count(os.pread(descriptor, size - segment.cursor, segment.cursor))
        except OSError:
            queue.abandon()
            raise
        return queue

    # Writing

    def append(self, payload: bytes, at: int, room: int) -> None:
        """Add a record; `at` in milliseconds since 1970, `room` the most bytes that may wait then.

        Raises BufferFull, BufferUnwritable, ClientClosed; then it is not in the queue.
        """
        frame = frames.pack(payload, 1, at)
        try:
            with self._changing:
                if self.closed:
                    raise ClientClosed
                if self.bytes + len(frame) > room:
                    raise BufferFull(detail=f"{self.bytes} bytes of this process wait, {len(frame)} more came")
                segment = self._writable()
                end = segment.write(frame)
                self.bytes += len(frame)
                self.records += 1
            if self.each:
                self._require(segment, end)
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> BufferFull | BufferUnwritable:
        where, why = error.filename or self.folder, error.strerror or error
        if error.errno in NO_ROOM:
            return BufferFull(detail=f"{where}: {why}")
        return BufferUnwritable(path=where, detail=why)

    def _writable(self) -> Segment:
        """The segment that takes the next record. Raises OSError."""
        old = self._active
        if old and not old.failed:
            if old.written.end < self.segment_bytes:
                return old
            old.flush(old.written.end)  # nobody may wait for it later: it is closed when it was read
        self._active = None
        if old and old.failed and self.each:
            self._cut(old)
        if old and old.cursor == old.written.end:
            self._segments.remove(old)
            self._drop(old)
        self._active = self._create()
        return self._active

    def _create(self) -> Segment:
        self.number += 1
        path = self.folder / f"{self.number:010}.seg"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            if os.pwrite(descriptor, packed(START), 0) != START:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
            sync_folder(self.folder)
        except OSError:
            os.close(descriptor)
            path.unlink(missing_ok=True)
            raise
        segment = Segment(path, descriptor, START)
        self._segments.append(segment)
        return segment

    def _require(self, segment: Segment, end: int) -> None:
        """On the disk, or taken back. Raises OSError."""
        try:
            segment.flush(end)
        except OSError:
            with self._changing:
                self._cut(segment)
            raise

    def _cut(self, segment: Segment) -> None:
        lost = segment.cut()
        self.bytes, self.records = self.bytes - lost.end, self.records - lost.records

    def sync(self) -> None:
        """Bring everything to the disk. Raises BufferUnwritable, BufferFull."""
        with self._changing:
            segment = None if self.closed else self._active
        try:
            if segment:
                segment.flush(segment.written.end)
        except OSError as error:
            raise self._unwritable(error) from error

    # Reading

    def target(self) -> int:
        """What `settled` is when all that is in the queue now is delivered."""
        with self._changing:
            return self.settled + self.bytes

    def head(self, most: int, size: int = READ_BYTES) -> Batch | Damage | None:
        """What is to be delivered next: up to `most` records and about `size` bytes, at least one."""
        while True:
            with self._changing:
                if self.closed or not self._segments:
                    return None
                segment = self._segments[0]
                limit = segment.synced.end if self.each else segment.written.end
                whole = segment is not self._active and limit == segment.written.end
            found = _read(segment, limit, most, size)
            if found is not None or not whole:
                return found
            self.settle(segment, segment.written.end, 0)

    def settle(self, segment: Segment, end: int, count: int) -> None:
        """Everything in `segment` before `end`, `count` records, was delivered or kept elsewhere."""
        with self._changing:
            if self.closed:
                return
            done = end - segment.cursor
            self.bytes, self.settled = self.bytes - done, self.settled + done
            self.records = max(self.records - count, 0) if self.bytes else 0
            segment.move(end)
            if segment is not self._active and segment.written.end == end:
                self._segments.popleft()
                self._drop(segment)

    def _drop(self, segment: Segment) -> None:
        os.close(segment.descriptor)
        with suppress(OSError):
            segment.path.unlink(missing_ok=True)

    # The end

    def close(self) -> None:
        """Let others have what is left; the lock goes last. Raises BufferUnwritable, BufferFull after all is closed."""
        try:
            with self._changing:
                if self.closed:
                    return
                self.closed = True
                try:
                    if self._active:
                        self._active.flush(self._active.written.end)
                finally:
                    self.abandon()
        except OSError as error:
            raise self._unwritable(error) from error

    def abandon(self) -> None:
        """Close what is open; in a forked child that is its parent's, not its own."""
        while self._segments:
            os.close(self._segments.popleft().descriptor)
        os.close(self.lock)


def _read(segment: Segment, limit: int, most: int, size: int) -> Batch | Damage | None:
    start = segment.cursor
    data = os.pread(segment.descriptor, min(size, limit - start), start)
    try:
        payloads, ends = records(data, most)
        if not payloads and start + len(data) < limit:
            data = os.pread(segment.descriptor, limit - start, start)
            payloads, ends = records(data, 1)
    except Wrong as wrong:
        data = os.pread(segment.descriptor, limit - start, start)
        end = frames.next_whole(data, 1)
        return Damage(segment, start, start + end, data[:end], str(wrong))
    return Batch(segment, start, payloads, [start + end for end in ends]) if payloads else None


def _count(data: bytes) -> int:
    """Whole records in `data`."""
    at = count = 0
    while at < len(data):
        try:
            found, ends = records(data[at:], len(data))
        except Wrong:
            at = at + frames.next_whole(data[at:], 1)
            count += 1
            continue
        if not found:
            return count
        count, at = count + len(found), at + ends[-1]
    return count


def sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
