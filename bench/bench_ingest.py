"""Durable, deduplicated, exactly rolled up ingest over HTTP.

    bench_ingest.py [--present MILLIONS] [--batches N] [--singles N] [--only KIND]

`--only present --present 20` makes 20 million rows first: 10 GB and some minutes.

Limit: COPY of the same rows into a table without index, on the same server in the same run. The generator shares the
machine's cores, so read the processor time an event. After each run the rows in the database are counted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import time
import uuid
from collections.abc import Callable
from typing import Any, NamedTuple

import psutil
import psycopg
import uvloop
from common import Project, project, report

SEED, BATCH, CONNECTIONS, SINGLE_CONNECTIONS = 7, 1000, 16, 256
USERS, METRICS = 5000, 8  # 40,000 groups where both are drawn evenly
FILL = (
    "set maintenance_work_mem = '1GB'",
    "select billing.ensure_usage_month('2026-01-01')",
    "alter table billing_usage drop constraint billing_usage_pkey",
    "alter table billing_usage_keys drop constraint billing_usage_keys_pkey",
    """insert into billing_usage
    (user_id, metric_type, value, created_at, idempotency_key, properties, source, recorded_at)
    select 'user' || n % {users}, 'metric_' || n % {metrics}, n % 1000,
        timestamptz '2026-01-01Z' + (n % 2600000) * interval '1 second', gen_random_uuid()::text,
        '{{"path":"/v1/things/4711","region":"eu-west-1"}}', 'bench', now()
    from generate_series(1, {count}) n""",
    r"""insert into billing_usage_keys (user_id, idempotency_key, digest)
    select user_id, idempotency_key, '\x00112233445566778899aabbccddeeff' from billing_usage where source = 'bench'""",
    """insert into billing_usage_rollups as old
    (user_id, metric_type, hour, events, total, largest, last_value, last_at)
    select user_id, metric_type, date_trunc('hour', created_at), count(*), sum(value), max(value), max(value), max(created_at)
    from billing_usage where source = 'bench' group by 1, 2, 3
    on conflict (user_id, metric_type, hour) do update set events = old.events + excluded.events, total = old.total + excluded.total""",
    "insert into billing_usage_intake (source, received, duplicate, at) values ('bench', {count}, 0, now())",
    "alter table billing_usage_keys add primary key (user_id, idempotency_key)",
    "alter table billing_usage add primary key (user_id, created_at, idempotency_key)",
    "vacuum analyze billing_usage, billing_usage_keys",
    "checkpoint",
)
"""How rows come to be there at once; each is a statement by itself."""
WANTED = b'"duplicate":0,"rejected":[]'
Draw = Callable[[random.Random], dict[str, object]]


def event(chance: random.Random, user: int, metric: int) -> dict[str, object]:
    """About 230 bytes of JSON, 50 of them properties."""
    second = chance.randrange(3600)
    return {
        "user": f"user{user}",
        "metric": f"metric_{metric}",
        "value": chance.randrange(1, 1000),
        "at": f"2026-01-15T10:{second // 60:02}:{second % 60:02}Z",
        "key": str(uuid.UUID(int=chance.getrandbits(128))),
        "properties": {"region": "eu-west-1", "path": "/v1/things/4711"},
    }


def skewed(chance: random.Random) -> dict[str, object]:
    """Few users send most."""
    return event(chance, int(chance.paretovariate(1)) % USERS, 0)


def even(chance: random.Random) -> dict[str, object]:
    return event(chance, chance.randrange(USERS), chance.randrange(METRICS))


class Client(asyncio.Protocol):
    """One keep-alive connection that sends its share of `requests`, one after another; `wanted` is in each answer."""

    def __init__(self, requests: list[bytes], times: list[float], done: asyncio.Future[None], wanted: bytes) -> None:
        self.requests, self.times, self.done, self.wanted, self.answer = requests, times, done, wanted, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self.send()

    def send(self) -> None:
        if not self.requests:
            self.done.done() or self.done.set_result(None)
            return self.transport.close()
        self.began = time.perf_counter()
        return self.transport.write(self.requests.pop())

    def data_received(self, data: bytes) -> None:
        self.answer += data
        head, found, body = self.answer.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head[head.index(b"content-length: ") + 16 :].split(b"\r", 1)[0])
        if len(body) < length:
            return
        assert head.startswith(b"HTTP/1.1 200"), self.answer
        assert self.wanted in body, self.answer
        self.answer = b""
        self.times.append(time.perf_counter() - self.began)
        self.send()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error or ConnectionError("closed by the service"))


async def send_all(port: int, requests: list[bytes], connections: int, wanted: bytes) -> tuple[float, list[float]]:
    """Seconds in all, and sorted those of each request."""
    loop, times = asyncio.get_running_loop(), list[float]()
    began = time.perf_counter()
    ends = [loop.create_future() for _ in range(connections)]
    for end in ends:
        await loop.create_connection(lambda end=end: Client(requests, times, end, wanted), "127.0.0.1", port)
    await asyncio.gather(*ends)
    return time.perf_counter() - began, sorted(times)


def cpu(http: psutil.Process, postgres: psutil.Process) -> tuple[float, float]:
    """Seconds of the service and of the database with its ended processes."""
    mine, server = http.cpu_times(), postgres.cpu_times()
    spent = server.user + server.system + server.children_user + server.children_system
    for child in postgres.children(recursive=True):
        try:
            times = child.cpu_times()
        except psutil.NoSuchProcess:
            continue
        spent += times.user + times.system
    return mine.user + mine.system, spent


class Figures(NamedTuple):
    """Processor times in us and latencies in ms. That of the sender, which does the same in every run, tells how busy the machine was."""

    rate: float
    python: float
    postgres: float
    sender: float
    p50: float
    p99: float

    def processor(self, what: str) -> str:
        return f"{self.python:.1f} us Python, {self.postgres:.1f} us PostgreSQL, {self.sender:.1f} us sender {what}"


class Load(NamedTuple):
    """A service, its database, and what is sent to it."""

    port: int
    http: psutil.Process
    postgres: psutil.Process

    def send(self, requests: list[bytes], connections: int, size: int = 1, wanted: bytes = WANTED) -> Figures:
        """`size` events in each request."""
        events, began = len(requests) * size, time.process_time()
        before = cpu(self.http, self.postgres)
        took, times = uvloop.run(send_all(self.port, requests, connections, wanted))
        after = cpu(self.http, self.postgres)
        spent = [b - a for a, b in zip(before, after, strict=True)] + [time.process_time() - began]
        middle, late = times[len(times) // 2], times[int(len(times) * 0.99)]
        return Figures(events / took, *(1e6 * one / events for one in spent), 1000 * middle, 1000 * late)


class Bench:
    """A running project and what is known of it."""

    def __init__(self, made: Project) -> None:
        self.made, self.stored = made, 0
        pids = {one["service"]: one["pid"] for one in json.loads(made.nself("status", "--format", "json"))}
        self.load = Load(made.port, psutil.Process(pids["http"]), psutil.Process(pids["postgres"]))
        self.where = conninfo(made)
        self.key = made.key("usage:write")
        with psycopg.connect(self.where, autocommit=True) as connection:
            connection.execute("insert into auth.users (id) select 'user' || n from generate_series(0, %s) n", (USERS,))

    def requests(self, draw: Draw, count: int, size: int) -> list[bytes]:
        chance = random.Random(SEED + self.stored)
        head = f"POST /api/v1/usage HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self.key}\r\nContent-Type: application/json\r\nContent-Length: "
        bodies = (
            json.dumps([draw(chance) for _ in range(size)] if size > 1 else draw(chance), separators=(",", ":"))
            for _ in range(count)
        )
        return [f"{head}{len(body)}\r\n\r\n{body}".encode() for body in bodies]

    def run(self, draw: Draw, count: int, size: int, connections: int) -> Figures:
        """Send, then count what is in the database."""
        self.load.send(self.requests(draw, 20, size), connections)  # warm
        self.stored += 20 * size
        found = self.load.send(self.requests(draw, count, size), connections, size)
        self.stored += count * size
        self.verify()
        return found

    def verify(self) -> None:
        """Events, keys and totals are what was answered, and the law holds."""
        with psycopg.connect(self.where, options="-c search_path=billing") as connection:
            row = connection.execute(
                """select (select count(*) from billing_usage), (select count(*) from billing_usage_keys),
                (select sum(events) from (select events from billing_usage_deltas union all select events from billing_usage_rollups) a),
                (select sum(total) from (select total from billing_usage_deltas union all select total from billing_usage_rollups) a)
                = (select sum(value) from billing_usage)"""
            ).fetchone()
        assert row == (self.stored, self.stored, self.stored, True), (row, self.stored)
        law = json.loads(self.made.nself("billing", "usage", "status", "--format", "json"))
        assert law["balanced"] and law["accepted"] == self.stored, law

    def fill(self, millions: float) -> float:
        """Have so many rows there, as if they had been sent: random keys of all users over a month. Seconds that it took.

        The primary keys are built anew behind the rows; that is what makes 20 million a matter of minutes.
        """
        began, left = time.perf_counter(), int(millions * 1_000_000) - self.stored
        if left <= 0:
            return 0
        with psycopg.connect(self.where, autocommit=True, options="-c search_path=billing") as connection:
            for statement in FILL:
                connection.execute(statement.format(count=left, users=USERS, metrics=METRICS))
        self.stored += left
        return time.perf_counter() - began

    def limit(self, count: int) -> float:
        """Events a second of COPY, 10,000 a commit, into a table without any index."""
        chance = random.Random(SEED)
        made = [even(chance) for _ in range(10_000)]
        text = "".join(
            f"{one['user']}\t{one['metric']}\t{one['value']}\t{one['at']}\t{one['key']}\t{json.dumps(one['properties'])}\n"
            for one in made
        ).encode()
        with psycopg.connect(self.where, autocommit=True) as connection:
            connection.execute("create table bench_copy (u text, m text, v bigint, at timestamptz, k text, p text)")
            began = time.perf_counter()
            for _ in range(count // 10_000):
                with connection.cursor() as cursor, cursor.copy("copy bench_copy from stdin") as copy:
                    copy.write(text)
            took = time.perf_counter() - began
            connection.execute("drop table bench_copy")
        return count / took


def conninfo(made: Project) -> str:
    from nself.config import find_project, load
    from nself.db.server import ensure

    found = find_project(str(made.folder), {}, made.folder)
    return ensure(found, load(found, {}))


def rows(what: str, found: Figures, limit: float, goal: str, unit: str = "events") -> list[tuple[str, str, str]]:
    return [
        (what, f"{found.rate:,.0f} {unit}/s", f"{found.rate / limit:.2f} x the limit; first step {goal}"),
        ("p50 / p99 of those", f"{found.p50:.1f} / {found.p99:.1f} ms", ""),
        ("processor time of those", found.processor("an event"), ""),
    ]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--present", type=float, default=1, help="millions of rows for the last figure")
    parser.add_argument("--batches", type=int, default=300)
    parser.add_argument("--singles", type=int, default=40_000)
    parser.add_argument("--only", choices=["skewed", "even", "single", "present"], default=None)
    given = parser.parse_args()
    with project("USAGE_AGGREGATION_INTERVAL=1h") as made:
        config = made.folder / "services/billing/config"
        config.mkdir(parents=True, exist_ok=True)
        lines = [f"  metric_{n}: {{unit: piece, aggregation: sum}}" for n in range(METRICS)]
        (config / "usage-metrics.yml").write_text("metrics:\n" + "\n".join(lines) + "\n")
        bench = Bench(made)
        limit = bench.limit(BATCH * given.batches)
        table = [("COPY into a table without index", f"{limit:,.0f} events/s", "the limit of this run")]

        def wanted(kind: str) -> bool:
            return given.only in (None, kind)

        if wanted("skewed"):
            found = bench.run(skewed, given.batches, BATCH, CONNECTIONS)
            table += rows(f"{BATCH} events a request, {CONNECTIONS} connections, few users send most", found, limit, "120,000")  # fmt: skip
        if wanted("even"):
            found = bench.run(even, given.batches, BATCH, CONNECTIONS)
            table += rows(f"the same, evenly over {USERS * METRICS:,} groups", found, limit, "60,000")
        if wanted("single"):
            found = bench.run(skewed, given.singles, 1, SINGLE_CONNECTIONS)
            table += rows(f"one event a request, {SINGLE_CONNECTIONS} connections", found, limit, "30,000, p99 10 ms", "requests")  # fmt: skip
        if wanted("present"):
            took = bench.fill(given.present)
            print(f"{bench.stored:,} rows were made in {took:.0f} s", flush=True)
            present = f"with {bench.stored / 1e6:.0f} million rows present"
            found = bench.run(skewed, given.batches, BATCH, CONNECTIONS)
            table += rows(f"{BATCH} events a request {present}", found, limit, "60,000 with 20 million")
            found = bench.run(even, given.batches, BATCH, CONNECTIONS)
            table += rows(f"evenly over {USERS * METRICS:,} groups {present}", found, limit, "none is set")
    report("Ingest over HTTP, durable and deduplicated", table)


if __name__ == "__main__":
    main()
