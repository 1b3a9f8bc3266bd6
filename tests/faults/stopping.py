"""`python stopping.py "SEAM; SEAM" cli|worker WORDS…`: the real command or worker, which stops itself (SIGSTOP) where the seams
were passed in that order. Whoever started it sends SIGKILL or SIGCONT.
"""

from __future__ import annotations

import os
import signal
import sys
from functools import cached_property
from typing import Any

from money_seams import SeamDatabase, Seams, SeamStripe

from nself import app as product
from nself.app import App
from nself.db import connect


class Stop(Seams):
    def __init__(self, names: list[str]) -> None:
        super().__init__()
        self.names = names

    def __call__(self, name: str) -> None:
        if self.names and name == self.names[0]:
            self.names.pop(0)
            if not self.names:
                os.kill(os.getpid(), signal.SIGSTOP)


def main(seams: str, program: str, *words: str) -> None:
    stop = Stop([one.strip() for one in seams.split(";")])

    class Stopping(App):
        @cached_property
        def stripe(self) -> Any:
            return SeamStripe(super().stripe, stop)

    def database(conninfo: str, **_: Any) -> SeamDatabase:
        return SeamDatabase(conninfo, stop)

    connect.Database = database  # type: ignore[assignment, misc]
    product.App = Stopping  # type: ignore[misc]
    if program == "worker":
        from nself.worker.__main__ import main as run
    else:
        from nself.cli.main import main as run
    sys.argv = ["nself", *words]
    run()


if __name__ == "__main__":
    main(*sys.argv[1:])
