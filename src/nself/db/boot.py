"""Becomes the embedded PostgreSQL: `python -P -m nself.db.boot postgres`, run by supervisord only.

Makes the data directory when there is none, waits for an older server on it to end, and execs `postgres`.
It never deletes postmaster.pid.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

from nself.core.clock import monotonic
from nself.core.errors import BillingError
from nself.core.project import Project
from nself.db import embedded
from nself.db.binaries import find_binaries, readable_by
from nself.process import shim
from nself.process.paths import run_folder, write_private

FAILURE = "postgres.failure"
"""In the run folder: why the last start failed before PostgreSQL's own log could say it."""


def _zombie(folder: Path) -> bool:
    return (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()[0] == "Z"


def holders(data: Path) -> set[int]:
    """Living processes that work in `data`: a postmaster and its children (Linux only)."""
    found: set[int] = set()
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, IndexError):
            if (folder / "cwd").readlink() == data and not _zombie(folder):
                found.add(int(folder.name))
    return found


def wait_for_older(data: Path) -> None:
    """There is one supervisord, so another server on these data is a leftover: ask it to end, and wait."""
    asked = False
    begun = monotonic()
    while found := holders(data):
        pid = embedded.postmaster(data)
        if not asked and pid in found and monotonic() - begun > 1:
            print(f"an earlier postmaster {pid} still runs; asked it to shut down", flush=True)
            os.kill(pid, signal.SIGINT)
            asked = True
        time.sleep(0.02)


def recycled(data: Path) -> dict[str, str]:
    """Lets PostgreSQL overrule a stale postmaster.pid whose number belongs to another process by now.

    PostgreSQL takes the file of its own grandparent for stale, and learns that number from this variable.
    Only after `wait_for_older` found no server on these data; PostgreSQL's own check for a shared memory
    segment that is still in use stays in force.
    """
    pid = embedded.postmaster(data) if sys.platform == "linux" else None
    return {"PG_GRANDPARENT_PID": str(pid)} if pid is not None else {}


def start(project: Project, fate: shim.Fate) -> None:
    """Never returns. Raises BillingError or OSError."""
    home = embedded.claim_home(project)
    user = embedded.owner(home)
    data = home / "data"
    binaries = readable_by(find_binaries(data), user)
    if not data.exists():
        embedded.create(binaries, data, user)
    wait_for_older(data)
    sockets = embedded.sockets(project, home)
    for name in (".s.PGSQL.5432", ".s.PGSQL.5432.lock"):
        (sockets / name).unlink(missing_ok=True)
    embedded.write_configuration(binaries, data, sockets)
    (run_folder(project) / FAILURE).unlink(missing_ok=True)
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("PG", "LC_", "LANG"))}
    os.chdir("/")
    shim.become(
        [str(binaries.folder / "postgres"), "-D", str(data)],
        fate._replace(user=user, death_signal=signal.SIGINT),
        {**environ, **recycled(data), "LC_ALL": "C"},
    )


def main() -> int:
    project = Project(Path(os.environ["NSELF_PROJECT"]))
    fate = shim.Fate(parent=int(os.environ["NSELF_SUPERVISOR"]))
    shim.die_with_parent(fate)
    shim.without_input()
    # The copy of the binaries must be open to the server's user; what is private says so itself.
    os.umask(0o022)
    try:
        start(project, fate)
    except (BillingError, OSError, shutil.Error) as error:
        print(f"nself: {error}", file=sys.stderr, flush=True)
        with suppress(BillingError):
            write_private(run_folder(project) / FAILURE, str(error))
    return 1


if __name__ == "__main__":
    sys.exit(main())
