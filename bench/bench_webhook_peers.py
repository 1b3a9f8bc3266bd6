"""Webhooks from their acknowledgement to the final state, beside other ways to receive them, on the same machine in the same run.

    bench_webhook_peers.py [--signups N] [--connections N] [--only NAME]

Peers: a hand-written FastAPI + SQLAlchemy handler and @supabase/stripe-sync-engine, in `bench/peers`, installed into
`build/peers`. Both process before they answer, from what the event says; ours stores, answers, and has a worker fetch the
object at the sandbox, whose processor time is told apart. Each contender gets the same events twice over: as they were made,
and others shuffled, with most versions of an object in one second. After each run the rows are compared with the sandbox.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import psycopg
import uvloop
from bench_ingest import conninfo, cpu, send_all
from bench_sandbox import Client, price
from common import ROOT, Project, free_port, project, report
from psycopg.conninfo import conninfo_to_dict
from webhook_events import KEY, SECRET, Batch, batch, requests

from nself.gateway.api import STRIPE_VERSION

SIGNUPS, CONNECTIONS = 250, 16
SETTINGS = (
    "STRIPE_MOCK_ENABLED=true", f"STRIPE_SECRET_KEY={KEY}", f"STRIPE_WEBHOOK_SECRET={SECRET}", "BILLING_AUTO_SYNC=false",
    "STRIPE_RATE_LIMIT=100000", "STRIPE_RATE_LIMIT_BUFFER=1",
)  # fmt: skip
PEERS = ROOT / "build/peers"
PYTHON = (
    "fastapi==0.165.0", "uvicorn==0.54.0", "uvloop==0.23.0", "httptools==0.9.0", "sqlalchemy==2.1.9", "greenlet==3.5.6",
    "psycopg[binary]==3.3.9", "stripe==16.1.0",
)  # fmt: skip
NODE = ("@supabase/stripe-sync-engine@0.48.5", "stripe@23.1.0")
PATIENCE = 120.0
OURS, HANDWRITTEN, ENGINE, FETCHING = "nself", "hand-written", "sync engine", "sync engine that fetches"
STATES = {
    OURS: """select object_id, deleted, snapshot ->> 'status', snapshot -> 'metadata' ->> 'version' from billing.billing_mirror
        where kind in ('customer', 'subscription', 'invoice')""",
    HANDWRITTEN: """select id, deleted, null, raw -> 'metadata' ->> 'version' from customers
        union all select id, false, status, raw -> 'metadata' ->> 'version' from subscriptions
        union all select id, false, status, raw -> 'metadata' ->> 'version' from invoices""",
    ENGINE: """select id, deleted, null, metadata ->> 'version' from stripe.customers
        union all select id, false, status::text, metadata ->> 'version' from stripe.subscriptions
        union all select id, false, status::text, metadata ->> 'version' from stripe.invoices""",
}
STATES[FETCHING] = STATES[ENGINE]
WAITING = "select exists (select from billing.billing_webhook_events where status in ('received', 'failed'))"
STORED = {
    OURS: "select count(*) from billing.billing_webhook_events where status = 'processed'",
    HANDWRITTEN: "select count(*) from webhook_events",
}
FETCHES = "select count(distinct (object_id, claimed_at)) from billing.billing_webhook_events"


class Contender(NamedTuple):
    name: str
    port: int
    where: str
    processes: list[psutil.Process]

    def query(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.where, autocommit=True) as connection:
            return connection.execute(query).fetchall()

    def wait(self) -> None:
        """Until all that was acknowledged is processed; peers have done it before they answer."""
        if self.name != OURS:
            return
        until = time.perf_counter() + PATIENCE
        with psycopg.connect(self.where, autocommit=True) as connection:
            while connection.execute(WAITING).fetchone() != (False,):
                if time.perf_counter() > until:
                    raise RuntimeError("not all was processed in time")
                time.sleep(0.02)

    def peak(self) -> float:
        """MB: the largest resident set of each process so far, summed."""
        lines = [Path(f"/proc/{one.pid}/status").read_text() for one in self.processes]
        return sum(int(text.split("VmHWM:")[1].split()[0]) for text in lines) / 1000


class Figures(NamedTuple):
    """Events a second; times in ms; processor times in us an event, `server` by process."""

    acknowledged: float
    p50: float
    p99: float
    processed: float
    server: list[float]
    postgres: float
    sandbox: float
    wrong: int
    fetches: int


class Bench:
    """A project with its sandbox, whose server of databases all contenders use."""

    def __init__(self, made: Project, connections: int) -> None:
        self.made, self.connections = made, connections
        made.nself("start", "stripe-mock")
        self.sandbox_port = int(made.nself("env", "get", "STRIPE_MOCK_PORT"))
        self.client, self.where = Client(self.sandbox_port), conninfo(made)
        found = {one["service"]: one["pid"] for one in json.loads(made.nself("status", "--format", "json"))}
        self.processes = {name: psutil.Process(pid) for name, pid in found.items() if pid}

    def spent(self, contender: Contender) -> list[float]:
        """Seconds of the sandbox, of the database, of each of the contender's processes."""
        spent = list(cpu(self.processes["stripe-mock"], self.processes["postgres"]))
        return spent + [one.cpu_times().user + one.cpu_times().system for one in contender.processes]

    def run(self, contender: Contender, given: Batch) -> Figures:
        """Send, wait, compare."""
        sent, before = requests(given.bodies), self.spent(contender)
        fetched = self.fetches(contender)
        began = time.perf_counter()
        took, times = uvloop.run(send_all(contender.port, sent, self.connections, b'"received":true'))
        contender.wait()
        total = time.perf_counter() - began
        count = len(given.bodies)
        sandbox, postgres, *server = (1e6 * (b - a) / count for a, b in zip(before, self.spent(contender), strict=True))
        return Figures(
            count / took, 1000 * times[len(times) // 2], 1000 * times[int(len(times) * 0.99)], count / total,
            server, postgres, sandbox, self.wrong(contender, given), self.fetches(contender) - fetched,
        )  # fmt: skip

    def fetches(self, contender: Contender) -> int:
        return contender.query(FETCHES)[0][0] if contender.name == OURS else 0

    def wrong(self, contender: Contender, given: Batch) -> int:
        """Objects that are not as the sandbox has them. Raises where one is missing."""
        rows = contender.query(STATES[contender.name])
        found = {
            id: (True, "", "") if deleted else (False, status or "", version or "")
            for id, deleted, status, version in rows
        }
        missing = given.truth.keys() - found.keys()
        if missing:
            raise RuntimeError(f"{contender.name} has no row of {sorted(missing)[:5]}, {len(missing)} in all")
        return sum(found[id] != truth for id, truth in given.truth.items())

    def limit(self, given: Batch) -> tuple[float, float]:
        """Calls a second that the sandbox answers without any contender, and its us a call."""
        sandbox, head = self.processes["stripe-mock"], f"Host: x\r\nAuthorization: Bearer {KEY}\r\n\r\n"
        asked = [f"GET {path} HTTP/1.1\r\n{head}".encode() for path in given.paths]
        before = cpu(sandbox, self.processes["postgres"])[0]
        took, _ = uvloop.run(send_all(self.sandbox_port, asked, self.connections, b'"object"'))
        spent = cpu(sandbox, self.processes["postgres"])[0] - before
        return len(given.paths) / took, 1e6 * spent / len(given.paths)

    def ours(self) -> Contender:
        processes = [self.processes[name] for name in ("http", "worker", "usage-collector")]
        return Contender(OURS, self.made.port, self.where, processes)

    @contextmanager
    def peer(self, name: str, command: list[str], **environ: str) -> Generator[Contender]:
        """One process with a database of its own on the same server."""
        database = "peer_" + name.replace(" ", "_").replace("-", "_")
        with psycopg.connect(self.where, autocommit=True) as connection:
            connection.execute(f"create database {database}")
            if not connection.execute("select 1 from pg_roles where rolname = 'postgres'").fetchone():
                connection.execute("create role postgres")  # the sync engine's migrations grant to it
        port, target = free_port(), conninfo_to_dict(self.where)
        given = {
            **os.environ, "PGHOST": str(target["host"]), "PGUSER": str(target["user"]), "PGDATABASE": database,
            "STRIPE_WEBHOOK_SECRET": SECRET, "STRIPE_SECRET_KEY": KEY, "STRIPE_VERSION": STRIPE_VERSION, "PORT": str(port), **environ,
        }  # fmt: skip
        log = PEERS / f"{database}.log"
        with log.open("wb") as out:
            process = subprocess.Popen([part.format(port=port) for part in command], env=given, stdout=out, stderr=out)
        try:
            _wait_up(process, port, log)
            yield Contender(name, port, f"{self.where} dbname={database}", [psutil.Process(process.pid)])
        finally:
            process.terminate()
            process.wait()


def _wait_up(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    for _ in range(600):
        if process.poll() is not None:
            break
        try:
            return socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"it did not start: {log.read_text()[-300:]}")


def install(*command: str) -> None:
    """Raises RuntimeError where this machine cannot."""
    PEERS.mkdir(parents=True, exist_ok=True)
    if not shutil.which(command[0]):
        raise RuntimeError(f"there is no {Path(command[0]).name}")
    log = PEERS / "install.log"
    with log.open("wb") as out:
        code = subprocess.run(command, stdout=out, stderr=out, timeout=600).returncode
    if code:
        raise RuntimeError(f"could not be installed: {Path(command[0]).name} exit {code}, see {log.relative_to(ROOT)}")


def handwritten(bench: Bench) -> Any:
    uv = shutil.which("uv") or str(ROOT / ".uv/bin/uv")
    install(uv, "pip", "install", "--quiet", "--python", sys.executable, "--target", str(PEERS / "python"), *PYTHON)
    options = ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"]
    command = [sys.executable, "-S", "-m", "uvicorn", "handwritten:app", "--port", "{port}", *options]
    return bench.peer(HANDWRITTEN, command, PYTHONPATH=f"{PEERS / 'python'}:{ROOT / 'bench/peers'}")


def engine(bench: Bench, name: str = ENGINE, **environ: str) -> Any:
    install("npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(PEERS / "node"), *NODE)
    command = ["node", str(ROOT / "bench/peers/sync_engine.cjs")]
    return bench.peer(name, command, NODE_PATH=str(PEERS / "node/node_modules"), **environ)


def fetching(bench: Bench) -> Any:
    return engine(bench, FETCHING, FETCH_FROM=str(bench.sandbox_port))


class Outcome(NamedTuple):
    ordered: Figures
    shuffled: Figures
    peak: float


def compete(bench: Bench, contender: Contender, batches: tuple[Batch, Batch, Batch]) -> Outcome:
    """The first batch only warms."""
    warm, ordered, shuffled = batches
    bench.run(contender, warm)
    outcome = Outcome(bench.run(contender, ordered), bench.run(contender, shuffled), contender.peak())
    if contender.name in STORED:
        stored, sent = contender.query(STORED[contender.name])[0][0], sum(len(one.bodies) for one in batches)
        if stored != sent:
            raise RuntimeError(f"{contender.name} has stored {stored} of {sent} events")
    return outcome


def against(figure: str, goal: str, ours: Outcome, peers: dict[str, Outcome]) -> str:
    ratios = [
        f"{getattr(ours.ordered, figure) / getattr(one.ordered, figure):.2f} x {peer}" for peer, one in peers.items()
    ]
    return "; ".join([*ratios, goal])


def rows(name: str, found: Outcome, peers: dict[str, Outcome], objects: int) -> list[tuple[str, str, str]]:
    """Of one contender; of ours with the ratios to the peers."""
    a, b = found.ordered, found.shuffled
    goals = fetches = ("", "")
    server, memory = f"{a.server[0]:.0f} us server", ""
    if name == OURS:
        goals = (
            against("acknowledged", "first step 2,500, p99 30 ms", found, peers),
            against("processed", "first step 1,300", found, peers),
        )
        fetches = (f"settled by {a.fetches:,} fetches in order", f"{b.fetches:,} shuffled")
        server = f"{sum(a.server):.0f} us server ({a.server[0]:.0f} HTTP, {a.server[1]:.0f} worker)"
        memory = "HTTP, worker and collector"
    return [
        (f"{name}: acknowledged", f"{a.acknowledged:,.0f} events/s, p50 / p99 {a.p50:.1f} / {a.p99:.1f} ms", goals[0]),
        ("processed to the final state", f"{a.processed:,.0f} events/s", goals[1]),
        ("both shuffled", f"{b.acknowledged:,.0f} and {b.processed:,.0f} events/s, p50 / p99 {b.p50:.1f} / {b.p99:.1f} ms", ", ".join(filter(None, fetches))),
        ("processor time of those in order", f"{server}, {a.postgres:.0f} us PostgreSQL, {a.sandbox:.0f} us sandbox an event", ""),
        ("rows that differ from Stripe, in order and shuffled", f"{a.wrong} and {b.wrong} of {objects}", ""),
        ("peak memory", f"{found.peak:.0f} MB", memory),
    ]  # fmt: skip


def limit_row(rate: float, cost: float, connections: int, count: int, ours: Outcome | None) -> tuple[str, str, str]:
    """Whether the sandbox is what holds ours up."""
    allows = f"enough for {rate * count / ours.ordered.fetches:,.0f} events/s of ours" if ours else ""
    return f"the sandbox alone, {connections} connections", f"{rate:,.0f} fetches/s, {cost:.0f} us of it each", allows


def measure(given: argparse.Namespace) -> list[tuple[str, str, str]]:
    """All rows; a peer that cannot be installed or fails has one that says why."""
    failed: list[tuple[str, str, str]] = []
    load = os.getloadavg()[0]
    found = dict[str, Outcome]()
    with project(*SETTINGS) as made:
        bench = Bench(made, given.connections)
        plan = price(bench.client)
        batches = (
            batch(bench.client, plan, max(1, given.signups // 10), shuffled=False),
            batch(bench.client, plan, given.signups, shuffled=False),
            batch(bench.client, plan, given.signups, shuffled=True),
        )
        rate, cost = bench.limit(batches[1])
        if given.only in (None, OURS):
            found[OURS] = compete(bench, bench.ours(), batches)
        made.nself("stop", "billing")
        for name, begin in ((HANDWRITTEN, handwritten), (ENGINE, engine), (FETCHING, fetching)):
            if given.only not in (None, name):
                continue
            try:
                with begin(bench) as contender:
                    found[name] = compete(bench, contender, batches)
            except (RuntimeError, AssertionError, OSError, psycopg.Error, subprocess.SubprocessError) as error:
                failed.append((name, "not measured", str(error).replace("|", "/").replace("\n", " ")[:300]))
    count, objects = len(batches[1].bodies), len(batches[1].truth)
    peers = {name: one for name, one in found.items() if name != OURS}
    return [
        (
            f"{count:,} events of {objects} objects in order, and as many others shuffled",
            "",
            f"load of the machine {load:.1f} before",
        ),
        limit_row(rate, cost, given.connections, count, found.get(OURS)),
        *(row for name, one in found.items() for row in rows(name, one, peers, objects)),
        *failed,
    ]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--signups", type=int, default=SIGNUPS)
    parser.add_argument("--connections", type=int, default=CONNECTIONS)
    parser.add_argument("--only", choices=[OURS, HANDWRITTEN, ENGINE, FETCHING], help="prints, without writing results")
    given = parser.parse_args()
    table = measure(given)
    if given.only:
        print("\n".join(" | ".join(row) for row in table))
    else:
        report("Webhooks beside peers", table)


if __name__ == "__main__":
    main()
