"""A page of objects that is stored at once is stored as its objects one by one would be."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from money_bench import NOW, Bench

from nself.app import App
from nself.domains.mirror import service as mirror
from nself.domains.mirror.model import Picture
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


def test_deleted_and_living_customers_and_one_overtaken_in_one_page(bench: Bench):
    """As one by one: the deleted one keeps its user, the other one gets nobody's, and what is newer here stays."""
    app = bench.app()
    made = [
        bench.sandbox.post("/v1/customers", email=f"{n}@example.com", metadata={"nself_user": f"u{n}"})
        for n in range(4)
    ]
    ids = [one["id"] for one in made]
    reconcile(app)
    pictures = [Picture({**one, "name": "new"}, mirror.draw(app), "test", "v") for one in made[:2]] + [
        Picture({"id": ids[2], "object": "customer", "deleted": True, "livemode": False}, mirror.draw(app), "test", "v")
    ]
    app.db.transact(lambda tx: mirror.accept_all(app, tx, pictures))
    stale = Picture({**made[1], "name": "stale"}, 1, "test", "v")
    newer = Picture({**made[3], "name": "newer"}, mirror.draw(app), "test", "v")
    with pytest.raises(mirror.Overtaken):
        app.db.transact(lambda tx: mirror.accept_all(app, tx, [newer, stale]))
    assert bench.sql("select customer_id, user_id, deleted, name from billing_customers order by user_id") == [
        (ids[0], "u0", False, "new"), (ids[1], "u1", False, "new"), (ids[2], "u2", True, None), (ids[3], "u3", False, None),
    ]  # fmt: skip
    changes = bench.sql("select object_id, what from billing_object_changes where source = 'test' order by id")
    assert sorted(changes) == sorted([(ids[0], "updated"), (ids[1], "updated"), (ids[2], "deleted")])


def test_an_invoice_without_all_its_lines_in_a_page_is_fetched_by_itself(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    app = bench.app()
    owner = bench.sandbox.post("/v1/customers", email="user@example.com")["id"]
    made = list[str]()
    for number in range(3):
        bench.sandbox.post("/v1/invoiceitems", customer=owner, amount=500 + number, currency="usd")
        made.append(bench.sandbox.post("/v1/invoices", customer=owner, pending_invoice_items_behavior="include")["id"])
    page = type(app.stripe).page

    def in_part(self: Any, kind: str, **given: Any) -> Any:
        found = page(self, kind, **given)
        for one in found.objects:
            if one["id"] == made[1]:
                one["lines"] = {**one["lines"], "data": [], "has_more": True}
        return found

    monkeypatch.setattr(type(app.stripe), "page", in_part)
    result = reconcile(app)
    assert (result.state, result.refused) == ("done", 0)
    lines = bench.sql("select invoice_id, jsonb_array_length(snapshot -> 'lines' -> 'data') from billing_invoices")
    assert dict(lines) == dict.fromkeys(made, 1)
