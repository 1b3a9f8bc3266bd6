"""The embedded PostgreSQL's files: where they lie, initdb, the configuration."""

from __future__ import annotations

import itertools
import os
import pwd
import re
import shutil
import signal
import subprocess
from pathlib import Path

from nself.core.errors import Conflict, Unavailable
from nself.core.project import Project
from nself.db.binaries import SHARED, Binaries
from nself.process import shim
from nself.process.paths import digest, socket_folder, writing

USER = DATABASE = "nself"
INITDB_SECONDS = 300


class InitFailed(Unavailable):
    code = "initdb_failed"
    text = "The database directory {data} could not be made: {detail}"
    hints = ("nself logs postgres --tail 50",)


class SharedDatabase(Conflict):
    code = "shared_database"
    text = "{link} leads to the database of the project {other}: this folder looks like a copy of it"


def service_user() -> str | None:
    """Who runs the server: PostgreSQL refuses root, so `postgres` or else `nobody`; None is the caller."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError:
        return "nobody"


def home(project: Project) -> Path | None:
    """The folder around the data directory, where it exists: `.nself/postgres`, or what that links to."""
    link = project.state / "postgres"
    try:
        return link.resolve(strict=True)
    except OSError:
        return None


def sockets(project: Project, home: Path) -> Path:
    """Where the server listens. Root's own private folder is closed to the server's user."""
    return home if os.geteuid() == 0 else socket_folder(project)


def announced(home: Path) -> bool:
    """Whether the server's own note says that it is ready; spares its log a refusal for each early try."""
    try:
        return (home / "data" / "postmaster.pid").read_text().split("\n")[7].strip() == "ready"
    except (OSError, IndexError):
        return False


def postmaster(data: Path) -> int | None:
    """The process that last noted itself as the server on `data`."""
    try:
        return int((data / "postmaster.pid").read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return None


def owner(home: Path) -> str | None:
    """As whom the server runs: None is the caller."""
    return pwd.getpwuid(home.stat().st_uid).pw_name if os.geteuid() == 0 else None


def claim_home(project: Project) -> Path:
    """Make or find the folder around the data directory. Raises StateUnwritable, SharedDatabase.

    Root's lies in /var/lib/nself, since the server's user may not enter root's folders. A new project on
    the path of a deleted one gets a new folder: old data are neither deleted nor brought back.
    """
    link = project.state / "postgres"
    user = service_user()
    with writing(link):
        if user is None:
            link.mkdir(mode=0o700, exist_ok=True)
            return link.resolve()
        found = home(project)
        if found is None:
            found = _new_home(project, user)
            (found / "project").write_text(f"{project.root}\n")
            link.unlink(missing_ok=True)
            link.symlink_to(found)
        check_origin(project, found)
        return found


def _new_home(project: Project, user: str) -> Path:
    SHARED.mkdir(mode=0o755, parents=True, exist_ok=True)
    names = (f"{digest(project)}-{number}" if number else digest(project) for number in itertools.count())
    found = next(SHARED / name for name in names if not (SHARED / name / "data").exists())
    found.mkdir(mode=0o700, exist_ok=True)
    shutil.chown(found, user, pwd.getpwnam(user).pw_gid)
    return found


def check_origin(project: Project, found: Path) -> None:
    """Take over the database of a project that moved. Raises SharedDatabase where this is a copy of it."""
    note = found / "project"
    try:
        other = Project(Path(note.read_text().removesuffix("\n")))
    except FileNotFoundError:
        return
    if other.root == project.root:
        return
    if home(other) == found:
        raise SharedDatabase(link=project.state / "postgres", other=other.root)
    note.write_text(f"{project.root}\n")


def _quoted(value: object) -> str:
    """As postgresql.conf reads it; a folder may have any name."""
    return "'{}'".format(str(value).replace("\\", "\\\\").replace("'", "''"))


def configuration(binaries: Binaries, sockets: Path, durable: bool) -> str:
    """The whole postgresql.conf. Operators add to `custom.conf` beside it, which is never overwritten."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    values: dict[str, object] = {
        "listen_addresses": "",
        "unix_socket_directories": '"{}"'.format(str(sockets).replace('"', '""')),
        "unix_socket_permissions": "0700",
        "max_connections": 200,
        "shared_buffers": f"{max(64, min(1024, memory // 8))}MB",
        "effective_cache_size": f"{max(128, memory // 2)}MB",
        "maintenance_work_mem": f"{max(32, min(256, memory // 32))}MB",
        "work_mem": "16MB",
        "random_page_cost": 1.1,
        "max_wal_size": "2GB",
        "checkpoint_timeout": "10min",
        "autovacuum": "on",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "datestyle": "iso, mdy",
        "lc_messages": "C",
        "search_path": "billing, public",
        "log_min_duration_statement": "1s",
        "log_lock_waits": "on",
        # Parameters are personal data and secrets; statements without them tell enough.
        "log_parameter_max_length": 0,
        "log_parameter_max_length_on_error": 0,
        "log_temp_files": "64MB",
        "log_line_prefix": "%m [%p] %q%d/%a ",
        "track_io_timing": "on",
    }
    if binaries.has_library("pg_stat_statements"):
        values["shared_preload_libraries"] = "pg_stat_statements"
    switch = "on" if durable else "off"
    values |= {"fsync": switch, "full_page_writes": switch}
    lines = [f"{name} = {_quoted(value)}" for name, value in values.items()]
    return "\n".join(
        [
            "# Written by nself at each start; add to custom.conf instead.",
            *lines,
            "include_if_exists = 'custom.conf'",
            "",
        ]
    )


def _initdb(binaries: Binaries, data: Path) -> list[str]:
    # The built-in provider sorts alike on all machines, whatever the system's locales are.
    locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"] if binaries.major >= 17 else []
    name = "C" if binaries.major >= 17 else "C.UTF-8"
    auth = ["--auth-local=trust", "--auth-host=reject", "--data-checksums", "--no-sync"]
    return [
        str(binaries.folder / "initdb"),
        "-D",
        str(data),
        "-U",
        USER,
        "-E",
        "UTF8",
        f"--locale={name}",
        *locale,
        *auth,
    ]


def _run(argv: list[str], user: str | None, data: Path, text: str | None = None) -> None:
    """Run one tool as the server's user; it dies with this process. Raises InitFailed with its last words."""
    line = shim.command(argv, shim.Fate(signal.SIGKILL, user, os.getpid()))
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("PG", "LC_", "LANG"))}
    try:
        done = subprocess.run(
            line,
            check=False,
            input=text,
            capture_output=True,
            text=True,
            timeout=INITDB_SECONDS,
            env={**environ, "LC_ALL": "C"},
            cwd="/",
        )
    except subprocess.TimeoutExpired as error:
        raise InitFailed(data=data, detail=f"{argv[0]} took longer than {INITDB_SECONDS} s") from error
    if done.returncode != 0 or "FATAL" in done.stderr or "ERROR" in done.stderr:
        words = [part for part in (done.stderr or done.stdout).splitlines() if part.strip()]
        telling = [part for part in words if re.search(r"error|FATAL|could not|No space|denied", part)]
        raise InitFailed(data=data, detail="; ".join((telling or words)[-2:]) or f"exit {done.returncode}")


def create(binaries: Binaries, data: Path, user: str | None, durable: bool = True) -> None:
    """Make `data` with the database `nself`: built beside, made durable, then renamed into place at once.

    `data.parent` exists and belongs to `user`. What a killed attempt left behind is removed; the caller
    sees to it that there is only one attempt at a time.
    """
    for leftover in data.parent.glob(".initdb-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    building = data.parent / f".initdb-{os.getpid()}"
    try:
        _run(_initdb(binaries, building), user, data)
        write_configuration(binaries, building, data.parent, durable)
        (building / "custom.conf").write_text("# Settings here win over those of nself's postgresql.conf.\n")
        # Without fsync (-F): all files are synced at once afterwards.
        counted = binaries.has_library("pg_stat_statements")
        statements = (
            f"{'CREATE EXTENSION pg_stat_statements SCHEMA public;' if counted else ''}\n"
            f"CREATE DATABASE {DATABASE};\nALTER DATABASE {DATABASE} SET search_path = billing, public;\n"
        )
        single = [
            str(binaries.folder / "postgres"),
            "--single",
            "-F",
            "-D",
            str(building),
            "-c",
            "shared_preload_libraries=",
            "template1",
        ]
        _run(single, user, data, statements)
        if durable:
            _run([str(binaries.folder / "initdb"), "--sync-only", "-D", str(building)], user, data)
        building.rename(data)
    except OSError as error:
        raise InitFailed(data=data, detail=error) from error
    finally:
        shutil.rmtree(building, ignore_errors=True)


def write_configuration(binaries: Binaries, data: Path, sockets: Path, durable: bool = True) -> None:
    """Replace postgresql.conf in one step, owned by the server's user, whose links root does not follow."""
    target, fresh = data / "postgresql.conf", data / "postgresql.conf.new"
    fresh.unlink(missing_ok=True)
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(configuration(binaries, sockets, durable))
        if os.geteuid() == 0:
            found = data.stat()
            os.fchown(handle, found.st_uid, found.st_gid)
    fresh.rename(target)
