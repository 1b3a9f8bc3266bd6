"""A day in an hour: traffic, renewals and a fault every minute; in the end nothing is lost, doubled or different.

    bench/soak.py [--minutes 30] [--customers 20]

Not part of `make bench`. Usage is sent all the time, some of it twice; each minute Stripe's clock goes a day on, so that
subscriptions renew, and something breaks: a service is killed, PostgreSQL is killed, Stripe answers 500 or 429, its
webhooks are lost, somebody edits in the Dashboard. Then everything settles, and what was acknowledged, what is at
Stripe and what is here are compared by their own counts; memory of each service must be flat.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psutil
from common import Project, project, report

DAY = "1d"
SERVICES = ("http", "worker", "usage-collector", "pdf-generator", "mail")
FLAT = 1.5
"""Memory in the last third may be so many times that of the second: the first fills caches."""
SETTLED = 300
"""Seconds that everything may take to settle."""


class Sender(threading.Thread):
    """An app that records usage all the time; what it was told 2xx for must be counted once."""

    def __init__(self, port: int, key: str, users: list[str]) -> None:
        super().__init__(daemon=True)
        self.url, self.users = f"http://127.0.0.1:{port}/api/v1/usage", users
        self.headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self.over, self.chance = threading.Event(), random.Random(7)
        self.acknowledged, self.refused, self.number = dict[str, int](), 0, 0
        self.unsure: list[dict[str, Any]] = []

    def run(self) -> None:
        while not self.over.wait(0.05):
            batch = self.unsure or [self.event() for _ in range(20)]
            if self.post(batch):
                self.acknowledged |= {one["key"]: one["value"] for one in batch}
                self.unsure = []
                if self.chance.random() < 0.1:  # as an app does that did not see the answer
                    self.post(batch)
            else:
                self.unsure = batch

    def event(self) -> dict[str, Any]:
        self.number += 1
        user, value = self.chance.choice(self.users), self.chance.randint(1, 5)
        return {"user": user, "metric": "api_calls", "value": value, "key": f"soak-{self.number}"}

    def post(self, batch: list[dict[str, Any]]) -> bool:
        request = urllib.request.Request(self.url, json.dumps(batch).encode(), self.headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                told = json.loads(answer.read())
                assert not told["rejected"], told
                return True
        except (urllib.error.URLError, OSError):
            self.refused += 1
            return False


class Soak:
    def __init__(self, home: Project, customers: int) -> None:
        self.home, self.chance = home, random.Random(11)
        self.memory: dict[str, list[int]] = {name: [] for name in SERVICES}
        self.told = list[str]()
        self.ask("billing", "test-data", "create", "--customers", str(customers), "--subscriptions", str(customers), "--invoices", "0", "--seed", "1")  # fmt: skip
        known = self.ask("billing", "customer", "list", "--limit", "1000")
        self.customers, self.users = [one["id"] for one in known], [one["user"] for one in known if one["user"]]

    def ask(self, *words: str) -> Any:
        return json.loads(self.home.nself(*words, "--format", "json"))

    def pids(self) -> dict[str, int]:
        return {one["service"]: one["pid"] for one in self.ask("status") if one["pid"]}

    def sample(self) -> None:
        for name, pid in self.pids().items():
            with suppress(psutil.Error):
                if name in self.memory:
                    self.memory[name].append(psutil.Process(pid).memory_info().rss)

    def kill(self, name: str) -> None:
        with suppress(KeyError, ProcessLookupError):
            os.kill(self.pids()[name], signal.SIGKILL)

    def fault(self, *words: str) -> None:
        self.home.nself("billing", "sandbox", "faults", "add", *words)

    def edit(self) -> None:
        customer = self.chance.choice(self.customers)
        self.home.nself("billing", "sandbox", "edit", "customer", customer, "--set", f"name=edited {self.chance.random()}", "--no-webhook")  # fmt: skip

    def faults(self) -> list[tuple[str, Callable[[], object]]]:
        return [
            ("worker killed", lambda: self.kill("worker")),
            ("http killed", lambda: self.kill("http")),
            ("postgres killed", lambda: self.kill("postgres")),
            ("usage-collector killed", lambda: self.kill("usage-collector")),
            ("stripe answers 500", lambda: self.fault("--fail", "500", "--times", "20")),
            ("stripe answers 429", lambda: self.fault("--fail", "429", "--times", "20")),
            ("webhooks lost", lambda: self.fault("--webhooks", "lose", "--times", "20")),
            ("answers lost after the work", lambda: self.fault("--drop", "--after", "--times", "10")),
            ("edited by hand", self.edit),
        ]

    def minute(self, number: int, length: float) -> None:
        began = time.monotonic()
        name, do = self.faults()[number % len(self.faults())]
        for what, step in ((name, do), ("a day passes at Stripe", lambda: self.home.nself("billing", "sandbox", "clock", "advance", DAY))):  # fmt: skip
            try:
                step()
            except Exception as error:  # what breaks on purpose may break the command too
                self.told.append(f"minute {number}, {what}: {error}")
        print(f"minute {number}: {name}", file=sys.stderr, flush=True)
        while time.monotonic() - began < length:
            time.sleep(min(10, length))
            with suppress(Exception):
                self.sample()

    def settle(self) -> list[str]:
        """What is still wrong when nothing breaks any more."""
        self.home.nself("billing", "sandbox", "faults", "clear")
        end = time.monotonic() + SETTLED
        wrong = ["never looked"]
        while wrong and time.monotonic() < end:
            time.sleep(5)
            try:
                wrong = self.wrong()
            except Exception as error:  # a service may still be on its way up
                wrong = [str(error)]
        return wrong

    def wrong(self) -> list[str]:
        self.home.nself("billing", "reconcile")
        compared = self.ask("billing", "sync", "compare")
        found = [f"sync compare: {compared['differences']} differences"] if compared["differences"] else []
        law = self.ask("billing", "usage", "status")
        if not law["balanced"] or law["buffered"]:
            found.append(f"conservation: {law}")
        hooks = self.ask("billing", "webhook", "status")
        if hooks["waiting"] or hooks["failed"]:
            found.append(f"webhooks: {hooks['waiting']} wait, {hooks['failed']} failed")
        return found


def growth(samples: list[int]) -> float:
    """Memory of the last third against the second."""
    third = max(1, len(samples) // 3)
    middle, last = samples[third : 2 * third] or samples, samples[-third:]
    return (sum(last) / len(last)) / (sum(middle) / len(middle))


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=int, default=30)
    parser.add_argument("--customers", type=int, default=20)
    parser.add_argument("--length", type=float, default=60, help="Seconds of a minute.")
    given = parser.parse_args()
    with project("STRIPE_MOCK_ENABLED=true", "STRIPE_SECRET_KEY=sk_test_soak", "BILLING_SYNC_INTERVAL=30s") as home:
        home.nself("start")
        home.nself("billing", "webhook", "update-url", f"http://127.0.0.1:{home.port}/webhooks/stripe")
        soak = Soak(home, given.customers)
        sender = Sender(home.port, home.key("usage:write"), soak.users)
        sender.start()
        for number in range(given.minutes):
            soak.minute(number, given.length)
        sender.over.set()
        sender.join()
        if sender.unsure and sender.post(sender.unsure):
            sender.acknowledged |= {one["key"]: one["value"] for one in sender.unsure}
        wrong = soak.settle()
        counted = sum(
            one["value"]
            for user in sender.users
            for one in soak.ask("billing", "usage", "show", "--user", user)
            if one["metric"] == "api_calls"
        )
        sent = sum(sender.acknowledged.values())
    rows = [
        ("usage acknowledged, counted", f"{sent:,}, {counted:,}", "equal" if sent == counted else "DIFFERENT"),
        (
            "requests refused meanwhile and sent again",
            f"{sender.refused}",
            f"{len(sender.acknowledged):,} events in all",
        ),
        ("differences to Stripe after settling", f"{len(wrong)}", "; ".join(wrong[:3]) or "none"),
    ]
    flat = True
    for name, samples in soak.memory.items():
        if len(samples) >= 6:
            flat &= growth(samples) <= FLAT
            rows.append((f"memory of {name}", f"{max(samples) // 2**20} MB at most", f"{growth(samples):.2f} x, last third against the second"))  # fmt: skip
    report(f"Soak: {given.minutes} days, {given.length:.0f} s each, a fault on each", rows)
    for line in soak.told:
        print(line, file=sys.stderr)
    return 0 if sent == counted and not wrong and flat else 1


if __name__ == "__main__":
    sys.exit(main())
