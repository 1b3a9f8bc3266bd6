"""Where mail and webhooks of our own arrive."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nself.core.project import Project
from nself.process.paths import socket_folder
from telling import mailbox, receiver

__all__ = ["mailbox", "receiver"]


@pytest.fixture(autouse=True)
def _no_sockets_left(tmp_path: Path) -> Iterator[None]:  # pyright: ignore[reportUnusedFunction]
    yield
    for name in ("project", "p"):
        folder = socket_folder(Project((tmp_path / name).resolve()))
        if folder.exists():
            folder.rmdir()
