"""kill -9 of any process at any moment during the demonstration; what was answered stands, to the unit and the cent."""

from __future__ import annotations

import gzip
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from money_bench import Sandbox, until

from nself.domains.sandbox import rules
from ports import free_port

COMMAND = "the command itself"
VICTIMS = ("worker", "http", "stripe-mock", "postgres", COMMAND, "usage-collector")
CLI = "from nself.cli.main import main; main()"
DEMO_SECONDS = 150
MOST_RUNS = 12
HELD = "functions"  # a metric that the demonstration does not bill


class Stand:
    """A project of its own, used through the command line alone."""

    def __init__(self, root: Path, lines: int) -> None:
        self.root, self.port, mock = root, free_port(), free_port()
        self.nself(
            "env", "set", f"BILLING_PORT={self.port}", f"STRIPE_MOCK_PORT={mock}", "STRIPE_TIMEOUT=2s",
            "STRIPE_SECRET_KEY=sk_test_bench", "BILLING_DRAIN_TIMEOUT=10s", "BILLING_DB_POOL_TIMEOUT=5s",
        )  # fmt: skip
        self.traffic = list(rules.traffic())[:lines]
        self.log = root / "access.log.gz"
        self.log.write_bytes(gzip.compress("".join(self.traffic).encode()))
        self.sandbox = Sandbox(f"http://127.0.0.1:{mock}")

    def command(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-P", "-c", CLI, "--project", str(self.root), *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd="/",
        )

    def nself(self, *words: str) -> str:
        process = self.command(*words)
        try:
            told, notes = process.communicate(timeout=DEMO_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
        assert process.returncode == 0, f"{words}: {process.returncode}\n{told}{notes}"
        return told

    def read(self, *words: str) -> Any:
        return json.loads(self.nself(*words, "--format", "json"))

    def demo(self) -> subprocess.Popen[str]:
        return self.command("billing", "sandbox", "demo", "--log", str(self.log))

    def kill(self, name: str) -> bool:
        """Whether there was a process of that service to be killed."""
        with suppress(AssertionError, ProcessLookupError):
            for row in self.read("status", name):
                if row["pid"]:
                    os.kill(row["pid"], signal.SIGKILL)
                    return True
        return False

    def remove(self) -> None:
        with suppress(AssertionError, subprocess.TimeoutExpired):
            self.nself("stop")
        data = self.root / ".nself" / "postgres"
        if data.is_symlink():
            shutil.rmtree(data.resolve(), ignore_errors=True)
        shutil.rmtree(self.root, ignore_errors=True)


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short, because sockets' names are."""
    made = Path(tempfile.mkdtemp(prefix="nself-kill-", dir="/tmp"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


class Sender(threading.Thread):
    """An application that records usage all the time and keeps what was answered with 2xx."""

    def __init__(self, stand: Stand, user: str) -> None:
        super().__init__()
        self.url = f"http://127.0.0.1:{stand.port}/api/v1/usage"
        key = stand.read("billing", "api-key", "create", "--name", "sender", "--scopes", "usage:write")["key"]
        self.headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self.user, self.over = user, threading.Event()
        self.acknowledged: list[dict[str, Any]] = []
        self.refused = 0

    def post(self, batch: list[dict[str, Any]]) -> dict[str, Any]:
        request = urllib.request.Request(self.url, json.dumps(batch).encode(), self.headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read())

    def run(self) -> None:
        number = 0
        while not self.over.is_set():
            batch = [
                {"user": self.user, "metric": HELD, "value": 1, "key": f"sent {number + more}"} for more in range(3)
            ]
            try:
                answer = self.post(batch)
                assert answer["accepted"] + answer["duplicate"] == 3, answer
                self.acknowledged += batch
                number += 3
            except (OSError, urllib.error.HTTPError):
                self.refused += 1  # the same batch again
                self.over.wait(0.1)
            self.over.wait(0.01)


def by_hand(traffic: list[str]) -> dict[str, dict[str, int]]:
    """Cents owed by user and metric, from the lines."""
    calls, sent = Counter[str](), Counter[str]()
    for line in traffic:
        found = re.match(r'(\S+) .* (\d+|-) "-" "demo/1.0"', line)
        assert found, line
        calls[found[1]] += 1
        sent[found[1]] += 0 if found[2] == "-" else int(found[2])
    free = dict(rules.QUOTAS)
    exact = {
        user: {
            "api_calls": Fraction(5) * max(0, calls[user] - free["api_calls"]),
            "bandwidth": Fraction(9) * max(0, sent[user] - free["bandwidth"]) / 2**20,
        }
        for user in calls
    }
    cents = {
        user: {metric: int(price + Fraction(1, 2)) for metric, price in prices.items() if price >= Fraction(1, 2)}
        for user, prices in exact.items()
    }
    return {user: lines for user, lines in cents.items() if lines}


def check(stand: Stand, sender: Sender) -> None:
    sandbox, owed = stand.sandbox, by_hand(stand.traffic)
    invoices = sandbox.get("/v1/invoices", limit=100)
    billed = {
        one["metadata"]["nself_user"]: {
            line["metadata"]["nself_metric"]: line["amount"] for line in sandbox.lines(one["id"])
        }
        for one in invoices
    }
    assert billed == owed
    assert len(invoices) == len(owed) == len(sandbox.get("/v1/customers", limit=100))
    assert {one["status"] for one in invoices} == {"paid"}
    charged = Counter(
        one["customer"] for one in sandbox.get("/v1/payment_intents", limit=100) if one["status"] == "succeeded"
    )
    assert charged == Counter(one["customer"] for one in invoices if one["amount_paid"])
    assert stand.read("billing", "stripe", "intents") == []
    mirror = stand.read("billing", "invoice", "list", "--limit", "1000")
    assert {(one["id"], one["status"], one["total_minor"]) for one in mirror} == {
        (one["id"], "paid", one["total"]) for one in invoices
    }
    webhooks = stand.read("billing", "webhook", "status")
    assert (webhooks["waiting"], webhooks["failed"]) == (0, 0)
    assert webhooks["events"] == len(sandbox.get("/v1/events", limit=100))

    for start in range(0, len(sender.acknowledged), 300):
        batch = sender.acknowledged[start : start + 300]
        assert sender.post(batch)["duplicate"] == len(batch), "something that was answered with 2xx is missing"
    stand.nself("billing", "usage", "aggregate")
    law = stand.read("billing", "usage", "status")
    assert law["balanced"]
    # The last batch may have been counted without its answer having come.
    counted = law["counted"] - len(sender.acknowledged)
    assert counted in (sum_of_events(stand.traffic), sum_of_events(stand.traffic) + 3)


def sum_of_events(traffic: list[str]) -> int:
    return sum(1 if ' - "-"' in line else 2 for line in traffic)


def victims(draw: random.Random, rounds: int) -> list[str]:
    """Each in turn, in a random order, so that none is spared."""
    return [victim for _ in range(rounds) for victim in draw.sample(VICTIMS, len(VICTIMS))]


def survive(folder: Path, draw: random.Random, lines: int, waiting: list[str]) -> None:
    """The demonstration under fire; it is run again until it went through, and once more in peace."""
    stand, kills = Stand(folder, lines), len(waiting)
    sender: Sender | None = None
    try:
        stand.nself("start")
        stand.nself("billing", "customer", "list")
        stand.nself("billing", "usage", "import", str(stand.log), "--create-users")
        sender = Sender(stand, stand.traffic[0].split()[0])
        sender.start()
        killed, runs, told = Counter[str](), 0, ""
        while waiting or not runs:
            runs += 1
            assert runs <= MOST_RUNS + kills, told
            process = stand.demo()
            while process.poll() is None and waiting:
                time.sleep(draw.uniform(0.05, 1.2))
                if waiting[0] == COMMAND:
                    process.kill()
                    killed[waiting.pop(0)] += 1
                elif stand.kill(waiting[0]):
                    killed[waiting.pop(0)] += 1
            told, _ = process.communicate(timeout=DEMO_SECONDS)
            stand.nself("start")
        sender.over.set()
        sender.join()
        for _ in range(MOST_RUNS):
            process = stand.demo()
            told, _ = process.communicate(timeout=DEMO_SECONDS)
            if process.returncode == 0:
                break
        assert process.returncode == 0, told
        assert "NOT BALANCED" not in told
        until(lambda: stand.sandbox.admin("state")["deliveries_waiting"] == 0, 60)
        until(lambda: stand.read("billing", "webhook", "status")["waiting"] == 0, 60)
        assert sender.acknowledged
        check(stand, sender)
        print(f"killed {dict(killed)}, {runs} runs, {len(sender.acknowledged)} events acknowledged")
    finally:
        if sender and sender.is_alive():
            sender.over.set()
            sender.join()
        stand.remove()


def test_three_kills_at_random_lose_nothing_and_pay_nothing_twice(folder: Path):
    survive(folder, random.Random(11), 700, ["worker", "postgres", "stripe-mock"])


@pytest.mark.long
@pytest.mark.parametrize("seed", range(4))
def test_many_kills_at_random_lose_nothing_and_pay_nothing_twice(folder: Path, seed: int):
    draw = random.Random(seed)
    survive(folder, draw, 5000, victims(draw, 2))
