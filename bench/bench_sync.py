"""Comparing everything with Stripe: objects a second, memory that does not grow with their number.

    bench_sync.py [--customers N]

Limit: reading the same pages from the sandbox and doing nothing with them, in the same run. A first run imports, a second
one finds nothing, a third heals what was changed by hand. Memory is the command's own, at its highest.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import time
import urllib.request
from typing import Any, NamedTuple

from common import NSELF, Project, project, report

KINDS = ("product", "price", "customer", "subscription", "invoice", "payment_intent", "charge")
SMALL = 10  # the memory of a run over a tenth of the objects is what that of the whole is compared with


class Ran(NamedTuple):
    result: Any
    seconds: float
    megabytes: float


def admin(port: str, path: str, **body: Any) -> Any:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/_sandbox/{path}", json.dumps(body).encode(), method="POST"
    )
    with urllib.request.urlopen(request, timeout=600) as answer:
        return json.loads(answer.read())


def reconcile(made: Project, *arguments: str) -> Ran:
    """The command as an operator runs it."""
    line = [NSELF, "--project", made.folder, "billing", "reconcile", "--format", "json", *arguments]
    began = time.perf_counter()
    with subprocess.Popen(line, stdout=subprocess.PIPE) as process:
        assert process.stdout
        answer = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, answer
    return Ran(json.loads(answer), time.perf_counter() - began, usage.ru_maxrss / 1024)


def read_only(port: str, kind: str) -> tuple[int, float]:
    """Objects of a kind, and the seconds that its pages take alone."""
    began, count, after = time.perf_counter(), 0, ""
    while True:
        path = f"http://127.0.0.1:{port}/v1/{kind}s?limit=100{'&status=all' if kind == 'subscription' else ''}{after}"
        request = urllib.request.Request(path, headers={"Authorization": "Bearer sk_test_bench"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            page = json.loads(answer.read())
        count += len(page["data"])
        if not page["has_more"]:
            return count, time.perf_counter() - began
        after = f"&starting_after={page['data'][-1]['id']}"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--customers", type=int, default=5000)
    customers = parser.parse_args().customers
    with project(
        "STRIPE_SECRET_KEY=sk_test_bench",
        "STRIPE_MOCK_ENABLED=true",
        "STRIPE_RATE_LIMIT=100000",
        "BILLING_AUTO_SYNC=false",
    ) as made:
        made.nself("start", "stripe-mock")
        port = made.nself("env", "get", "STRIPE_MOCK_PORT").strip()
        admin(port, "seed", customers=customers // SMALL, seed=1)
        small = reconcile(made)
        admin(port, "seed", customers=customers - customers // SMALL, seed=2)
        pages = [read_only(port, kind) for kind in KINDS]
        first, again = reconcile(made), reconcile(made)
    count, alone = sum(one for one, _ in pages), sum(seconds for _, seconds in pages)
    assert again.result["differences"] == 0 and first.result["state"] == "done"
    rate, limit = first.result["checked"] / first.seconds, count / alone
    second = again.result["checked"] / again.seconds
    report(
        "Synchronisation",
        [
            ("first import", f"{rate:,.0f} objects/s, {first.result['checked']:,} objects", f"{rate / limit:.2f} of reading the pages alone ({limit:,.0f}/s)"),
            ("nothing differs", f"{second:,.0f} objects/s", f"{second / limit:.2f} of reading the pages alone"),
            ("memory of the command", f"{first.megabytes:,.0f} MB", f"{first.megabytes / small.megabytes:.2f} of that over a tenth of the objects ({small.result['checked']:,})"),
        ],
    )  # fmt: skip


if __name__ == "__main__":
    main()
