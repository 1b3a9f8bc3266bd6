"""Root causes of chapter 6: each is found where it is, and not on a healthy system or beside its neighbours."""

from __future__ import annotations

from datetime import timedelta

import pytest
from money_bench import NOW, Bench, email, signed

from nself.app import App
from nself.diagnosis import Look
from nself.domains.webhook import rules
from nself.domains.webhook.inputs import DeduplicateWebhooks, ReplayWebhooks
from nself.domains.webhook.model import SlowEvent
from nself.domains.webhook.service import replay, switches
from nself.domains.webhook.service.causes import CAUSES
from nself.domains.webhook.service.receive import receive

STORED = tuple(one for one in CAUSES if "stripe" not in one.needs)


def found(app: App) -> set[str]:
    look = Look(app)
    return {one.id for one in STORED if one.detect(look)}


def renamed(bench: Bench, app: App) -> tuple[str, str]:
    """A customer whose two events are processed: its id, and that of the older event."""
    id = str(bench.sandbox.post("/v1/customers", email=email("a"))["id"])
    bench.deliver(app)
    bench.work(app)
    bench.sandbox.edit("customer", id, name="b")
    bench.deliver(app)
    bench.work(app)
    return id, bench.events()[0][0]


def test_a_healthy_inbox_shows_nothing(bench: Bench):
    app = bench.app()
    _, event = renamed(bench, app)
    bench.deliver_only(app, event)  # Stripe's retry of what is known
    replay.replay(app, ReplayWebhooks(event=event))
    assert found(app) == set()


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("WEBHOOK_IDEMPOTENCY_ENABLED", "6.2.1"),
        ("WEBHOOK_ASYNC_PROCESSING", "6.3.2"),
        ("WEBHOOK_USE_QUEUE", "6.3.4"),
        ("WEBHOOK_SEQUENTIAL_PER_OBJECT", "6.4.1"),
        ("WEBHOOK_TRACK_VERSIONS", "6.4.2"),
        ("WEBHOOK_USE_LOCKS", "6.4.4"),
    ],
)
def test_a_switch_that_is_off(bench: Bench, name: str, cause: str):
    assert name in switches.SWITCHES
    assert found(bench.app(**{name: "false"})) == {cause}
    assert found(bench.app(STRIPE_MODE="live", **{name: "false"})) == set()


def test_the_same_thing_under_two_ids(bench: Bench):
    app = bench.app()
    renamed(bench, app)
    body = signed_copy(bench, "evt_again")
    receive(app, body, signed(body))
    assert found(app) == set()  # nobody has worked at it yet
    bench.work(app)
    assert found(app) == {"6.2.2"}
    replay.deduplicate(app, DeduplicateWebhooks(execute=True))
    assert found(app) == set()


def signed_copy(bench: Bench, id: str) -> bytes:
    (text,) = bench.sql("select payload from billing_webhook_events order by id limit 1")[0]
    original = bench.events()[0][0]
    return str(text).replace(original, id).encode()


def test_an_effect_without_its_mark_and_one_that_came_twice(bench: Bench):
    app = bench.app()
    _, event = renamed(bench, app)
    bench.sql("update billing_webhook_events set status = 'failed', processed_at = null where event_id = %s", event)
    assert found(app) == {"6.2.3"}
    replay.deduplicate(app, DeduplicateWebhooks())
    assert found(app) == {"6.2.3"}  # only shown
    replay.deduplicate(app, DeduplicateWebhooks(execute=True))
    assert found(app) == set()
    bench.sql(
        "insert into billing_object_changes (kind, object_id, livemode, what, source, snapshot_number, changes, changed_at)"
        " select kind, object_id, livemode, what, source, snapshot_number, changes, changed_at from billing_object_changes"
        " where source = 'webhook ' || %s",
        event,
    )
    bench.sql(
        "update billing_webhook_events set claimed_at = %s where event_id = %s", NOW - timedelta(seconds=1), event
    )
    assert found(app) == {"6.2.4"}
    bench.sql(
        "update billing_webhook_events set claimed_at = %s where event_id = %s", NOW + timedelta(seconds=1), event
    )
    assert found(app) == set()  # that was a replay


def test_a_retry_that_came_after_a_younger_event(bench: Bench):
    app = bench.app()
    id, event = renamed(bench, app)
    bench.sql(
        "update billing_webhook_events set event_created_at = event_created_at - interval '1 hour' where event_id = %s",
        event,
    )
    bench.sql(
        "update billing_webhook_events set attempts = 2, processed_at = processed_at + interval '1 s' where event_id = %s",
        event,
    )
    assert found(app) == set()  # what is stored comes from the younger one
    bench.sql("update billing_customers set source = 'webhook ' || %s where customer_id = %s", event, id)
    assert found(app) == {"6.4.3"}


def worked(stripe: int = 50, stored: int = 50, cause: str = "processed") -> SlowEvent:
    return SlowEvent("evt_1", "customer.updated", "cus_1", NOW, 1, 0, stripe, stored, stripe + stored, cause)


SLOW, LATE, QUICK = worked(stored=4000), worked(stripe=6000), worked()
GIVEN_UP = worked(stored=10_000, cause="webhook_timeout: Processing took longer than WEBHOOK_TIMEOUT (10 s)")


@pytest.mark.parametrize(
    ("events", "storing", "calls"),
    [
        ([], False, False),
        ([QUICK, QUICK], False, False),
        ([SLOW], False, False),
        ([SLOW, SLOW, QUICK], True, False),
        ([QUICK, SLOW, SLOW], False, False),
        ([SLOW, QUICK, QUICK, QUICK, SLOW], False, False),
        ([LATE, LATE], False, True),
        ([QUICK, GIVEN_UP], False, True),
        ([worked(cause="database_timeout: …"), worked(cause="failed")], False, False),
    ],
)
def test_what_makes_events_slow_now(events: list[SlowEvent], storing: bool, calls: bool):
    assert (bool(rules.slow_storing(events)), bool(rules.slow_calls(events))) == (storing, calls)
