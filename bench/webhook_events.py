"""What happens at the sandbox for `bench_webhook_peers.py`, and its events as they are sent."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, NamedTuple

from bench_sandbox import Client

from nself.gateway.signature import sign

SEED, DELETED = 7, 10
EVENTS_A_SIGNUP = 12
SECRET, KEY = "whsec_bench", "sk_test_bench"
State = tuple[bool, str, str]
"""Whether it is deleted; if not, its status and which version of ours it is."""


def state(one: dict[str, Any]) -> State:
    if one.get("deleted"):
        return True, "", ""
    return False, one.get("status") or "", (one.get("metadata") or {}).get("version") or ""


class Signup:
    """A customer, its subscription and the first invoice at the sandbox, and what happens to them: 12 events."""

    def __init__(self, client: Client, plan: str, number: int) -> None:
        self.client, self.leaves = client, number % DELETED == 0
        self.customer = client.post("/v1/customers", email=f"{number}@example.com", **{"metadata[version]": "0"})["id"]
        made = client.post(
            "/v1/subscriptions", customer=self.customer, trial_period_days="30",
            **{"items[0][price]": plan, "metadata[version]": "0"},
        )  # fmt: skip
        self.subscription, self.item, self.invoice = made["id"], made["items"]["data"][0]["id"], made["latest_invoice"]

    def upgrade(self) -> None:
        items = {"items[0][id]": self.item, "items[0][quantity]": "3"}
        self.client.post(f"/v1/subscriptions/{self.subscription}", **items, **{"metadata[version]": "1"})

    def settle(self) -> None:
        path = f"/v1/subscriptions/{self.subscription}"
        if self.leaves:
            self.client.call("DELETE", path)
        else:
            self.client.post(path, **{"metadata[version]": "2"})

    def end(self) -> None:
        path = f"/v1/customers/{self.customer}"
        if self.leaves:
            self.client.call("DELETE", path)
        else:
            self.client.post(path, **{"metadata[version]": "1"})

    def paths(self) -> dict[str, str]:
        return {
            self.customer: f"/v1/customers/{self.customer}",
            self.subscription: f"/v1/subscriptions/{self.subscription}",
            self.invoice: f"/v1/invoices/{self.invoice}",
        }


class Batch(NamedTuple):
    """Bodies in the order in which they are sent, and what the sandbox says in the end."""

    bodies: list[bytes]
    truth: dict[str, State]
    paths: list[str]


def batch(client: Client, plan: str, signups: int, *, shuffled: bool) -> Batch:
    """Shuffled: all of a sign-up at once. Otherwise step by step, each in a second of its own."""
    steps = (Signup.upgrade, Signup.settle, Signup.end)
    made: list[Signup] = []
    for number in range(signups):
        made.append(Signup(client, plan, number))
        for step in steps if shuffled else ():
            step(made[-1])
    for step in () if shuffled else steps:
        time.sleep(1.05)
        for one in made:
            step(one)
    paths = {id: path for one in made for id, path in one.paths().items()}
    bodies = [json.dumps(one, indent=2).encode() for one in events(client, paths)]
    if len(bodies) != signups * EVENTS_A_SIGNUP:
        raise RuntimeError(f"{len(bodies)} events of {signups} sign-ups")
    if shuffled:
        random.Random(SEED).shuffle(bodies)
    return Batch(bodies, {id: state(client.call("GET", path)) for id, path in paths.items()}, list(paths.values()))


def events(client: Client, of: Iterable[str]) -> list[dict[str, Any]]:
    """All events of these objects, oldest first."""
    wanted, found, after = set(of), list[dict[str, Any]](), ""
    while True:
        page = client.call("GET", f"/v1/events?limit=100{after}")
        found += [one for one in page["data"] if one["data"]["object"]["id"] in wanted]
        if not page["has_more"]:
            return found[::-1]
        after = f"&starting_after={page['data'][-1]['id']}"


def requests(bodies: Iterable[bytes]) -> list[bytes]:
    """Signed now; `send_all` takes from the end."""
    now = datetime.now(UTC)
    head = "POST /webhooks/stripe HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nStripe-Signature: {}\r\nContent-Length: {}\r\n\r\n"
    return [head.format(sign(body, SECRET, now), len(body)).encode() + body for body in bodies][::-1]
