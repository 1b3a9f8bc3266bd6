"""Two emergencies of the guide, walked as printed, at a whole system; at the end Stripe's books are asked, apart from us."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import psutil
import pytest
from money_bench import Sandbox

from commanding import CLI, Commands, commanding, until_printed
from nself.core.project import Project
from nself.process import supervisor

pytestmark = pytest.mark.xdist_group("metering faults")
SETTINGS = "STRIPE_MAX_RETRIES=0\nSTRIPE_TIMEOUT=5s\n"
"""Who waits for Stripe in an outage gives up soon, and leases end soon."""


@pytest.fixture
def commands() -> Iterator[Commands]:
    with commanding() as made:
        with (made.root / ".env").open("a", encoding="utf-8") as file:
            file.write(SETTINGS)
        made.nself("env", "set", "STRIPE_MOCK_ENABLED=true", "STRIPE_SECRET_KEY=sk_test_bench")
        made.nself("start")
        made.nself("start", "stripe-mock")
        made.nself("billing", "webhook", "update-url", f"http://127.0.0.1:{port(made, 'BILLING_PORT')}/webhooks/stripe")
        yield made


def port(commands: Commands, name: str) -> int:
    return int(commands.nself("env", "get", name))


def stripe(commands: Commands) -> Sandbox:
    return Sandbox(f"http://127.0.0.1:{port(commands, 'STRIPE_MOCK_PORT')}")


def customer(commands: Commands, user: str, card: str = "pm_card_visa") -> str:
    words = ("--user", user, "--email", f"{user}@example.com", "--payment-method", card)
    return str(commands.json("billing", "customer", "create", *words)["id"])


def pay(commands: Commands, customer: str, amount: int, key: str) -> Any:
    words = ("--customer", customer, "--amount", str(amount), "--idempotency-key", key)
    return commands.json("billing", "payment", "create", *words)


def paying(commands: Commands, customer: str, amount: int, key: str) -> subprocess.Popen[str]:
    """The same in a process that goes on while we do something else."""
    words = ("billing", "payment", "create", "--customer", customer, "--amount", str(amount), "--idempotency-key", key)
    line = [sys.executable, "-P", "-c", CLI, *words, "--format", "json"]
    environ = {**os.environ, "NSELF_PROJECT": str(commands.root)}
    return subprocess.Popen(line, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def taken(sandbox: Sandbox, customer: str) -> list[int]:
    return sorted(one["amount_received"] for one in sandbox.payments(customer))


@pytest.mark.long
def test_emergency_4_stripe_is_away_for_an_hour_with_renewals_due(commands: Commands) -> None:
    sandbox = stripe(commands)
    ann, ben, declined, sca = (
        customer(commands, user, card)
        for user, card in (
            ("ann", "pm_card_visa"), ("ben", "pm_card_visa"), ("carl", "pm_card_chargeCustomerFail"),
            ("dora", "pm_card_authenticationRequired"),
        )
    )  # fmt: skip
    product = sandbox.post("/v1/products", name="Pro")["id"]
    price = sandbox.post(
        "/v1/prices", product=product, currency="usd", unit_amount=2000, recurring={"interval": "month"}
    )
    for one in (ann, ben):
        sandbox.post("/v1/subscriptions", customer=one, items=[{"price": price["id"]}])
    invoice = sandbox.post("/v1/invoices", customer=ann, auto_advance=False)["id"]
    sandbox.post("/v1/invoiceitems", customer=ann, invoice=invoice, amount=900, currency="usd")
    sandbox.post(f"/v1/invoices/{invoice}/finalize", auto_advance=False)
    until_printed(commands, ("billing", "price", "list"), price["id"], 60)
    until_printed(commands, ("billing", "invoice", "list", "--user", "ann", "--limit", "5"), invoice, 60)
    period_end = sandbox.get("/v1/subscriptions", customer=ann)[0]["items"]["data"][0]["current_period_end"]
    sandbox.admin("clock", to=period_end - 1200)
    sandbox.fault("payment_intents$", drop=True, after=True)  # the last one is taken, and its answer lost
    now = sandbox.admin("clock")["now"]
    sandbox.admin("faults", on="outage", since=int(now) - 1, until=int(now) + 3600)
    waiting = paying(commands, ann, 1111, "order-1")

    commands.nself("billing", "stripe", "test-connection", code=3)
    commands.nself("env", "set", "BILLING_QUEUE_PAYMENTS=true")
    commands.nself("env", "set", "BILLING_GRACEFUL_DEGRADATION=true")
    limit = time.monotonic() + 60
    while not commands.json("billing", "queue", "failures", "--since", "1h")["queued"]:
        assert time.monotonic() < limit, "the payment that failed was not queued"
        time.sleep(0.2)
    _, err = waiting.communicate(timeout=120)
    assert waiting.returncode in (0, 3), err  # queued, or its patience was over before
    assert pay(commands, ann, 1111, "order-1")["status"] == "queued"
    queued = [
        pay(commands, one, amount, f"late-{amount}") for one, amount in ((ben, 2222), (declined, 333), (sca, 444))
    ]
    assert [one["status"] for one in queued] == ["queued"] * 3
    assert pay(commands, ben, 2222, "late-2222")["id"] == queued[0]["id"]
    assert "queued_" in commands.json("billing", "invoice", "pay", invoice)["result"]
    shown = commands.json("billing", "price", "show", price["id"])
    assert (shown["amount"], shown["as_of"] is None) == ("20.00", False)
    assert len(commands.json("billing", "queue", "list")) == 5
    commands.nself("billing", "process-queue", "--batch-size", "100", code=3)
    assert json.loads(commands.nself("billing", "verify-queue-empty", "--format", "json", code=3))["queued"] == 5
    sandbox.admin("clock", to=period_end + 7200)  # renewals came due, and Stripe is back

    done = commands.json("billing", "process-queue", "--batch-size", "100")
    assert (done["made"], done["failed"], done["action_required"], done["left"]) == (3, 2, 1, 0), done
    assert "card_declined" in str(done["failures"])
    assert "authentication_required" in str(done["failures"])
    commands.nself("billing", "verify-queue-empty")
    assert commands.json("billing", "process-queue", "--batch-size", "100")["made"] == 0
    commands.nself("env", "set", "BILLING_QUEUE_PAYMENTS=false", "BILLING_GRACEFUL_DEGRADATION=false")
    commands.nself("restart", "billing")
    commands.nself("billing", "verify-queue-empty")
    assert pay(commands, ben, 2222, "late-2222")["status"] == "succeeded"

    sandbox = stripe(commands)
    assert taken(sandbox, ann) == [900, 1111, 2000, 2000]  # the invoice, the lost answer, two months
    assert taken(sandbox, ben) == [2000, 2000, 2222]
    assert (taken(sandbox, declined), taken(sandbox, sca)) == ([], [])
    assert sandbox.get(f"/v1/invoices/{invoice}")["status"] == "paid"


def everybody(root: Any) -> list[psutil.Process]:
    """Supervisor and services, with all that they started."""
    pids = {one.pid for one in supervisor.states(Project(root)).values() if one.pid}
    services = [psutil.Process(pid) for pid in pids]
    parents = {one.ppid() for one in services} - {1}
    return [
        *map(psutil.Process, parents),
        *services,
        *(child for one in services for child in one.children(recursive=True)),
    ]


@pytest.mark.long
def test_emergency_1_every_service_is_killed(commands: Commands) -> None:
    sandbox = stripe(commands)
    eve = customer(commands, "eve")
    assert pay(commands, eve, 700, "before")["status"] == "succeeded"
    commands.nself(
        "billing", "usage", "record", "--user", "eve", "--metric", "api_calls", "--value", "5", "--key", "one"
    )
    for process in everybody(commands.root):
        with suppress(psutil.NoSuchProcess):
            process.kill()

    commands.nself("stop", "billing")
    assert commands.nself("logs", "billing", "--tail", "1000")
    commands.nself("db", "ping")
    commands.nself("env", "set", "BILLING_SAFE_MODE=true")
    commands.nself("start", "billing")
    commands.nself("start", "stripe-mock")

    words = ("--customer", eve, "--amount", "800", "--idempotency-key", "meanwhile")
    commands.nself("billing", "payment", "create", *words, code=4)
    commands.nself(
        "billing", "usage", "record", "--user", "eve", "--metric", "api_calls", "--value", "7", "--key", "two"
    )
    sandbox.post(f"/v1/customers/{eve}", name="Eve")
    events = ("billing", "webhook", "events", "--type", "customer.updated", "--limit", "5")
    until_printed(commands, events, "received", 60)
    assert commands.json("billing", "customer", "show", eve).get("name") != "Eve"

    commands.nself("env", "set", "BILLING_SAFE_MODE=false")
    commands.nself("restart", "billing")
    until_printed(commands, events, "processed", 60)
    commands.nself("billing", "health")
    assert pay(commands, eve, 800, "meanwhile")["status"] == "succeeded"
    assert pay(commands, eve, 700, "before")["created"] is False
    assert taken(sandbox, eve) == [700, 800]
    assert commands.json("billing", "usage", "status")["balanced"]
