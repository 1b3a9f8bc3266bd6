"""Everybody records the same keys at once, in different orders, while usage is folded."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import recorder

from metering import fresh, people, status
from nself.app import App
from nself.domains.usage.inputs import ShowUsage, UsageEvent
from nself.domains.usage.service import aggregate, record, show

WORTH = sum(range(recorder.KEYS))


def while_folding(app: App, work: Callable[[], list[int]]) -> list[int]:
    """What `work` gives; meanwhile two threads fold without a rest."""
    done = threading.Event()

    def fold() -> int:
        folds = 0
        while not done.is_set():
            aggregate.aggregate(app)
            folds += 1
        return folds

    with ThreadPoolExecutor() as pool:
        folding = [pool.submit(fold) for _ in range(2)]
        try:
            found = work()
        finally:
            done.set()
        assert sum(one.result() for one in folding) > 0
    return found


def assert_counted_once(app: App, users: list[str], counted: list[int]) -> None:
    assert sum(counted) == len(users) * recorder.KEYS
    for _ in range(2):
        assert [show.show(app, ShowUsage(user=user, metric="calls"))[0].value for user in users] == [WORTH] * len(users)
        aggregate.aggregate(app)
    assert status(app).pending == 0


def test_threads_that_send_the_same_keys_count_each_once(app: App) -> None:
    users = list(people(app, *(fresh() for _ in range(4))))
    app.db  # noqa: B018  touched before the threads

    def work() -> list[int]:
        with ThreadPoolExecutor() as pool:
            return list(pool.map(lambda seed: recorder.send_all(app, seed, users), range(4)))

    assert_counted_once(app, users, while_folding(app, work))


def test_processes_that_send_the_same_keys_count_each_once(app: App) -> None:
    users = list(people(app, *(fresh() for _ in range(4))))
    script = Path(recorder.__file__)
    environ = {**os.environ, "DATABASE_URL": app.db.conninfo, "PYTHONPATH": os.pathsep.join(sys.path)}

    def start(seed: int) -> subprocess.Popen[str]:
        line = [sys.executable, str(script), str(app.project.root), str(seed), *users]
        return subprocess.Popen(
            line, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def work() -> list[int]:
        senders = [start(seed) for seed in range(3)]
        for sender in senders:
            assert sender.stdout
            assert sender.stdout.readline() == "ready\n"
        for sender in senders:
            assert sender.stdin
            sender.stdin.write("\n")
            sender.stdin.flush()
        outputs = [sender.communicate(timeout=60) for sender in senders]
        assert all(out.strip().isdigit() for out, _ in outputs), outputs
        return [int(out) for out, _ in outputs]

    assert_counted_once(app, users, while_folding(app, work))


def test_months_that_many_need_at_once_are_made_once(app: App) -> None:
    users = people(app, *(fresh() for _ in range(8)))
    app.db  # noqa: B018
    barrier = threading.Barrier(len(users))

    def send(user: str) -> int:
        barrier.wait(60)
        batch = [
            UsageEvent(user=user, metric="calls", value=1, at=f"2011-{month:02}-01T00:00:00Z") for month in range(1, 13)
        ]
        return len(record.ingest(app, batch, "test").refused)

    with ThreadPoolExecutor(len(users)) as pool:
        assert list(pool.map(send, users)) == [0] * len(users)
