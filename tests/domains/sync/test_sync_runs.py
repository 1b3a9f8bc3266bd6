"""Runs over all objects: everything here becomes what is at Stripe, each difference with its cause, and nothing is lost on the way."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any

import psycopg
import pytest
from money_bench import NOW, Bench
from money_seams import Crash, Pause, Seams, fragile

from nself.app import App
from nself.core.errors import InvalidParameter
from nself.db.connect import Tx
from nself.domains.mirror import service as mirror
from nself.domains.sync.inputs import CompareAll, FindInconsistencies, Nothing, Reconcile, ShowDiff, SyncAll
from nself.domains.sync.model import Difference, Finding, NeverRun, NoSuchRun, RunResult, RunStopped, RunUnderWay
from nself.domains.sync.service import auto, look, page, run
from nself.gateway.kinds import KINDS


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """An outage is given up at once."""
    monkeypatch.setattr(run, "PATIENCE", 0.0)
    monkeypatch.setattr(run, "LONGEST_PAUSE", 0.01)


def reconcile(app: App, **given: Any) -> RunResult:
    return run.reconcile(app, Reconcile(**given))


def found(app: App, id: int | None = None) -> dict[str, tuple[str, str, str]]:
    """Object -> cause, action, state."""
    return {one.object: (one.cause, one.action, one.state) for one in diff(app, id)}


def diff(app: App, id: int | None = None) -> list[Difference]:
    return look.show_diff(app, ShowDiff(run=id))


def products(bench: Bench, count: int) -> list[str]:
    return [bench.sandbox.post("/v1/products", name=f"product {n}")["id"] for n in range(count)]


def names(bench: Bench) -> dict[str, str]:
    return dict(bench.sql("select object_id, snapshot ->> 'name' from billing_products where not deleted"))


def at_stripe(bench: Bench) -> dict[str, str]:
    return {one["id"]: one["name"] for one in bench.sandbox.get("/v1/products", limit=100)}


def settled(bench: Bench, app: App) -> App:
    """Everything that is at Stripe is here, a whole run was done, and its events are a second ago."""
    reconcile(app)
    bench.sandbox.admin("clock", advance=2)
    return app


# What a run does


def test_the_first_run_imports_everything(bench: Bench):
    app, made = bench.app(), products(bench, 3)
    result = reconcile(app)
    assert (result.state, result.checked, result.differences, result.by_cause) == (
        "done",
        3,
        3,
        {"not imported yet": 3},
    )
    assert names(bench) == at_stripe(bench)
    assert found(app) == dict.fromkeys(made, ("not imported yet", "import", "healed"))
    assert reconcile(app).differences == 0


def test_a_dry_run_plans_and_changes_nothing(bench: Bench):
    app, made = bench.app(), products(bench, 2)
    result = reconcile(app, dry_run=True)
    assert (result.differences, result.open, names(bench)) == (2, 2, {})
    assert found(app) == dict.fromkeys(made, ("not imported yet", "import", "open"))
    assert run.sync_all(app, SyncAll()).open == 2
    assert run.compare(app, CompareAll(exit_code=True)).ok is False
    assert run.compare(app, CompareAll()).ok is True
    assert names(bench) == {}
    assert run.sync_all(app, SyncAll(execute=True)).differences == 2
    assert names(bench) == at_stripe(bench)


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_every_difference_is_found_with_its_cause(bench: Bench, size: int):
    app = bench.app()
    same, edited, unheard, tampered, lost, deleted, failed = products(bench, 7)
    settled(bench, app)
    bench.sandbox.edit("product", edited, webhook=False, name="by hand")
    bench.sandbox.edit("product", unheard, name="an event that never arrives")
    bench.sandbox.edit("product", deleted, webhook=False, delete=True)
    bench.sandbox.edit("product", failed, webhook=False, name="failed")
    bench.sql(
        'update billing_products set snapshot = snapshot || \'{"name": "tampered"}\' where object_id = %s', tampered
    )
    bench.sql("delete from billing_objects where object_id = %s", lost)
    bench.sql(
        "insert into billing_webhook_events (event_id, type, object_id, object_kind, livemode, event_created_at, payload, status,"
        " error, received_at) values ('evt_failed', 'product.updated', %s, 'product', false, now(), '{}', 'failed_permanent',"
        " 'internal_error: boom', now())",
        failed,
    )
    result = reconcile(app, batch_size=size)
    assert found(app) == {
        edited: ("changed by hand", "update", "healed"),
        unheard: ("event missing", "update", "healed"),
        tampered: ("local write lost", "update", "healed"),
        lost: ("deleted locally", "import", "healed"),
        deleted: ("deleted at Stripe", "mark deleted", "healed"),
        failed: ("event failed", "update", "healed"),
    }
    assert (result.checked, same in found(app)) == (7, False)
    assert names(bench) == at_stripe(bench)
    by_object = {one.object: one for one in diff(app)}
    assert by_object[failed].detail == "evt_failed: internal_error: boom"
    assert by_object[edited].changes == [{"field": "name", "before": "product 1", "after": "by hand"}]
    assert bench.sql("select cause from billing_object_changes where object_id = %s order by id", edited) == [
        ("not imported yet",), ("changed by hand",),
    ]  # fmt: skip
    assert reconcile(app).differences == 0


def test_nothing_is_ever_deleted_here(bench: Bench):
    app = bench.app()
    (made,) = products(bench, 1)
    settled(bench, app)
    bench.sandbox.edit("product", made, webhook=False, delete=True)
    reconcile(app)
    assert bench.sql("select deleted, snapshot ->> 'name' from billing_products") == [(True, "product 0")]


def test_payment_methods_of_a_deleted_customer_are_asked_for_one_by_one(bench: Bench):
    """Stripe lists them no more, and yet cards are renewed after it."""
    app = bench.app()
    customer = bench.sandbox.post("/v1/customers", email="a@example.com", payment_method="pm_card_visa")["id"]
    (card,) = bench.sandbox.get("/v1/payment_methods", customer=customer)
    settled(bench, app)
    bench.sandbox.edit("payment_method", card["id"], webhook=False, metadata={"renewed": "yes"})
    bench.sandbox.edit("customer", customer, webhook=False, delete=True)
    assert set(found(app, reconcile(app).run)) == {customer, card["id"]}
    ((kept,),) = bench.sql("select snapshot from billing_payment_methods where not deleted")
    assert kept["metadata"] == {"renewed": "yes"}
    assert reconcile(app).differences == 0


def test_every_kind_is_read_to_its_end(bench: Bench):
    app = bench.app()
    for number in range(3):
        customer = bench.sandbox.post(
            "/v1/customers", email=f"user{number}@example.com", payment_method="pm_card_visa",
            invoice_settings={"default_payment_method": "pm_card_visa"},
        )  # fmt: skip
        bench.sandbox.post("/v1/invoiceitems", customer=customer["id"], amount=500 + number, currency="usd")
        invoice = bench.sandbox.post("/v1/invoices", customer=customer["id"], pending_invoice_items_behavior="include")
        bench.sandbox.post(f"/v1/invoices/{invoice['id']}/finalize")
        bench.sandbox.post(f"/v1/invoices/{invoice['id']}/pay")
    result = reconcile(app, batch_size=2)
    for kind in KINDS.keys() - {"payment_method"}:
        theirs = {one["id"] for one in app.stripe.page(kind).objects}
        ours = {id for (id,) in bench.sql("select object_id from billing_mirror where kind = %s and not deleted", kind)}
        assert ours == theirs, kind
    assert bench.sql("select count(*) from billing_payment_methods")[0][0] >= 3
    assert {(one.kind, one.here_minor, one.stripe_minor) for one in result.totals} == {
        ("invoice total", 1503, 1503), ("invoice amount_paid", 1503, 1503), ("payment_intent amount_received", 1503, 1503)
    }  # fmt: skip
    assert run.compare(app, CompareAll()).differences == 0


def test_sums_of_money_that_differ_are_told(bench: Bench):
    app = bench.app()
    customer = bench.sandbox.post("/v1/customers", email="user@example.com", payment_method="pm_card_visa")["id"]
    bench.sandbox.post("/v1/invoiceitems", customer=customer, amount=500, currency="usd")
    invoice = bench.sandbox.post("/v1/invoices", customer=customer, pending_invoice_items_behavior="include")["id"]
    bench.sandbox.post(f"/v1/invoices/{invoice}/finalize")
    settled(bench, app)
    bench.sql(
        "update billing_invoices set snapshot = snapshot || '{\"total\": 400}', digest = md5((snapshot || '{\"total\": 400}')::text)"
    )
    result = run.compare(app, CompareAll())
    assert result.by_cause == {"money total differs": 1}
    assert [(one.here_minor, one.stripe_minor, one.equal) for one in result.totals if one.kind == "invoice total"] == [
        (400, 500, False)
    ]
    assert reconcile(app).totals[-1].equal


def test_dates_choose_what_was_created_in_them(bench: Bench):
    app = bench.app()
    (old,) = products(bench, 1)
    bench.sandbox.admin("clock", advance=10 * 86400)
    (new,) = products(bench, 1)
    day = datetime.fromtimestamp(bench.sandbox.get(f"/v1/products/{old}")["created"], UTC)
    assert reconcile(app, start=f"{day:%Y-%m-%d}", end=f"{day:%Y-%m-%d}").checked == 1
    assert names(bench) == {old: "product 0"}
    result = reconcile(app, start=f"{day + timedelta(days=1):%Y-%m-%d}")
    assert (result.checked, set(names(bench))) == (1, {old, new})
    with pytest.raises(InvalidParameter, match="before --end"):
        reconcile(app, start="2026-02-01", end="2026-01-31")


def test_many_objects_of_one_second_are_all_read(bench: Bench):
    app, made = bench.app(), products(bench, 9)
    assert reconcile(app, batch_size=2).checked == 9
    calls = app.stripe.counters().calls
    assert reconcile(app, batch_size=2).differences == 0
    assert app.stripe.counters().calls - calls <= 5 + len(KINDS) + 2
    bench.sandbox.edit("product", made[4], webhook=False, delete=True)
    reconcile(app, batch_size=2)
    assert set(names(bench)) == set(made) - {made[4]}


# What happens meanwhile


def test_an_object_that_is_deleted_while_it_is_the_cursor(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    app, made = bench.app(), products(bench, 6)
    page = type(app.stripe).page
    seen = list[str]()

    def deleting(self: Any, kind: str, **given: Any) -> Any:
        if kind == "product" and given.get("after") and not seen:
            seen.append(given["after"])
            bench.sandbox.edit("product", given["after"], delete=True)
        return page(self, kind, **given)

    monkeypatch.setattr(type(app.stripe), "page", deleting)
    reconcile(app, batch_size=2)
    reconcile(app)
    assert set(names(bench)) == set(made) - set(seen)


def test_an_outage_stops_the_run_and_resume_goes_on(bench: Bench):
    app, made = bench.app(), products(bench, 6)
    bench.sandbox.fault("/v1/products", "GET", times=50, status=503)
    with pytest.raises(RunStopped, match="Run 1 stopped at product"):
        reconcile(app, batch_size=2)
    status = look.reconcile_status(app, Nothing())
    assert isinstance(status, RunResult) and (status.state, status.checked) == ("stopped", 0)
    bench.sandbox.admin("faults/clear")
    result = reconcile(app, resume=True)
    assert (result.run, result.state, result.checked) == (1, "done", len(made))
    assert names(bench) == at_stripe(bench)
    assert "nothing was left to resume" in reconcile(app, resume=True).note


@pytest.mark.parametrize(
    "given",
    [{"start": "0001-01-01"}, {"end": "1969-12-30"}, {"start": ""}, {"end": ""}]
    + [
        {"resume": True, **one}
        for one in ({"dry_run": True}, {"kind": "product"}, {"start": "2026-01-01"}, {"batch_size": 1})
    ],
)
def test_what_cannot_be_run_leaves_no_run_behind(bench: Bench, given: dict[str, Any]):
    app = bench.app()
    with pytest.raises(InvalidParameter):
        reconcile(app, **given)
    assert isinstance(look.reconcile_status(app, Nothing()), NeverRun)


def test_an_outage_before_the_first_page_is_waited_for(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(run, "PATIENCE", 60.0)
    app, made = bench.app(STRIPE_MAX_RETRIES="0"), products(bench, 3)
    bench.sandbox.fault("/v1/events", "GET", times=3, status=503)
    assert reconcile(app).checked == len(made)


def test_an_outage_before_the_first_page_stops_the_run_with_what_to_do(bench: Bench):
    app = bench.app(STRIPE_MAX_RETRIES="0")
    bench.sandbox.fault("/v1/events", "GET", times=50, status=503)
    with pytest.raises(RunStopped):
        reconcile(app)
    assert bench.sql("select state from billing_sync_runs") == [("stopped",)]


def test_resume_goes_on_with_whatever_was_stopped(bench: Bench):
    app, made = bench.app(), products(bench, 3)
    reconcile(app)
    bench.sandbox.edit("product", made[0], webhook=False, name="by hand")
    bench.sandbox.fault("/v1/products", "GET", times=50, status=503)
    with pytest.raises(RunStopped):
        run.sync_all(app, SyncAll(execute=True))
    with pytest.raises(RunStopped) as stopped:
        run.compare(app, CompareAll())
    assert stopped.value.hint[0] == "nself billing sync compare"
    bench.sandbox.admin("faults/clear")
    result = reconcile(app, resume=True)
    assert (result.purpose, result.state) == ("sync", "done")
    assert names(bench) == at_stripe(bench)


def test_a_rate_limit_slows_a_run_and_is_never_counted_as_done(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(run, "PATIENCE", 60.0)
    app, made = bench.app(STRIPE_MAX_RETRIES="0"), products(bench, 5)
    bench.sandbox.fault("/v1/products", "GET", times=3, status=429)
    assert reconcile(app, batch_size=2).checked == len(made)
    assert names(bench) == at_stripe(bench)


def test_what_the_database_refuses_is_told_and_holds_nothing_up(bench: Bench):
    app, made = bench.app(), products(bench, 3)
    bench.sandbox.edit("product", made[1], webhook=False, name="bad")
    bench.sql("alter table billing_products add constraint no_bad check (snapshot ->> 'name' <> 'bad')")
    result = reconcile(app)
    assert (result.state, result.refused, result.note != "") == ("done", 1, True)
    refused = next(one for one in diff(app) if one.state == "refused")
    assert refused.object == made[1] and "no_bad" in str(refused.error)
    assert set(names(bench)) == set(made) - {made[1]}


def test_one_that_was_overtaken_does_not_hold_up_its_page(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    app, made, findings = bench.app(), products(bench, 3), page.findings

    def overtaken(*given: Any) -> list[Finding]:
        found = findings(*given)
        if "by hand" not in at_stripe(bench).values():
            bench.sandbox.edit("product", made[1], webhook=False, name="by hand")
            Context().run(mirror.refresh, bench.app(), "product", made[1], "elsewhere")
        return found

    monkeypatch.setattr(page, "findings", overtaken)
    result = reconcile(app, kind="product")
    assert (result.state, result.refused, set(found(app))) == ("done", 0, {made[0], made[2]})
    assert names(bench) == at_stripe(bench)


def test_a_page_takes_few_statements_however_many_objects_it_has(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    bench.sandbox.admin("seed", customers=30, seed=1)
    heal, execute, statements, objects = page.heal, psycopg.Cursor.execute, list[bytes](), list[int]()

    def counted(self: Any, query: bytes, *given: Any, **more: Any) -> Any:
        statements.append(query)
        return execute(self, query, *given, **more)

    def watched(app: App, tx: Tx, run: int, found: Any, overtaken: Any) -> list[Finding]:
        statements.clear()
        done = heal(app, tx, run, found, overtaken)
        objects.append(len(found))
        assert len(statements) < 16, statements
        return done

    monkeypatch.setattr(psycopg.Cursor, "execute", counted)
    monkeypatch.setattr(page, "heal", watched)
    reconcile(bench.app())
    assert max(objects) > 20


# Two at once, and kills


def leased(bench: Bench, worker: str) -> None:
    bench.sql(
        "update billing_sync_runs set lease_until = now() + interval '1 hour', state = 'running', worker = %s", worker
    )


def test_one_run_of_a_purpose_at_a_time(bench: Bench):
    app = bench.app()
    reconcile(app)
    leased(bench, "elsewhere:1")
    with pytest.raises(RunUnderWay, match=r"Run 1 \(reconcile\) is under way"):
        reconcile(app)
    with pytest.raises(RunUnderWay):
        reconcile(app, resume=True)
    assert run.compare(app, CompareAll()).state == "done"
    bench.sql("update billing_sync_runs set lease_until = now() - interval '1 second' where id = 1")
    assert reconcile(app, resume=True).run == 1


def test_what_a_process_that_is_gone_had_is_free_at_once(bench: Bench):
    app = bench.app()
    reconcile(app)
    gone = os.fork()
    if gone == 0:
        os._exit(0)
    os.waitpid(gone, 0)
    leased(bench, f"{os.uname().nodename}:{gone}")
    assert reconcile(app, resume=True).run == 1


def crashes(bench: Bench) -> Iterator[int]:
    """Runs with a crash at each seam, one after the other, until one has no seam left."""
    for at in range(1, 400):
        app = fragile(bench, Seams(at))
        try:
            reconcile(app, batch_size=2, kind="product")
        except Crash:
            yield at
            continue
        finally:
            app.close()
        return


def test_a_kill_between_any_two_lines_loses_nothing(bench: Bench):
    app, made = bench.app(), products(bench, 5)
    for at in crashes(bench):
        result = (
            reconcile(app, resume=True) if at % 2 and stands(bench) else reconcile(app, batch_size=2, kind="product")
        )
        assert result.state == "done"
        assert names(bench) == at_stripe(bench)
        assert len(names(bench)) == len(made)
        bench.sandbox.edit("product", made[at % 5], webhook=False, name=f"after crash {at}")
    assert at > 10


def stands(bench: Bench) -> bool:
    return bench.sql("select state from billing_sync_runs order by id desc limit 1") not in ([], [("done",)])


def test_a_run_that_was_taken_over_records_nothing(bench: Bench):
    made = products(bench, 4)

    def take_over() -> None:
        bench.sql("update billing_sync_runs set fence = fence + 1")

    with pytest.raises(RunUnderWay):
        reconcile(fragile(bench, Pause("after page", take_over)), batch_size=2, kind="product")
    assert names(bench) == {}
    assert bench.sql("select count(*) from billing_sync_differences") == [(0,)]
    assert len(made) == 4


# By itself


def test_the_worker_heals_by_itself_and_says_why(bench: Bench):
    app, made = bench.app(), products(bench, 3)
    assert "3 compared, 3 healed (3 not imported yet)" in auto.scheduled(app)
    bench.sandbox.admin("clock", advance=2)
    bench.sandbox.edit("product", made[0], webhook=False, name="by hand")
    assert "1 healed (1 changed by hand)" in auto.scheduled(app)
    assert names(bench) == at_stripe(bench)
    status = look.status(app, Nothing())
    assert (status.healed_last_day, status.healed_causes) == (4, {"not imported yet": 3, "changed by hand": 1})
    assert status.last_complete_run == 2


def test_it_goes_on_where_its_share_of_calls_ended(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    app, made = bench.app(STRIPE_BATCH_SIZE="1"), products(bench, 3)
    monkeypatch.setattr(auto, "SHARE", 10**9)
    app.settings  # noqa: B018
    monkeypatch.setattr(auto, "max", lambda *_: 2, raising=False)
    assert "rests at product" in auto.scheduled(app)
    for _ in range(20):
        if "is done" in auto.scheduled(app):
            break
    assert set(names(bench)) == set(made)
    assert bench.sql("select count(*) from billing_sync_runs") == [(1,)]


def test_it_can_be_switched_off(bench: Bench):
    assert auto.scheduled(bench.app(BILLING_AUTO_SYNC="false")) == "BILLING_AUTO_SYNC is false"
    assert bench.sql("select count(*) from billing_sync_runs") == [(0,)]


# Looking


def test_before_any_run(bench: Bench):
    app = bench.app()
    assert look.reconcile_status(app, Nothing()) == NeverRun()
    assert look.show_diff(app, ShowDiff()) == []
    with pytest.raises(NoSuchRun):
        look.show_diff(app, ShowDiff(run=7))
    status = look.status(app, Nothing())
    assert (status.last_complete_at, "sync all --execute" in status.note) == (None, True)


def test_the_count_tells_calls_and_seconds(bench: Bench):
    app = settled(bench, bench.app(STRIPE_BATCH_SIZE="2"))
    products(bench, 5)
    reconcile(app)
    counted = {one.kind: one for one in look.count(app, Nothing())}
    assert (counted["product"].here, counted["product"].calls, counted["product"].seconds) == (5, 3, 1)
    assert counted["invoice"].calls == 1


def test_other_modes_rows_are_not_touched_and_told(bench: Bench):
    app = settled(bench, bench.app())
    bench.sql(
        "insert into billing_objects (kind, object_id, livemode, snapshot, snapshot_number, source, digest, created_at, synced_at)"
        " values ('product', 'prod_live', true, '{\"id\": \"prod_live\"}', 1, 'test', '', now(), now())"
    )
    assert reconcile(app).differences == 0
    (odd,) = look.find_inconsistencies(app, FindInconsistencies())
    assert (odd.object, odd.problem) == ("prod_live", "mode mixed")


def test_times_are_the_apps(bench: Bench):
    app = bench.app(clock=lambda: NOW + timedelta(days=1))
    assert reconcile(app).started_at == NOW + timedelta(days=1)
    assert mirror.mirrored(app, "product")


def test_what_two_runs_find_at_once_is_healed_and_counted_once(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    made = products(bench, 3)
    settled(bench, bench.app())
    bench.sql("delete from billing_sync_differences")
    for id in made:
        bench.sandbox.edit("product", id, webhook=False, name="by hand")
    met, heal = Barrier(2, timeout=30), page.heal

    def together(app: App, tx: Tx, run: int, found: Sequence[Finding], overtaken: Callable[[Finding], None]):
        if found:
            met.wait()
        return heal(app, tx, run, found, overtaken)

    monkeypatch.setattr(page, "heal", together)
    apps = [bench.app(), bench.app()]
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(reconcile, apps[0]), pool.submit(run.sync_all, apps[1], SyncAll(execute=True))]
    assert sum(one.result().differences for one in both) == 3
    assert look.status(apps[0], Nothing()).healed_last_day == 3
    assert names(bench) == dict.fromkeys(made, "by hand")
