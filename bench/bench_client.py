"""`nself.client`: records into its buffer against plain appends of the same bytes to a file, and how fast it is drained.

    bench_client.py [--records N]

The peer appends ready lines with `os.write` under the same rule for fdatasync, in the same run and on the same disk;
the client also checks, makes keys and times, encodes, sums up and takes a lock.
"""

from __future__ import annotations

import argparse
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
from common import ROOT, project, report

from nself.client import Client

NOWHERE, THREADS, TURNS = "http://127.0.0.1:9", 8, 9
PROPERTIES = {"region": "eu-west-1", "path": "/v1/things/4711"}
Row = tuple[str, str, str]


def event(client: Client) -> None:
    client.record("user123", "api_calls", 1, properties=PROPERTIES)


def rate(work: Callable[[], object], count: int, threads: int = 1) -> float:
    """Times a second."""

    def run() -> None:
        for _ in range(count // threads):
            work()

    pool = [threading.Thread(target=run) for _ in range(threads)]
    began = time.perf_counter()
    for thread in pool:
        thread.start()
    for thread in pool:
        thread.join()
    return count / (time.perf_counter() - began)


def plain(folder: Path, count: int, interval: float, threads: int = 1) -> float:
    line = b"x" * 230 + b"\n"
    descriptor = os.open(folder / "plain", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_TRUNC)
    synced = time.monotonic()

    def append() -> None:
        nonlocal synced
        os.write(descriptor, line)
        if not interval or time.monotonic() - synced >= interval:
            os.fdatasync(descriptor)
            synced = time.monotonic()

    try:
        return rate(append, count, threads)
    finally:
        os.close(descriptor)


def buffered(folder: Path, count: int, interval: float, threads: int = 1) -> tuple[float, float]:
    """Records a second, and MiB that the process grew by while all of them wait."""
    client = Client(NOWHERE, "key", buffer=str(folder), buffer_bytes=1 << 30, fsync_interval=interval)
    rate(lambda: event(client), 100)
    time.sleep(0.5)  # the sender has found nobody and waits
    before = psutil.Process().memory_info().rss
    found = rate(lambda: event(client), count, threads)
    assert client.status().pending >= count
    grown = (psutil.Process().memory_info().rss - before) / (1 << 20)
    client.close()
    for path in folder.rglob("*.seg"):
        path.unlink()
    return found, grown


def recording(folder: Path, many: int) -> list[Row]:
    rows: list[Row] = []
    for what, interval, threads, count in (
        ("fdatasync once a second", 1.0, 1, many),
        ("fdatasync each", 0.0, 1, many // 100),
        (f"fdatasync each, {THREADS} threads", 0.0, THREADS, many // 100),
    ):
        # In turn, since neighbours on the machine slow down now one, now the other: the median of the ratios.
        turns = []
        for _ in range(TURNS):
            peer = plain(folder, count, interval, threads)
            turns.append((peer, *buffered(folder, count, interval, threads)))
        peer, found = (statistics.median(column) for column in list(zip(*turns, strict=True))[:2])
        ratio = statistics.median(mine / theirs for theirs, mine, _ in turns)
        grown = max(grown for _, _, grown in turns)
        rows.append((f"plain appends, {what}", f"{peer:,.0f}/s", "the peer of this run"))
        rows.append((f"`record`, {what}", f"{found:,.0f}/s", f"{ratio:.2f} x the peer"))
        if interval:
            rows.append(
                (f"memory for {count:,} records that wait", f"{grown:.1f} MiB", "they are on disk: at most 8 MiB")
            )
    return rows


def draining(folder: Path, count: int) -> list[Row]:
    """From the buffer into PostgreSQL, through one sender."""
    with project() as made:
        first = folder.with_name("first.ndjson")
        first.write_text('{"user": "user123", "metric": "api_calls", "value": 1}\n')
        made.nself("billing", "usage", "import", str(first), "--create-users")
        client = Client(
            f"http://127.0.0.1:{made.port}", made.key("usage:write,quota"), buffer=str(folder), fsync_interval=1.0
        )
        began = time.perf_counter()
        for _ in range(count):
            event(client)
        assert client.flush(600)
        took = time.perf_counter() - began
        assert client.status().accepted == count
        times = []
        for _ in range(300):
            asked = time.perf_counter()
            client.check("user123", "api_calls")
            times.append(time.perf_counter() - asked)
        client.close()
    times.sort()
    return [
        ("recorded, sent and committed", f"{count / took:,.0f} events/s", "one process, one request at a time"),
        ("`check`, p50 / p99", f"{times[150] * 1000:.1f} / {times[297] * 1000:.1f} ms", ""),
    ]


def importing() -> Row:
    """Processor time, since the wall's is the neighbours' too."""

    def best(code: str) -> float:
        times = []
        for _ in range(10):
            before = os.times()
            subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
            after = os.times()
            times.append(after.children_user + after.children_system - before.children_user - before.children_system)
        return min(times) * 1000

    bare, found = best("import json, logging, typing"), best("import nself.client")
    return (
        "`import nself.client`",
        f"{found:.0f} ms",
        f"{found - bare:.0f} ms more than `import json, logging, typing`",
    )


def main() -> None:
    logging.getLogger("nself.client").setLevel(logging.CRITICAL)  # that nobody is there is meant
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=int, default=100_000)
    many = parser.parse_args().records
    with tempfile.TemporaryDirectory(prefix="nself-bench-client-", dir=ROOT) as place:
        rows = recording(Path(place), many) + draining(Path(place) / "draining", many)
    report("Client", [*rows, importing()])


main()
