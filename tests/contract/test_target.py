"""The tests' own means: only test keys pass, all that is made is marked, and nothing is left behind."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import stripe as official

from contract.target import MARK, VARIABLE, NoTestKey, Target, clean_up, cleaned, gateway, live_test_key, sdk
from sandbox.conftest import Sdk, ask, drafted, paying_customer, refusal
from sandbox.timing import clocked, price, subscribe
from stripe_sandbox.server import run_in_thread
from stripe_sandbox.settings import Settings

HERE = Path(__file__).parent
NO_NETWORK = """
import os, sys
def stop(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo"):
        print("NETWORK", event, arguments, flush=True)
        os._exit(99)
sys.addaudithook(stop)
import pytest
sys.exit(pytest.main([sys.argv[1], "--stripe-live", "-q", "-s", "-p", "no:cacheprovider"]))
"""


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Target]:
    """A sandbox in which nothing else happens."""
    with run_in_thread(Settings(rate_limit=0)) as sandbox:
        yield Target(sandbox.url, "sk_test_contract", "run1", tmp_path / "made")


@pytest.fixture
def plain(own: Target) -> Iterator[Sdk]:
    with sdk(own, marking=False) as client:
        yield client


@pytest.mark.parametrize(
    "key",
    ["sk_live_51Abcdefghijklmnop", "rk_live_51Abcdefghijklmnop", "pk_test_51Abcdefghijklmnop", "sk_test_",
     "sk_test_ab\nsk_live_cd", " sk_test_51Abcdefghijklmnop"],
)  # fmt: skip
def test_only_a_test_key_will_do(key: str) -> None:
    with pytest.raises(NoTestKey, match="not a key of test mode") as refused:
        live_test_key({VARIABLE: key})
    assert "Abcdefgh" not in str(refused.value)
    assert live_test_key({VARIABLE: "rk_test_51Abcdefghijklmnop"}) == "rk_test_51Abcdefghijklmnop"


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        pytest.param({}, f"{VARIABLE} is not set", marks=pytest.mark.long),
        ({VARIABLE: "sk_live_51Abcdefghijklmnop"}, "not a key of test mode"),
    ],
)
def test_without_a_test_key_nothing_is_sent(environ: dict[str, str], told: str) -> None:
    others = {name: value for name, value in os.environ.items() if name != VARIABLE}
    line = [sys.executable, "-c", NO_NETWORK, str(HERE)]
    ended = subprocess.run(
        line, env={**others, **environ}, cwd=HERE.parents[1], capture_output=True, text=True, timeout=300
    )
    output = ended.stdout + ended.stderr
    assert ended.returncode == pytest.ExitCode.USAGE_ERROR, output
    assert told in output
    assert "NETWORK" not in output
    assert "Abcdefgh" not in output


@pytest.mark.long
def test_with_a_test_key_the_network_is_asked_for() -> None:
    """So that the test above can fail: the same line with a test key does reach out."""
    environ = {**os.environ, VARIABLE: "sk_test_51Abcdefghijklmnop"}
    line = [sys.executable, "-c", NO_NETWORK, f"{HERE}/test_gateway.py::test_account"]
    ended = subprocess.run(line, env=environ, cwd=HERE.parents[1], capture_output=True, text=True, timeout=300)
    assert "NETWORK socket.getaddrinfo ('api.stripe.com', 443" in ended.stdout, ended.stdout + ended.stderr


def make_everything(api: Sdk) -> dict[str, Any]:
    """One of each kind, in the state that is hardest to remove."""
    customer = paying_customer(api)
    other = api.customers.create()
    plan = price(api)
    coupon = api.coupons.create({"percent_off": 10, "duration": "once"})
    methods = {"automatic_payment_methods": {"enabled": True, "allow_redirects": "never"}}
    card = {"payment_method": "pm_card_chargeDeclined", "confirm": True, **methods}
    declined = refusal(official.CardError, api.payment_intents.create, {"amount": 100, "currency": "usd", **card})
    opened = api.invoices.finalize_invoice(drafted(api, other.id, 500).id)
    uncollectible = api.invoices.finalize_invoice(drafted(api, other.id, 500).id)
    api.invoices.mark_uncollectible(uncollectible.id)
    api.invoice_items.create({"customer": other.id, "amount": 900, "currency": "usd"})
    meter = {"display_name": "Calls", "event_name": "calls", "default_aggregation": {"formula": "sum"}}
    promotion = {"type": "coupon", "coupon": coupon.id}
    return {
        "customer": customer,
        "other": other,
        "clocked": clocked(api, "2027-01-01"),
        "plan": plan,
        "bare product": api.products.create({"name": "Bare"}),
        "subscription": subscribe(api, customer, plan),
        "draft": drafted(api, other.id, 500, auto_advance=True),
        "open": opened,
        "uncollectible": uncollectible,
        "declined": declined.json_body["error"]["payment_intent"]["id"],
        "intent": api.payment_intents.create({"amount": 100, "currency": "usd"}),
        "endpoint": api.webhook_endpoints.create({"url": "https://example.com/x", "enabled_events": ["*"]}),
        "coupon": coupon,
        "promotion": api.promotion_codes.create({"promotion": promotion}),
        "tax": api.tax_rates.create({"display_name": "VAT", "percentage": 10, "inclusive": False}),
        "meter": api.billing.meters.create(meter),
    }


def assert_all_gone(api: Sdk, made: dict[str, Any]) -> None:
    assert api.customers.list().data == []
    assert api.test_helpers.test_clocks.list().data == []
    assert api.subscriptions.list().data == []
    assert {one.status for one in api.invoices.list({"limit": 100}).data} == {"paid", "void"}
    assert api.invoice_items.list({"pending": True}).data == []
    for intent in (made["declined"], made["intent"].id):
        assert api.payment_intents.retrieve(intent).status == "canceled"
    for listed in (api.webhook_endpoints, api.coupons):
        assert listed.list().data == []
    for listed in (api.prices, api.products, api.promotion_codes, api.tax_rates):
        assert listed.list({"active": True}).data == []
    assert [one.name for one in api.products.list().data] == ["Plan"], "one that never had a price is deleted"
    assert api.billing.meters.list({"status": "active"}).data == []


def test_all_is_removed_also_when_a_test_fails(own: Target, plain: Sdk) -> None:
    made: dict[str, Any] = {}

    def failing() -> None:
        with cleaned(own), sdk(own) as api:
            made.update(make_everything(api))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing()
    assert_all_gone(plain, made)
    assert own.notes.read_text() == ""


@pytest.mark.long
def test_a_killed_run_is_cleaned_up_after_by_the_next(own: Target, plain: Sdk) -> None:
    with sdk(own) as api:
        made = make_everything(api)
    with own.notes.open("a") as notes:
        notes.write('["customer", "cus_cut')
    with cleaned(own):
        assert_all_gone(plain, made)


def test_all_that_can_bear_a_mark_does(own: Target) -> None:
    with sdk(own) as api:
        made = make_everything(api)
    del made["declined"], made["meter"]
    clock = made["clocked"].test_clock
    marked = {name: one.metadata.to_dict().get(MARK) for name, one in made.items()}
    assert marked == dict.fromkeys(made, "run1")
    with sdk(own) as api:
        assert api.test_helpers.test_clocks.retrieve(clock).name == f"{MARK} run1"
        assert api.products.retrieve(made["plan"].product).name == "Plan"
    with gateway(own) as stripe:
        assert stripe.change("customers", params={"metadata": {"user": "u1"}}, key="key")["metadata"] == {
            MARK: "run1",
            "user": "u1",
        }


def test_what_others_made_stays(own: Target, plain: Sdk) -> None:
    theirs = paying_customer(plain)
    with cleaned(own), sdk(own) as api:
        api.customers.create()
    assert [one.id for one in plain.customers.list().data] == [theirs.id]


def test_what_could_not_be_removed_is_told_and_tried_again(own: Target, plain: Sdk) -> None:
    with sdk(own) as api:
        kept, gone = api.customers.create(), api.coupons.create({"percent_off": 10})
    fault = {"on": "request", "method": "DELETE", "path": "/v1/customers", "status": 403}
    ask(f"{own.base}/_sandbox/faults", "POST", fault)
    with pytest.raises(ExceptionGroup, match=f"left at .*: {kept.id}"):
        clean_up(own)
    assert plain.coupons.list().data == [] and gone.id not in own.notes.read_text()
    clean_up(own)
    assert (plain.customers.list().data, own.notes.read_text()) == ([], "")


def test_keys_are_this_runs_own(own: Target) -> None:
    """Stripe keeps answers for 24 hours; the next run must not get this one's."""
    key: Any = {"idempotency_key": "the-key"}
    with sdk(own) as api:
        first = api.customers.create({}, key)
        assert api.customers.create({}, key).id == first.id
    with sdk(Target(own.base, own.key, "run2", own.notes)) as api:
        assert api.customers.create({}, key).id != first.id
