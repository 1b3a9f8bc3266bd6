"""start, stop, restart and status, on real processes: alone, at once, and after kill -9."""

from __future__ import annotations

import json
import shutil
import socket
import time
from pathlib import Path

import pytest
from harness import Stand, kill, living, until

BILLING = ("http", "worker", "usage-collector")


def told(stand: Stand, service: str, message: str) -> list[dict[str, object]]:
    """Lines of a service's log with this message."""
    lines = [json.loads(line) for line in stand.log(service).splitlines() if line.startswith("{")]
    return [line for line in lines if line["message"] == message]


def test_a_day_of_the_services(fresh: Stand) -> None:
    stand = fresh
    assert {one.state for one in stand.status().values()} == {"stopped"}
    assert not stand.state.exists(), "status makes nothing"
    started = stand.run("start").stdout
    assert "usage-collector billing running" in started and "stripe-mock" not in started
    found = stand.status()
    assert {name for name, one in found.items() if one.state == "running"} == {"postgres", *BILLING}
    assert found["http"].settings == found["worker"].settings != "-"
    port = int(stand.root.joinpath(".env").read_text().split()[0].removeprefix("BILLING_PORT="))
    socket.create_connection(("127.0.0.1", port)).close()
    assert stand.run("start", "billing").stdout.count("running") == 3 + 1
    assert stand.pid("http") == found["http"].pid, "start leaves alone what runs"
    stand.run("restart", "usage-collector")
    later = stand.status()
    assert later["usage-collector"].pid != found["usage-collector"].pid
    assert later["http"].pid == found["http"].pid and later["postgres"].pid == found["postgres"].pid
    supervisord, pids = stand.supervisord(), [one.pid for one in later.values() if one.pid]
    stand.run("stop")
    assert not any(living(pid) for pid in [supervisord, *pids])
    assert {one.state for one in stand.status().values()} == {"stopped"}
    assert "no such service" in stand.run("start", "nonsense", code=1).stderr.lower()


def test_the_database_starts_first_and_stops_last(stand: Stand) -> None:
    stand.run("start", "worker", BILLING_STANDIN_DRAIN="1")
    worker, postmaster = stand.pid("worker"), stand.postmaster()
    stop = stand.popen("stop")
    until(lambda: told(stand, "worker", "draining"))
    while living(worker):
        assert living(postmaster)
    out, err = stop.communicate(timeout=20)
    assert stop.returncode == 0 and not living(postmaster), (out, err)


def test_what_the_operator_stopped_stays_stopped(stand: Stand) -> None:
    stand.run("start", "worker")
    stand.run("stop", "billing")
    stand.ensure()
    kill(stand.supervisord())
    stand.ensure()
    until(lambda: stand.up("postgres"))
    assert stand.down(*BILLING)
    stand.run("stop")
    stand.ensure()
    assert stand.down("worker")


def at_once(stand: Stand, *commands: tuple[str, ...]) -> None:
    running = [stand.popen(*command) for command in commands]
    for process in running:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0 and "Traceback" not in err, (out, err)


def test_starts_and_stops_of_everything_at_once(stand: Stand) -> None:
    for _ in range(2):
        at_once(stand, ("start",), ("stop",), ("start",), ("stop",))
        until(lambda: stand.up(*BILLING) or stand.down(*BILLING))
    stand.run("start")
    assert stand.up(*BILLING)


@pytest.mark.long
def test_restarts_at_once_end_with_running_services(fresh: Stand) -> None:
    at_once(fresh, *[("restart", "light")] * 4, *[("start", "light")] * 2)
    assert fresh.up("one", "two")
    at_once(fresh, ("stop", "light"), ("restart", "light"), ("stop", "light"))
    until(lambda: fresh.up("one", "two") or fresh.down("one", "two"))


def test_stop_waits_for_the_drain_and_kills_after_the_grace(fresh: Stand) -> None:
    fresh.run("start", "two", BILLING_STANDIN_DRAIN="0.5")
    begun = time.monotonic()
    fresh.run("restart", "two", BILLING_STANDIN_DRAIN="60", BILLING_DRAIN_TIMEOUT="2s")
    assert time.monotonic() - begun > 0.5 and len(told(fresh, "two", "drained")) == 1
    begun = time.monotonic()
    fresh.run("stop", "two")
    assert 2 <= time.monotonic() - begun < 50
    assert len(told(fresh, "two", "draining")) == 2 and len(told(fresh, "two", "drained")) == 1


def levels(stand: Stand) -> list[object]:
    return [line["BILLING_LOG_LEVEL"] for line in told(stand, "two", "started")]


@pytest.mark.long
def test_restart_carries_the_callers_settings_until_the_next_restart(fresh: Stand) -> None:
    fresh.run("start", "two")
    secret = "sk_test_planted_4242"
    fresh.run("restart", "two", BILLING_LOG_LEVEL="debug", STRIPE_SECRET_KEY=secret, CALLERS_SECRET="mine")
    assert levels(fresh) == [None, "debug"]
    line = told(fresh, "two", "started")[-1]
    assert line["STRIPE_SECRET_KEY"] == secret and line["CALLERS_SECRET"] is None
    assert fresh.status()["two"].changed
    assert not fresh.status(BILLING_LOG_LEVEL="debug", STRIPE_SECRET_KEY=secret)["two"].changed
    kill(fresh.pid("two"))
    until(lambda: len(levels(fresh)) == 3)
    kill(fresh.supervisord())
    fresh.run("start", "one")
    until(lambda: len(levels(fresh)) == 4)
    assert levels(fresh)[2:] == ["debug", "debug"]
    commands = [_cmdline(folder) for folder in Path("/proc").glob("[0-9]*")]
    assert not any(secret in command for command in commands)
    holding = [path for path in (fresh.state / "run").glob("*.*") if secret.encode() in path.read_bytes()]
    assert holding and not any(path.stat().st_mode & 0o077 for path in holding)
    fresh.run("restart", "two")
    assert levels(fresh)[-1] is None


def _cmdline(folder: Path) -> str:
    try:
        return (folder / "cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""


def test_a_killed_service_and_a_killed_supervisor_come_back(stand: Stand) -> None:
    stand.run("start")
    pid = stand.pid("worker")
    kill(pid)
    until(lambda: stand.pid("worker") not in (0, pid))
    before = {one.pid for one in stand.status().values() if one.pid}
    kill(stand.supervisord())
    until(lambda: not any(living(pid) for pid in before), what="children outlive supervisord")
    down = stand.status()["http"]
    assert down.state == "down" and "nself start" in down.note
    stand.ensure()
    until(lambda: stand.up(*BILLING))


@pytest.mark.long
def test_a_draining_leftover_of_a_killed_supervisor_is_waited_for(fresh: Stand) -> None:
    fresh.run("start", "one", BILLING_STANDIN_DRAIN="3")
    old = fresh.pid("one")
    begun = time.monotonic()
    kill(fresh.supervisord())
    fresh.run("start", "one")
    assert not living(old)
    assert time.monotonic() - begun > 2.9
    assert fresh.up("one")


def test_a_command_killed_in_mid_restart_leaves_the_services_running(fresh: Stand) -> None:
    fresh.run("start", "two", BILLING_STANDIN_DRAIN="1")
    old = fresh.pid("two")
    command = fresh.popen("restart", "two")
    until(lambda: told(fresh, "two", "draining"))
    command.kill()
    command.communicate()
    until(lambda: fresh.up("two") and fresh.pid("two") != old)


def test_new_settings_restart_nothing_by_themselves(fresh: Stand) -> None:
    fresh.run("start", "light")
    before = fresh.status()
    with (fresh.root / ".env").open("a") as file:
        file.write("BILLING_DRAIN_TIMEOUT=1s\nSTRIPE_MAX_RETRIES=7\n")
    fresh.run("start", "stripe-mock")
    after = fresh.status()
    assert (after["one"].pid, after["two"].pid) == (before["one"].pid, before["two"].pid)
    assert after["two"].changed and not after["stripe-mock"].changed
    fresh.run("restart", "two")
    assert not fresh.status()["two"].changed
    assert "stopwaitsecs=1\n" in (fresh.state / "run" / "supervisord.conf").read_text()


def test_a_service_that_cannot_start_is_told_with_its_last_words(fresh: Stand) -> None:
    error = fresh.run("start", "broken", code=3).stderr
    assert "broken does not start" in error and "cannot work" in error and "nself logs broken" in error
    until(lambda: fresh.status()["broken"].state in {"failing", "failed"})
    fresh.run("stop", "broken")
    assert fresh.down("broken")


def test_a_service_that_ends_again_and_again_after_a_while_is_told_too(fresh: Stand) -> None:
    error = fresh.run("start", "tired", code=3).stderr
    assert "tired does not start: cannot work" in error and "nself logs tired" in error
    fresh.run("stop", "tired")
    assert fresh.down("tired")


@pytest.mark.long
def test_a_supervisor_whose_socket_was_deleted_is_replaced(fresh: Stand) -> None:
    fresh.run("start", "two")
    old = fresh.supervisord()
    config = (fresh.state / "run" / "supervisord.conf").read_text()
    Path(next(line for line in config.splitlines() if line.startswith("file=")).removeprefix("file=")).unlink()
    fresh.run("start", "one")
    assert fresh.supervisord() != old and not living(old)
    assert fresh.up("one", "two")


def test_a_deleted_project_takes_its_services_along(fresh: Stand) -> None:
    fresh.run("start", "light")
    pids = [fresh.supervisord(), fresh.pid("one"), fresh.pid("two")]
    shutil.rmtree(fresh.root)
    until(lambda: not any(living(pid) for pid in pids))


def test_a_taken_port_is_told(fresh: Stand) -> None:
    port = int(fresh.root.joinpath(".env").read_text().split()[1].removeprefix("STRIPE_MOCK_PORT="))
    with socket.create_server(("127.0.0.1", port)):
        told = fresh.run("start", "one", code=3).stderr
        assert "another program (pid " in told and f"listens on port {port} (STRIPE_MOCK_PORT)" in told
        assert f"listens on port {port} (STRIPE_MOCK_PORT)" in fresh.run("status", "one").stdout
    until(lambda: fresh.up("one"), 20)


def test_what_runs_is_not_ended_for_settings_that_cannot_be_used(fresh: Stand) -> None:
    fresh.run("start", "one")
    pid = fresh.pid("one")
    with fresh.root.joinpath(".env").open("a") as file:
        file.write("STRIPE_MODE=prod\n")
    assert "STRIPE_MODE is 'prod'" in fresh.run("restart", "one", code=2).stderr
    assert fresh.pid("one") == pid and living(pid)


def test_a_full_disk_ends_no_service(fresh: Stand) -> None:
    """Neither what a service says nor the supervisor's own log can be written, and both go on."""
    fresh.run("start", "chatter")
    fresh.run("stop")
    run = fresh.state / "run"
    for path in (run / "supervisord.log", run / "supervisord.out", run / "logs" / "chatter.log"):
        path.unlink(missing_ok=True)
        path.symlink_to("/dev/full")
    fresh.run("start", "chatter")
    supervisor, pid = fresh.supervisord(), fresh.pid("chatter")
    for _ in range(3):  # the supervisor tells of each start and end
        fresh.run("restart", "one")
    assert (fresh.supervisord(), fresh.pid("chatter")) == (supervisor, pid) and living(pid) and fresh.up("one")
