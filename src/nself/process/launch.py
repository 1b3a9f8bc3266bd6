"""Becomes one service: `python -P -m nself.process.launch NAME`, run by supervisord only.

Reads the settings of now and what `restart` forwarded, waits for a leftover of the service (a supervisord
that was killed takes its children along, but a draining one needs its time), and execs the program.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from nself import config
from nself.core.clock import monotonic, wall_seconds
from nself.core.errors import BillingError
from nself.core.project import Project
from nself.core.settings import Settings
from nself.process import shim, table, wanted
from nself.process.paths import digest, run_folder, write_private

OPEN_FILES = 65536
MARK = "NSELF_SERVICE_ID"


def processes_with(variable: str, value: str) -> Iterator[int]:
    """Living processes that were started with this environment variable (Linux only)."""
    needle = f"{variable}={value}\0".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if needle in (folder / "environ").read_bytes() and int(folder.name) != os.getpid():
                yield int(folder.name)


def end_leftovers(mark: str, patience: float) -> None:
    """Ask leftovers of this service to end, and kill them after `patience` seconds."""
    deadline, asked = monotonic() + patience, set[int]()
    while found := set(processes_with(MARK, mark)):
        late = monotonic() > deadline
        for pid in found - (set() if late else asked):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL if late else signal.SIGTERM)
            if pid not in asked:
                print(f"an earlier process {pid} still runs; asked it to end", flush=True)
            asked.add(pid)
        time.sleep(0.05)


def raise_file_limit() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    soft = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def record(project: Project, row: table.Service, settings: Settings) -> None:
    """What `status` wants to know of the process that starts now."""
    facts = {
        "pid": os.getpid(),
        "started_at": wall_seconds(),
        "settings": table.settings_hash(row, settings),
        "port": settings.integer(row.port) if row.port else None,
    }
    write_private(run_folder(project) / f"{row.name}.json", json.dumps(facts))


def main(name: str) -> None:
    project = Project(Path(os.environ["NSELF_PROJECT"]))
    fate = shim.Fate(parent=int(os.environ["NSELF_SUPERVISOR"]))
    shim.die_with_parent(fate)
    shim.without_input()
    run = run_folder(project)
    row = table.load(run).row(name)
    wish = wanted.load(run).get(name)
    os.environ.update(wish.environ if wish else {})
    settings = config.load(project)
    mark = table.service_id(digest(project), name)
    end_leftovers(mark, table.patience(row, settings))
    raise_file_limit()
    record(project, row, settings)
    os.environ[table.GENERATION] = str(wish.generation) if wish else ""
    os.environ.update({MARK: mark, "NSELF_SERVICE": name, "PYTHONUNBUFFERED": "1"})
    shim.become(table.argv(row, project, settings), fate)


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except (BillingError, OSError) as error:
        raise SystemExit(f"{sys.argv[1]} cannot be started: {error}") from error
