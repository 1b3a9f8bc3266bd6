"""Usage that is refused while the database is away and the buffer is full leaves a trace that survives kill -9."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from metering_bench import USAGE, Postgres, collecting

from metering import METRICS, app_on, law, people
from nself.domains.uptime.inputs import ShowUptime
from nself.domains.uptime.service import show
from serving import new_key, serving, until

pytestmark = pytest.mark.xdist_group("metering faults")


def test_refused_usage_and_killed_services_are_known_afterwards(tmp_path: Path, postgres: Postgres) -> None:
    folder = tmp_path / "project"
    with app_on(folder, postgres.conninfo, metrics=METRICS) as app:
        key, (user,) = new_key(app), people(app)
    event = {"user": user, "metric": "calls", "value": 1}
    try:
        with serving(folder, postgres.conninfo, USAGE_BUFFER_SIZE="5") as service:
            with service.client(key) as client:
                assert client.post(USAGE, event).status == 200
                postgres.end(signal.SIGKILL)
                codes = [client.post(USAGE, [event] * 2).code for _ in range(5)]
            assert codes == [None, None, *["buffer_full"] * 3]
            service.kill()
    finally:
        postgres.start()
    with app_on(folder, postgres.conninfo, metrics=METRICS) as app:
        with collecting(folder, postgres.conninfo):
            until(lambda: show.show(app, ShowUptime()).refused)
            until(app.spool.idle)
        found = show.show(app, ShowUptime())
        assert [(one.code, one.requests, one.events) for one in found.refused] == [("buffer_full", 3, 6)]
        assert ("http", "killed") in {(one.service, one.cause) for one in found.downtimes}
        assert law(app).counted + law(app).pending == 5
