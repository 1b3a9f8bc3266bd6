"""Becomes another program that dies with its parent: drops privileges, sets PDEATHSIG, execs.

`python -P -m nself.process.shim [--user NAME] [--signal INT] [--parent PID] -- PROGRAM ARG...`

Secrets never stand on this command line: what the program needs comes through its environment.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

PR_SET_PDEATHSIG = 1


class Fate(NamedTuple):
    """How a child lives: as `user` (None: as the caller), killed with `death_signal` when `parent` dies."""

    death_signal: signal.Signals = signal.SIGTERM
    user: str | None = None
    parent: int | None = None


def drop_privileges(user: str) -> None:
    """Become `user` with its groups and no way back. Raises KeyError or PermissionError."""
    import pwd

    entry = pwd.getpwnam(user)
    if os.geteuid() == entry.pw_uid:
        return
    os.initgroups(user, entry.pw_gid)
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)
    os.environ.update(HOME=entry.pw_dir, USER=user, LOGNAME=user)


def die_with_parent(fate: Fate) -> None:
    """Ask the kernel for `death_signal` when the parent dies; exit now where it is dead already.

    Comes after a change of credentials, which clears the wish. Only Linux has it; elsewhere the next
    `start` finds what is left over.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(fate.death_signal), 0, 0, 0)
    if fate.parent is not None and os.getppid() != fate.parent:
        raise SystemExit(f"the parent {fate.parent} is gone")


def without_input() -> None:
    """Reads of stdin end at once, instead of waiting for a supervisor that never writes."""
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)


def become(argv: Sequence[str], fate: Fate, environ: Mapping[str, str] | None = None) -> NoReturn:
    """Replace this process by `argv`. Raises OSError when it cannot be executed."""
    if fate.user is not None:
        drop_privileges(fate.user)
    die_with_parent(fate)
    # Python ignores these two, and what is ignored stays so across exec.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    sys.stdout.flush()
    os.execvpe(argv[0], list(argv), dict(os.environ if environ is None else environ))


def command(argv: Sequence[str | Path], fate: Fate) -> list[str]:
    """The command line that runs `argv` through this module."""
    line = [sys.executable, "-P", "-m", "nself.process.shim", "--signal", fate.death_signal.name[3:]]
    if fate.user is not None:
        line += ["--user", fate.user]
    if fate.parent is not None:
        line += ["--parent", str(fate.parent)]
    return [*line, "--", *map(str, argv)]


def main(args: Sequence[str]) -> NoReturn:
    fate, rest = Fate(), list(args)
    while rest and rest[0] != "--":
        option, value = rest.pop(0), rest.pop(0)
        match option:
            case "--user":
                fate = fate._replace(user=value)
            case "--signal":
                fate = fate._replace(death_signal=signal.Signals[f"SIG{value}"])
            case "--parent":
                fate = fate._replace(parent=int(value))
            case _:
                raise SystemExit(f"unknown option {option}")
    try:
        become(rest[1:], fate)
    except (OSError, KeyError) as error:
        raise SystemExit(f"{rest[1:2]} cannot be started: {error}") from error


if __name__ == "__main__":
    main(sys.argv[1:])
