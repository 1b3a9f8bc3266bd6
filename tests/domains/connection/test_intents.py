"""Intents that are held, waited for, and listed; the budget of calls that all processes share."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from money_bench import Bench, Books
from money_seams import Crash, Pause, fragile

from nself.domains.connection.inputs import ListIntents
from nself.domains.connection.model import StillPending
from nself.domains.connection.service import check, intents


def killed() -> None:
    raise Crash


def test_a_command_waits_for_what_a_killed_process_held(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(intents, "PATIENCE", 0.2)
    app = bench.app(STRIPE_TIMEOUT="400ms")
    bench.use(app, "user", 120)
    dying = fragile(bench, Pause("after change customers", killed), STRIPE_TIMEOUT="400ms")
    began = time.monotonic()
    with pytest.raises(Crash):
        bench.create(dying, "user")
    bench.whole_run(app, "user")
    assert time.monotonic() - began >= 2.4  # six times the timeout
    assert bench.books("user") == Books(1, [("paid", 500)], [("api_calls", 500)], [500])
    bench.check_quiet()


def test_a_command_does_not_wait_long_for_a_stripe_that_is_down(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(intents, "PATIENCE", 0.2)
    bench.sandbox.fault(".*", status=503, times=1000)
    began = time.monotonic()
    with pytest.raises(StillPending, match="Stripe answered 503"):
        bench.create(bench.app(STRIPE_MAX_RETRIES="0"), "user")
    assert time.monotonic() - began < 60
    (shown,) = intents.list_intents(bench.apps[0], ListIntents(state="pending"))
    assert (shown.operation, shown.kind, shown.error_code) == ("test:customer:user:1", "customer.create", "api_error")
    assert intents.list_intents(bench.apps[0], ListIntents(state="failed")) == []


def test_no_second_gets_more_calls_than_the_limit_from_any_number_of_askers(bench: Bench):
    app = bench.app(STRIPE_RATE_LIMIT="10", STRIPE_RATE_LIMIT_BUFFER="0.7")
    with ThreadPoolExecutor(8) as pool:
        granted = list(pool.map(lambda want: check.lease_calls(app, want), [3] * 40))
    seconds = bench.sql("select second, granted from billing_call_budget")
    assert sum(granted) == sum(count for _, count in seconds)
    assert all(count <= 7 for _, count in seconds)
    assert set(granted) <= {0, 1, 3}


def test_what_was_granted_in_hours_long_past_is_forgotten(bench: Bench):
    bench.sql("insert into billing_call_budget values (false, 1, 1, 1), (true, 1, 1, 1)")
    check.lease_calls(bench.apps[0], 1)
    assert bench.sql("select livemode from billing_call_budget where second = 1") == [(True,)]
