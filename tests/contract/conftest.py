"""One set of tests for two targets: a sandbox of their own, or with `--stripe-live` (`make stripe-live`) Stripe's test mode."""

from __future__ import annotations

import itertools
import os
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from contract.target import STRIPE, NoTestKey, Target, cleaned, gateway, live_test_key, sdk
from nself.gateway.api import Snapshot, Stripe
from sandbox.conftest import Sdk
from stripe_openapi import validate_traffic
from stripe_sandbox.server import run_in_thread
from stripe_sandbox.settings import Settings

ROOT = Path(__file__).parents[2]
_numbers = itertools.count(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--stripe-live", action="store_true", help="run the contract tests against Stripe's test mode")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--stripe-live", default=False):
        try:
            live_test_key(os.environ)
        except NoTestKey as error:
            raise pytest.UsageError(str(error)) from None


@pytest.fixture(scope="session")
def account(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """One for all tests, as at Stripe: none may rely on being alone in it."""
    run = uuid.uuid4().hex[:8]
    if request.config.getoption("--stripe-live", default=False):
        notes = ROOT / "build/stripe-live.jsonl"
        notes.parent.mkdir(exist_ok=True)
        yield Target(STRIPE, live_test_key(os.environ), run, notes)
        return
    folder = tmp_path_factory.mktemp("contract")
    with run_in_thread(Settings(rate_limit=0, traffic=str(folder / "traffic"))) as sandbox:
        yield Target(sandbox.url, "sk_test_contract", run, folder / "made")
    assert validate_traffic(folder / "traffic") == []


@pytest.fixture
def target(account: Target) -> Iterator[Target]:
    """What the test makes is removed at its end, also when it fails."""
    mine = replace(account, run=f"{account.run}-{next(_numbers)}")
    with cleaned(mine):
        yield mine


@pytest.fixture
def api(target: Target) -> Iterator[Sdk]:
    """The official SDK."""
    with sdk(target) as client:
        yield client


@pytest.fixture
def stripe(target: Target) -> Iterator[Stripe]:
    """The product's gateway."""
    with gateway(target) as made:
        yield made


@pytest.fixture
def customer(stripe: Stripe, target: Target) -> Snapshot:
    """One who pays with a card that works, with an address that nobody else has."""
    email = f"{target.run}@example.com"
    made = stripe.change("customers", params={"email": email, "metadata": {"user": "u1"}}, key="customer")
    method = stripe.change("payment_methods", "pm_card_visa", "attach", params={"customer": made["id"]}, key="method")
    default = {"invoice_settings": {"default_payment_method": method["id"]}}
    return stripe.change("customers", made["id"], params=default, key="default")
