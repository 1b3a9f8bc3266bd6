"""Reads what services leave behind: log files with their rotated predecessors, notes, memory."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import IO

from nself.core.project import Project
from nself.domains.stack.model import Started
from nself.process.paths import read_json, run_folder

BLOCK = 65536
MAX_BACKUPS = 20
FOLLOW_SECONDS = 0.2


def started(project: Project, name: str) -> Started | None:
    """What the service's last process was started with."""
    match read_json(run_folder(project) / f"{name}.json"):
        case {"pid": int(pid), "settings": str(settings), "port": int() | None as port}:
            return Started(pid, settings, port)
        case _:
            return None


def memory(pid: int) -> int | None:
    """Bytes of a process and its children, shared memory counted once where the system tells."""
    import psutil

    total = 0
    try:
        top = psutil.Process(pid)
        for process in (top, *top.children(recursive=True)):
            try:
                found = process.memory_full_info()
                total += getattr(found, "pss", found.rss)
            except psutil.NoSuchProcess:
                continue
            except psutil.AccessDenied:
                total += process.memory_info().rss
    except psutil.Error:
        return None
    return total


def names(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.log"))


def _whole(file: IO[bytes], size: int) -> int:
    """Where the last complete line of the first `size` bytes ends; `size` where that is far away."""
    begin = max(0, size - BLOCK)
    file.seek(begin)
    found = file.read(size - begin).rfind(b"\n")
    return begin + found + 1 if found >= 0 else size


class LogFiles:
    """One service's log, open from the newest file to the oldest, so that a rotation loses nothing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files: list[IO[bytes]] = []
        self.ends: list[int] = []
        seen: set[int] = set()
        for candidate in (path, *(Path(f"{path}.{number}") for number in range(1, MAX_BACKUPS))):
            try:
                file = candidate.open("rb")
            except FileNotFoundError:
                continue
            found = os.fstat(file.fileno())
            if found.st_ino in seen:
                file.close()
                continue
            seen.add(found.st_ino)
            self.files.append(file)
            self.ends.append(_whole(file, found.st_size))

    def close(self) -> None:
        for file in self.files:
            file.close()

    def forwards(self, since: datetime | None) -> Iterator[str]:
        """All lines, oldest first; files that were last written before `since` are left out."""
        for file, end in reversed(list(zip(self.files, self.ends, strict=True))):
            if since and os.fstat(file.fileno()).st_mtime < since.timestamp():
                continue
            file.seek(0)
            left = end
            while left > 0 and (raw := file.readline(left)):
                left -= len(raw)
                yield raw.decode(errors="replace")

    def backwards(self) -> Iterator[str]:
        """All lines, newest first."""
        for file, end in zip(self.files, self.ends, strict=True):
            rest, at = b"", end
            while at > 0:
                size = min(BLOCK, at)
                at -= size
                file.seek(at)
                parts = (file.read(size) + rest).split(b"\n")
                rest = parts[0]
                yield from (part.decode(errors="replace") for part in reversed(parts[1:]) if part)
            if rest:
                yield rest.decode(errors="replace")


class Follower:
    """New lines of one log, through rotations; starts at the end that `files` saw."""

    def __init__(self, files: LogFiles) -> None:
        self.path = files.path
        self.rest = b""
        self.descriptor = os.dup(files.files[0].fileno()) if files.files else -1
        self.at = files.ends[0] if files.files else 0

    def _read(self) -> Iterator[str]:
        while self.descriptor >= 0 and (data := os.pread(self.descriptor, BLOCK, self.at)):
            self.at += len(data)
            *lines, self.rest = (self.rest + data).split(b"\n")
            yield from (line.decode(errors="replace") for line in lines)

    def _newer(self) -> list[int]:
        """Descriptors of files that were begun after ours, oldest first; none while ours is the current one.

        Opened from the newest on: a rotation moves files the same way, so that none slips past.
        """
        newer: list[int] = []
        for candidate in (self.path, *(Path(f"{self.path}.{number}") for number in range(1, MAX_BACKUPS))):
            try:
                found = os.open(candidate, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            if _same(found, self.descriptor):
                os.close(found)
                break
            if any(_same(found, other) for other in newer):
                os.close(found)
            else:
                newer.append(found)
        return newer[::-1]

    def lines(self) -> Iterator[str]:
        """What came since the last call."""
        yield from self._read()
        newer = self._newer()
        try:
            while newer:
                # Ours was renamed: what was written to it until then comes first.
                yield from self._read()
                self.close()
                self.descriptor, self.at = newer.pop(0), 0
                yield from self._read()
        finally:
            for descriptor in newer:
                os.close(descriptor)

    def close(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def _same(one: int, other: int) -> bool:
    return one >= 0 and other >= 0 and os.path.samestat(os.fstat(one), os.fstat(other))


def pause() -> None:
    """Between two looks at followed files."""
    time.sleep(FOLLOW_SECONDS)
