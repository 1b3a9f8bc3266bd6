"""From stored events to a mirror that is what Stripe has, in any order and through any trouble."""

from __future__ import annotations

import json
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from money_bench import NOW, Bench, email, served, signed, until
from money_seams import Crash, Pause, Seams, fragile

from nself.app import App
from nself.core.clock import system_clock
from nself.db.connect import Tx
from nself.domains.customer import store as customer_store
from nself.domains.customer.inputs import ListCustomers
from nself.domains.customer.service import list_customers
from nself.domains.mirror.model import Picture
from nself.domains.webhook import store
from nself.domains.webhook.inputs import ListEvents, ListFailures, ShowTimeline
from nself.domains.webhook.service import process, show, work
from nself.domains.webhook.service import receive as receiving
from nself.domains.webhook.service.receive import receive


def deliver(app: App, *events: dict[str, Any]) -> None:
    for event in events:
        body = json.dumps(event).encode()
        receive(app, body, signed(body))


def made(kind: str, id: str, object: str = "customer", live: bool = False, number: int = 1) -> dict[str, Any]:
    """An event that Stripe might send."""
    thing = {"id": id, "object": object}
    return {
        "id": f"evt_{id}_{number}", "type": kind, "created": 1, "livemode": live, "data": {"object": thing}
    }  # fmt: skip


def rename(bench: Bench, customer: str, name: str) -> None:
    bench.sandbox.edit("customer", customer, name=name)


def new_customer(bench: Bench, number: object = 0) -> str:
    return str(bench.sandbox.post("/v1/customers", email=email(f"user{number}"))["id"])


# Order


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 2, 1, 0], [1, 0, 3, 2], [2], [0, 0, 3, 0]])
def test_events_of_one_second_in_any_order_end_with_what_stripe_has(bench: Bench, order: list[int]):
    app, customer = bench.app(), new_customer(bench)
    for name in "abc":
        rename(bench, customer, name)
    events = bench.sandbox.events()
    for at in order:
        deliver(app, events[at])
        bench.work(app)
    assert [one.name for one in list_customers(app, ListCustomers())] == ["c"]
    bench.check_quiet()


DEEDS = st.lists(
    st.one_of(
        st.tuples(st.just("rename"), st.integers(0, 2), st.booleans()),
        st.tuples(st.just("delete"), st.integers(0, 2), st.booleans()),
        st.tuples(st.just("deliver"), st.integers(0, 30), st.booleans()),
        st.tuples(st.just("work"), st.just(0), st.just(False)),
    ),
    max_size=14,
)


@given(deeds=DEEDS, seed=st.integers(0, 2**16))
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def test_shuffled_doubled_and_dropped_events_end_with_what_stripe_has(
    bench: Bench, deeds: list[tuple[str, int, bool]], seed: int
):
    """As long as one event of each object comes after its last change; a dropped one is one that never comes."""
    app, draw, before = bench.app(), random.Random(seed), bench.sandbox.events()
    seen = before[-1]["id"] if before else None
    customers = [new_customer(bench, f"{seed}{number}") for number in range(3)]
    alive = set(customers)
    for deed, number, told in deeds:
        target = customers[number % 3]
        match deed:
            case "rename" if target in alive:
                bench.sandbox.edit("customer", target, webhook=told, name=f"name {draw.random()}")
            case "delete" if target in alive:
                alive.remove(target)
                bench.sandbox.edit("customer", target, webhook=told, delete=True)
            case "deliver":
                events = bench.sandbox.events(seen)
                deliver(app, events[number % len(events)], *(draw.sample(events, 1) if told else []))
            case "work":
                bench.work(app)
    events = bench.sandbox.events(seen)
    draw.shuffle(events)
    kept = {event["data"]["object"]["id"]: event for event in events}  # one of each, the others are lost
    deliver(app, *kept.values())
    fresh = [made("customer.updated", id, number=draw.randrange(10**9)) for id in kept]
    deliver(app, *fresh)
    bench.work(app)
    assert bench.differences() == []


def test_every_switch_of_the_sandbox_at_once_over_http(bench: Bench):
    """Lost, doubled, late, reordered and badly signed deliveries, and an edit that nobody tells of."""
    app = bench.app(clock=system_clock)
    with served(app) as address:
        bench.listen(app, address)
        for action, times in {"double": 4, "reorder": 4, "delay": 4, "badly_sign": 4, "lose": 2}.items():
            bench.sandbox.admin("faults", on="delivery", action=action, times=times, seconds=0.3)
        for number in range(6):
            customer = new_customer(bench, number)
            rename(bench, customer, "first")
            rename(bench, customer, "second")
            bench.sandbox.edit("customer", customer, webhook=False, name="third, by hand")
        until(lambda: bench.sandbox.admin("state")["deliveries_waiting"] == 0)
        bench.work(app)
    bench.check_quiet()
    deliveries = [one.deliveries for one in show.events(app, ListEvents())]
    assert len(deliveries) == 18 - 2
    assert max(deliveries) == 2


def test_a_deletion_that_comes_before_the_creation_stays(bench: Bench):
    app, customer = bench.app(), new_customer(bench)
    created = bench.sandbox.events()
    bench.sandbox.edit("customer", customer, delete=True)
    deliver(app, bench.sandbox.events()[-1])
    bench.work(app)
    deliver(app, *created)
    bench.work(app)
    assert list_customers(app, ListCustomers()) == []
    bench.check_quiet()


def test_an_older_picture_that_is_stored_later_is_fetched_again(bench: Bench):
    """The fetch of one worker is overtaken by the change, the fetch and the storing of another."""
    app, customer = bench.app(), new_customer(bench)
    first, *_ = bench.sandbox.events()

    def overtake() -> None:
        rename(bench, customer, "newer")
        bench.pass_time()  # the lease of the first is over
        deliver(app, bench.sandbox.events()[-1])
        bench.work(app)

    deliver(app, first)
    process.process_due(fragile(bench, Pause("after fetch", overtake)))
    assert [one.name for one in list_customers(app, ListCustomers())] == ["newer"]
    bench.check_quiet()


# What is of no concern, of the other mode, or gone


def test_types_that_nobody_knows_are_kept_and_ignored(bench: Bench):
    app = bench.app()
    deliver(
        app,
        made("radar.early_fraud_warning.created", "issfr_1", "radar.early_fraud_warning"),
        made("new.thing", "x", "thing"),
    )
    without_id = {
        "id": "evt_b",
        "type": "balance.available",
        "created": 1,
        "livemode": False,
        "data": {"object": {"object": "balance"}},
    }
    deliver(app, without_id)
    bench.work(app)
    assert [status for _, status in bench.events()] == ["ignored"] * 3


def test_an_event_of_the_other_mode_is_parked(bench: Bench):
    app = bench.app()
    deliver(app, made("customer.updated", "cus_live", live=True))
    bench.work(app)
    assert bench.events() == [("evt_cus_live_1", "parked")]
    cause = "mode_mismatch: it is of live mode, and STRIPE_MODE is test"
    (failure,), (listed,) = show.failures(app, ListFailures()), show.events(app, ListEvents())
    (moment,) = show.timeline(app, ShowTimeline(object="cus_live"))
    assert (failure.what, failure.cause, listed.error) == ("parked", cause, cause)
    assert moment.detail.endswith(f"parked; {cause}")
    assert list_customers(app, ListCustomers()) == []


def test_events_that_were_waiting_when_the_mode_changed_are_parked_and_delete_nothing(bench: Bench):
    app, customer = bench.app(), new_customer(bench)
    bench.deliver(app)
    bench.work(app)
    deliver(app, made("customer.updated", customer))
    live = bench.app(STRIPE_MODE="live", STRIPE_SECRET_KEY="sk_live_never", STRIPE_MOCK_ENABLED="false")
    bench.work(live)
    assert bench.events()[-1] == (f"evt_{customer}_1", "parked")
    assert len(list_customers(app, ListCustomers())) == 1


def test_an_object_that_is_gone_at_stripe_is_gone_here(bench: Bench):
    app = bench.app()
    deliver(app, made("invoice.updated", "in_gone", "invoice"), made("customer.updated", "cus_gone"))
    bench.work(app)
    assert [status for _, status in bench.events()] == ["processed"] * 2
    assert list_customers(app, ListCustomers()) == []


# Trouble


def test_while_stripe_is_away_events_wait_and_are_tried_again(bench: Bench):
    app = bench.app(STRIPE_MAX_RETRIES="0")
    new_customer(bench)
    bench.deliver(app)
    bench.sandbox.fault(".*", method="GET", status=503, times=20)
    least, most = list[float](), list[float]()
    for attempt in (1, 2, 3):
        ((before,),) = bench.sql("select clock_timestamp()")
        bench.work(app)
        (event,) = show.events(app, ListEvents(status="failed"))
        assert event.attempts == attempt
        assert "api_error: Stripe answered 503" in str(event.error)
        ((due, now),) = bench.sql("select next_at, clock_timestamp() from billing_webhook_objects")
        most.append((due - before).total_seconds())
        least.append((due - now).total_seconds())
        bench.pass_time()
    assert least[0] < 2.1
    assert most[2] > 3.5
    assert least[2] < 8.1
    for _ in range(15):  # an outage is never counted out
        bench.work(app)
        bench.pass_time()
    bench.sandbox.admin("faults/clear")
    bench.pass_time()
    bench.work(app)
    bench.check_quiet()


def test_an_event_that_breaks_the_code_is_seen_given_up_and_holds_nothing_up(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
):
    app, broken = bench.app(), new_customer(bench, "broken")
    others = [new_customer(bench, number) for number in range(3)]
    bench.deliver(app)

    def apply(tx: Any, given: list[tuple[Picture, str | None]]) -> bool:
        return bool(1 / 0) if broken in [one.snapshot["id"] for one, _ in given] else upsert(tx, given)

    upsert = customer_store.upsert
    monkeypatch.setattr(customer_store, "upsert", apply)
    for _ in range(work.MAX_ATTEMPTS + 2):
        bench.work(app)
        bench.pass_time()
    (failed,) = show.events(app, ListEvents(status="failed_permanent"))
    assert (failed.object, failed.attempts) == (broken, work.MAX_ATTEMPTS)
    assert "division by zero" in str(failed.error)
    assert sorted(one.id for one in list_customers(app, ListCustomers())) == sorted(others)


def test_what_is_fetched_together_is_stored_and_marked_in_one_transaction(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(process, "THREADS", 1)  # so that all are fetched before the first is stored
    seams, customers = Seams(), [new_customer(bench, number) for number in range(process.CLAIMED)]
    bench.deliver(bench.app())
    assert process.process_due(fragile(bench, seams)) == process.CLAIMED
    assert seams.passed.count("after commit") == 1
    assert sorted(one.id for one in list_customers(bench.app(), ListCustomers())) == sorted(customers)
    bench.check_quiet()


def test_one_that_was_taken_over_does_not_keep_the_others(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(process, "THREADS", 1)
    app, customers = bench.app(), [new_customer(bench, number) for number in range(3)]
    bench.deliver(app)

    def taken_over() -> None:
        bench.sql("update billing_webhook_objects set fence = fence + 1 where object_id = %s", customers[1])

    process.process_due(fragile(bench, Pause("after fetch", taken_over)))
    assert sorted(status for _, status in bench.events()) == ["processed", "processed", "received"]
    bench.pass_time()
    bench.work(app)
    assert sorted(one.id for one in list_customers(app, ListCustomers())) == sorted(customers)
    bench.check_quiet()


def test_two_workers_at_once_process_each_event_once(bench: Bench):
    apps, start = [bench.app(), bench.app()], threading.Barrier(2)
    for number in range(20):
        rename(bench, new_customer(bench, number), "renamed")
    bench.deliver(apps[0])

    def work(app: App) -> None:
        start.wait()
        bench.work(app)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, apps))
    assert {(one.status, one.attempts) for one in show.events(apps[0], ListEvents())} == {("processed", 1)}
    bench.check_quiet()


def test_what_a_killed_worker_held_is_taken_over_when_its_lease_ends(bench: Bench):
    app = bench.app()
    new_customer(bench)
    bench.deliver(app)

    def killed() -> None:
        raise Crash

    with pytest.raises(Crash):
        process.process_due(fragile(bench, Pause("after fetch", killed)))
    assert process.process_due(app) == 0
    assert [status for _, status in bench.events()] == ["received"]
    ((left,),) = bench.sql("select extract(epoch from lease_until - now())::float8 from billing_webhook_objects")
    assert 30 < left <= 40
    bench.pass_time()
    assert process.process_due(app) == 1
    bench.check_quiet()


def test_an_event_that_comes_while_its_object_is_processed_is_not_forgotten(bench: Bench):
    app, customer = bench.app(), new_customer(bench)
    bench.deliver(app)

    def meanwhile() -> None:
        rename(bench, customer, "late")
        bench.deliver(app)

    process.process_due(fragile(bench, Pause("after fetch", meanwhile)))
    assert [status for _, status in bench.events()] == ["processed", "received"]
    bench.work(app)
    assert [one.name for one in list_customers(app, ListCustomers())] == ["late"]
    bench.check_quiet()


def test_an_event_that_is_being_stored_while_its_object_is_released_is_not_forgotten(bench: Bench):
    """Its insert is not committed yet when the worker looks whether there is more to do."""
    app, customer = bench.app(), new_customer(bench)
    bench.deliver(app)
    waiting = "select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
    with (
        psycopg.connect(bench.database, options="-c search_path=billing,public") as link,
        ThreadPoolExecutor(1) as pool,
    ):

        def half_stored() -> None:
            event = receiving.delivery(json.dumps(made("customer.updated", customer)).encode())
            store.receive(Tx(link), [event], {event.event_id: 1}, False, False, NOW)
            pool.submit(lambda: (until(lambda: bench.sql(waiting)), link.commit()))

        process.process_due(fragile(bench, Pause("after fetch", half_stored)))
    assert [status for _, status in bench.events()] == ["processed", "received"]
    bench.work(app)
    bench.check_quiet()
