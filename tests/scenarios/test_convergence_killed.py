"""The same with two real worker processes that are killed with kill -9 in the middle of it, and with all their threads."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from convergence import CUT, TOLD, WAITING, History, Stand
from histories import KILLED_HISTORIES
from hypothesis import HealthCheck, Phase, given, note, seed, settings
from money_bench import Bench, sandbox_in_thread, until
from money_processes import end, spawn
from seeds import seed_of_this_run

PATIENCE, TAKEN_OVER = 90, 5
PART = 25
"""Its seed stands behind those of the thousand histories."""


class Killed(Stand):
    """Two processes work all the time; deeds happen beside them."""

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench)
        self.log = bench.folder / "worker.log"
        environ = bench.environ(BILLING_LOG_LEVEL="error", **TOLD)
        (bench.folder / ".env").write_text("".join(f"{name}='{value}'\n" for name, value in environ.items()))
        self.workers = [self._start(), self._start()]
        self.kills = 0

    def _start(self) -> subprocess.Popen[bytes]:
        return spawn(self.log, "nself.worker", environ={"NSELF_PROJECT": str(self.bench.folder)})

    def close(self) -> None:
        for worker in self.workers:
            end(worker)

    def kill(self, worker: int, after: int) -> None:
        time.sleep(after / 1000)
        os.kill(self.workers[worker].pid, signal.SIGKILL)
        assert self.workers[worker].wait() == -signal.SIGKILL
        self.workers[worker] = self._start()
        self.kills += 1

    def cut(self, after: int) -> None:
        time.sleep(after / 1000)
        self.bench.sql(CUT)

    def work_off(self) -> None:
        """What a killed process held is given to others soon. Not too soon: two slow ones would take it from each other for ever."""
        next_time = time.monotonic()

        def idle() -> bool:
            nonlocal next_time
            assert [one.poll() for one in self.workers] == [None, None], self.log.read_text()[-2000:]
            if not self.bench.sql(WAITING):
                return True
            if time.monotonic() >= next_time:
                self.bench.pass_time()
                next_time = time.monotonic() + TAKEN_OVER
            return False

        until(idle, PATIENCE, f"something waits for ever:\n{self.log.read_text()[-2000:]}")

    def live(self, history: History) -> None:
        self.reset()
        self.uncertain = True
        super().live_on(history)


@pytest.fixture
def killed(tmp_path: Path, database: str) -> Iterator[Killed]:
    folder = tmp_path / "project"
    folder.mkdir()
    with (
        sandbox_in_thread() as sandbox,
        closing(Bench(folder, database, sandbox)) as bench,
        closing(Killed(bench)) as made,
    ):
        yield made


@pytest.mark.long
@pytest.mark.timeout(1500)
def test_histories_with_kill_minus_nine_end_with_what_stripe_has(killed: Killed, request: pytest.FixtureRequest):
    @seed(seed_of_this_run(request, PART))
    @settings(
        max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), database=None, phases=[Phase.generate]
    )
    @given(KILLED_HISTORIES)
    def live(history: History) -> None:
        note(repr(history))
        killed.live(history)

    live()
    assert killed.kills >= 25
