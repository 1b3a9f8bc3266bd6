"""A project whose commands run as processes of their own, on stand-ins, and that leaves nothing behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import psycopg

from nself.core.project import Project
from nself.db import embedded
from nself.db.binaries import find_binaries, readable_by
from nself.process import supervisor

sys.path.insert(0, str(Path(__file__).parents[1]))
from ports import free_port

DRIVER = Path(__file__).with_name("driver.py")
WAIT_SECONDS = 120
ROWS = ("postgres", "stripe-mock", "http", "worker", "usage-collector", "one", "two", "chatter", "broken", "tired")


def _plain_python() -> tuple[str, str] | None:
    """A Python of our version that any user may run, with the PYTHONPATH that it needs: ours may lie below /root."""
    other = Path(f"/usr/bin/python3.{sys.version_info.minor}")
    folders = [path for path in sys.path if path and path not in {str(DRIVER.parent), str(DRIVER.parents[2])}]
    ours = [path for path in folders if "site-packages" in path or path.endswith("/src")]
    return (str(other), ":".join(ours)) if other.exists() else None


PLAIN_PYTHON = _plain_python()


def until(true: Callable[[], object], seconds: float = 60, what: str = "") -> None:
    limit = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < limit, what or "did not become true"
        time.sleep(0.03)


def living(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def kill(pid: int) -> None:
    """kill -9, and wait until the process is dead: it has to be scheduled for that."""
    os.kill(pid, signal.SIGKILL)
    until(lambda: not living(pid))


class Status(NamedTuple):
    state: str
    pid: int
    settings: str
    changed: bool
    note: str


class Stand:
    """`user`: whose commands these are, where that is not the caller."""

    def __init__(self, root: Path, user: str | None = None) -> None:
        self.root = root
        self.user = user
        self.environ = {**os.environ, "HOME": str(root)}
        self.environ.pop("DATABASE_URL", None)
        self.python = sys.executable
        if user and PLAIN_PYTHON:
            self.python, self.environ["PYTHONPATH"] = PLAIN_PYTHON
        (root / ".env").write_text(
            f"BILLING_PORT={free_port()}\nSTRIPE_MOCK_PORT={free_port()}\nBILLING_DRAIN_TIMEOUT=5s\n"
        )

    def popen(self, *words: str, **environ: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self.python, "-P", str(DRIVER), str(self.root), *words],
            env={**self.environ, **environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd="/",
            user=self.user,
            group=None if self.user is None else "nogroup",
            extra_groups=None if self.user is None else [],
        )

    def run(self, *words: str, code: int = 0, **environ: str) -> subprocess.CompletedProcess[str]:
        """One command to its end; its output must be free of tracebacks."""
        process = self.popen(*words, **environ)
        try:
            out, err = process.communicate(timeout=WAIT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
        assert process.returncode == code and "Traceback" not in err, f"{words}: {process.returncode}\n{out}\n{err}"
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def with_database(self, template: Path) -> None:
        """Begin with a copy of `template`, a data directory, which saves the second that initdb takes."""
        (self.root / ".nself").mkdir(mode=0o700)
        home = embedded.claim_home(Project(self.root))
        subprocess.run(["cp", "-a", template, home / "data"], check=True)

    def ensure(self, **environ: str) -> str:
        return self.run("ensure", **environ).stdout.strip()

    def status(self, **environ: str) -> dict[str, Status]:
        found: dict[str, Status] = {}
        for line in self.run("status", **environ).stdout.splitlines():
            name, _group, state, pid, _up, _port, *memory_and_more = line.split(" ", 6)
            rest = memory_and_more[0].removeprefix("None ").split(" MB ", 1)[-1]
            settings, changed, note = (rest + " ").split(" ", 2)
            found[name] = Status(state, 0 if pid == "None" else int(pid), settings, changed == "True", note.strip())
        return found

    def states(self) -> dict[str, str]:
        """supervisord's words, without the cost of a command; "DOWN" while none answers."""
        found = supervisor.states(Project(self.root))
        return {row: found[row].state if row in found else "DOWN" for row in ROWS}

    def pid(self, name: str) -> int:
        """0 while it does not run."""
        found = supervisor.states(Project(self.root)).get(name)
        return found.pid if found else 0

    def up(self, *names: str) -> bool:
        return {self.states()[name] for name in names} == {"RUNNING"}

    def down(self, *names: str) -> bool:
        return {self.states()[name] for name in names} <= {"STOPPED", "DOWN"}

    @property
    def state(self) -> Path:
        return self.root / ".nself"

    @property
    def home(self) -> Path:
        return (self.state / "postgres").resolve()

    def supervisord(self) -> int:
        return int((self.state / "run" / "supervisord.lock").read_text())

    def postmaster(self) -> int:
        return int((self.home / "data" / "postmaster.pid").read_text().split()[0])

    def query(self, statement: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self.ensure(), autocommit=True) as link:
            cursor = link.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def log(self, name: str) -> str:
        return (self.state / "logs" / f"{name}.log").read_text()

    def close(self) -> None:
        """Stop all, and see to it that nothing of this project is left."""
        run = self.state / "run"
        with suppress(AssertionError, OSError, subprocess.TimeoutExpired):
            if run.is_dir():
                self.run("stop")
        for pid in list(self._left()):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        link = self.state / "postgres"
        if link.is_symlink():
            shutil.rmtree(link.resolve(), ignore_errors=True)
        shutil.rmtree(self.root, ignore_errors=True)

    def _left(self) -> Iterator[int]:
        """Processes whose environment names this project as the one that they serve."""
        mark = f"NSELF_PROJECT={self.root}\0".encode()
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if mark in (folder / "environ").read_bytes():
                    yield int(folder.name)


def make_template(folder: Path) -> Path:
    """A data directory to copy."""
    user = embedded.service_user()
    above = Path(tempfile.mkdtemp(prefix="nself-template-", dir="/tmp"))
    if user:
        shutil.chown(above, user)
    found = readable_by(find_binaries(folder), user)
    embedded.create(found, above / "data", user, durable=False)
    return above / "data"


@contextmanager
def standing(name: str = "p", user: str | None = None) -> Iterator[Stand]:
    """A fresh project below /tmp."""
    above = Path(tempfile.mkdtemp(prefix="nself-test-", dir="/tmp"))
    above.chmod(0o755)
    root = above / name
    root.mkdir(parents=True)
    if user:
        shutil.chown(root, user)
    stand = Stand(root, user)
    try:
        yield stand
    finally:
        stand.close()
        shutil.rmtree(above, ignore_errors=True)
