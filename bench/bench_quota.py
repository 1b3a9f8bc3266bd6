"""Exact, durable quota decisions, in process and over HTTP.

Peer: `UPDATE … WHERE used + 1 <= most RETURNING`, a row and a commit each, on the same server in the same run. Limit over
HTTP: `GET /health` of the same service, which decides nothing and stores nothing. The generator shares the machine's
cores, so read the processor time a decision. After each run what is held is counted in the database.
"""

from __future__ import annotations

import json
import os
import threading
import time

import psutil
import psycopg
from bench_ingest import Figures, Load, conninfo
from common import Project, project, report

from nself.app import App
from nself.config import find_project
from nself.domains.quota.model import Ask, Decision
from nself.domains.quota.service.decide import decide, new_id
from nself.registry import Registry

QUOTAS, MOST, PEERS = 10_000, 10**12, 8
SECONDS, CONNECTIONS = 4.0, (64, 512)
REQUESTS = 20_000
HELD = "select sum(held) from billing.billing_quota_counters"
GOAL = "first step 45,000, p99 5 ms"


def peer(where: str) -> float:
    """Decisions a second of the plain statement, spread over all rows."""
    with psycopg.connect(where, autocommit=True) as connection:
        connection.execute("create table bench_quota (id int primary key, used bigint, most bigint)")
        connection.execute("insert into bench_quota select n, 0, 1000000000 from generate_series(1, %s) n", (QUOTAS,))
    done, stop = [0] * PEERS, time.monotonic() + SECONDS

    def work(number: int) -> None:
        with psycopg.connect(where, autocommit=True) as connection:
            at = number * 977
            while time.monotonic() < stop:
                at = at % QUOTAS + 1
                connection.execute(
                    "update bench_quota set used = used + 1 where id = %s and used + 1 <= most returning used", (at,)
                )
                done[number] += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(PEERS)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    return sum(done) / SECONDS


def grouped(app: App, kind: str, group: int, users: int) -> tuple[float, float]:
    """Decisions a second and ms a group in the middle, one group after the other in one thread."""
    at, count, times = 0, 0, list[float]()
    stop = time.monotonic() + SECONDS
    while time.monotonic() < stop:
        asks = [
            Ask(kind=kind, user=f"user{(at + n) % users}", metric="api_calls", value=1, id=new_id())  # type: ignore[arg-type]
            for n in range(group)
        ]
        began = time.perf_counter()
        answers = decide(app, asks)
        times.append(time.perf_counter() - began)
        assert all(isinstance(one, Decision) and one.allowed for one in answers)
        at, count = at + group, count + group
    return count / sum(times), sorted(times)[len(times) // 2] * 1000


class Service:
    """The running HTTP service and its database."""

    def __init__(self, made: Project, where: str) -> None:
        pids = {one["service"]: one["pid"] for one in json.loads(made.nself("status", "--format", "json"))}
        self.load = Load(made.port, psutil.Process(pids["http"]), psutil.Process(pids["postgres"]))
        self.key, self.where = made.key("quota"), where

    def ask(self, what: str, connections: int) -> Figures:
        head = f"POST /api/v1/quota/{what} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self.key}\r\nContent-Length: "
        bodies = [json.dumps({"user": f"user{n % QUOTAS}", "metric": "api_calls"}) for n in range(REQUESTS)]
        requests = [f"{head}{len(body)}\r\n\r\n{body}".encode() for body in bodies]
        self.load.send(requests[:500], connections, wanted=b'"allowed":true')  # warm
        held = self.held()
        found = self.load.send(requests, connections, wanted=b'"allowed":true')
        assert self.held() - held == (REQUESTS if what == "reserve" else 0)
        return found

    def held(self) -> int:
        with psycopg.connect(self.where) as connection:
            row = connection.execute(HELD).fetchone()
        return int(row[0] or 0) if row else 0

    def health(self, connections: int) -> Figures:
        requests = [b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"] * REQUESTS
        return self.load.send(requests, connections, wanted=b'"ok"')


def main() -> None:
    rows: list[tuple[str, str, str]] = []
    with project("USAGE_AGGREGATION_INTERVAL=1h", "QUOTA_RESERVATION_TTL=1h") as made:
        where = conninfo(made)
        made.nself("billing", "quota", "set", "--plan", "free", "--metric", "api_calls", "--limit", str(MOST))
        with psycopg.connect(where, autocommit=True) as connection:
            connection.execute(
                "insert into auth.users (id) select 'user' || n from generate_series(0, %s) n", (QUOTAS,)
            )
        plain = peer(where)
        rows.append((f"UPDATE … RETURNING, a row and a commit each, {PEERS} clients", f"{plain:,.0f}/s", "the peer of this run"))  # fmt: skip
        app = App(
            find_project(str(made.folder), {}, made.folder), Registry(), environ={**os.environ, "DATABASE_URL": where}
        )
        try:
            grouped(app, "look", 1000, QUOTAS)  # counters are made
            for kind, group, users in (("reserve", 500, QUOTAS), ("reserve", 500, 1), ("check", 500, QUOTAS), ("reserve", 64, QUOTAS)):  # fmt: skip
                rate, middle = grouped(app, kind, group, users)
                what = f"{kind}, groups of {group}, {users:,} quota{'s' if users > 1 else ''}, in process"
                rows.append((what, f"{rate:,.0f}/s, {middle:.1f} ms a group", f"{rate / plain:.1f} x the peer"))
        finally:
            app.close()
        service = Service(made, where)
        for connections in CONNECTIONS:
            limit = service.health(connections)
            rows.append((f"GET /health, {connections} connections", f"{limit.rate:,.0f}/s", f"limit over HTTP of this run; {limit.processor('a request')}"))  # fmt: skip
            for what in ("reserve", "check"):
                found = service.ask(what, connections)
                rows.append((f"{what} over HTTP, {connections} connections", f"{found.rate:,.0f}/s", f"{found.rate / limit.rate:.2f} x the limit, {found.rate / plain:.1f} x the peer; {GOAL}"))  # fmt: skip
                rows.append(("p50 / p99 of those", f"{found.p50:.1f} / {found.p99:.1f} ms", ""))
                rows.append(("processor time of those", found.processor("a decision"), ""))  # fmt: skip
    report("Quota decisions, exact and durable", rows)


if __name__ == "__main__":
    main()
