"""Real services under their supervisor: each end is told by its cause, and `restart` stands in the log for a restart alone."""

from __future__ import annotations

import re

import pytest

from commanding import Commands, commanding, until_printed

pytestmark = pytest.mark.xdist_group("metering faults")
LOGS = ("logs", "billing", "--grep", "restart", "--since", "2026-01-01")
SERVICES = ("http", "worker", "usage-collector", "pdf-generator")


def restarts(commands: Commands) -> list[tuple[str, str]]:
    """Service and reason of each line that the guide's command finds."""
    lines = commands.nself(*LOGS).splitlines()
    assert all("service_restarted" in line for line in lines), lines
    return sorted((line.split()[2], re.findall(r"reason=(\w+)", line)[0]) for line in lines)


@pytest.mark.long
def test_every_end_of_a_service_is_told_by_its_cause() -> None:
    with commanding() as commands:
        commands.nself("start")
        commands.nself("billing", "usage", "status")
        assert restarts(commands) == []  # a first start
        pid = commands.kill("http")
        until_printed(commands, LOGS, "reason=killed")
        assert restarts(commands) == [("http", "killed")]
        commands.nself("restart", "billing")
        until_printed(commands, LOGS, "usage-collector service_restarted")
        until_printed(commands, LOGS, "worker service_restarted")
        until_printed(commands, LOGS, "pdf-generator service_restarted")
        until_printed(commands, LOGS, "http service_restarted reason=restarted")
        assert restarts(commands) == sorted([("http", "killed"), *((name, "restarted") for name in SERVICES)])
        commands.nself("stop", "billing")
        commands.nself("start", "billing")
        assert len(restarts(commands)) == 5  # stopped for good, and started
        found = commands.json("billing", "uptime", "--start", "2026-01-01")
        # Services may be there before their database is.
        causes = [(one["service"], one["cause"]) for one in found["downtimes"] if one["service"] != "database"]
        each = [("http", "killed"), *((name, cause) for cause in ("restarted", "stopped") for name in SERVICES)]
        assert sorted(causes) == sorted(each), found["downtimes"]
        assert f"process {pid}" in next(one["detail"] for one in found["downtimes"] if one["cause"] == "killed")
        assert {one["service"]: one["state"] for one in found["services"]} == dict.fromkeys(
            (*SERVICES, "mail", "database"), "running"
        )
