"""Real commands and workers that are killed -9 between intent, call and outcome, that hear nothing or a 500 from Stripe after the
work was done, and two operators at once: one subscription, one payment, one refund each time.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from money_fixtures import shared_bench

from paying import Till

pytestmark = pytest.mark.xdist_group("deeds killed")
STOPPING = Path(__file__).parent / "stopping.py"
SECONDS = 120


class Process:
    """The real command (or worker) in a process of its own, which stops itself at a seam."""

    def __init__(self, till: Till, seams: str, *words: str, **environ: str) -> None:
        given = {**os.environ, **till.bench.environ(**environ), "NSELF_PROJECT": str(till.bench.folder)}
        self.popen = subprocess.Popen(
            [sys.executable, "-P", str(STOPPING), seams, *words],
            env={**given, "PYTHONPATH": str(STOPPING.parent)}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def stopped(self) -> None:
        """Waits until it has stopped itself."""
        how = os.waitid(os.P_PID, self.popen.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        assert how and how.si_code == os.CLD_STOPPED, self.popen.communicate(timeout=SECONDS)

    def kill(self) -> None:
        self.popen.kill()
        self.popen.communicate(timeout=SECONDS)

    def go_on(self) -> None:
        self.popen.send_signal(signal.SIGCONT)

    def ended(self) -> tuple[int, str, str]:
        out, err = self.popen.communicate(timeout=SECONDS)
        assert "Traceback" not in err, err
        return self.popen.returncode, out, err


class Deed(NamedTuple):
    """Stripe's path of what it makes; exit code and words where it was done before; the command; what a customer has of it."""

    path: str
    again: tuple[int, str]
    words: Callable[[Till, str], list[str]]
    made: Callable[[Till, str], list[str]]


def charge(till: Till, customer: str) -> str:
    (one,) = till.sandbox.get("/v1/charges", customer=customer) or [{"id": till.pay(customer=customer).charge}]
    return str(one["id"])


def price(till: Till) -> str:
    product = till.sandbox.post("/v1/products", name="Pro")["id"]
    fields: dict[str, Any] = {"currency": "usd", "unit_amount": 1000, "recurring": {"interval": "month"}}
    return str(till.sandbox.post("/v1/prices", product=product, **fields)["id"])


def ids(objects: list[dict[str, Any]]) -> list[str]:
    return [str(one["id"]) for one in objects]


DEEDS = {
    "subscription": Deed(
        "subscriptions",
        (0, "stands already"),
        lambda till, customer: ["subscription", "create", "--customer", customer, "--price", price(till)],
        lambda till, customer: ids(till.sandbox.get("/v1/subscriptions", customer=customer, status="all")),
    ),
    "payment": Deed(
        "payment_intents",
        (1, "another such payment needs an --idempotency-key"),
        lambda _, customer: ["payment", "create", "--customer", customer, "--amount", "1000"],
        lambda till, customer: ids(till.sandbox.get("/v1/payment_intents", customer=customer)),
    ),
    "refund": Deed(
        "refunds",
        (1, "has already been refunded"),
        lambda till, customer: ["refund", "create", "--charge", charge(till, customer), "--reason", "duplicate"],
        lambda till, customer: ids(till.sandbox.get("/v1/refunds", charge=charge(till, customer))),
    ),
}
each_deed = pytest.mark.parametrize("deed", DEEDS.values(), ids=DEEDS)
users = (f"user{number}" for number in itertools.count(1))


@pytest.fixture(scope="module")
def till(server: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Till]:
    with shared_bench(server, template, tmp_path_factory.mktemp("deeds")) as bench:
        yield Till(bench)


class Run(NamedTuple):
    till: Till
    start: Callable[..., Process]
    customer: str

    def json(self, *words: str, **environ: str) -> dict[str, Any]:
        """What the command prints that nothing stops."""
        code, out, err = self.start("", "cli", "billing", *words, "--format", "json", **environ).ended()
        assert code == 0, err
        return json.loads(out)

    def killed_at(self, seams: str, *words: str) -> None:
        process = self.start(seams, *words)
        process.stopped()
        process.kill()
        self.till.bench.pass_time()  # its lease runs out

    def settled(self, deed: Deed) -> str:
        """The id of the one that was made; nothing is left to do."""
        (id,) = deed.made(self.till, self.customer)
        money = 1000 if deed.path != "refunds" else 0
        assert [one["amount_captured"] - one["amount_refunded"] for one in self.charges()] == [money]
        assert {state for _, state, _ in self.till.bench.intents()} == {"done"}
        return id

    def charges(self) -> list[dict[str, Any]]:
        return self.till.sandbox.get("/v1/charges", customer=self.customer)


@pytest.fixture
def run(till: Till) -> Iterator[Run]:
    started: list[Process] = []

    def start(seams: str, *words: str, **environ: str) -> Process:
        started.append(Process(till, seams, *words, **environ))
        return started[-1]

    till.bench.sql("delete from billing_intents")
    yield Run(till, start, till.known(next(users)))
    till.sandbox.admin("faults/clear")
    for process in started:
        with suppress(ProcessLookupError):
            process.kill()


@each_deed
def test_killed_between_intent_call_and_outcome_it_is_done_once(run: Run, deed: Deed) -> None:
    words = deed.words(run.till, run.customer)
    run.killed_at(f"before change {deed.path}", "cli", "billing", *words)
    assert (deed.made(run.till, run.customer), run.till.bench.intents()[-1][1]) == ([], "pending")
    run.killed_at(f"after change {deed.path}", "worker")
    (made,) = deed.made(run.till, run.customer)
    assert run.till.bench.intents()[-1][1] == "pending"
    run.killed_at(f"after change {deed.path}; after commit", "cli", "billing", *words)
    assert run.settled(deed) == made and run.till.bench.intents()[-1][1] == "done"
    code, out, err = run.start("", "cli", "billing", *words).ended()
    assert code == deed.again[0] and deed.again[1] in out + err, (out, err)
    assert run.settled(deed) == made


@each_deed
@pytest.mark.parametrize("fault", [{"status": 500}, {"delay": 3}], ids=["500", "timeout"])
def test_what_stripe_did_without_saying_so_is_not_done_again(run: Run, deed: Deed, fault: dict[str, Any]) -> None:
    words = deed.words(run.till, run.customer)
    run.till.sandbox.fault(f"/v1/{deed.path}$", after=True, **fault)
    told = run.json(*words, STRIPE_TIMEOUT="1s")
    assert run.till.sandbox.admin("faults")["faults"] == []
    assert run.settled(deed) == told["id"]


@each_deed
def test_two_operators_at_once_do_it_once(run: Run, deed: Deed) -> None:
    """Both have looked at Stripe when the first of them goes on."""
    words = deed.words(run.till, run.customer)
    both = [run.start("after fetch", "cli", "billing", *words, "--format", "json") for _ in range(2)]
    for process in both:
        process.stopped()
    for process in both:
        process.go_on()
    ended = [process.ended() for process in both]
    made = run.settled(deed)
    for code, out, err in ended:
        if code:
            assert deed.path == "payment_intents" and f"{made} took 10.00 USD" in err
        else:
            assert json.loads(out)["id"] == made
    assert 0 in [code for code, _, _ in ended]
