"""A project of its own on free ports, and how results are printed and kept."""

from __future__ import annotations

import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
NSELF = Path(sys.executable).with_name("nself")
RESULTS = ROOT / "bench/RESULTS.md"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Project:
    """Runs `nself` in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()

    def nself(self, *arguments: str) -> str:
        environ = {
            name: value for name, value in os.environ.items() if not name.startswith(("BILLING_", "STRIPE_", "NSELF_"))
        }
        line = [NSELF, "--project", self.folder, *arguments]
        return subprocess.run(line, env=environ, check=True, capture_output=True, text=True).stdout

    def key(self, scopes: str) -> str:
        made = json.loads(
            self.nself("billing", "api-key", "create", "--name", "bench", "--scopes", scopes, "--format", "json")
        )
        return made["key"]


@contextmanager
def project(*settings: str) -> Iterator[Project]:
    """A running project, stopped and removed at the end."""
    made = Project(Path(tempfile.mkdtemp(prefix="nself-bench-")))
    try:
        made.nself("env", "set", f"BILLING_PORT={made.port}", f"STRIPE_MOCK_PORT={free_port()}", *settings)
        made.nself("start", "postgres", "billing")
        yield made
    finally:
        made.nself("stop")
        data = made.folder / ".nself/postgres"
        if data.is_symlink():
            shutil.rmtree(data.resolve(), ignore_errors=True)
        shutil.rmtree(made.folder, ignore_errors=True)


def machine() -> str:
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        "?",
    )
    return f"{os.cpu_count()} x {model}, Python {platform.python_version()}, {platform.system()}"


def report(title: str, rows: list[tuple[str, str, str]]) -> None:
    """Print rows of (what, figure, ratio or limit) and replace the section `title` of RESULTS.md."""
    table = "\n".join(f"| {what} | {figure} | {ratio} |" for what, figure, ratio in rows)
    section = f"## {title}\n\n| what | measured | against |\n| --- | --- | --- |\n{table}\n"
    print(section, flush=True)
    old = RESULTS.read_text() if RESULTS.exists() else ""
    parts = [part for part in old.split("\n## ")[1:] if not part.startswith(f"{title}\n")]
    sections = sorted([section, *(f"## {part}" if part.endswith("\n") else f"## {part}\n" for part in parts)])
    RESULTS.write_text(
        f"# Benchmarks\n\nWritten by `make bench` on {machine()}. Ratios count; wall times carry noise.\n\n"
        + "\n".join(sections)
    )
