"""Durable, deduplicated ingest over HTTP; limit: COPY of the same events into a bare table, same server, same run."""

from __future__ import annotations

import asyncio
import json
import time
import uuid

import psycopg
from common import Project, project, report

USERS, BATCH, CONNECTIONS, BATCHES = 500, 1000, 16, 300
SINGLE_CONNECTIONS, SINGLES = 256, 20_000


def conninfo(made: Project) -> str:
    from nself.config import find_project, load
    from nself.db.server import ensure

    found = find_project(str(made.folder), {}, made.folder)
    return ensure(found, load(found, {}))


def event(number: int) -> dict[str, object]:
    return {
        "user": f"user{number % USERS}",
        "metric": "api_calls",
        "value": 1,
        "at": "2026-01-15T10:00:00Z",
        "key": uuid.uuid4().hex,
    }


async def client(port: int, key: str, bodies: list[bytes], times: list[float]) -> None:
    """One keep-alive connection that sends its share of `bodies`."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST /api/v1/usage HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\nContent-Length: ".encode()
    while bodies:
        body = bodies.pop()
        began = time.perf_counter()
        writer.write(head + str(len(body)).encode() + b"\r\n\r\n" + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200"), answer
        length = int(answer.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        times.append(time.perf_counter() - began)
    writer.close()


async def run(port: int, key: str, bodies: list[bytes], connections: int) -> tuple[float, list[float]]:
    times: list[float] = []
    began = time.perf_counter()
    await asyncio.gather(*(client(port, key, bodies, times) for _ in range(connections)))
    return time.perf_counter() - began, sorted(times)


def copy_limit(where: str, count: int) -> float:
    """Events a second of COPY, 10,000 a commit, into a table without any index."""
    rows = [
        f"user{n % USERS}\tapi_calls\t1\t2026-01-15T10:00:00Z\t{uuid.uuid4().hex}\n".encode() for n in range(10_000)
    ]
    block = b"".join(rows)
    with psycopg.connect(where, autocommit=True) as connection:
        connection.execute(
            "create table bench_copy (user_id text, metric text, value bigint, at timestamptz, key text)"
        )
        began = time.perf_counter()
        for _ in range(count // 10_000):
            with connection.cursor() as cursor, cursor.copy("copy bench_copy from stdin") as copy:
                copy.write(block)
        took = time.perf_counter() - began
        connection.execute("drop table bench_copy")
    return count / took


def main() -> None:
    with project("USAGE_AGGREGATION_INTERVAL=1h") as made:
        where, key = conninfo(made), made.key("usage:write")
        with psycopg.connect(where, autocommit=True) as connection:
            connection.execute(
                "insert into auth.users (id) select 'user' || n from generate_series(0, %s) n", (USERS - 1,)
            )
        limit = copy_limit(where, BATCH * BATCHES)
        bodies = [json.dumps([event(n) for n in range(BATCH)]).encode() for _ in range(BATCHES)]
        took, times = asyncio.run(run(made.port, key, bodies, CONNECTIONS))
        rate = BATCH * BATCHES / took
        singles = [json.dumps(event(n)).encode() for n in range(SINGLES)]
        single_took, single_times = asyncio.run(run(made.port, key, singles, SINGLE_CONNECTIONS))
        law = json.loads(made.nself("billing", "usage", "status", "--format", "json"))
        assert law["balanced"] and law["accepted"] == BATCH * BATCHES + SINGLES, law

    def percentile(values: list[float], share: float) -> float:
        return values[int(len(values) * share)] * 1000

    report(
        "Ingest over HTTP, durable and deduplicated",
        [
            ("COPY into a table without index", f"{limit:,.0f} events/s", "the limit of this run"),
            (
                f"{BATCH} events a request, {CONNECTIONS} connections",
                f"{rate:,.0f} events/s",
                f"{rate / limit:.2f} x the limit; goal of a later step 120,000",
            ),
            ("p50 / p99 of those", f"{percentile(times, 0.5):.0f} / {percentile(times, 0.99):.0f} ms", ""),
            (
                f"one event a request, {SINGLE_CONNECTIONS} connections",
                f"{SINGLES / single_took:,.0f} requests/s",
                "goal of a later step 30,000",
            ),
            (
                "p50 / p99 of those",
                f"{percentile(single_times, 0.5):.0f} / {percentile(single_times, 0.99):.0f} ms",
                "",
            ),
        ],
    )


if __name__ == "__main__":
    main()
