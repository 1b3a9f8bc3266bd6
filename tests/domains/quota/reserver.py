"""A process of its own that wants units: `reserver.py FOLDER SEED USER…` asks for each user's quota until it is refused.

Most grants are committed, some released, some left. It is killed in the middle by those who started it.
"""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

from nself.app import App
from nself.config import find_project
from nself.domains.quota.model import Ask, Decision
from nself.domains.quota.rules import read
from nself.domains.quota.service.decide import decide, new_id
from nself.registry import Registry

GROUP = 7


def want(app: App, seed: int, users: list[str]) -> int:
    """Units granted to this process and not given back."""
    chance, open_users, granted = random.Random(seed), list(users), 0
    while open_users:
        some = [chance.choice(open_users) for _ in range(GROUP)]
        asks = [
            Ask(kind="reserve", user=user, metric="calls", value=chance.choice((1, 1, 2)), id=new_id()) for user in some
        ]
        answers = decide(app, asks)
        ends: list[Ask] = []
        for ask, answer in zip(asks, answers, strict=True):
            assert isinstance(answer, Decision)
            if not answer.allowed and ask.value == 1 and ask.user in open_users:
                open_users.remove(ask.user)
            if answer.reservation:
                user, id = read(answer.reservation)
                fate = chance.choice(("commit", "commit", "commit", "release", "leave"))
                granted += 0 if fate == "release" else ask.value or 0
                if fate != "leave":
                    ends.append(Ask(kind=fate, user=user, id=id))  # type: ignore[arg-type]
        if ends:
            assert all(isinstance(one, Decision) and one.allowed for one in decide(app, ends))
    return granted


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    app = App(find_project(str(folder), {}, folder), Registry(), environ=os.environ)
    app.db  # noqa: B018
    print("ready", flush=True)
    sys.stdin.readline()
    print(want(app, int(sys.argv[2]), sys.argv[3:]))
    app.close()
