"""The memory of `reconcile` over a million objects: it is the same at the end of the run as at its beginning.

    bench_sync_memory.py [--objects N] [--minutes N]

Stripe's pages come from `list_server.py`, which makes them of one object of each kind of the sandbox. All objects are new
to the mirror, so each is a difference that is stored. What grows would show in the ratio to the memory after one percent.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import psycopg
from bench_ingest import conninfo
from bench_sync import admin
from common import NSELF, Project, free_port, project, report
from list_server import COUNTS

HEADERS = {"Authorization": "Bearer sk_test_bench"}
SHOWN = (1, 10, 25, 50, 75, 100)
CHECKED = "select checked from billing.billing_sync_runs order by id desc limit 1"


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


def resident(process: subprocess.Popen[bytes]) -> float:
    """MB at this moment; 0 once it has ended."""
    text = Path(f"/proc/{process.pid}/status").read_text()
    return int(text.split("VmRSS:")[1].split()[0]) / 1000 if "VmRSS:" in text else 0.0


def watched(made: Project, minutes: float) -> tuple[list[tuple[int, float]], float, float]:
    """Objects compared and MB at many moments of the run, its peak in MB, and its seconds. After `minutes` it is stopped."""
    line = [NSELF, "--project", made.folder, "billing", "reconcile", "--format", "json"]
    found, began, stopped = list[tuple[int, float]](), time.perf_counter(), False
    with (
        psycopg.connect(conninfo(made), autocommit=True) as connection,
        subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process,
    ):
        while memory := resident(process):
            row = connection.execute(CHECKED).fetchone()
            if row and row[0]:
                found.append((row[0], memory))
            if not stopped and time.perf_counter() - began > 60 * minutes:
                process.send_signal(signal.SIGINT)
                stopped = True
            time.sleep(0.1)
        seconds = time.perf_counter() - began
        assert process.stdout
        said = process.stdout.read().decode()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert found and (stopped or process.returncode == 0), said
    return found, usage.ru_maxrss * 1.024 / 1000, seconds


def rows(found: list[tuple[int, float]], peak: float, seconds: float, objects: int) -> list[tuple[str, str, str]]:
    done, load = found[-1][0], os.getloadavg()[0]
    at = {percent: next(memory for count, memory in found if 100 * count >= percent * done) for percent in SHOWN}
    return [
        *(
            (f"resident after {percent} %", f"{memory:.1f} MB", f"{memory / at[SHOWN[0]]:.2f} x that after {SHOWN[0]} %")
            for percent, memory in at.items()
        ),
        ("its peak", f"{peak:.1f} MB", f"{peak / at[SHOWN[0]]:.2f} x"),
        (f"compared and stored in {seconds:,.0f} s", f"{done:,} of {objects:,} objects", f"{done / seconds:,.0f} objects/s; load of the machine {load:.1f}"),
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--objects", type=int, default=1_000_000)
    parser.add_argument(
        "--minutes", type=float, default=10, help="then the run is stopped, and what it has compared counts"
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
            found = watched(made, given.minutes)
        finally:
            server.terminate()
            server.wait()
    report("Memory of `reconcile` from an empty mirror", rows(*found, objects))


if __name__ == "__main__":
    main()
