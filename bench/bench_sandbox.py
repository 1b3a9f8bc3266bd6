"""The Stripe sandbox: start under 1 s, 500 simple calls a second on one core, a year of 100 subscriptions under 20 s."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

from common import free_port, report

CALLS = 2000
SUBSCRIPTIONS = 100
SEEDED = 10_000
YEAR = 365 * 86_400
HEADERS = {"Authorization": "Bearer sk_test_bench", "Content-Type": "application/x-www-form-urlencoded"}


class Client:
    """One connection that is kept open; no SDK, so that the sandbox is measured and not the SDK."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)

    def call(self, method: str, path: str, body: str = "", headers: dict[str, str] = HEADERS) -> Any:
        self._connection.request(method, path, body or None, headers)
        answer = self._connection.getresponse()
        read = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{method} {path}: {answer.status} {read!r}")
        return json.loads(read)

    def post(self, path: str, **fields: str) -> Any:
        return self.call("POST", path, urlencode(fields))

    def admin(self, method: str, path: str, **body: Any) -> Any:
        return self.call(method, f"/_sandbox/{path}", json.dumps(body), {"Content-Type": "application/json"})


@contextmanager
def running() -> Iterator[tuple[Client, float]]:
    """The sandbox as a process of its own, and the seconds until it answered."""
    port = free_port()
    line = [sys.executable, "-m", "stripe_sandbox", "--port", str(port), "--rate-limit", "0"]
    began = time.perf_counter()
    process = subprocess.Popen(line)
    try:
        while True:
            try:
                Client(port).admin("GET", "health")
                break
            except OSError:
                time.sleep(0.005)
        yield Client(port), time.perf_counter() - began
    finally:
        process.terminate()
        process.wait()


def price(client: Client) -> str:
    product = {"product_data[name]": "Plan", "currency": "usd", "unit_amount": "1000", "recurring[interval]": "month"}
    return client.post("/v1/prices", **product)["id"]


def sign_up(client: Client, plan: str) -> None:
    card = {"payment_method": "pm_card_visa", "invoice_settings[default_payment_method]": "pm_card_visa"}
    customer = client.post("/v1/customers", **card)["id"]
    client.post("/v1/subscriptions", customer=customer, **{"items[0][price]": plan})


def main() -> None:
    starts: list[float] = []
    for _ in range(5):
        with running() as (_client, started):
            starts.append(started)
    with running() as (client, _started):
        customer = client.post("/v1/customers", email="a@example.com")["id"]
        rates: dict[str, float] = {}
        for name, call in (
            ("retrieve a customer", lambda: client.call("GET", f"/v1/customers/{customer}")),
            ("create a customer", lambda: client.post("/v1/customers", email="a@example.com")),
        ):
            began = time.perf_counter()
            for _ in range(CALLS):
                call()
            rates[name] = CALLS / (time.perf_counter() - began)
    with running() as (client, _started):
        plan = price(client)
        began = time.perf_counter()
        for _ in range(SUBSCRIPTIONS):
            sign_up(client, plan)
        signed_up = time.perf_counter() - began
        began = time.perf_counter()
        client.admin("POST", "clock", advance=YEAR + 86_400)
        year = time.perf_counter() - began
        counts = client.admin("GET", "state")["objects"]
        if counts["invoice"] != SUBSCRIPTIONS * 13 or counts["charge"] != SUBSCRIPTIONS * 13:
            raise RuntimeError(f"not every month was paid: {counts}")
    with running() as (client, _started):
        began = time.perf_counter()
        client.admin("POST", "seed", customers=SEEDED)
        seeded = time.perf_counter() - began
    report(
        "Stripe sandbox",
        [
            ("start", f"{min(starts) * 1000:.0f} ms", "limit 1 s"),
            *((f"calls a second: {name}", f"{rate:.0f}", "at least 500") for name, rate in rates.items()),
            (f"{SUBSCRIPTIONS} customers sign up", f"{signed_up:.1f} s", ""),
            (f"a year of {SUBSCRIPTIONS} monthly subscriptions", f"{year:.1f} s", "limit 20 s"),
            (f"{SEEDED:,} customers made from a seed", f"{seeded:.1f} s", "limit 20 s"),
        ],
    )


if __name__ == "__main__":
    main()
