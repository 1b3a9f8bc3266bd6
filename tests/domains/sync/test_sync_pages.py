"""A page of objects that is stored at once is stored as its objects one by one would be."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from money_bench import NOW, Bench

from nself.app import App
from nself.domains.sync.inputs import Reconcile, ShowDiff
from nself.domains.sync.model import RunResult
from nself.domains.sync.service import look, run


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """An outage is given up at once."""
    monkeypatch.setattr(run, "PATIENCE", 0.0)
    monkeypatch.setattr(run, "LONGEST_PAUSE", 0.01)


def reconcile(app: App, **given: Any) -> RunResult:
    return run.reconcile(app, Reconcile(**given))


def states(app: App) -> dict[str, str]:
    return {one.object: one.state for one in look.show_diff(app, ShowDiff())}


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("a\0b", "a\ufffdb"),
        ("\\u0000", "\\u0000"),
        ("\xfc\U0001f600\u2028", "\xfc\U0001f600\u2028"),
        ("1e400", "1e400"),
    ],
)
def test_texts_that_postgresql_has_not_hold_nothing_up(bench: Bench, text: str, kept: str):
    app = bench.app()
    made = [bench.sandbox.post("/v1/products", name=f"product {n}")["id"] for n in range(3)]
    reconcile(app)
    for id in made:
        bench.sandbox.edit("product", id, webhook=False, metadata={"note": text})
    assert (reconcile(app).refused, states(app)) == (0, dict.fromkeys(made, "healed"))
    assert bench.sql("select distinct snapshot -> 'metadata' ->> 'note' from billing_products") == [(kept,)]
    assert reconcile(app).differences == 0


def test_two_customers_of_one_user_in_a_page(bench: Bench):
    app = bench.app()
    bench.sql("insert into auth.users (id, email) values ('u1', 'u1@example.com') on conflict do nothing")
    made = [
        bench.sandbox.post(
            "/v1/customers", email=f"c{n}@example.com", metadata={"nself_user": "u1" if n < 2 else f"v{n}"}
        )["id"]
        for n in range(4)
    ]
    result = reconcile(app)
    users = dict(bench.sql("select customer_id, user_id from billing_customers"))
    print(result, users)
    assert result.refused == 0
    assert [users[id] for id in made].count("u1") == 1
    assert reconcile(app).differences == 0


@pytest.mark.parametrize(("tried", "cause"), [("1 minute", "changed by hand"), ("3 minutes", "event failed")])
def test_an_event_that_failed_is_no_cause_of_what_comes_after_it_was_made_up_for(bench: Bench, tried: str, cause: str):
    made = bench.sandbox.post("/v1/products", name="product")["id"]
    reconcile(bench.app())
    bench.sql(
        "insert into billing_webhook_events (event_id, type, object_id, object_kind, livemode, event_created_at, payload, status,"
        " error, received_at, claimed_at) select 'evt_failed', 'product.updated', %s, 'product', false, at, '{}',"
        " 'failed_permanent', 'boom', at, at + %s::interval from (values (%s)) as given (at)",
        made, tried, NOW,
    )  # fmt: skip
    bench.sandbox.edit("product", made, webhook=False, name="failed")
    reconcile(bench.app(clock=lambda: NOW + timedelta(minutes=2)))
    bench.sandbox.edit("product", made, webhook=False, name="by hand")
    app = bench.app(clock=lambda: NOW + timedelta(minutes=4))
    reconcile(app)
    assert {one.object: one.cause for one in look.show_diff(app, ShowDiff())} == {made: cause}
