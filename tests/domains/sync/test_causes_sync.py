"""Root causes of chapter 7: why the mirror and Stripe differ, and why a run does not end."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from money_bench import NOW, Bench, email

from nself.app import App
from nself.diagnosis import Look
from nself.domains.mirror.model import Picture
from nself.domains.sync import rules
from nself.domains.sync.inputs import Reconcile
from nself.domains.sync.model import Finding, Run, RunStopped
from nself.domains.sync.service import run
from nself.domains.sync.service.causes import CAUSES
from subscribing import Shop


def found(app: App) -> set[str]:
    look = Look(app)
    return {one.id for one in CAUSES if one.detect(look)}


def compared(bench: Bench) -> tuple[App, str]:
    """Everything is here, and its events are long ago."""
    id = str(bench.sandbox.post("/v1/customers", email=email("a"))["id"])
    created = bench.sandbox.events()[-1]["created"]
    app = bench.app(clock=lambda: NOW.fromtimestamp(created, NOW.tzinfo) + timedelta(minutes=10))
    run.reconcile(app, Reconcile())
    return app, id


def test_nothing_is_found_where_all_is_the_same(bench: Bench):
    app, _ = compared(bench)
    assert found(app) == set()


def test_a_difference_by_its_cause(bench: Bench):
    app, id = compared(bench)
    bench.sandbox.edit("customer", id, webhook=False, name="by hand")
    assert found(app) == {"7.1.2"}
    bench.sql('update billing_customers set snapshot = snapshot || \'{"name": "c"}\' where customer_id = %s', id)
    assert found(app) == {"7.1.3"}
    bench.sql("delete from billing_customers where customer_id = %s", id)
    assert found(app) == {"7.2.4"}
    bench.sql("delete from billing_object_changes where object_id = %s", id)
    bench.sql("delete from billing_webhook_events where object_id = %s", id)
    assert found(app) == {"7.2.1"}
    bench.sql("update billing_sync_runs set heal = false")
    assert found(app) == {"7.2.2"}


def test_an_archived_price_is_nobody_s_change_of_its_subscriptions(bench: Bench):
    """A subscription shows its price; of a change Stripe makes an event of the price alone."""
    shop = Shop(bench, {})
    price = shop.price()
    shop.subscribe(shop.customer(bench.app(), "u"), price)
    bench.deliver(bench.app())
    bench.work(bench.app())
    app, _ = compared(bench)
    bench.sandbox.post(f"/v1/prices/{price}", active=False)
    bench.deliver(bench.app())
    bench.work(bench.app())
    later = bench.app(clock=lambda: app.clock() + timedelta(minutes=20))
    assert found(later) == set()
    assert run.reconcile(later, Reconcile()).by_cause == {"follows its price": 1}
    assert run.reconcile(later, Reconcile()).by_cause == {}


@pytest.mark.parametrize(
    ("fields", "follows"),
    [
        (["items.si_1.price.active"], True),
        (["items.si_1.plan.active", "items.si_1.price.nickname"], True),
        (["items.si_1.price.id", "items.si_1.price.unit_amount"], False),
        (["items.si_1.price.active", "metadata.by"], False),
    ],
)
def test_what_a_subscription_only_shows_of_its_price(fields: list[str], follows: bool):
    assert all(rules.PRICE_OF_ITEM.fullmatch(one) for one in fields) is follows


def test_what_happens_now_is_no_difference(bench: Bench):
    app, id = compared(bench)
    bench.sandbox.edit("customer", id, name="told by an event")
    created = bench.sandbox.events()[-1]["created"]
    young = bench.app(clock=lambda: NOW.fromtimestamp(created, NOW.tzinfo) + timedelta(minutes=1))
    assert found(young) == set()
    assert found(app) == {"7.1.2"}  # ten minutes later nothing has come
    bench.deliver(bench.app())
    assert found(app) == set()  # it waits to be processed


def test_a_failed_event_counts_when_it_is_stuck(bench: Bench):
    app, id = compared(bench)
    bench.sandbox.edit("customer", id, name="refused")
    bench.deliver(bench.app())
    bench.sql("update billing_webhook_events set status = 'failed', attempts = 1, error = 'internal_error: refused'")
    bench.sql("update billing_webhook_events set received_at = %s", app.clock())
    assert found(app) == set()
    bench.sql("update billing_webhook_events set attempts = 3")
    assert found(app) == {"7.1.1"}
    bench.sql("delete from billing_customers where customer_id = %s", id)
    assert found(app) == {"7.2.3"}


@pytest.mark.parametrize(
    ("fault", "cause"), [({"drop": True}, "7.1.4"), ({"status": 429}, "7.3.2"), ({"status": 503}, "")]
)
def test_a_run_that_broke_off(bench: Bench, monkeypatch: pytest.MonkeyPatch, fault: dict[str, Any], cause: str):
    monkeypatch.setattr(run, "PATIENCE", 0.0)
    app = bench.app(STRIPE_MAX_RETRIES="0")
    bench.sandbox.fault("/v1/products", "GET", times=50, **fault)
    with pytest.raises(RunStopped):
        run.reconcile(app, Reconcile())
    assert found(app) == ({cause} if cause else set())
    bench.sandbox.admin("faults/clear")
    run.reconcile(app, Reconcile(resume=True))
    assert found(app) == set()


def test_a_run_that_waits_says_why(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    """And forgets it when it moves on."""
    said = list[Any]()

    def look(_: float) -> None:
        said.extend(bench.sql("select state, error from billing_sync_runs"))

    monkeypatch.setattr(run.time, "sleep", look)
    bench.sandbox.fault("/v1/products", "GET", times=1, status=429)
    run.reconcile(bench.app(STRIPE_MAX_RETRIES="0"), Reconcile())
    assert [(state, str(error).partition(":")[0]) for state, error in said] == [("running", "rate_limit")]
    assert bench.sql("select state, error from billing_sync_runs") == [("done", None)]


STOPPED = Run(
    id=1, purpose="reconcile", livemode=False, heal=True, kinds=["product"], created_from=None, created_to=None, batch_size=100,
    state="stopped", kind_number=1, page_after=None, page_bound=None, pages=1, checked=100, totals={}, actor="a", worker="a:1",
    fence=1, leased=False, started_at=NOW - timedelta(minutes=2), moved_at=NOW - timedelta(minutes=1), finished_at=NOW, error="KeyboardInterrupt: ",
)  # fmt: skip
NO_CONNECTION = "database_unavailable: Database connection failed: couldn't get a connection after 30.00 sec"


@pytest.mark.parametrize(
    ("changes", "alive", "expected", "why"),
    [
        ({}, False, 1000, None),
        ({}, False, 100_000, "records"),
        ({"state": "done"}, False, 100_000, None),
        ({"error": NO_CONNECTION}, False, 1000, "pool"),
        ({"error": "database_unavailable: Database connection failed: refused"}, False, 1000, None),
        ({"error": "MemoryError: "}, False, 1000, "memory"),
        ({"state": "running", "error": None}, False, 1000, "memory"),
        ({"state": "running", "error": None}, True, 1000, None),
        ({"state": "running", "error": None, "purpose": "auto"}, False, 100_000, None),
        ({"state": "running", "error": "rate_limit: Rate limit exceeded"}, True, 1000, None),
        ({"state": "running", "error": "rate_limit: …", "moved_at": NOW - timedelta(minutes=5)}, True, 1000, "rate"),
        ({"state": "running", "error": "api_connection_error: …", "purpose": "auto"}, False, 1000, "network"),
    ],
)
def test_why_a_run_does_not_end(changes: dict[str, Any], alive: bool, expected: int, why: str | None):
    broken = rules.broken(msgspec.structs.replace(STOPPED, **changes), alive, expected, NOW)
    assert (broken.why if broken else None) == why


@pytest.mark.parametrize(
    "status, fields, follows",
    [
        ("draft", ["amount_due", "starting_balance"], True),
        ("draft", ["amount_due", "total"], False),
        ("open", ["amount_due"], False),
    ],
)
def test_what_a_draft_shows_of_the_customer_s_balance_is_nobody_s_change(status: str, fields: list[str], follows: bool):
    picture = Picture({"id": "in_1", "object": "invoice", "status": status}, 1, "test", "v")
    one = Finding(
        kind="invoice", id="in_1", cause="money total differs", detail="", action="update", money=True,
        changes=[{"field": field} for field in fields], picture=picture,
    )  # fmt: skip
    assert rules.follows_balance(one) is follows
