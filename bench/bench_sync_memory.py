"""The memory of `reconcile` over a million objects: it is the same at the end of the run as at its beginning.

    bench_sync_memory.py [--objects N]

Stripe's pages come from `list_server.py`, which makes them of one object of each kind of the sandbox. All objects are new
to the mirror, so each is a difference that is stored. What grows would show in the ratio to the memory after one percent.
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
    """MB at this moment; 0 where it has ended."""
    text = Path(f"/proc/{process.pid}/status").read_text()
    return int(text.split("VmRSS:")[1].split()[0]) / 1000 if "VmRSS:" in text else 0.0


def watched(made: Project, objects: int) -> tuple[dict[int, float], float, float]:
    """The resident memory when so many percent were compared, its peak, and the seconds of the run."""
    line = [NSELF, "--project", made.folder, "billing", "reconcile", "--format", "json"]
    at, began, last = dict[int, float](), time.perf_counter(), 0.0
    with (
        psycopg.connect(conninfo(made), autocommit=True) as connection,
        subprocess.Popen(line, stdout=subprocess.PIPE) as process,
    ):
        while process.poll() is None:
            row = connection.execute(CHECKED).fetchone()
            done, now = 100 * row[0] / objects if row else 0, resident(process)
            last = now or last
            for percent in SHOWN:
                if done >= percent:
                    at.setdefault(percent, last)
            time.sleep(0.02)
        assert process.stdout
        answer = json.loads(process.stdout.read())
        peak = max(at.values())
    assert answer["state"] == "done" and answer["checked"] == objects, answer
    return at, peak, time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--objects", type=int, default=1_000_000)
    objects = parser.parse_args().objects // 1000 * 1000
    settings = (
        "STRIPE_SECRET_KEY=sk_test_bench",
        "STRIPE_MOCK_ENABLED=true",
        "STRIPE_RATE_LIMIT=100000",
        "BILLING_AUTO_SYNC=false",
    )
    with project(*settings) as made:
        file, port = made.folder / "samples.json", free_port()
        file.write_text(json.dumps(samples(made)))
        made.nself("env", "set", f"STRIPE_MOCK_PORT={port}")
        script = Path(__file__).with_name("list_server.py")
        server = subprocess.Popen(
            [sys.executable, script, "--port", str(port), "--samples", file, "--objects", str(objects)]
        )
        try:
            at, _, seconds = watched(made, objects)
        finally:
            server.terminate()
            server.wait()
    first = at[SHOWN[0]]
    report(
        f"Memory of a synchronisation of {objects:,} objects",
        [
            (f"`reconcile`, resident after {percent} %", f"{at[percent]:,.0f} MB", f"{at[percent] / first:.2f} x that after 1 %")
            for percent in SHOWN
        ]
        + [("all new to the mirror", f"{objects / seconds:,.0f} objects/s, {seconds:,.0f} s", f"load of the machine {os.getloadavg()[0]:.1f}")],
    )  # fmt: skip


if __name__ == "__main__":
    main()
