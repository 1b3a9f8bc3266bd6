"""Eight processes race for the last units of many quotas and are killed in the middle: granted is the limit, exactly."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest
import reserver

from metering import fresh, people
from nself.app import App
from nself.domains.quota.inputs import SetQuota
from nself.domains.quota.service import limits
from nself.domains.quota.service.ask import states
from nself.domains.usage.service import aggregate

PROCESSES = 8


def start(app: App, seed: int, users: tuple[str, ...]) -> subprocess.Popen[str]:
    environ = {
        **os.environ,
        "DATABASE_URL": app.db.conninfo,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "QUOTA_RESERVATION_TTL": "1h",
    }
    line = [sys.executable, str(Path(reserver.__file__)), str(app.project.root), str(seed), *users]
    return subprocess.Popen(line, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def begin(racers: list[subprocess.Popen[str]]) -> None:
    for one in racers:
        assert one.stdout and one.stdin
        assert one.stdout.readline() == "ready\n"
    for one in racers:
        assert one.stdin
        one.stdin.write("\n")
        one.stdin.flush()


def race(app: App, quotas: int, limit: int, kills: int) -> None:
    users = people(app, *(fresh() for _ in range(quotas)))
    for user in users:
        limits.set_quota(app, SetQuota(user=user, metric="calls", limit=limit, period="year"))
    racers = [start(app, seed, users) for seed in range(PROCESSES)]
    chance = random.Random(quotas)
    begin(racers)
    killed = 0
    while killed < kills:
        time.sleep(chance.uniform(0.05, 0.3))
        at = chance.randrange(PROCESSES)
        if racers[at].poll() is None:
            racers[at].kill()
            racers[at].communicate()
            killed += 1
            racers[at] = start(app, 100 + killed, users)
            begin([racers[at]])
        elif all(one.poll() is not None for one in racers):
            break
        if killed % 2:
            aggregate.aggregate(app)
    outputs = [one.communicate(timeout=300)[0] for one in racers]
    assert all(one.returncode == 0 for one in racers), outputs
    assert killed
    with psycopg.connect(app.db.conninfo) as connection:
        granted = connection.execute(
            "select user_id, sum(case state when 'held' then amount when 'committed' then settled_value else 0 end)"
            " from billing.billing_quota_reservations where user_id = any(%s) group by user_id",
            (list(users),),
        ).fetchall()
    assert dict(granted) == dict.fromkeys(users, limit)
    for user in users[:20]:
        (found,) = states(app, user, "calls", 0, "look")
        assert (found.used + found.held, found.remaining) == (limit, 0)
        aggregate.aggregate(app)


def test_fifty_quotas(real_app: App) -> None:
    race(real_app, quotas=50, limit=40, kills=6)


@pytest.mark.long
def test_a_thousand_quotas(real_app: App) -> None:
    race(real_app, quotas=1000, limit=25, kills=40)
