"""What the gateway makes of faults, withdrawn keys and threads. Its contract, call by call, is in tests/contract."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from scripted_stripe import settings

from nself.gateway import errors, retry
from nself.gateway.api import Snapshot, Stripe
from nself.gateway.live import connect
from stripe_openapi import validate_traffic
from stripe_sandbox.server import Running, run_in_thread
from stripe_sandbox.settings import Settings as SandboxSettings

pytestmark = pytest.mark.usefixtures("quick")
Admin = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def traffic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sandbox") / "traffic.jsonl"


@pytest.fixture(scope="module")
def running(traffic: Path) -> Iterator[Running]:
    """One sandbox for all tests here. What went over its wire is checked against Stripe's document at the end."""
    with run_in_thread(SandboxSettings(rate_limit=0, traffic=str(traffic))) as sandbox:
        yield sandbox
    assert validate_traffic(str(traffic)) == []


@pytest.fixture
def stripe(running: Running) -> Iterator[Stripe]:
    made = connect(settings(running.url))
    yield made
    made.close()


@pytest.fixture
def admin(running: Running) -> Iterator[Admin]:
    """Calls the sandbox's admin routes, and leaves no fault behind."""

    def post(path: str, **body: Any) -> dict[str, Any]:
        request = urllib.request.Request(
            f"{running.url}/_sandbox/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    yield post
    post("faults/clear")


@pytest.mark.parametrize(("standing", "kind"), [("revoked", errors.InvalidApiKey), ("expired", errors.ApiKeyExpired)])
def test_a_key_that_is_no_longer_good(
    running: Running, admin: Admin, standing: str, kind: type[errors.StripeFailure]
) -> None:
    key = f"sk_test_51Withdrawn{standing}1234"
    admin("keys/revoke", key=key, standing=standing)
    stripe = connect(settings(running.url, STRIPE_SECRET_KEY=key))
    with pytest.raises(kind) as found:
        stripe.account()
    stripe.close()
    assert (found.value.exit_code, "Withdrawn" in found.value.message) == (4, False)
    assert "sk_test_***1234" in found.value.message


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 429, "times": 2},
        {"status": 503, "times": 2},
        {"drop": True},
        {"drop": True, "after": True},
        {"delay": 1.2, "after": True},
    ],
)
def test_a_passing_fault_leaves_exactly_one_customer(
    running: Running, admin: Admin, monkeypatch: pytest.MonkeyPatch, fault: dict[str, Any]
) -> None:
    name = json.dumps(fault)
    stripe = connect(settings(running.url, STRIPE_TIMEOUT="1s", STRIPE_RETRY_BACKOFF="constant"))
    monkeypatch.setattr(retry, "FIRST_WAIT", 0.1)
    admin("faults", on="request", method="POST", **fault)
    made = stripe.change("customers", params={"name": name}, key=f"fault:{name}".replace(" ", ""))
    assert [one["id"] for one in stripe.listed("customers") if one["name"] == name] == [made["id"]]
    stripe.close()


def test_a_500_after_the_work_is_unknown_and_stored(stripe: Stripe, admin: Admin) -> None:
    admin("faults", on="request", method="POST", status=500, after=True)
    with pytest.raises(errors.StripeDown) as found:
        stripe.change("customers", params={"name": "done all the same"}, key="stored:1")
    assert (found.value.outcome_unknown, found.value.stored) == (True, True)
    assert [one["name"] for one in stripe.listed("customers")].count("done all the same") == 1


def test_a_forbidden_call(stripe: Stripe, admin: Admin) -> None:
    admin("faults", on="request", status=403)
    with pytest.raises(errors.InsufficientPermissions) as found:
        stripe.account()
    assert found.value.message.startswith("Insufficient permissions")


def test_one_key_used_twice_at_once_makes_one_customer(
    running: Running, admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    stripe = connect(settings(running.url, STRIPE_RETRY_BACKOFF="constant"))
    monkeypatch.setattr(retry, "FIRST_WAIT", 0.1)
    admin("faults", on="request", method="POST", delay=0.2, after=True)
    made: list[Snapshot] = []
    threads = [
        threading.Thread(
            target=lambda: made.append(stripe.change("customers", params={"name": "twins"}, key="twins:1"))
        )
        for _ in "ab"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    stripe.close()
    assert len(made) == 2
    assert made[0] == made[1]


def test_many_threads(stripe: Stripe) -> None:
    made: list[Snapshot] = []

    def work(number: int) -> None:
        made.extend(
            stripe.change("customers", params={"name": f"crowd {number}"}, key=f"crowd:{number}:{at}")
            for at in range(20)
        )

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len({one["id"] for one in made}) == 120
    listed = [one["name"] for one in stripe.listed("customers")]
    assert [listed.count(f"crowd {number}") for number in range(6)] == [20] * 6
