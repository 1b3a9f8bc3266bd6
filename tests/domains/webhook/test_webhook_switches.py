"""What each WEBHOOK_ setting does, in test mode, and that live mode does not let go of a protection."""

from __future__ import annotations

import json
import logging
import time

import pytest
from money_bench import Bench, email, post, served, signed, until
from money_seams import Pause, fragile

from nself.app import App
from nself.core.clock import system_clock
from nself.domains.customer.inputs import ListCustomers
from nself.domains.customer.service import list_customers
from nself.domains.webhook.inputs import ListEvents, WebhookStatus
from nself.domains.webhook.service import process, show, switches
from nself.domains.webhook.service.receive import receive
from nself.domains.webhook.service.status import status

OFF = dict.fromkeys(switches.SWITCHES, "false")


def customer(bench: Bench, name: str = "a") -> str:
    return str(bench.sandbox.post("/v1/customers", email=email(name))["id"])


def rename(bench: Bench, id: str, name: str) -> None:
    bench.sandbox.edit("customer", id, name=name)


def names(app: App) -> list[str | None]:
    return [one.name for one in list_customers(app, ListCustomers())]


def again(bench: Bench, app: App) -> None:
    event = bench.sandbox.events()[-1]
    body = json.dumps(event).encode()
    receive(app, body, signed(body))


def changes(bench: Bench) -> int:
    return int(bench.sql("select count(*) from billing_object_changes")[0][0])


def concurrent(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.fields["object"] for record in caplog.records if record.message == "webhook concurrent"]  # type: ignore[attr-defined]


def test_without_async_processing_the_answer_comes_after_it(bench: Bench):
    app = bench.app(WEBHOOK_ASYNC_PROCESSING="false")
    customer(bench)
    event = bench.sandbox.events()[-1]
    body = json.dumps(event).encode()
    with served(app) as address:
        assert post(f"{address}/webhooks/stripe", body, signed(body)).status == 200
        assert bench.events() == [(event["id"], "processed")]
    assert len(names(app)) == 1


def test_without_async_processing_an_outage_of_stripe_loses_nothing(bench: Bench):
    app = bench.app(WEBHOOK_ASYNC_PROCESSING="false", STRIPE_MAX_RETRIES="0")
    customer(bench)
    bench.sandbox.fault("/v1/customers.*", method="GET", status=503, times=1)
    again(bench, app)
    assert [status for _, status in bench.events()] == ["failed"]
    bench.pass_time()
    bench.work(app)
    bench.check_quiet()


def test_without_the_queue_the_service_works_after_its_answer(bench: Bench):
    app = bench.app(WEBHOOK_USE_QUEUE="false")
    customer(bench)
    body = json.dumps(bench.sandbox.events()[-1]).encode()
    bench.sandbox.fault("/v1/customers.*", method="GET", delay=0.3, times=1)
    with served(app) as address:
        assert post(f"{address}/webhooks/stripe", body, signed(body)).status == 200
        assert [status for _, status in bench.events()] == ["received"]
        until(lambda: [status for _, status in bench.events()] == ["processed"])


def test_with_the_queue_only_the_worker_works(bench: Bench):
    app = bench.app()
    customer(bench)
    body = json.dumps(bench.sandbox.events()[-1]).encode()
    with served(app) as address:
        assert post(f"{address}/webhooks/stripe", body, signed(body)).status == 200
        time.sleep(0.2)
    assert [status for _, status in bench.events()] == ["received"]


@pytest.mark.parametrize(("given", "attempts"), [("true", 1), ("false", 2)])
def test_idempotency_decides_whether_a_second_delivery_is_processed_again(bench: Bench, given: str, attempts: int):
    app = bench.app(WEBHOOK_IDEMPOTENCY_ENABLED=given)
    customer(bench)
    for _ in range(2):
        again(bench, app)
        bench.work(app)
    (event,) = show.events(app, ListEvents())
    assert (event.status, event.deliveries, event.attempts) == ("processed", 2, attempts)
    assert changes(bench) == 1  # the effect came once all the same


def two_workers(bench: Bench, caplog: pytest.LogCaptureFixture, **settings: str) -> list[str]:
    """A second worker looks while the first one has the object and something new came; objects told as concurrent."""
    app, id = bench.app(**settings), customer(bench)
    bench.deliver(app)

    def meanwhile() -> None:
        rename(bench, id, "newer")
        bench.deliver(app)
        bench.work(app)

    with caplog.at_level(logging.INFO, "nself"):
        process.process_due(fragile(bench, Pause("after fetch", meanwhile), **settings))
    return concurrent(caplog)


def test_a_second_worker_leaves_an_object_alone_and_says_so(bench: Bench, caplog: pytest.LogCaptureFixture):
    assert two_workers(bench, caplog) == [customer_of(bench)]
    assert [status for _, status in bench.events()] == ["processed", "received"]
    bench.work(bench.app())
    bench.check_quiet()


def customer_of(bench: Bench) -> str:
    return str(bench.sql("select object_id from billing_webhook_objects")[0][0])


def test_without_sequence_the_second_worker_takes_it_and_the_first_stores_nothing(
    bench: Bench, caplog: pytest.LogCaptureFixture
):
    assert two_workers(bench, caplog, WEBHOOK_SEQUENTIAL_PER_OBJECT="false") == [customer_of(bench)]
    assert {(one.status, one.attempts) for one in show.events(bench.app(), ListEvents())} == {("processed", 1)}
    assert names(bench.app()) == ["newer"]


def test_without_locks_both_store(bench: Bench, caplog: pytest.LogCaptureFixture):
    off = {"WEBHOOK_SEQUENTIAL_PER_OBJECT": "false", "WEBHOOK_USE_LOCKS": "false"}
    assert two_workers(bench, caplog, **off) == []
    assert sorted(one.attempts for one in show.events(bench.app(), ListEvents())) == [1, 2]
    assert names(bench.app()) == ["newer"]  # the versions still hold


def test_without_versions_who_stores_last_wins(bench: Bench, caplog: pytest.LogCaptureFixture):
    off = dict.fromkeys(
        ("WEBHOOK_SEQUENTIAL_PER_OBJECT", "WEBHOOK_USE_LOCKS", "WEBHOOK_TRACK_VERSIONS"), "false"
    )  # fmt: skip
    two_workers(bench, caplog, **off)
    assert names(bench.app()) == [None]


def test_one_worker_alone_is_never_concurrent(bench: Bench, caplog: pytest.LogCaptureFixture):
    app = bench.app()
    with caplog.at_level(logging.INFO, "nself"):
        for number in range(5):
            rename(bench, customer(bench, str(number)), "b")
        bench.deliver(app)
        bench.work(app)
    assert concurrent(caplog) == []
    bench.check_quiet()


def test_live_mode_keeps_every_protection_and_tells(bench: Bench, caplog: pytest.LogCaptureFixture):
    live = bench.app(STRIPE_MODE="live", STRIPE_SECRET_KEY="sk_live_never", STRIPE_MOCK_ENABLED="false", **OFF)
    assert all(switches.on(live, name) for name in switches.SWITCHES)
    assert len(switches.warnings(live)) == len(switches.SWITCHES)
    assert "has no effect in live mode" in switches.warnings(live)[0]
    off = bench.app(**OFF)
    assert not any(switches.on(off, name) for name in switches.SWITCHES)
    with caplog.at_level(logging.INFO, "nself"):
        switches.warn(off)
    assert [record.message for record in caplog.records] == ["webhook_switch"] * len(switches.SWITCHES)
    assert len(status(off, WebhookStatus()).warnings) == len(switches.SWITCHES)
    assert switches.warnings(bench.app()) == []


def test_processing_that_takes_too_long_is_given_up_and_tried_again(bench: Bench):
    app = bench.app(clock=system_clock, WEBHOOK_TIMEOUT="300ms", STRIPE_TIMEOUT="60s")
    customer(bench)
    body = json.dumps(bench.sandbox.events()[-1]).encode()
    receive(app, body, signed(body, at=system_clock()))
    bench.sandbox.fault("/v1/customers.*", method="GET", delay=4, times=1)
    began = time.monotonic()
    assert process.process_due(app) == 1
    assert time.monotonic() - began < 4  # before Stripe answered
    (event,) = show.events(app, ListEvents())
    assert event.status == "failed"
    assert str(event.error).startswith("webhook_timeout: Processing took longer than WEBHOOK_TIMEOUT (0.3 s)")
    bench.pass_time()
    bench.work(bench.app(clock=system_clock))
    bench.check_quiet()


def test_the_lease_is_as_long_as_processing_may_take(bench: Bench):
    assert process.lease(bench.app(WEBHOOK_TIMEOUT="60s")).total_seconds() == 90


def test_the_log_words_come_by_their_causes_alone(bench: Bench, caplog: pytest.LogCaptureFixture):
    app = bench.app()

    def words() -> list[str]:
        found = [record.message for record in caplog.records if record.message.startswith("webhook")]
        caplog.clear()
        return found

    with caplog.at_level(logging.INFO, "nself"), served(app) as address:
        customer(bench)
        event = bench.sandbox.events()[-1]
        body = json.dumps(event).encode()
        post(f"{address}/webhooks/stripe", body, signed(body))
        assert words() == ["webhook_received"]
        process.process_due(app)
        (record,) = [one for one in caplog.records if one.message == "webhook_processed"]
        (told,) = record.many  # type: ignore[attr-defined]
        assert told["event"] == event["id"] and told["duration"] >= 0
        assert words() == ["webhook_processed"]
        process.process_due(app)
        assert words() == []
        post(f"{address}/webhooks/stripe", body, signed(body, "whsec_wrong"))
        assert words() == ["webhook signature"]
