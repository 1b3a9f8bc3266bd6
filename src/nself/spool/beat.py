"""What each collector says of itself, in a file that is locked as long as its process lives."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import msgspec

from nself.core.errors import BillingError

PREFIX = "collector-"


class Beat(msgspec.Struct, kw_only=True):
    """Instants in UTC. `error` is the last one, `failing` whether the work still fails for it."""

    pid: int
    since: datetime
    last_drain_at: datetime | None = None
    last_drained: int = 0
    failing: bool = False
    error_code: str | None = None
    error: str | None = None
    error_hint: str | None = None
    error_at: datetime | None = None


class Pulse:
    """Held by a collector; files that dead ones left are removed. That it cannot be written is no reason to stop collecting."""

    def __init__(self, folder: Path, beat: Beat) -> None:
        self.beat = beat
        self._descriptor: int | None = None
        with suppress(OSError):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for path in folder.glob(f"{PREFIX}*.json"):
                if not _held(path):
                    path.unlink(missing_ok=True)
            path = folder / f"{PREFIX}{beat.pid}.json"
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        self._tell()

    def _tell(self) -> None:
        text = msgspec.json.encode(self.beat)
        with suppress(OSError):
            if self._descriptor is not None:
                os.pwrite(self._descriptor, text, 0)
                os.ftruncate(self._descriptor, len(text))

    def drained(self, events: int, now: datetime) -> None:
        """The work succeeded."""
        if events:
            self.beat.last_drain_at, self.beat.last_drained = now, events
        if events or self.beat.failing:
            self.beat.failing = False
            self._tell()

    def failed(self, error: BillingError, now: datetime) -> None:
        self.beat.failing, self.beat.error_code, self.beat.error = True, error.code, error.message
        self.beat.error_hint, self.beat.error_at = next(iter(error.hint), None), now
        self._tell()


def collectors(folder: Path) -> Iterator[tuple[Beat, bool]]:
    """The collectors of a folder and whether each is alive; those that died last are told until the next one starts."""
    for path in sorted(folder.glob(f"{PREFIX}*.json")):
        with suppress(OSError, msgspec.DecodeError):
            yield msgspec.json.decode(path.read_bytes(), type=Beat), _held(path)


def _held(path: Path) -> bool:
    """Whether a living process holds `path`."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
