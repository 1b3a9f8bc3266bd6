"""Props, the file of what is planted, and the damage that only a hand in the database can do."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import psutil

from nself.core.project import Project
from nself.db.connect import Tx
from nself.db.queries import beside
from nself.domains.drill.model import Planted, PlantFailed, Prop

SQL = beside(__file__)
READY = 30.0
"""Seconds until a prop has to stand."""


def _file(project: Project) -> Path:
    return project.state / "drill.json"


def planted(project: Project) -> Planted | None:
    try:
        return msgspec.json.decode(_file(project).read_bytes(), type=Planted)
    except FileNotFoundError:
        return None


def keep(project: Project, what: Planted) -> None:
    """Whole or not at all: who ends the props must know of each."""
    path = _file(project)
    fresh = path.with_suffix(".new")
    fresh.write_bytes(msgspec.json.encode(what))
    fresh.replace(path)


def forget(project: Project) -> None:
    _file(project).unlink(missing_ok=True)


def read(project: Project, path: str) -> str | None:
    """What a file of the project holds; None where there is none."""
    try:
        return (project.root / path).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def write(project: Project, path: str, text: str | None) -> None:
    """As an editor would, in place; None takes the file away."""
    place = project.root / path
    if text is None:
        place.unlink(missing_ok=True)
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text, encoding="utf-8")


def start_prop(project: Project, kind: str, *arguments: str) -> tuple[Prop, str]:
    """A process `python -m nself.domains.drill.service.props KIND …`, and the first line it says. Raises PlantFailed."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "nself.domains.drill.service.props", kind, *arguments],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        cwd=project.root, env={**os.environ, "NSELF_PROJECT": str(project.root)}, start_new_session=True, text=True,
    )  # fmt: skip
    assert process.stdout
    said = process.stdout.readline().strip()
    if not said:
        raise PlantFailed(cause=kind, detail=f"the prop {kind} ended with {process.wait(READY)}")
    return Prop(pid=process.pid, born=psutil.Process(process.pid).create_time()), said


def end_prop(prop: Prop) -> None:
    """Nobody else's process: its moment of birth has to fit."""
    with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
        process = psutil.Process(prop.pid)
        if abs(process.create_time() - prop.born) < 1:
            os.kill(prop.pid, signal.SIGKILL)
            with contextlib.suppress(psutil.TimeoutExpired):
                process.wait(10)


def shell(project: Project, line: str, seconds: float = 120) -> tuple[int, str]:
    """Exit code and everything that a line of the guide says; `nself` in it is this one."""
    binaries = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    environ = {**os.environ, "NSELF_PROJECT": str(project.root), "NSELF_CONFIRM": "yes", "PATH": binaries}
    try:
        done = subprocess.run(
            ["bash", "-c", line], cwd=project.root, env=environ, capture_output=True, text=True, errors="replace",
            stdin=subprocess.DEVNULL, timeout=seconds, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return 124, f"no end after {seconds:.0f} s: {line}"
    return done.returncode, done.stdout + done.stderr


def pause(seconds: float) -> None:
    time.sleep(seconds)


def revive(tx: Tx, subscription: str) -> None:
    tx.run(SQL["revive"], subscription=subscription)
