"""supervisord, detached: `python -P -m nself.process.daemon RUN_FOLDER SOCKET`.

It is supervisor's own Supervisor with one addition: in each turn of its loop it compares what runs with
`wanted.json` and steers towards it. So start, stop and restart are edits of one file, and no command
has to live until they are done.
"""

# supervisor is not typed.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from supervisor.loggers import Handler
from supervisor.medusa import asyncore_25
from supervisor.options import ServerOptions
from supervisor.states import ProcessStates, SupervisorStates
from supervisor.supervisord import Supervisor

from nself.process import table, wanted
from nself.process.paths import DAEMON_LOCK, try_lock

RUNNING = frozenset({ProcessStates.STARTING, ProcessStates.RUNNING, ProcessStates.BACKOFF})
DOWN = frozenset({ProcessStates.STOPPED, ProcessStates.EXITED, ProcessStates.FATAL})


class Keeper(Supervisor):
    """Keeps running what is wanted. One process a group, so that each has its own configuration."""

    options: Any
    process_groups: Any
    stop_groups: Any

    def __init__(self, options: Any, run: Path, ready: Callable[[], None]) -> None:
        super().__init__(options)
        self.run_folder = run
        self.ready = ready
        self.wanted: wanted.Wanted = {}
        self.table = table.Table(())
        self.known: set[str] = set()
        self.started: dict[str, int] = {}
        self.seen: object = None
        self.configured: object = None

    def runforever(self) -> None:
        self.ready()
        self.reconcile()
        super().runforever()

    def tick(self, now: float | None = None) -> None:
        super().tick(now)
        if os.stat(".").st_nlink == 0:
            # Somebody deleted the project: nobody could stop its services any more.
            self.options.mood = SupervisorStates.SHUTDOWN
        if self.options.mood == SupervisorStates.RUNNING:
            self.reconcile()

    def ordered_stop_groups_phase_1(self) -> None:
        """All services of the last priority at once: each may drain for its whole grace."""
        if self.stop_groups:
            last = self.stop_groups[-1].config.priority
            for group in self.stop_groups:
                if group.config.priority == last:
                    group.stop_all()

    def reconcile(self) -> None:
        self._read()
        for name in list(self.process_groups):
            if name in self.known:
                self._steer(name, self.wanted.get(name))
            elif self._process(name).get_state() in DOWN:
                self.remove_process_group(name)
            else:
                self._steer(name, None)

    def _read(self) -> None:
        """Take over a new wish list, a new table and a new configuration."""
        configs = self.options.process_group_configs
        if configs is not self.configured:
            self.configured = configs
            self.known = {config.name for config in configs}
            self.table = table.load(self.run_folder)
            for config in configs:
                self.add_process_group(config)
        with suppress(OSError):
            found = os.stat(self.run_folder / wanted.FILE)
            if (found.st_mtime_ns, found.st_ino) != self.seen:
                self.seen = (found.st_mtime_ns, found.st_ino)
                self.wanted = wanted.load(self.run_folder)

    def _process(self, name: str) -> Any:
        return self.process_groups[name].processes[name]

    def _steer(self, name: str, wish: wanted.Wish | None) -> None:
        process = self._process(name)
        state = process.get_state()
        if wish is None:
            if state in RUNNING and not self._still_needed(name):
                process.stop()
        elif state in DOWN and (self.started.get(name) != wish.generation or state == ProcessStates.STOPPED):
            self._refresh(name)
            self.started[name] = wish.generation
            self._process(name).spawn()
        elif state in RUNNING and self.started.get(name) != wish.generation:
            process.stop()

    def _still_needed(self, name: str) -> bool:
        """Whether a service that stops as well, and needs this one for it, has not ended yet."""
        return any(
            name in row.needs and row.name not in self.wanted and self._process(row.name).get_state() not in DOWN
            for row in self.table.rows
            if row.name in self.process_groups
        )

    def _refresh(self, name: str) -> None:
        """Use the newest configuration of a process that is down; running ones keep theirs until then."""
        for config in self.options.process_group_configs:
            if config.name == name and config != self.process_groups[name].config:
                self.remove_process_group(name)
                self.add_process_group(config)


def _unheard(self: Handler) -> None:
    """A log that cannot be written ends nothing. Supervisor's own would tell it on stderr, on the same full disk, and die of that."""


def supervise(run: Path, ready: Callable[[], None]) -> None:
    """Runs until it is told to shut down. SIGHUP ends it as well: the next command starts it afresh."""
    Handler.handleError = _unheard
    options: Any = ServerOptions()
    options.realize(["-n", "-c", str(run / "supervisord.conf")], doc=__doc__)
    options.first, options.test = True, False
    with suppress(asyncore_25.ExitNow):
        Keeper(options, run, ready).main()
    options.close_httpservers()
    options.close_logger()


def main(run: Path, socket: Path) -> int:
    """Exit 0 when supervisord is ready, in a process of its own; else 1 with the reason on stdout."""
    reader, writer = os.pipe()
    if os.fork() != 0:
        os.close(writer)
        with os.fdopen(reader) as pipe:
            answer = pipe.read()
        print(answer.removesuffix("ready"), end="")
        return 0 if answer.endswith("ready") else 1
    os.setsid()
    os.umask(0o077)
    os.close(reader)
    lock = os.open(run / DAEMON_LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if not try_lock(lock):
        os.write(writer, b"another supervisord runs")
        return 1
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    socket.unlink(missing_ok=True)
    os.environ["NSELF_SUPERVISOR"] = str(os.getpid())
    out = os.open(run / "supervisord.out", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    os.dup2(out, 1)
    os.dup2(out, 2)

    def ready() -> None:
        nonlocal writer
        if writer >= 0:
            os.write(writer, b"ready")
            os.close(writer)
            writer = -1

    try:
        supervise(run, ready)
        with suppress(OSError):
            socket.parent.rmdir()
    finally:
        if writer >= 0:
            sys.stdout.flush()
            os.write(writer, (run / "supervisord.out").read_bytes()[-2000:])
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
