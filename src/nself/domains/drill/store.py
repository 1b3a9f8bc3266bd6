"""Props, the file of what is planted, and the damage that only a hand in the database can do."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import psutil

from nself.core.project import Project
from nself.db.connect import Tx
from nself.db.queries import beside
from nself.domains.drill.model import Planted, PlantFailed, Prop

SQL = beside(__file__)


_started: list[subprocess.Popen[str]] = []
"""Held, so that nobody is warned of those that outlive this process: that is what they are for."""
READY = 30.0
"""Seconds until a prop has to stand."""


def _file(project: Project) -> Path:
    return project.state / "drill.json"


def planted(project: Project) -> Planted | None:
    try:
        return msgspec.json.decode(_file(project).read_bytes(), type=Planted)
    except FileNotFoundError:
        return None


def keep(project: Project, what: Planted) -> None:
    """Whole or not at all: who ends the props must know of each."""
    path = _file(project)
    fresh = path.with_suffix(".new")
    fresh.write_bytes(msgspec.json.encode(what))
    fresh.replace(path)


def forget(project: Project) -> None:
    _file(project).unlink(missing_ok=True)


def read(project: Project, path: str) -> str | None:
    """What a file of the project holds; None where there is none."""
    try:
        return (project.root / path).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def write(project: Project, path: str, text: str | None) -> None:
    """As an editor would, in place; None takes the file away, with folders that nothing else is in."""
    place = project.root / path
    if text is None:
        place.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            for folder in list(place.relative_to(project.root).parents)[:-1]:
                (project.root / folder).rmdir()
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text, encoding="utf-8")


def start_prop(project: Project, kind: str, *arguments: str) -> tuple[Prop, str]:
    """A process `python -m nself.domains.drill.service.props KIND …`, and the first line it says. Raises PlantFailed."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "nself.domains.drill.service.props", kind, *arguments],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        cwd=project.root, env={**os.environ, "NSELF_PROJECT": str(project.root)}, start_new_session=True, text=True,
    )  # fmt: skip
    _started.append(process)
    assert process.stdout
    with process.stdout:
        said = process.stdout.readline().strip()
    if not said:
        raise PlantFailed(cause=kind, detail=f"the prop {kind} ended with {process.wait(READY)}")
    return Prop(pid=process.pid, born=psutil.Process(process.pid).create_time()), said


def start_command(project: Project, words: str) -> Prop:
    """A command of nself that goes on by itself."""
    process = subprocess.Popen(
        [Path(sys.executable).with_name("nself"), "--project", project.root, *words.split()],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True, text=True,
    )  # fmt: skip
    _started.append(process)
    return Prop(pid=process.pid, born=psutil.Process(process.pid).create_time())


def end_prop(prop: Prop) -> None:
    """Nobody else's process: its moment of birth has to fit."""
    with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
        process = psutil.Process(prop.pid)
        if abs(process.create_time() - prop.born) < 1:
            os.kill(prop.pid, signal.SIGKILL)
            with contextlib.suppress(psutil.TimeoutExpired):
                process.wait(10)


def shell(project: Project, line: str, seconds: float = 120) -> tuple[int, str]:
    """Exit code and everything that a line of the guide says; `nself` in it is this one."""
    binaries = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    environ = {**os.environ, "NSELF_PROJECT": str(project.root), "PATH": binaries}
    try:
        done = subprocess.run(
            ["bash", "-c", line], cwd=project.root, env=environ, capture_output=True, text=True, errors="replace",
            stdin=subprocess.DEVNULL, timeout=seconds, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return 124, f"no end after {seconds:.0f} s: {line}"
    return done.returncode, done.stdout + done.stderr


def pause(seconds: float) -> None:
    time.sleep(seconds)


def undo(tx: Tx) -> None:
    """What hands changed about tables and left: triggers, constraints, indexes, names, and their account in the dashboard. Other
    rows go with the fixtures."""
    tx.run(SQL["undo"])
    leave_usage_alone(tx, alone=False)


def rule_mail(tx: Tx, *, rule: bool) -> None:
    """Whether a constraint refuses users with a mail address at partner.example.com."""
    tx.run(SQL["drop_mail_rule"])
    if rule:
        tx.run(SQL["add_mail_rule"])


def unmark_event(tx: Tx, event: str) -> None:
    tx.run(SQL["unmark_event"], event=event)


def race_event(tx: Tx, event: str) -> None:
    tx.run(SQL["race_event"], event=event)


def retry_event(tx: Tx, event: str) -> None:
    tx.run(SQL["retry_event"], event=event)


def slow_subscriptions(tx: Tx) -> None:
    tx.run(SQL["slow_function"])
    tx.run(SQL["slow_trigger"])


def quick_again(tx: Tx) -> None:
    tx.run(SQL["quick_again"])


def take_back(tx: Tx, object: str) -> None:
    tx.run(SQL["take_back"], object=object)


def delete_customer(tx: Tx, object: str) -> None:
    tx.run(SQL["delete_customer"], object=object)


def never_came(tx: Tx, object: str) -> None:
    """As if nothing had ever been heard of the customer."""
    delete_customer(tx, object)
    tx.run(SQL["forget_changes"], object=object)
    tx.run(SQL["forget_events"], object=object)


def forget_runs(tx: Tx) -> None:
    tx.run(SQL["forget_runs"])


def break_run(tx: Tx, error: str) -> None:
    tx.run(SQL["break_run"], error=error)


def refuse(tx: Tx, kind: str) -> None:
    """Customers or subscriptions."""
    tx.run(SQL["refusing_function"])
    tx.run(SQL["refusing_trigger_of_customers"] if kind == "customer" else SQL["refusing_trigger"])


def refuse_no_more(tx: Tx) -> None:
    tx.run(SQL["refuse_no_more"])


# ---- Hands in the database: quotas ----


def restore_counters(tx: Tx, user: str, metric: str, used: int) -> int:
    return tx.run(SQL["restore_counters"], user=user, metric=metric, used=used)


def restore_plan(tx: Tx, user: str, metric: str, plan: str, limit: int) -> int:
    return tx.run(SQL["restore_plan"], user=user, metric=metric, plan=plan, limit=limit)


def lose_job(tx: Tx, type: str) -> int:
    return tx.run(SQL["lose_job"], type=type)


def move_counters(tx: Tx, away: bool) -> None:
    tx.run(SQL["move_counters_away"] if away else SQL["move_counters_back"])


def lock_counters(tx: Tx) -> None:
    tx.run(SQL["lock_counters"])


# ---- Hands in the database: what makes it slow ----


def drop_customer_index(tx: Tx) -> None:
    tx.run(SQL["drop_customer_index"])


def begin_index(tx: Tx) -> None:
    tx.run(SQL["drop_begun_index"])
    tx.run(SQL["begin_index"])


def leave_usage_alone(tx: Tx, alone: bool) -> None:
    """Whether autovacuum leaves raw usage alone."""
    tx.run(SQL["leave_usage_alone"] if alone else SQL["look_after_usage"])


def rewrite_usage(tx: Tx) -> int:
    return tx.run(SQL["rewrite_usage"])


def work_long(tx: Tx) -> None:
    """Ends when the client does."""
    tx.run(SQL["notice_end"])
    tx.run(SQL["work_long"])


def glance(tx: Tx) -> None:
    tx.run(SQL["glance"])


def slow_insert(tx: Tx, slow: bool) -> None:
    """Whether a trigger sleeps with each insert of usage."""
    tx.run(SQL["drop_slow_insert"])
    if slow:
        tx.run(SQL["slow_insert"])
        tx.run(SQL["slow_insert_trigger"])


def keep_fold_locks(tx: Tx) -> None:
    """The locks of all users' usage, as long as the transaction lasts."""
    tx.run(SQL["keep_fold_locks"])


def slow_rollups(tx: Tx) -> None:
    """A trigger of somebody else."""
    tx.run(SQL["make_slow_function"])
    tx.run(SQL["make_slow_trigger"])


def quick_rollups(tx: Tx) -> None:
    tx.run(SQL["drop_slow_function"])


def bend_rollup(tx: Tx) -> None:
    tx.run(SQL["bend_rollup"])


def was_down(tx: Tx, start: datetime, end: datetime, now: datetime) -> None:
    """The service that takes usage was killed at `start` and came back at `end`."""
    tx.run(SQL["forget_service_runs"], since=start)
    tx.run(SQL["end_runs"], since=start)
    for lived in ((start - timedelta(hours=2), start), (end, now)):
        tx.run(SQL["add_run"], start=lived[0], end=lived[1])


def revive(tx: Tx, subscription: str) -> None:
    tx.run(SQL["revive"], subscription=subscription)


def memories_kept(tx: Tx) -> int:
    return tx.run(SQL["grow_memory"])


def customer_snapshot(tx: Tx) -> object:
    return tx.value(SQL["customer_snapshot"])


def swell_customer(tx: Tx) -> None:
    tx.run(SQL["swell_customer"])


def put_customer_snapshot(tx: Tx, snapshot: object) -> None:
    tx.run(SQL["put_customer_snapshot"], snapshot=msgspec.json.encode(snapshot).decode())


def keep_prices(tx: Tx) -> None:
    """Nobody reads prices as long as the transaction lasts."""
    tx.run(SQL["keep_prices"])
