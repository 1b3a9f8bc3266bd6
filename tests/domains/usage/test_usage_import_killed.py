"""An import that is killed and run again gives the totals of one that was not."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from metering import app_on, law
from nself.app import App
from nself.domains.usage.inputs import ShowUsage
from nself.domains.usage.service import show

HOSTS = [f"10.0.0.{at}" for at in range(50)]
LINES = 5_000
MAIN = """
from nself.domains.usage.service import import_file
import_file.CHUNK_LINES = 50  # many commits to be killed between, and in
from nself.cli.main import main
main()
"""
LINE = '{host} - - [0{day}/Feb/2026:10:00:00 +0000] "GET /{at} HTTP/1.1" 200 {at} "-" "curl"\n'


@pytest.fixture
def app(database: str, tmp_path: Path) -> Iterator[App]:
    with app_on(tmp_path / "project", database) as made:
        made.db  # noqa: B018
        yield made
        law(made)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "access.log"
    lines = [LINE.format(host=HOSTS[at % 50], day=1 + at % 9, at=at) for at in range(LINES)]
    lines[4000] = "broken\n"
    path.write_text("".join(lines))
    return path


def start(app: App, log: Path) -> subprocess.Popen[bytes]:
    environ = {**os.environ, "DATABASE_URL": app.db.conninfo}
    words = ["--project", str(app.project.root), "billing", "usage", "import", str(log), "--create-users"]
    return subprocess.Popen(
        [sys.executable, "-c", MAIN, *words], env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def position(app: App) -> int:
    with psycopg.connect(app.db.conninfo, autocommit=True) as connection:
        return connection.execute("select coalesce(max(position), 0) from billing.billing_usage_imports").fetchone()[0]  # type: ignore[index]


def kill_while_it_works(app: App, log: Path, chance: random.Random) -> bool:
    """Kill a run at a random moment after it began to count; whether it was killed before its end."""
    process, begun = start(app, log), position(app)
    while process.poll() is None and position(app) == begun:
        time.sleep(0.01)
    try:
        process.wait(chance.uniform(0, 0.25))
    except subprocess.TimeoutExpired:
        process.kill()
    assert process.stdout
    process.stdout.close()
    return process.wait(30) == -9


def run_with_kills(app: App, log: Path, kills: int, seed: int) -> None:
    chance = random.Random(seed)
    killed = [kill_while_it_works(app, log, chance) for _ in range(kills)]
    assert killed[0] and position(app) > 0
    for _ in range(2):
        process = start(app, log)
        out, _ = process.communicate(timeout=120)
        assert process.returncode == 0, out
    found = {
        user: [
            show.show(app, ShowUsage(user=user, metric=metric, period="2026-02"))[0].value
            for metric in ("api_calls", "bandwidth")
        ]
        for user in HOSTS
    }
    numbers = [at for at in range(LINES) if at != 4000]
    assert found == {
        host: [len(mine), sum(mine)]
        for which, host in enumerate(HOSTS)
        if (mine := [at for at in numbers if at % 50 == which])
    }
    counted = law(app)
    assert (counted.accepted, counted.duplicate, counted.rejected) == (2 * LINES - 1, 0, 1)


def test_an_import_that_is_killed_and_run_again_counts_each_line_once(app: App, log: Path) -> None:
    run_with_kills(app, log, kills=2, seed=1)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(4))
def test_an_import_that_is_killed_many_times_counts_each_line_once(app: App, log: Path, seed: int) -> None:
    run_with_kills(app, log, kills=8, seed=seed)
