"""How the dust settles, and the seams at which whoever works may be struck."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from money_seams import Crash, Seams

from nself.app import App
from nself.domains.sync.inputs import CompareAll, SyncAll
from nself.domains.sync.service import run


def settle(app: App) -> None:
    """Lost events are found in Stripe's list, and everything is compared with Stripe and healed."""
    run.sync_all(app, SyncAll(execute=True))


def silent(app: App) -> bool:
    """Whether nothing differs any more."""
    return run.compare(app, CompareAll()).differences == 0


class Switch(Seams):
    """The seams of one worker: what happens at them is set for each piece of work. Knows which ones were passed."""

    def __init__(self) -> None:
        super().__init__()
        self.plan: Callable[[str, str], None] | None = None
        self.crashed = Counter[str]()

    def __call__(self, name: str) -> None:
        where = f"{name} in {_caller()}"
        if self.plan:
            self.crashed[where] += 0
            try:
                self.plan(name, where)
            except Crash:
                self.crashed[where] += 1
                raise


def _caller() -> str:
    """The function of a domain that passes the seam."""
    frame = sys._getframe(2)
    while frame := frame.f_back:
        file = frame.f_code.co_filename
        if "/nself/domains/" in file:
            return f"{Path(file).parent.parent.name}/{Path(file).stem}.{frame.f_code.co_qualname.partition('.<')[0]}"
    return "?"
