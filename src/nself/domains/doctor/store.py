"""Runs nself's own commands, as an operator would."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time

from nself.app import App
from nself.domains.doctor.model import Deed

NSELF = (sys.executable, "-P", "-c", "from nself.cli.main import main; main()")
SAID = 300
"""Characters."""


def run(app: App, line: str) -> Deed:
    """`line` is a command line of nself, without a shell's signs."""
    environ = {**os.environ, "NSELF_PROJECT": str(app.project.root)}
    words = shlex.split(line, comments=True)[1:]
    done = subprocess.run(
        [*NSELF, *words],
        env=environ,
        cwd=app.project.root,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    said = (done.stderr if done.returncode else done.stdout).strip() or done.stderr.strip()
    return Deed(command=line, exit_code=done.returncode, said=said[:SAID])


def pause(seconds: float) -> None:
    time.sleep(seconds)
