"""The settings files: read, replaced in one step, under a lock that ends with its process."""

from __future__ import annotations

import fcntl
import getpass
import os
import stat
import sys
import time
from collections.abc import Generator, Iterable
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from nself.app import GITIGNORE
from nself.config import UnreadableFile
from nself.core.clock import monotonic
from nself.domains.setting.model import NothingRead, SettingsBusy, SettingsNotWritten

LOCK_SECONDS = 10
TEMPORARY = ".nself-new"
IGNORED = (*GITIGNORE, f"/{TEMPORARY}*")


def read(path: Path) -> str:
    """The whole text with its line ends, empty where there is no file. Raises UnreadableFile."""
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableFile(path=path, detail=error) from error


def read_value(name: str) -> str:
    """One value from standard input, without the newline at its end; asked for unseen on a terminal.

    Raises NothingRead: an empty answer is a failed pipe more often than a wish.
    """
    text = getpass.getpass(f"{name}: ") if sys.stdin.isatty() else sys.stdin.read()
    value = text.removesuffix("\n").removesuffix("\r")
    if not value:
        raise NothingRead(name=name)
    return value


def exposed(path: Path) -> bool:
    """Whether other users of this machine may read the file."""
    return bool(path.stat().st_mode & 0o077)


@contextmanager
def locked(paths: Iterable[Path]) -> Generator[None]:
    """Hold the folders in which `paths` really lie: no other nself writes them. Raises SettingsBusy."""
    with ExitStack() as stack:
        for folder in sorted({path.resolve().parent for path in paths}):
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            stack.callback(os.close, handle)
            _lock(handle, folder)
        yield


def _lock(handle: int, folder: Path) -> None:
    limit = monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if monotonic() > limit:
                raise SettingsBusy(path=folder, seconds=LOCK_SECONDS) from None
        time.sleep(0.005)


def replace(path: Path, text: str, mode: int | None = None) -> None:
    """Put `text` in place of the file, whole or not at all; a link stays a link.

    The mode stays what it was (0644 for a new file) unless given. The caller holds `locked`. Raises
    SettingsNotWritten.
    """
    real = path.resolve()
    new = real.with_name(f"{TEMPORARY}{real.name}")
    try:
        known = real.stat() if real.exists() else None
        new.unlink(missing_ok=True)  # what a killed writer left
        handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(text.encode("utf-8"))
                if known and (known.st_uid, known.st_gid) != (os.geteuid(), os.getegid()):
                    with suppress(PermissionError):
                        os.fchown(file.fileno(), known.st_uid, known.st_gid)
                os.fchmod(file.fileno(), mode or (stat.S_IMODE(known.st_mode) if known else 0o644))
                file.flush()
                os.fsync(file.fileno())
            os.replace(new, real)
        except BaseException:
            new.unlink(missing_ok=True)
            raise
        _sync_folder(real.parent)
    except OSError as error:
        raise SettingsNotWritten(path=path, detail=error.strerror or error) from error


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def ignore(root: Path) -> None:
    """See that git never takes what is secret. The caller holds `locked`."""
    path = root / ".gitignore"
    before = read(path)
    missing = [line for line in IGNORED if line not in before.splitlines()]
    if missing:
        end = "" if not before or before.endswith("\n") else "\n"
        replace(path, before + end + "".join(f"{line}\n" for line in missing))


def keep_copies(paths: Iterable[Path], folder: Path) -> Path | None:
    """Private copies of those files that exist; the folder, or None where there was nothing to keep."""
    found = [path for path in paths if path.exists()]
    if not found:
        return None
    try:
        folder.mkdir(mode=0o700, parents=True)
        for path in found:
            copy = folder / path.name
            copy.touch(0o600)
            copy.write_bytes(path.read_bytes())
    except OSError as error:
        raise SettingsNotWritten(path=folder, detail=error.strerror or error) from error
    return folder
