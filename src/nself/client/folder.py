"""The buffer's folder, which the processes of one machine share (docs/decisions/0014).

lock                  held while queues come and go and while rejected.ndjson grows
queues/PID-RANDOM/    a process's segments, and `lock`, which it holds as long as it lives
rejected.ndjson       what the service will never take, a line each, with the reason
damaged/              bytes that could not be read
"""

from __future__ import annotations

import fcntl
import logging
import os
import uuid
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock

import msgspec

from nself.client.errors import BufferUnwritable
from nself.client.model import Rejected
from nself.client.segments import Damage, Queue, sync_folder, waiting_bytes

logger = logging.getLogger("nself.client")
_quiet = Lock()
"""Nobody forks while a lock is being taken: a child that inherits it would hold it for ever."""
os.register_at_fork(before=_quiet.acquire, after_in_parent=_quiet.release, after_in_child=_quiet.release)
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Rejected).decode


class Folder:
    """One per client; holds nothing open between calls."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.rejections = root / "rejected.ndjson"

    def new_queue(self, each: bool, segment_bytes: int) -> Queue:
        """Raises BufferUnwritable."""
        with self._telling(), self._locked():
            folder = self.root / "queues" / f"{os.getpid()}-{uuid.uuid4().hex[:12]}"
            folder.mkdir(mode=0o700)
            sync_folder(folder.parent)
            lock = _lock(folder / "lock", wait=True)
            assert lock is not None
            return Queue(folder, lock, each, segment_bytes)

    def left_behind(self) -> list[Queue]:
        """The queues of processes that died, ours from now on; one that cannot be read stays, and is told."""
        found = list[Queue]()
        for folder in sorted((self.root / "queues").glob("*")):
            try:
                with self._locked():
                    lock = _lock(folder / "lock", wait=False)
                    if lock is not None:
                        found.append(Queue.of_the_dead(folder, lock))
            except FileNotFoundError:
                continue  # somebody else was faster
            except OSError as error:
                logger.error("The queue %s cannot be read: %s", folder, error)
        return found

    def remove(self, queue: Queue) -> None:
        """Close a queue; where nothing is left in it, it is gone. Raises BufferUnwritable, BufferFull."""
        with self._telling(), self._locked():
            queue.close()
            if not queue.bytes:
                for path in (*queue.folder.glob("*.seg"), queue.folder / "lock"):
                    path.unlink(missing_ok=True)
                with suppress(OSError):
                    queue.folder.rmdir()

    def others_bytes(self, mine: Queue) -> int:
        """What waits in the queues of other processes, dead ones too. A queue that goes away meanwhile was empty."""
        total = 0
        for folder in (self.root / "queues").glob("*"):
            if folder != mine.folder:
                with suppress(FileNotFoundError):
                    total += sum(waiting_bytes(path) for path in folder.glob("*.seg"))
        return total

    def reject(self, rejected: Iterable[Rejected]) -> None:
        """They are on the disk when this returns. Raises BufferUnwritable."""
        text = b"".join(_encode(one) + b"\n" for one in rejected)
        with self._telling(), self._locked():
            descriptor = os.open(self.rejections, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                end = _end_of_lines(descriptor)
                written = 0
                while written < len(text):
                    written += os.pwrite(descriptor, text[written:], end + written)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            if end == 0:
                sync_folder(self.root)

    def rejected(self) -> Iterator[Rejected]:
        """Each event once, in order; a process that was killed may have written one twice."""
        seen = set[str]()
        with suppress(FileNotFoundError), self.rejections.open("rb") as file:
            for line in file:
                with suppress(msgspec.DecodeError):
                    one = _decode(line)
                    if one.name not in seen:
                        seen.add(one.name)
                        yield one

    def set_aside(self, damage: Damage) -> Path:
        """Keep bytes that could not be read. Raises BufferUnwritable."""
        path = damage.segment.path
        with self._telling(), self._locked():
            copy = self.root / "damaged" / f"{path.parent.name}-{path.stem}-{damage.start}.bytes"
            copy.parent.mkdir(mode=0o700, exist_ok=True)
            with open(copy, "wb", opener=_private) as file:
                file.write(damage.data)
                file.flush()
                os.fsync(file.fileno())
            sync_folder(copy.parent)
        return copy

    @contextmanager
    def _locked(self) -> Generator[None]:
        queues = self.root / "queues"
        if not queues.is_dir():
            queues.mkdir(mode=0o700, parents=True, exist_ok=True)
            for folder in (self.root, self.root.parent):
                sync_folder(folder)
        with _quiet:
            descriptor = _lock(self.root / "lock", wait=True)
            assert descriptor is not None
            try:
                yield
            finally:
                os.close(descriptor)

    @contextmanager
    def _telling(self) -> Generator[None]:
        try:
            yield
        except OSError as error:
            raise BufferUnwritable(path=error.filename or self.root, detail=error.strerror or error) from error


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def _lock(path: Path, wait: bool) -> int | None:
    """The descriptor that holds the lock, until it is closed or its process ends; None where another one holds it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _end_of_lines(descriptor: int) -> int:
    """Where the next line goes: behind the last whole one."""
    size = os.fstat(descriptor).st_size
    place = size
    while place:
        start = max(0, place - 65536)
        found = os.pread(descriptor, place - start, start).rfind(b"\n")
        if found >= 0:
            place = start + found + 1
            break
        place = start
    if place < size:
        os.ftruncate(descriptor, place)
    return place
