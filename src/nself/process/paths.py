"""Where the processes of a project keep their run-time files, who may use them, and the lock on them."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import pwd
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import cast

from nself.core.clock import monotonic
from nself.core.errors import Conflict, Denied, Unavailable
from nself.core.project import Project
from nself.core.settings import Settings

LOCK_SECONDS = 120.0
DAEMON_LOCK = "supervisord.lock"
"""Held by supervisord as long as it lives."""
SOCKET_LIMIT = 107
"""Bytes that a unix socket's path may have (sun_path)."""


class StateUnwritable(Unavailable):
    code = "state_unwritable"
    text = "{path} cannot be written: {detail}"


class NotOwner(Denied):
    code = "not_owner"
    text = "{path} belongs to user {owner}: run this command as {owner}"


class UnsafeFolder(Denied):
    code = "unsafe_folder"
    text = "{path} is not a private folder of user {user}: remove it or make it so (chmod 700)"


class Busy(Conflict):
    code = "stack_busy"
    text = "Another nself command works on the services: {holder}"
    hints = ("nself status",)


def digest(project: Project) -> str:
    """Names the project in shared places; 16 hexadecimal digits."""
    return hashlib.sha256(os.fsencode(project.root)).hexdigest()[:16]


def run_folder(project: Project) -> Path:
    return project.state / "run"


def socket_folder(project: Project) -> Path:
    """Short, private, the same from every shell: XDG_RUNTIME_DIR differs between login and cron, and dies at logout."""
    return Path("/tmp") / f"nself-{os.geteuid()}-{digest(project)}"


def log_folder(project: Project, settings: Settings) -> Path:
    """`BILLING_LOG_DIR`, else `.nself/logs`."""
    given = settings.text("BILLING_LOG_DIR")
    return project.root / Path(given).expanduser() if given else project.logs


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


@contextmanager
def writing(path: Path) -> Generator[None]:
    """Turns the system's refusals (read-only, full, forbidden) into StateUnwritable."""
    try:
        yield
    except OSError as error:
        raise StateUnwritable(path=error.filename or path, detail=error.strerror or error) from error


def private(folder: Path) -> Path:
    """Make `folder`, 0700. Raises UnsafeFolder where it is another's, a link, or open to others."""
    with writing(folder), suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if not folder.is_dir() or folder.is_symlink() or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise UnsafeFolder(path=folder, user=_user(os.geteuid()))
    return folder


def _link(link: Path, target: Path) -> None:
    """`link` leads to `target`, replaced at once."""
    if link.is_symlink() and link.readlink() == target:
        return
    fresh = link.with_name(f".{link.name}-{os.getpid()}")
    fresh.symlink_to(target)
    fresh.rename(link)


def prepare(project: Project, logs: Path) -> None:
    """Make the run-time folders. Raises StateUnwritable, NotOwner."""
    with writing(project.state):
        project.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        owner = project.state.stat().st_uid
        if owner != os.geteuid():
            raise NotOwner(path=project.state, owner=_user(owner))
        run_folder(project).mkdir(mode=0o700, exist_ok=True)
        logs.mkdir(mode=0o700, parents=True, exist_ok=True)
        _link(run_folder(project) / "logs", logs)


def write_private(path: Path, text: str) -> None:
    """Replace `path` at once, 0600, durable. Raises StateUnwritable."""
    with writing(path):
        handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(name).rename(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def write_changed(path: Path, text: str) -> bool:
    """Whether `path` had to be written."""
    with suppress(FileNotFoundError):
        if path.read_text(encoding="utf-8") == text:
            return False
    write_private(path, text)
    return True


def as_object(value: object) -> dict[str, object]:
    """A JSON object; empty for anything else."""
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}


def as_list(value: object) -> list[object]:
    return cast("list[object]", value) if isinstance(value, list) else []


def read_json(path: Path) -> dict[str, object]:
    """An object; empty where there is none or it cannot be read."""
    try:
        return as_object(json.loads(path.read_bytes()))
    except (OSError, ValueError):
        return {}


def try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def locked(project: Project, purpose: str, limit: float = LOCK_SECONDS) -> Generator[None]:
    """The project's `stack` lock: changes of what should run, and starting the supervisor.

    Gone with the process that holds it. Raises Busy after `limit` seconds, naming the holder.
    """
    path = run_folder(project) / "stack.lock"
    with writing(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        deadline = monotonic() + limit
        while not try_lock(descriptor):
            if monotonic() > deadline:
                raise Busy(holder=os.pread(descriptor, 200, 0).decode(errors="replace").strip() or "unknown")
            time.sleep(0.01)
        with suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"process {os.getpid()}: {purpose}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def is_locked(path: Path) -> bool:
    """Whether a living process holds `path`; a missing file is held by none."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return not try_lock(descriptor)
    finally:
        os.close(descriptor)
