"""Writes a database to a file and back, with PostgreSQL's own pg_dump and pg_restore."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from nself.core.errors import Conflict
from nself.db.binaries import newest
from nself.process import shim


class DumpFailed(Conflict):
    code = "dump_failed"
    text = "{tool} failed: {detail}"
    hints = ("nself db test-connection",)


class DiskFull(DumpFailed):
    code = "dump_disk_full"
    hints = ("nself db backup --help",)


def dump(conninfo: str, target: Path, snapshot: str) -> None:
    """The whole database as `snapshot` sees it, compressed, readable by pg_restore. Raises DumpFailed, NoPostgres."""
    _run("pg_dump", conninfo, "--format=custom", f"--snapshot={snapshot}", "--no-password", f"--file={target}")


def contents(source: Path) -> list[str]:
    """The table of contents, by reading the file. Raises DumpFailed, NoPostgres."""
    return _run("pg_restore", None, "--list", str(source)).splitlines()


def restore(conninfo: str, source: Path, listing: Path) -> None:
    """Into an empty database, all or nothing; `listing` says what. Raises DumpFailed, NoPostgres.

    Extensions are left out: statistics of another server are of no use here, and this one may not have them.
    """
    kept = [line for line in contents(source) if not re.search(r" (EXTENSION - |COMMENT - EXTENSION )", line)]
    listing.write_text("\n".join(kept) + "\n")
    options = ("--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges", "--no-password")
    _run("pg_restore", conninfo, *options, f"--use-list={listing}", str(source))


def _run(tool: str, conninfo: str | None, *options: str) -> str:
    """The password goes through the environment, where other users do not see it."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("PG", "LC_", "LANG"))}
    argv: list[str | Path] = [newest().folder / tool, *options]
    if conninfo is not None:
        parts = conninfo_to_dict(conninfo)
        environ["PGPASSWORD"] = str(parts.pop("password", ""))
        argv.insert(1, f"--dbname={make_conninfo('', **parts)}")
    line = shim.command(argv, shim.Fate(signal.SIGTERM, None, os.getpid()))
    done = subprocess.run(line, check=False, capture_output=True, text=True, env={**environ, "LC_ALL": "C"})
    if done.returncode:
        words = [part for part in done.stderr.splitlines() if part.strip()]
        failure = DiskFull if os.strerror(errno.ENOSPC) in done.stderr else DumpFailed
        raise failure(tool=tool, detail="; ".join(words[-3:]) or f"exit {done.returncode}")
    return done.stdout
