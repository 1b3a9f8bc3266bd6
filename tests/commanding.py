"""A project of its own that is used through the command line alone: real services, an embedded PostgreSQL."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from nself.core.project import Project
from nself.process import supervisor
from ports import free_port

CLI = "from nself.cli.main import main; main()"


class Commands:
    """`nself` in a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / ".env").write_text(
            f"BILLING_PORT={free_port()}\nSTRIPE_MOCK_PORT={free_port()}\nBILLING_DRAIN_TIMEOUT=10s\n"
        )

    def nself(self, *words: str, code: int = 0) -> str:
        """What a command prints."""
        environ = {**os.environ, "NSELF_PROJECT": str(self.root)}
        done = subprocess.run(
            [sys.executable, "-P", "-c", CLI, *words],
            env=environ, cwd=self.root, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == code and "Traceback" not in done.stderr, f"{words}: {done.returncode} {done.stderr}"
        return done.stdout

    def json(self, *words: str) -> Any:
        return json.loads(self.nself(*words, "--format", "json"))

    def pid(self, service: str) -> int:
        """0 while it does not run."""
        found = supervisor.states(Project(self.root)).get(service)
        return found.pid if found and found.state == "RUNNING" else 0

    def kill(self, service: str) -> int:
        """kill -9; its process id until then."""
        pid = self.pid(service)
        os.kill(pid, signal.SIGKILL)
        limit = time.monotonic() + 60
        while self.pid(service) in (0, pid):
            assert time.monotonic() < limit, f"{service} did not come back"
            time.sleep(0.05)
        return pid

    def close(self) -> None:
        self.nself("stop")
        home = self.root / ".nself" / "postgres"
        if home.is_symlink():
            shutil.rmtree(home.resolve(), ignore_errors=True)


@contextmanager
def commanding() -> Iterator[Commands]:
    """Below /tmp, and nothing of it is left."""
    folder = Path(tempfile.mkdtemp(prefix="nself-test-", dir="/tmp"))
    made = Commands(folder)
    try:
        yield made
    finally:
        made.close()
        shutil.rmtree(folder, ignore_errors=True)


def until_printed(commands: Commands, words: tuple[str, ...], wanted: str, seconds: float = 180) -> str:
    """The output of a command once `wanted` is in it."""
    limit = time.monotonic() + seconds
    while wanted not in (found := commands.nself(*words)):
        if time.monotonic() > limit:
            pytest.fail(f"{words} did not print {wanted!r} but {found}")
        time.sleep(0.3)
    return found
