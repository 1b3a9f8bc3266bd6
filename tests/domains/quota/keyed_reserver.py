"""A process of its own that reserves one unit under each key: `keyed_reserver.py FOLDER USER COUNT` prints the reservations.

All keys of a group are asked for at once, and again by other such processes.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from nself.app import App
from nself.config import find_project
from nself.domains.quota.inputs import ReserveQuota
from nself.domains.quota.model import Decision
from nself.domains.quota.service.ask import as_ask
from nself.domains.quota.service.decide import decide
from nself.registry import Registry

GROUP = 5


def reserve(app: App, user: str, count: int) -> list[str]:
    made: list[str] = []
    for start in range(0, count, GROUP):
        asks = [
            as_ask(ReserveQuota(user=user, metric="calls", key=f"key {number}"))
            for number in range(start, start + GROUP)
        ]
        for answer in decide(app, asks):
            assert isinstance(answer, Decision) and answer.allowed and answer.reservation, answer
            made.append(answer.reservation)
    return made


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    app = App(find_project(str(folder), {}, folder), Registry(), environ=os.environ)
    app.db  # noqa: B018
    print("ready", flush=True)
    sys.stdin.readline()
    print(*reserve(app, sys.argv[2], int(sys.argv[3])))
    app.close()
