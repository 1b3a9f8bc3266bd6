"""Pages, the doctor and commands of an operator with very many customers and usage events present.

    bench_scale.py [--users N] [--events N] [--runs N]

`--users 100000 --events 50000000` needs 40 GB of disk and most of an hour; the default is quick and tells less.
A page is asked for `runs` times as an owner; that its panels which take long are asked for later is how a browser gets it too,
so those are asked for one by one as well.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import secrets
import statistics
import subprocess
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
from bench_ingest import conninfo
from common import NSELF, Project, project, report
from scale_fill import Sizes, fill

PAGE_MS, PAGE_KB, DOCTOR_S, COMMAND_S = 150, 100, 10, 2
ROW = tuple[str, str, str]
SESSION = """
insert into billing.billing_operator_sessions (hash, name, csrf, address, created_at, seen_at, expires_at)
values (%s, 'ada', 'x', '127.0.0.1', now(), now(), now() + interval '12 hours')
"""
USER = "user0000007"
COMMANDS = (
    "status", "health", "metrics", "errors --last 24h", "customer list", "customer show cus_123", "invoice list", "webhook status",
    "sync status", "usage status", f"usage show --user {USER}", "usage totals", "usage totals --by hour",
    "usage totals --by user", f"usage compare --user {USER}", f"quota status --user {USER}",
)  # fmt: skip


def signed_in(made: Project) -> str:
    """The cookie of an owner."""
    made.nself("billing", "operator", "add", "ada", "--role", "owner")
    token = secrets.token_urlsafe(32)
    with psycopg.connect(conninfo(made), autocommit=True) as connection:
        connection.execute(SESSION, [hashlib.sha256(token.encode()).digest()])
    return token


def paths(made: Project) -> list[str]:
    """Every page of the dashboard, each of its panels that is late, and a user's own page."""
    from nself.web.pages import PAGES

    of = {"/customers": "cus_123", "/users": USER, "/subscriptions": "sub_123", "/invoices": "in_122"}
    incident = ("incident", "create", "--type", "overcharge", "--severity", "info", "--description", "bench")
    of["/events"] = json.loads(made.nself("billing", "webhook", "events", "--limit", "1", "--format", "json"))[0][
        "event"
    ]
    of["/incidents"] = json.loads(made.nself("billing", *incident, "--format", "json"))["id"]
    link = json.loads(made.nself("billing", "page-link", "create", "--user", USER, "--format", "json"))["url"]
    found = [f"/me/{link.rpartition('/me/')[2]}"]
    for page in PAGES:
        path = page.path.format(id=of.get(page.path.removesuffix("/{id}"), ""))
        found.append(path)
        found += [f"{path}?panel={at}" for at, panel in enumerate(page.panels) if panel.late]
    return found


def asked(made: Project, cookie: str, path: str, runs: int) -> tuple[float, float, float]:
    """Milliseconds in the middle and at worst, and compressed kB, of a page that was asked for before."""
    headers = {"Cookie": f"nself_session={cookie}"}
    request = urllib.request.Request(f"http://127.0.0.1:{made.port}{path}", headers=headers)
    times, body = list[float](), b""
    for _ in range(runs + 1):
        began = time.perf_counter()
        with urllib.request.urlopen(request, timeout=600) as answer:
            body = answer.read()
        times.append(1000 * (time.perf_counter() - began))
        if times[-1] > 5000:  # that it is too slow is known
            return times[-1], times[-1], len(gzip.compress(body, 6)) / 1000
    assert b'name="password"' not in body, f"{path}: not signed in"
    return statistics.median(times[1:]), max(times[1:]), len(gzip.compress(body, 6)) / 1000


def pages(made: Project, runs: int) -> list[ROW]:
    cookie, found = signed_in(made), list[ROW]()
    for path in paths(made):
        half, worst, size = asked(made, cookie, path, runs)
        shown = "/me/…" if path.startswith("/me/") else path
        late = "asked for by the page afterwards" if "?panel=" in path else f"limit {PAGE_MS} ms"
        found.append((shown, f"{half:.0f} ms, worst {worst:.0f} ms, {size:.1f} kB", f"{late}, {PAGE_KB} kB"))
        print(*found[-1], flush=True)
    return found


def looked_for(made: Project) -> list[ROW]:
    """The doctor, and its slowest looks, each alone."""
    began = time.perf_counter()
    said = subprocess.run(
        [NSELF, "--project", made.folder, "billing", "doctor", "--format", "json"], capture_output=True, text=True, check=False
    )  # fmt: skip
    took, told = time.perf_counter() - began, json.loads(said.stdout)
    print(json.dumps({"findings": [f["cause"] for f in told["findings"]], "unseen": told["unseen"]}), flush=True)
    slow = sorted(alone(made), reverse=True)[:10]
    return [
        (
            "`nself billing doctor`",
            f"{took:.1f} s",
            f"limit {DOCTOR_S} s; {len(told['unseen'])} could not be looked at",
        ),
        *((f"root cause {cause} alone", f"{ms:.0f} ms", "") for ms, cause in slow),
    ]


def alone(made: Project) -> list[tuple[float, str]]:
    """Milliseconds of each look, by what it looks for; 5 s is where the doctor gives up."""
    from nself.diagnosis import Look
    from nself.domains.doctor.service.examine import all_causes

    app = opened(made)

    def one(cause: Any) -> tuple[float, str]:
        began = time.perf_counter()
        cause.detect(Look(app))
        return 1000 * (time.perf_counter() - began), cause.id

    with ThreadPoolExecutor(1) as thread:
        return list(thread.map(one, all_causes(app)))


def recounted(made: Project) -> None:
    """As the worker does once a day; then the law holds for what was filled in."""
    from nself.domains.total import service as totals
    from nself.domains.usage.service import recount

    app = opened(made)
    print(recount.scheduled(app), flush=True)
    began = time.perf_counter()
    print(totals.scheduled(app), f"in {time.perf_counter() - began:.1f} s", flush=True)
    app.close()
    law = json.loads(made.nself("billing", "usage", "status", "--recount", "--format", "json"))
    assert law["balanced"], law


def opened(made: Project) -> Any:
    from nself.app import App
    from nself.config import find_project
    from nself.registry import Registry

    return App(find_project(str(made.folder), {}, made.folder), Registry(), environ={}, patience=60)


def commands(made: Project) -> list[ROW]:
    found = list[ROW]()
    for line in COMMANDS:
        times = list[float]()
        for _ in range(3):
            began = time.perf_counter()
            subprocess.run(
                [NSELF, "--project", made.folder, "billing", *line.split()], capture_output=True, check=False
            )
            times.append(time.perf_counter() - began)
        found.append((f"`nself billing {line}`", f"{min(times):.2f} s", f"limit {COMMAND_S} s"))
        print(*found[-1], flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--users", type=int, default=2_000)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--runs", type=int, default=20)
    given = parser.parse_args()
    sizes = Sizes(given.users, given.events)
    with project("STRIPE_SECRET_KEY=sk_test_bench", "STRIPE_MOCK_ENABLED=true") as made:
        made.nself("billing", "sandbox", "reset", "--fixtures", "guide", "--yes")
        made.nself("env", "set", "BILLING_AUTO_SYNC=false")
        made.nself("restart", "billing")
        fill(conninfo(made), sizes)
        recounted(made)
        rows = [*pages(made, given.runs), *looked_for(made), *commands(made)]
    title = f"Pages, doctor and commands with {given.users:,} customers and {given.events:,} usage events"
    report(title, rows)


if __name__ == "__main__":
    main()
