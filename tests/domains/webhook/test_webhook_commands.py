"""What the commands tell of events, and what replaying and marking change."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
import stripe
from money_bench import NOW, Bench, email, signed

from nself.app import App
from nself.core.errors import InvalidParameter
from nself.domains.customer import store as customer_store
from nself.domains.mirror.model import Picture
from nself.domains.webhook.errors import NoEventsOf, NoSuchEvent, NothingToReplay, NotPublic, OfOtherMode
from nself.domains.webhook.inputs import (
    CheckDuplicates,
    DeduplicateWebhooks,
    ListEvents,
    ListFailures,
    ListSlow,
    ReplayWebhooks,
    ShowIdempotency,
    ShowOrder,
    ShowQueue,
    ShowTimeline,
    ShowTiming,
    UpdateUrl,
)
from nself.domains.webhook.service import endpoints, place, recover, replay, show, work
from nself.domains.webhook.service.receive import receive


@pytest.fixture
def app(bench: Bench) -> App:
    return bench.app()


def customer(bench: Bench, name: str = "a") -> str:
    return str(bench.sandbox.post("/v1/customers", email=email(name))["id"])


def rename(bench: Bench, id: str, name: str) -> None:
    bench.sandbox.edit("customer", id, name=name)


def deliver(app: App, *events: dict[str, Any]) -> None:
    for event in events:
        body = json.dumps(event).encode()
        receive(app, body, signed(body))


def made(id: str, object: str = "thing_1", created: int = 0, **more: Any) -> dict[str, Any]:
    """`created` in seconds after NOW."""
    at = int((NOW + timedelta(seconds=created)).timestamp())
    thing = {"id": object, "object": "thing", **more}
    return {"id": id, "type": "thing.changed", "created": at, "livemode": False, "data": {"object": thing}}


def broken(monkeypatch: pytest.MonkeyPatch, id: str) -> None:
    upsert = customer_store.upsert

    def apply(tx: Any, given: list[tuple[Picture, str | None]]) -> bool:
        return bool(1 / 0) if id in [one.snapshot["id"] for one, _ in given] else upsert(tx, given)

    monkeypatch.setattr(customer_store, "upsert", apply)


# Order and life


def test_the_order_of_arrival_is_told_against_that_of_making(app: App):
    deliver(
        app, made("evt_1", created=-9), made("evt_3", created=-5), made("evt_2", created=-7), made("evt_4", created=-5)
    )
    deliver(app, made("evt_4", created=-5))
    found = show.show_order(app, ShowOrder(object="thing_1"))
    assert [(one.event, one.order, one.delay_seconds) for one in found.arrivals] == [
        ("evt_1", "in order", 9),
        ("evt_3", "in order", 5),
        ("evt_2", "older than one before it", 7),
        ("evt_4", "same second as one before it", 5),
    ]
    assert (found.events, found.overtaken, found.same_second, found.delivered_again) == (4, 1, 1, 1)
    assert found.verdict.startswith("1 arrived after younger ones; the object is always stored as Stripe has it")
    newest = show.show_order(app, ShowOrder(object="thing_1", limit=2))
    assert [one.event for one in newest.arrivals] == ["evt_2", "evt_4"]
    with pytest.raises(NoEventsOf, match="sub_unknown"):
        show.show_order(app, ShowOrder(object="sub_unknown"))


def test_the_timeline_tells_events_and_what_changed_field_by_field(bench: Bench, app: App):
    id = customer(bench)
    bench.deliver(app)
    bench.work(app)
    rename(bench, id, "Jane")
    bench.deliver(app)
    bench.work(app)
    moments = show.timeline(app, ShowTimeline(object=id))
    assert [one.what for one in moments] == [
        "customer.created",
        "customer.updated",
        "customer created",
        "customer updated",
    ]
    first, second = (event["id"] for event in bench.sandbox.events())
    assert [one.by for one in moments] == [first, second, f"webhook {first}", f"webhook {second}"]
    assert moments[3].detail == 'name: null -> "Jane"'
    assert "processed after" in moments[0].detail and "attempt 1" in moments[0].detail
    with pytest.raises(NoEventsOf):
        show.timeline(app, ShowTimeline(object="cus_unknown"))


def test_the_timeline_names_our_own_actions(bench: Bench, app: App):
    bench.create(app, "user1")
    ((id,),) = bench.sql("select customer_id from billing_customers")
    assert next(iter(show.timeline(app, ShowTimeline(object=id)))).by.startswith("intent ")


def test_one_that_was_never_delivered_says_so(bench: Bench, app: App):
    recover.recover(app)
    bench.sql("update billing_webhook_polls set seen_at = 'epoch', began_at = 'epoch'")
    id = customer(bench)
    recover.recover(app)
    (moment,) = show.timeline(app, ShowTimeline(object=id))
    assert "never delivered, found in Stripe's list" in moment.detail
    assert show.show_order(app, ShowOrder(object=id)).never_delivered == 1


# Time


def took(bench: Bench, event: str, waited: int, stripe: int, stored: int, attempts: int = 1) -> None:
    """In seconds."""
    bench.sql(
        """update billing_webhook_events
        set status = 'processed', attempts = %s, fetch_ms = %s, took_ms = %s, claimed_at = received_at + %s * interval '1 s',
            processed_at = received_at + %s * interval '1 s'
        where event_id = %s""",
        attempts, 1000 * stripe, 1000 * (stripe + stored), waited, waited + stripe + stored, event,
    )  # fmt: skip


def test_timing_is_told_stage_by_stage(bench: Bench, app: App):
    for number in range(1, 101):
        deliver(app, made(f"evt_{number}", created=-1))
        took(bench, f"evt_{number}", waited=1, stripe=number, stored=2)
    found = show.timing(app, ShowTiming())
    assert found.processed == 100
    assert [(one.stage, one.p50_ms, one.p95_ms, one.p99_ms, one.max_ms) for one in found.stages] == [
        ("delivery", 1000, 1000, 1000, 1000),
        ("waiting", 1000, 1000, 1000, 1000),
        ("stripe", 50_000, 95_000, 99_000, 100_000),
        ("storing", 2000, 2000, 2000, 2000),
        ("total", 53_000, 98_000, 102_000, 103_000),
    ]
    assert found.slowest.startswith("stripe: ")
    assert show.timing(app, ShowTiming(type="nothing")).slowest == "nothing was processed"


def test_slow_events_are_listed_with_what_took_the_time(bench: Bench, app: App):
    deliver(app, *[made(f"evt_{number}") for number in range(1, 6)])
    took(bench, "evt_1", 9, 1, 1)
    took(bench, "evt_2", 1, 8, 1)
    took(bench, "evt_3", 1, 1, 7)
    took(bench, "evt_4", 3, 1, 1)
    took(bench, "evt_5", 6, 0, 0, attempts=3)
    found = show.slow(app, ListSlow(threshold="5s"))
    assert [(one.event, one.total_ms, one.cause) for one in found] == [
        ("evt_1", 11_000, "waited for the worker"),
        ("evt_2", 10_000, "calls to Stripe"),
        ("evt_3", 9000, "storing"),
        ("evt_5", 6000, "tried 3 times before it went well"),
        ("evt_4", 5000, "waited for the worker"),
    ]
    assert len(show.slow(app, ListSlow(threshold="5001ms"))) == 4
    deliver(app, made("evt_6"))
    later = bench.app(clock=lambda: NOW + timedelta(seconds=60))
    assert show.slow(later, ListSlow(threshold="12s"))[0].cause == "received: not processed yet"


@pytest.mark.parametrize(("text", "param"), [("soon", "threshold"), ("5 parsecs", "threshold")])
def test_nonsense_for_a_duration_is_refused(app: App, text: str, param: str):
    with pytest.raises(InvalidParameter, match=param):
        show.slow(app, ListSlow(threshold=text))
    for since in (text, "EXPOSURE_TIME", "9" * 30 + "d"):
        with pytest.raises(InvalidParameter, match="since"):
            show.timing(app, ShowTiming(since=since))


@pytest.mark.parametrize("text", ["367d", "9" * 20 + "d", "9" * 400])
def test_a_threshold_that_is_too_long_is_told_as_that(app: App, text: str):
    with pytest.raises(InvalidParameter, match=r"Invalid threshold: .{1,40}: it is longer than 366 days"):
        show.slow(app, ListSlow(threshold=text))


def test_how_far_back_is_a_duration_or_an_instant(bench: Bench, app: App):
    deliver(app, made("evt_1"))
    took(bench, "evt_1", 1, 1, 1)
    for since, processed in (("24h", 1), ("0s", 1), ("2026-02-10", 1), ("2026-02-10T12:00:01Z", 0)):
        assert show.timing(app, ShowTiming(since=since)).processed == processed, since


def test_the_queue_is_told(bench: Bench, app: App, monkeypatch: pytest.MonkeyPatch):
    assert show.queue_status(app, ShowQueue()).verdict == "up to date"
    good, bad = customer(bench), customer(bench, "b")
    broken(monkeypatch, bad)
    bench.deliver(app)
    found = show.queue_status(bench.app(clock=lambda: NOW + timedelta(seconds=400)), ShowQueue())
    assert (found.waiting, found.objects_due, found.lag_seconds) == (2, 2, 400)
    assert found.verdict == "the worker does not run: nself start billing"
    bench.work(app)
    found = show.queue_status(app, ShowQueue())
    assert (found.waiting, found.retrying, found.dead, found.objects_due) == (0, 1, 0, 0)
    assert found.next_retry_at is not None and found.processed_5m == 1 and good
    bench.sql("update billing_webhook_events set status = 'failed_permanent' where status = 'failed'")
    assert "were given up: nself billing webhook failures" in show.queue_status(app, ShowQueue()).verdict


# Again


def test_one_event_is_replayed_here_whether_a_worker_runs_or_not(bench: Bench, app: App):
    id = customer(bench)
    bench.deliver(app)
    bench.work(app)
    bench.sql('update billing_customers set snapshot = snapshot || \'{"name": "wrong"}\'')
    (event,) = bench.sandbox.events()
    done = replay.replay(app, ReplayWebhooks(event=event["id"]))
    assert (done.replayed, done.processed, done.failed, done.waiting) == (1, 1, 0, 0)
    assert [(one.event, one.object, one.status, one.attempts) for one in done.events] == [
        (event["id"], id, "processed", 1)
    ]
    bench.check_quiet()


def test_dead_letters_are_replayed_once_their_cause_is_gone(bench: Bench, app: App, monkeypatch: pytest.MonkeyPatch):
    bad = customer(bench)
    bench.deliver(app)
    with monkeypatch.context() as patch:
        broken(patch, bad)
        for _ in range(work.MAX_ATTEMPTS):
            bench.work(app)
            bench.pass_time()
        (failure,) = show.failures(app, ListFailures())
        assert (failure.what, failure.times, failure.next_at) == ("failed_permanent", work.MAX_ATTEMPTS, None)
        assert "division by zero" in failure.cause
        done = replay.replay(app, ReplayWebhooks(status="failed"))
        assert (done.replayed, done.processed, done.failed, done.ok) == (1, 0, 1, False)
        assert done.remarks() == ["1 failed: nself billing webhook failures"]
    done = replay.replay(app, ReplayWebhooks(status="failed", since="1h"))
    assert (done.replayed, done.processed, done.ok) == (1, 1, True)
    assert replay.replay(app, ReplayWebhooks(status="failed")).replayed == 0
    assert show.failures(app, ListFailures()) == []
    bench.check_quiet()


def test_a_replay_waits_for_the_worker_that_has_the_object(bench: Bench, app: App, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(replay, "PATIENCE", 0.3)
    customer(bench)
    bench.deliver(app)
    bench.sql("update billing_webhook_objects set lease_until = now() + interval '1 hour', fence = fence + 1")
    (event,) = bench.sandbox.events()
    assert replay.replay(app, ReplayWebhooks(event=event["id"])).waiting == 1
    bench.pass_time()
    bench.work(app)
    bench.check_quiet()


def test_what_cannot_be_replayed_is_refused(app: App):
    with pytest.raises(NoSuchEvent, match="evt_unknown"):
        replay.replay(app, ReplayWebhooks(event="evt_unknown"))
    for nothing in (ReplayWebhooks(), ReplayWebhooks(event=""), ReplayWebhooks(event="evt_1", status="failed")):
        with pytest.raises(NothingToReplay):
            replay.replay(app, nothing)


def test_an_event_of_the_other_mode_is_never_replayed(app: App):
    deliver(app, {**made("evt_1"), "livemode": True})
    with pytest.raises(OfOtherMode, match="Event evt_1 is not processed here: it is not of test mode"):
        replay.replay(app, ReplayWebhooks(event="evt_1"))
    assert replay.replay(app, ReplayWebhooks(status="parked")).replayed == 0


# Twice


def test_what_came_twice_is_told(app: App):
    assert replay.check_duplicates(app, CheckDuplicates()).verdict == "no duplicates"
    for _ in range(3):
        deliver(app, made("evt_1"))
    found = replay.check_duplicates(app, CheckDuplicates())
    assert (found.delivered_again, found.repeats, found.stored_twice, found.twins) == (1, 2, 0, 0)
    assert found.verdict.startswith("no duplicates: 2 repeated deliveries")


def test_what_jsonb_cannot_hold_breaks_no_check(app: App):
    texts = ("a\0\0b", "a\\u0000b", "\\\0", '\\u0000"')
    deliver(app, *[made(f"evt_{at}{copy}", f"thing_{at}", name=text) for at, text in enumerate(texts) for copy in "ab"])
    deliver(app, made("evt_c", "thing_0", name="other"))
    assert replay.check_duplicates(app, CheckDuplicates()).twins == len(texts)


def test_twins_are_marked_and_nothing_is_deleted(bench: Bench, app: App):
    deliver(app, made("evt_1", note="x"), made("evt_2", note="x"), made("evt_3", note="y"), made("evt_4", "thing_2"))
    deliver(app, made("evt_5", note="x"), made("evt_6", note="x", created=1))
    tried = replay.deduplicate(app, DeduplicateWebhooks(dry_run=True))
    assert (tried.executed, [(one.event, one.twin_of) for one in tried.events]) == (
        False,
        [("evt_2", "evt_1"), ("evt_5", "evt_1")],
    )
    assert replay.check_duplicates(app, CheckDuplicates()).twins == 2
    assert replay.deduplicate(app, DeduplicateWebhooks(execute=True)).twins == 2
    rows = bench.sql("select event_id, status, error from billing_webhook_events order by id")
    assert [row for row in rows if row[1] == "duplicate"] == [
        ("evt_2", "duplicate", "twin of evt_1"),
        ("evt_5", "duplicate", "twin of evt_1"),
    ]
    assert len(rows) == 6
    assert replay.check_duplicates(app, CheckDuplicates()).verdict == "no duplicates"
    with pytest.raises(InvalidParameter):
        replay.deduplicate(app, DeduplicateWebhooks(dry_run=True, execute=True))


def test_the_guides_own_statements_run(bench: Bench, app: App):
    deliver(app, made("evt_123"))
    bench.sql(
        "insert into billing_webhook_events (event_id, type, object_id, object_kind, livemode, event_created_at, payload, status,"
        " received_at) select event_id, type, object_id, object_kind, livemode, event_created_at, payload, 'duplicate', received_at"
        " from billing_webhook_events"
    )
    twice = "select event_id, count(*) from billing_webhook_events group by event_id having count(*) > 1"
    assert bench.sql(twice) == [("evt_123", 2)]
    bench.sql(
        "update billing_webhook_events set status = 'duplicate' where event_id = 'evt_123' and id != ("
        " select min(id) from billing_webhook_events where event_id = 'evt_123')"
    )
    assert replay.check_duplicates(app, CheckDuplicates()).marked == 1
    deliver(app, made("evt_123"))
    assert [one.deliveries for one in show.events(app, ListEvents(status="received"))] == [2]


def test_idempotency_of_an_event_is_shown_with_its_effects(bench: Bench, app: App):
    id = customer(bench)
    bench.deliver(app)
    bench.work(app)
    (event,) = bench.sandbox.events()
    deliver(app, event)
    found = show.show_idempotency(app, ShowIdempotency(event=event["id"]))
    assert (found.deliveries, found.repeats_ignored, found.attempts, found.status) == (2, 1, 1, "processed")
    assert found.effects == [f"customer {id} created, 0 fields"]
    with pytest.raises(NoSuchEvent):
        show.show_idempotency(app, ShowIdempotency(event="evt_unknown"))


# Where it goes


def test_an_endpoint_that_is_not_reached_is_made_with_a_warning(bench: Bench):
    app = bench.app()
    app.environ = {name: value for name, value in app.environ.items() if name != "STRIPE_WEBHOOK_SECRET"}
    done = endpoints.update_url(app, UpdateUrl(url="http://127.0.0.1:9/webhooks/stripe"))
    assert done.created and "warning: not reached from this machine (port 9 refuses" in done.note
    assert bench.sql("select count(*) from billing_webhook_polls") == [(1,)]


@pytest.mark.parametrize("url", ["http://[::1", "http://127.0.0.1:99999/x", "http://127.0.0.1:x/", "http://:80/"])
def test_where_nothing_can_be_sent_stripe_is_not_asked(bench: Bench, url: str):
    app = bench.app()
    with pytest.raises(NotPublic):
        endpoints.update_url(app, UpdateUrl(url=url))
    assert bench.sandbox.get("/v1/webhook_endpoints") == []
    with pytest.raises(stripe.InvalidRequestError, match="Invalid URL"):
        bench.sandbox.post("/v1/webhook_endpoints", url=url, enabled_events=["*"])


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://yourapp.com/webhooks/stripe", ""),
        ("http://yourapp.com/webhooks/stripe", "live mode needs https"),
        ("https://localhost/webhooks/stripe", "localhost cannot be reached from outside"),
        ("https://10.0.0.1/webhooks/stripe", "10.0.0.1 cannot be reached from outside"),
        ("https://[::1]/webhooks/stripe", "::1 cannot be reached from outside"),
        ("https://billing.internal/webhooks/stripe", "billing.internal cannot be reached from outside"),
        ("https://8.8.8.8/webhooks/stripe", ""),
    ],
)
def test_live_mode_wants_a_public_address(url: str, said: str):
    assert place.not_public(url) == said


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://a.com/x", "https://a.com:443/x/", True),
        ("https://a.com/x", "http://a.com/x", False),
        ("https://a.com/x", "https://a.com/y", False),
        ("https://A.com/x", "https://a.com/x", True),
        ("https://a.com:99999/x", "https://a.com/x", False),
    ],
)
def test_two_addresses_of_one_place(one: str, other: str, same: bool):
    assert place.same_place(one, other) is same
