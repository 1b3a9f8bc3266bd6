"""Who listens on a port: another program may answer where a service of ours has not come up."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
LISTENING = "0A"


def answers(host: str, port: int) -> bool:
    """Whether anybody listens there. Who listens on all addresses is reached on the loopback interface."""
    reachable = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    try:
        socket.create_connection((reachable, port), timeout=1).close()
    except OSError:
        return False
    return True


def holds(pid: int, port: int) -> bool:
    """Whether the process itself listens on the port; true where the kernel does not tell."""
    try:
        return not _open_files(pid).isdisjoint(f"socket:[{inode}]" for inode in _inodes(port))
    except PermissionError:
        return True


def holder(port: int) -> tuple[int, str] | None:
    """Process id and name of who listens on the port, where the kernel tells us."""
    wanted = {f"socket:[{inode}]" for inode in _inodes(port)}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if not wanted.isdisjoint(_open_files(int(folder.name))):
                return int(folder.name), (folder / "comm").read_text(encoding="utf-8", errors="replace").strip()
    return None


def free_above(host: str, port: int) -> int:
    """The nearest port above that nobody listens on."""
    return next((one for one in range(port + 1, 65536) if not answers(host, one)), port)


def _open_files(pid: int) -> set[str]:
    found: set[str] = set()
    with suppress(FileNotFoundError):
        for file in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(FileNotFoundError):
                found.add(os.readlink(file))
    return found


def _inodes(port: int) -> Iterator[str]:
    for table in TABLES:
        for line in table.read_text().splitlines()[1:] if table.exists() else ():
            address, state, inode = (line.split()[at] for at in (1, 3, 9))
            if state == LISTENING and int(address.rpartition(":")[2], 16) == port:
                yield inode
