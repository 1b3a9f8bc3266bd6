"""Webhooks over HTTP: acknowledged after a durable insert, and processed to the final state by the worker.

    bench_webhook.py [--events N] [--objects N]

Target (performance.md): 2,500 acknowledged a second with 16 connections, p99 30 ms, on two cores that also run the
generator. Acknowledging and processing are measured apart: first with the worker stopped, then with it. Each run ends
with a count in the database.
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import json
import random
import time
import urllib.parse
import urllib.request

import psutil
import psycopg
import uvloop
from bench_ingest import conninfo, cpu, send_all
from common import Project, project, report

SECRET, CONNECTIONS, SEED = "whsec_bench", 16, 7
PADDING = {f"key_{number}": "v" * 60 for number in range(30)}
"""An event of Stripe's is about 3 kB."""


def signed(body: bytes) -> bytes:
    at = int(time.time())
    digest = hmac.new(SECRET.encode(), b"%d." % at + body, hashlib.sha256).hexdigest()
    head = f"POST /webhooks/stripe HTTP/1.1\r\nHost: x\r\nStripe-Signature: t={at},v1={digest}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def requests(count: int, objects: list[str], run: str) -> list[bytes]:
    chance = random.Random(SEED)
    bodies = (
        json.dumps(
            {
                "id": f"evt_{run}_{number}", "object": "event", "type": "customer.updated", "created": int(time.time()),
                "livemode": False, "data": {"object": {"id": chance.choice(objects), "object": "customer", "metadata": PADDING}},
            }
        ).encode()
        for number in range(count)
    )  # fmt: skip
    return [signed(body) for body in bodies]


def customers(port: int, count: int) -> list[str]:
    """Objects in the sandbox that the worker can fetch."""
    found: list[str] = []
    for number in range(count):
        data = urllib.parse.urlencode({"email": f"user{number}@example.com"}).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/v1/customers", data, {"Authorization": "Bearer sk_test_bench"}
        )
        with urllib.request.urlopen(request) as answer:
            found.append(json.load(answer)["id"])
    return found


def counted(where: str, statuses: tuple[str, ...]) -> int:
    with psycopg.connect(where, options="-c search_path=billing") as connection:
        query = "select count(*) from billing_webhook_events where status = any(%s)"
        return int(connection.execute(query, (list(statuses),)).fetchall()[0][0])


def acknowledge(made: Project, count: int, objects: list[str], run: str) -> tuple[str, str, str]:
    pids = {one["service"]: one["pid"] for one in json.loads(made.nself("status", "--format", "json"))}
    http, postgres = psutil.Process(pids["http"]), psutil.Process(pids["postgres"])
    uvloop.run(send_all(made.port, requests(50, objects, f"warm{run}"), CONNECTIONS, b'"received":true'))
    sent, before = requests(count, objects, run), cpu(http, postgres)
    took, times = uvloop.run(send_all(made.port, sent, CONNECTIONS, b'"duplicate":false'))
    after = cpu(http, postgres)
    python, server = (1e6 * (b - a) / count for a, b in zip(before, after, strict=True))
    p50, p99 = 1000 * times[len(times) // 2], 1000 * times[int(len(times) * 0.99)]
    figure = f"{count / took:,.0f}/s, p50 {p50:.1f} ms, p99 {p99:.1f} ms"
    return (
        figure,
        f"{python:.0f} us of the service, {server:.0f} us of PostgreSQL an event",
        "target 2,500/s, p99 30 ms",
    )


def process(made: Project, total: int) -> float:
    """Events a second until all that wait are processed."""
    where, waiting = conninfo(made), 0
    waiting = counted(where, ("received",))
    began = time.perf_counter()
    made.nself("start", "worker")
    while counted(where, ("processed",)) < total:
        time.sleep(0.05)
    return waiting / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=6000)
    parser.add_argument("--objects", type=int, default=750)
    given = parser.parse_args()
    settings = (
        f"STRIPE_WEBHOOK_SECRET={SECRET}", "STRIPE_MOCK_ENABLED=true", "STRIPE_SECRET_KEY=sk_test_bench", "STRIPE_RATE_LIMIT=5000",
        "BILLING_AUTO_SYNC=false",
    )  # fmt: skip
    with project(*settings) as made:
        made.nself("start", "stripe-mock")
        port = json.loads(made.nself("env", "get", "STRIPE_MOCK_PORT", "--format", "json"))["value"]
        objects = customers(int(port), given.objects)
        made.nself("stop", "worker", "usage-collector")
        rows = [acknowledge(made, given.events, objects, f"run{number}") for number in range(2)]
        total = 2 * (given.events + 50)
        assert counted(conninfo(made), ("received",)) == total
        rate = process(made, total)
    best = max(rows, key=lambda row: float(row[0].split("/")[0].replace(",", "")))
    report(
        "Webhooks",
        [
            ("acknowledged after the commit, 16 connections", best[0], best[2]),
            ("processor time of that", best[1], ""),
            (
                f"processed, {total} events of {given.objects} objects, one worker, from its start",
                f"{rate:,.0f}/s",
                "target 1,300/s",
            ),
        ],
    )


if __name__ == "__main__":
    main()
