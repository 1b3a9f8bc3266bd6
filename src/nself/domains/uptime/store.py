"""One function a query of uptime, and the notes that processes keep on disk of themselves."""

from __future__ import annotations

import fcntl
import os
import resource
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import msgspec
import psutil

from nself.core.period import Period
from nself.db.connect import Tx
from nself.db.queries import beside
from nself.domains.uptime.model import Interruption, Note, Outgrown, Refusal, Run, Sample
from nself.spool.refused import Span

SQL = beside(__file__)
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def memory() -> int:
    """Bytes that this process has in memory."""
    return psutil.Process().memory_info().rss


def most_memory() -> int:
    """Bytes that this process had at most, ever."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def tell_memory(tx: Tx, run: str, at: datetime, used: tuple[int, int], longest: tuple[str, float]) -> None:
    """`used`: least and most bytes; `longest`: what took how many seconds."""
    tx.run(SQL["tell_memory"], run=run, at=at, low=used[0], high=used[1], doing=longest[0], seconds=longest[1])


def forget_memory(tx: Tx, before: datetime) -> None:
    tx.run(SQL["forget_memory"], before=before)


def memory_of_living(tx: Tx, alive: datetime) -> list[Sample]:
    """By process, then time, of those seen since `alive`."""
    return tx.all(SQL["memory"], Sample, alive=alive)


def outgrown(tx: Tx, limit: int, since: datetime) -> list[Outgrown]:
    return tx.all(SQL["outgrown"], Outgrown, limit=limit, since=since)


def tell(tx: Tx, note: Note) -> None:
    tx.run(SQL["tell"], **msgspec.structs.asdict(note.run))
    if note.interruptions:
        tx.run_many(SQL["tell_interruption"], [msgspec.structs.asdict(one) for one in note.interruptions])


def tell_refusals(tx: Tx, origin: str, spans: Sequence[Span]) -> None:
    tx.run_many(SQL["tell_refusal"], [{**msgspec.structs.asdict(one), "origin": origin} for one in spans])


def server_started_at(tx: Tx) -> datetime:
    return tx.value(SQL["server_started_at"])


def previous(tx: Tx, run: Run) -> Run | None:
    """The run of the same service at the same place that was seen last."""
    return tx.maybe(SQL["previous"], Run, service=run.service, place=run.place, run=run.run)


def runs(tx: Tx, span: Period) -> list[Run]:
    return tx.all(SQL["runs"], Run, start=span.start, end=span.end)


def interruptions(tx: Tx, span: Period) -> list[Interruption]:
    return tx.all(SQL["interruptions"], Interruption, start=span.start, end=span.end)


def refusals(tx: Tx, span: Period) -> list[Refusal]:
    return tx.all(SQL["refusals"], Refusal, start=span.start, end=span.end)


def boot() -> str:
    """Names the time since the machine booted."""
    with suppress(OSError):
        return BOOT_ID.read_text().strip()
    return str(int(psutil.boot_time()))


class Paper:
    """The file of a living process, locked until it ends. That it cannot be written is no reason to stop working."""

    def __init__(self, folder: Path, note: Note) -> None:
        self.path = folder / f"{note.run.run}.json"
        self._descriptor: int | None = None
        fresh = folder / f"{note.run.run}.new"
        with suppress(OSError):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._descriptor = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            self.write(note)
            fresh.rename(self.path)  # only now may others look whether it is locked

    def write(self, note: Note) -> None:
        text = msgspec.json.encode(note)
        with suppress(OSError):
            if self._descriptor is not None:
                os.pwrite(self._descriptor, text + b"\n", 0)
                os.ftruncate(self._descriptor, len(text) + 1)

    def remove(self) -> None:
        """The database knows all of it."""
        with suppress(OSError):
            self.path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def living(folder: Path) -> Iterator[Note]:
    """Notes of processes that live."""
    for path in sorted(folder.glob("*.json")):
        with suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                if note := _decoded(path.read_bytes()):
                    yield note
            finally:
                os.close(descriptor)


def left(folder: Path) -> Iterator[tuple[Path, Note | None]]:
    """Files of processes that are dead, with what can be read of them."""
    for path in sorted(folder.glob("*.json")):
        with suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
                yield path, _decoded(path.read_bytes())
            except BlockingIOError:
                continue
            finally:
                os.close(descriptor)


def _decoded(text: bytes) -> Note | None:
    with suppress(msgspec.DecodeError, msgspec.ValidationError):
        return msgspec.json.decode(text.partition(b"\n")[0], type=Note)
    return None


def forget(path: Path) -> None:
    with suppress(OSError):
        path.unlink(missing_ok=True)
