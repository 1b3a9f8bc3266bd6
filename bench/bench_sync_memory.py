"""The memory of `sync all` and `reconcile` over a million objects: it is the same at the end of a run as at its beginning.

    bench_sync_memory.py [--objects N] [--minutes N]

Stripe's pages come from `list_server.py`, which makes them of one object of each kind of the sandbox. To the first run all
objects are new, so each is a difference that is stored; the second one compares them again. What grows would show in the
ratio to the memory after one percent. A run is ended when its part of the minutes is over.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from bench_ingest import conninfo
from bench_sync import admin
from common import NSELF, Project, free_port, project, report
from list_server import COUNTS

HEADERS = {"Authorization": "Bearer sk_test_bench"}
SHOWN = (1, 10, 25, 50, 75, 100)
NEWEST = "select coalesce(max(id), 0) from billing.billing_sync_runs"
CHECKED = "select checked from billing.billing_sync_runs where id > %s order by id desc limit 1"
KIB = 1.024 / 1000
"""In MB."""
COMMANDS = ((("sync", "all", "--execute"), 2 / 3), (("reconcile",), 1 / 3))
"""And the parts of the minutes that they have."""


def get(port: str, path: str) -> Any:
    with urllib.request.urlopen(
        urllib.request.Request(f"http://127.0.0.1:{port}/v1/{path}", headers=HEADERS)
    ) as answer:
        return json.loads(answer.read())


def samples(made: Project) -> dict[str, Any]:
    """The newest object of each kind in the sandbox, expanded as lists are asked for."""
    made.nself("start", "stripe-mock")
    port = made.nself("env", "get", "STRIPE_MOCK_PORT").strip()
    admin(port, "seed", customers=20, seed=1)
    expand = {"invoices": "&expand[]=data.payments", "customers": "&expand[]=data.tax_ids"}
    found = {
        kind: get(port, f"{kind}?limit=1{expand.get(kind, '')}")["data"] for kind in COUNTS if kind != "payment_methods"
    }
    owner = next(one["customer"] for one in found["subscriptions"])
    found["payment_methods"] = get(port, f"payment_methods?limit=1&customer={owner}")["data"]
    made.nself("stop", "stripe-mock")
    return {kind: one for kind, (one, *_) in found.items()}


class Run(NamedTuple):
    """Objects compared, MB and the machine's load at many moments; the peak in MB; seconds in all and of processor time."""

    found: list[tuple[int, float, float]]
    peak: float
    seconds: float
    processor: float


def resident(process: subprocess.Popen[bytes]) -> float:
    """MB at this moment; 0 once it has ended."""
    text = Path(f"/proc/{process.pid}/status").read_text()
    return int(text.split("VmRSS:")[1].split()[0]) * KIB if "VmRSS:" in text else 0.0


def watched(made: Project, minutes: float, *command: str) -> Run:
    """The command, killed after `minutes`: whoever starts this in the background may have made it ignore SIGINT."""
    line = [NSELF, "--project", made.folder, "billing", *command, "--format", "json"]
    found, began, ended = list[tuple[int, float, float]](), time.perf_counter(), False
    with (
        psycopg.connect(conninfo(made), autocommit=True) as connection,
        (made.folder / "said").open("w+") as said,
        subprocess.Popen(line, stdout=said, stderr=said) as process,
    ):
        (before,) = connection.execute(NEWEST).fetchone() or (0,)
        while memory := resident(process):
            row = connection.execute(CHECKED, [before]).fetchone()
            if row and row[0]:
                found.append((row[0], memory, os.getloadavg()[0]))
            if not ended and time.perf_counter() - began > 60 * minutes:
                process.kill()
                ended = True
            time.sleep(0.25)
        seconds = time.perf_counter() - began
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        assert found and (ended or process.returncode == 0), f"{process.returncode}: {said.read()}"
    return Run(found, usage.ru_maxrss * KIB, seconds, usage.ru_utime + usage.ru_stime)


def rows(command: str, run: Run, objects: int) -> list[tuple[str, str, str]]:
    done, loads = run.found[-1][0], [load for _, _, load in run.found]
    at = {share: next(one for one in run.found if 100 * one[0] >= share * done) for share in SHOWN}
    first = at[SHOWN[0]][1]
    return [
        (
            f"`{command}`, {done:,} of {objects:,} objects in {run.seconds:,.0f} s", f"{done / run.seconds:,.0f} objects/s",
            f"load of the machine {min(loads):.1f} to {max(loads):.1f}; {1e6 * run.processor / done:,.0f} us Python an object",
        ),
        *(
            (f"resident after {count:,}", f"{memory:.1f} MB", f"{memory / first:.2f} x that after {SHOWN[0]} %")
            for count, memory, _ in at.values()
        ),
        ("its peak", f"{run.peak:.1f} MB", f"{run.peak / first:.2f} x"),
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--objects", type=int, default=1_000_000)
    parser.add_argument(
        "--minutes", type=float, default=30, help="then it ends, and what was compared until then counts"
    )
    given = parser.parse_args()
    objects = given.objects // 1000 * 1000
    settings = (
        "STRIPE_SECRET_KEY=sk_test_bench", "STRIPE_MOCK_ENABLED=true", "STRIPE_RATE_LIMIT=100000", "BILLING_AUTO_SYNC=false",
    )  # fmt: skip
    with project(*settings) as made:
        file, port = made.folder / "samples.json", free_port()
        file.write_text(json.dumps(samples(made)))
        made.nself("env", "set", f"STRIPE_MOCK_PORT={port}")
        script = Path(__file__).with_name("list_server.py")
        server = subprocess.Popen(
            [sys.executable, script, "--port", str(port), "--samples", file, "--objects", str(objects)]
        )
        try:
            runs = {" ".join(command): watched(made, part * given.minutes, *command) for command, part in COMMANDS}
        finally:
            server.terminate()
            server.wait()
    report(
        "Memory of `sync all` from an empty mirror, and of `reconcile`",
        [row for command, run in runs.items() for row in rows(command, run, objects)],
    )


if __name__ == "__main__":
    main()
