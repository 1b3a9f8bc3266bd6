"""One function a query of the looks at the whole system; the machine's own figures."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import msgspec
import psutil

from nself.core.project import Project
from nself.db.connect import Tx
from nself.db.queries import beside
from nself.process.paths import StateUnwritable, read_json, write_private

SQL = beside(__file__)


class Room(NamedTuple):
    """Bytes of something that may run out."""

    free: int
    total: int

    @property
    def percent(self) -> int:
        """That is free."""
        return self.free * 100 // max(1, self.total)


def last_look(tx: Tx) -> datetime | None:
    return tx.value(SQL["last_look"])


def look(tx: Tx, now: datetime) -> None:
    tx.run(SQL["look"], now=now)


def disk(folder: Path) -> Room:
    """Of the file system that holds `folder`."""
    found = os.statvfs(folder)
    return Room(found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize)


def places(project: Project) -> dict[str, Path]:
    """Where room is needed, one a file system: the embedded database of root, or behind a mount, lies elsewhere."""
    data = project.state / "postgres"
    apart = data.exists() and data.stat().st_dev != project.root.stat().st_dev
    return {"disk": project.root, **({"database disk": data} if apart else {})}


def memory() -> Room:
    found = psutil.virtual_memory()
    return Room(found.available, found.total)


def key_age(project: Project, key: str, now: datetime) -> float:
    """Seconds since this project first saw the key; of it only a digest is kept."""
    path, digest = project.state / "key-seen.json", hashlib.sha256(key.encode()).hexdigest()
    match read_json(path):
        case {"key": str(known), "since": str(since)} if known == digest:
            return max(0.0, (now - datetime.fromisoformat(since)).total_seconds())
        case _:
            with suppress(StateUnwritable):
                write_private(path, msgspec.json.encode({"key": digest, "since": now.isoformat()}).decode())
            return 0
