"""Each repair by itself: what it tells, what it refuses, and that nothing happens without --execute."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Protocol

import psycopg
import pytest

from metering import invoice_month, people, status
from nself.app import App
from nself.core import period
from nself.core.errors import BillingError, MissingParameter
from nself.domains.customer import service as customer
from nself.domains.invoice.service import late
from nself.domains.quota.inputs import SetQuota
from nself.domains.quota.service import limits
from nself.domains.repair import rules
from nself.domains.repair.inputs import (
    CorrectEvent,
    DeduplicateUsage,
    ExplainEvent,
    RecalculateUsage,
    ReplayRejected,
    VoidEvent,
)
from nself.domains.repair.model import NoSuchEvent, NoSuchRejected, PeriodInvoiced, SeveralUsers
from nself.domains.repair.service import adjust, explain, recalculate, replay
from nself.domains.usage.errors import EventsArchived
from nself.domains.usage.inputs import AuditUsage, ListRejected, RecordUsage, ShowUsage, UsageEvent
from nself.domains.usage.service import aggregate, inspect, record, show


class Clock(Protocol):
    now: datetime


@pytest.fixture
def user(app: App) -> str:
    return people(app)[0]


def send(app: App, user: str, value: int = 1, metric: str = "calls", **more: object) -> record.Outcome:
    return record.ingest(app, [UsageEvent(user=user, metric=metric, value=value, **more)], "test")  # type: ignore[arg-type]


def used(app: App, user: str, metric: str = "calls", month: str | None = None) -> int:
    return sum(one.value for one in show.show(app, ShowUsage(user=user, metric=metric, period=month)))


def test_an_event_is_explained_wherever_it_went(app: App, user: str) -> None:
    send(app, user, 7, key="one")
    found = explain.explain(app, ExplainEvent(key="one"))
    assert (found.result, found.user, found.counted, found.hour_events, found.hour_total, found.pending) == (
        "counted", user, 7, 1, 7, 1,
    )  # fmt: skip
    aggregate.aggregate(app)
    assert explain.explain(app, ExplainEvent(key="one", user=user)).pending == 0
    adjust.correct(app, CorrectEvent(user=user, key="one", value=5, execute=True, reason="unit"))
    adjust.void(app, VoidEvent(user=user, key="one", execute=True, reason="test"))
    found = explain.explain(app, ExplainEvent(key="one"))
    assert (found.result, found.value, found.counted, found.hour_events) == ("void", 7, None, 0)
    assert [(one.kind, one.before, one.value, one.reason) for one in found.adjustments] == [
        ("correct", 7, 5, "unit"), ("void", 5, None, "test"),
    ]  # fmt: skip
    assert all(one.actor for one in found.adjustments)
    with pytest.raises(NoSuchEvent):
        explain.explain(app, ExplainEvent(key="unheard of"))
    with pytest.raises(NoSuchEvent):
        explain.explain(app, ExplainEvent(key="one", user=people(app)[0]))
    with pytest.raises(MissingParameter):
        explain.explain(app, ExplainEvent())


def test_two_users_may_have_one_key(app: App, user: str) -> None:
    (other,) = people(app)
    send(app, user, key="shared")
    send(app, other, 2, key="shared")
    with pytest.raises(SeveralUsers, match=user):
        explain.explain(app, ExplainEvent(key="shared"))
    assert explain.explain(app, ExplainEvent(key="shared", user=other)).counted == 2


def test_an_explanation_names_the_line_that_bills_the_event(app: App, user: str) -> None:
    send(app, user, 3, key="billed", at="2026-01-15")
    invoice_month(app, user, "2026-01")
    (line,) = explain.explain(app, ExplainEvent(key="billed", user=user)).billed
    assert (line.period, line.used, line.limit, line.amount_minor, line.status) == (
        "2026-01", 1500, 1000, 500, "on its way",
    )  # fmt: skip
    send(app, user, 3, key="later", at="2026-02-01")
    assert explain.explain(app, ExplainEvent(key="later", user=user)).billed == []


def test_a_rejected_event_tells_why_and_is_counted_once_the_cause_is_mended(app: App) -> None:
    name = people(app)[0] + "-late"
    send(app, name, 4, key="early")
    send(app, name, 5)
    send(app, name, 1, metric="unheard_of", key="odd")
    found = explain.explain(app, ExplainEvent(key="early"))
    assert (found.result, found.rejected[0].code) == ("rejected: no_such_user", "no_such_user")
    assert explain.explain(app, ExplainEvent(event=found.rejected[0].id)).result == "rejected: no_such_user"
    before = status(app)
    tried = replay.replay(app, ReplayRejected(code="no_such_user", execute=True))
    assert (tried.counted, {one.result for one in tried.events}) == (0, {"no_such_user"})
    customer.create_users(app, {name: None})
    tried = replay.replay(app, ReplayRejected(code="no_such_user"))
    assert (tried.counted, tried.executed) == (2, False) and used(app, name) == 0 and status(app) == before
    done = replay.replay(app, ReplayRejected(execute=True))
    assert (done.counted, used(app, name)) == (2, 9)
    assert [one.result for one in done.events if one.rejected_as == "no_such_metric"] == ["no_such_metric"]
    assert replay.replay(app, ReplayRejected(code="no_such_user", execute=True)).events == []
    after = status(app)
    assert (after.accepted, after.rejected, after.balanced) == (before.accepted, before.rejected - 2, True)
    assert explain.explain(app, ExplainEvent(key="early")).result == "counted"


def test_what_is_still_refused_is_shown_as_it_came(app: App) -> None:
    bodies = [
        b'{"user":"stranger-shown","metric":"calls","value":3,"key":"shown"}',
        b'{"user":"stranger-shown","metric":7,"value":1.5}',
        b"no json {",
    ]
    record.ingest(app, bodies, "test")
    found = replay.replay(app, ReplayRejected()).events[-3:]
    assert [(one.user, one.metric, one.value) for one in found] == [
        ("stranger-shown", "calls", 3), ("stranger-shown", None, None), (None, None, None),
    ]  # fmt: skip
    (why,) = explain.explain(app, ExplainEvent(key="shown")).rejected
    assert why.event == bodies[0].decode()


def test_a_rejected_event_is_found_by_its_key_alone(app: App) -> None:
    """Not by other text in which the key stands."""
    bodies = [
        b'{"user":"stranger","metric":"calls","value":1,"key":"b\\u00e4r"}',
        b'{"user":"stranger","metric":"b\xc3\xa4r","value":1,"key":"other"}',
        b'{"user":"stranger-2","metric":"calls","value":1,"key":"b\xc3\xa4r"}',
        b'{"specversion":"1.0","id":"b\xc3\xa4r","source":"s","type":"calls","subject":"stranger"}',
    ]
    record.ingest(app, bodies, "test")
    found = explain.explain(app, ExplainEvent(key="b\xe4r")).rejected
    assert [bodies.index(one.event.encode()) for one in found] == [0, 2, 3]
    found = explain.explain(app, ExplainEvent(key="b\xe4r", user="stranger-2")).rejected
    assert [bodies.index(one.event.encode()) for one in found] == [2]
    with pytest.raises(NoSuchEvent):
        explain.explain(app, ExplainEvent(key="stranger"))


def test_a_replayed_event_without_a_time_happened_when_it_was_rejected(app: App, clock: Clock) -> None:
    clock.now = datetime(2026, 3, 31, 23, 59, 59, tzinfo=UTC)
    name = people(app)[0] + "-late"
    send(app, name, 4)
    clock.now = datetime(2026, 4, 2, tzinfo=UTC)
    customer.create_users(app, {name: None})
    replay.replay(app, ReplayRejected(execute=True))
    assert (used(app, name, month="2026-03"), used(app, name, month="2026-04")) == (4, 0)


def test_a_replayed_event_whose_key_was_sent_again_meanwhile_is_a_duplicate(app: App) -> None:
    name = people(app)[0] + "-late"
    send(app, name, 4, key="twice")
    customer.create_users(app, {name: None})
    send(app, name, 4, key="twice")
    done = replay.replay(app, ReplayRejected(code="no_such_user", execute=True))
    assert (done.counted, done.duplicate, used(app, name)) == (0, 1, 4)
    assert status(app).balanced


def test_two_replays_at_once_count_once(app: App) -> None:
    name = people(app)[0] + "-late"
    for _ in range(40):
        send(app, name)
    customer.create_users(app, {name: None})
    threads = [threading.Thread(target=replay.replay, args=(app, ReplayRejected(execute=True))) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert used(app, name) == 40 and status(app).balanced


def test_what_cannot_be_read_or_found_stays(app: App) -> None:
    record.ingest(app, [b"{no json"], "test")
    (latest,) = inspect.list_rejected(app, ListRejected(limit=1))
    done = replay.replay(app, ReplayRejected(event=latest.id, execute=True))
    assert [one.result for one in done.events] == ["unreadable_event"]
    with pytest.raises(NoSuchRejected):
        replay.replay(app, ReplayRejected(event=10**12))


def test_events_that_their_senders_told_apart_are_only_taken_when_asked(app: App, user: str) -> None:
    at = "2026-02-01T10:00:00Z"
    for key in ("a", "b", None, None):
        send(app, user, 5, at=at, key=key, properties={"path": "/x"})
    send(app, user, 5, at=at)  # without the property
    given = {"user": user, "start": "2026-02-01", "end": "2026-02-01"}
    tried = adjust.deduplicate(app, DeduplicateUsage(**given))  # type: ignore[arg-type]
    assert (len(tried.duplicates), tried.with_own_keys, used(app, user)) == (2, 1, 25)
    assert len(tried.remarks()) == 2
    assert [(one.period, one.before, one.after, one.invoiced) for one in tried.changes] == [("2026-02", 25, 15, False)]
    done = adjust.deduplicate(app, DeduplicateUsage(**given, execute=True))  # type: ignore[arg-type]
    assert (done.changes, used(app, user)) == (tried.changes, 15)
    assert adjust.deduplicate(app, DeduplicateUsage(**given, execute=True)).duplicates == []  # type: ignore[arg-type]
    listed = inspect.audit(app, AuditUsage(user=user, date="2026-02-01"))
    assert (
        sorted((one.counted is not None, one.same) for one in listed)
        == [(False, 0)] * 2 + [(True, 1)] + [(True, 2)] * 2
    )
    done = adjust.deduplicate(app, DeduplicateUsage(**given, own_keys=True, execute=True))  # type: ignore[arg-type]
    assert (len(done.duplicates), used(app, user)) == (1, 10)
    key = done.duplicates[0].key
    found = explain.explain(app, ExplainEvent(key=key, user=user))
    assert found.result == f"duplicate of {done.duplicates[0].kept}"
    adjust.correct(app, CorrectEvent(user=user, key=key, value=5, execute=True))
    assert used(app, user) == 15 and status(app).balanced


def test_a_late_resend_of_an_event_that_was_taken_out_stays_a_duplicate(app: App, user: str) -> None:
    send(app, user, 5, key="k")
    adjust.void(app, VoidEvent(user=user, key="k", execute=True))
    assert send(app, user, 5, key="k").duplicates == {0}
    assert used(app, user) == 0


@pytest.mark.parametrize("what", ["void", "correct", "deduplicate", "recalculate"])
def test_an_invoiced_period_is_not_touched_unless_it_is_asked_for(app: App, user: str, what: str) -> None:
    for _ in range(2):
        send(app, user, 5, at="2026-01-15T10:00:00Z")
    send(app, user, 5, at="2026-01-15T10:00:00Z", key="k")
    aggregate.aggregate(app)
    invoice_month(app, user, "2026-01")
    if what == "recalculate":
        with app.db.transaction() as tx:
            tx.connection.execute("delete from billing_usage_rollups where user_id = %s", (user,))

    def act(execute: bool, ask: bool) -> list[object]:
        more = {"user": user, "execute": execute, "invoiced": ask}
        match what:
            case "void":
                return adjust.void(app, VoidEvent(key="k", **more)).changes  # type: ignore[arg-type]
            case "correct":
                return adjust.correct(app, CorrectEvent(key="k", value=1, **more)).changes  # type: ignore[arg-type]
            case "deduplicate":
                given = DeduplicateUsage(start="2026-01-01", end="2026-01-31", **more)  # type: ignore[arg-type]
                return adjust.deduplicate(app, given).changes
            case _:
                return recalculate.recalculate(app, RecalculateUsage(**more)).changes  # type: ignore[arg-type]

    before = used(app, user, month="2026-01")
    (change,) = act(execute=False, ask=False)
    assert change.invoiced  # type: ignore[attr-defined]
    with pytest.raises(PeriodInvoiced, match="2026-01"):
        act(execute=True, ask=False)
    assert used(app, user, month="2026-01") == before
    assert act(execute=True, ask=True) == [change]
    assert used(app, user, month="2026-01") == change.after  # type: ignore[attr-defined]


def test_a_recalculation_says_that_events_are_gone_and_the_status_that_the_law_is_broken(app: App, user: str) -> None:
    send(app, user, 7, key="stays", at="2026-01-20T10:00:00Z")
    send(app, user, 5, key="goes", at="2026-01-20T11:00:00Z")
    aggregate.aggregate(app)
    assert status(app).remarks() == []
    with psycopg.connect(app.db.conninfo, autocommit=True) as link:
        link.execute("delete from billing.billing_usage where user_id = %s and idempotency_key = 'goes'", (user,))
    found = status(app)
    assert not found.balanced and "the law does not hold" in found.remarks()[0]
    tried = recalculate.recalculate(app, RecalculateUsage(user=user))
    assert tried.remarks()[0].startswith("1 events fewer are stored than were counted")
    assert f"nself billing usage restore --user {user} --date 2026-01-20" in tried.remarks()[0]
    send(app, user, 5, key="again", at="2026-01-20T11:00:00Z")
    with psycopg.connect(app.db.conninfo, autocommit=True) as link:
        link.execute("delete from billing.billing_usage_keys where user_id = %s and idempotency_key = 'goes'", (user,))
        link.execute("update billing.billing_usage_intake set received = received - 1 where id = (select max(id) from billing.billing_usage_intake)")  # fmt: skip
    done = recalculate.recalculate(app, RecalculateUsage(user=user, execute=True))
    assert used(app, user, month="2026-01") == 12 and status(app).balanced and done.executed


def test_a_replay_leaves_events_of_invoiced_periods_where_they_are(app: App) -> None:
    name = people(app)[0] + "-late"
    send(app, name, 4, at="2026-01-10")
    customer.create_users(app, {name: None})
    invoice_month(app, name, "2026-01")
    done = replay.replay(app, ReplayRejected(execute=True))
    assert [one.result for one in done.events if one.user == name] == ["period_invoiced"]
    assert used(app, name, month="2026-01") == 0
    replay.replay(app, ReplayRejected(execute=True, invoiced=True))
    assert used(app, name, month="2026-01") == 4


def test_unknown_things_are_refused(app: App, user: str) -> None:
    with pytest.raises(NoSuchEvent):
        adjust.void(app, VoidEvent(user=user, key="nothing"))
    for call in (
        lambda: adjust.void(app, VoidEvent(user="nobody", key="k")),
        lambda: recalculate.recalculate(app, RecalculateUsage(user="nobody")),
        lambda: recalculate.recalculate(app, RecalculateUsage(user=user, metric="nothing")),
        lambda: recalculate.recalculate(app, RecalculateUsage(user=user, month="2026-13")),
        lambda: adjust.deduplicate(app, DeduplicateUsage(user=user, start="2026-02-01", end="2026-01-01")),
    ):
        with pytest.raises(BillingError):
            call()


def test_repairs_recording_and_folding_at_once_lose_nothing(app: App, user: str) -> None:
    """Events keep coming into the very hour whose rollup is made anew, while it is folded."""
    send(app, user, 1, key="victim")
    stop, failures = threading.Event(), list[Exception]()

    def repeat(work: object) -> Iterator[None]:
        while not stop.is_set():
            work()  # type: ignore[operator]
            yield

    def loop(work: object) -> None:
        try:
            for _ in repeat(work):
                pass
        except Exception as error:
            failures.append(error)

    sent = [0, 0]

    def sender(at: int) -> None:
        send(app, user, 1)
        sent[at] += 1

    works = [
        lambda: sender(0),
        lambda: sender(1),
        lambda: aggregate.aggregate(app),
        lambda: adjust.void(app, VoidEvent(user=user, key="victim", execute=True)),
        lambda: adjust.correct(app, CorrectEvent(user=user, key="victim", value=3, execute=True)),
        lambda: recalculate.recalculate(app, RecalculateUsage(user=user, execute=True)),
    ]
    threads = [threading.Thread(target=loop, args=(work,)) for work in works]
    for one in threads:
        one.start()
    stop.wait(3)
    stop.set()
    for one in threads:
        one.join()
    assert failures == []
    adjust.void(app, VoidEvent(user=user, key="victim", execute=True))
    aggregate.aggregate(app)
    assert used(app, user) == sum(sent) and status(app).balanced
    assert recalculate.recalculate(app, RecalculateUsage(user=user)).hours == []


def test_live_mode_wants_a_reason(app_with: object, place: str) -> None:
    app: App = app_with(STRIPE_MODE="live")  # type: ignore[operator]
    (user,) = people(app)
    send(app, user, 5, key="k")
    adjust.void(app, VoidEvent(user=user, key="k"))
    with pytest.raises(MissingParameter):
        adjust.void(app, VoidEvent(user=user, key="k", execute=True))
    assert used(app, user) == 5
    adjust.void(app, VoidEvent(user=user, key="k", execute=True, reason="sent by a test"))
    assert used(app, user) == 0
    with psycopg.connect(place) as link:
        rows = link.execute("select reason from billing.billing_usage_adjustments where user_id = %s", (user,))
        assert rows.fetchall() == [("sent by a test",)]


@pytest.mark.parametrize(
    ("key", "drawn"),
    [
        ("@" + "0" * 32, True),
        ("@" + "0" * 32 + ":17", True),
        ("rejected:4:0", True),
        ("order-1", False),
        ("@" + "0" * 31, False),
        ("0" * 32, False),
    ],
)
def test_keys_that_were_drawn_here(key: str, drawn: bool) -> None:
    assert rules.drawn(key) is drawn


def test_nothing_is_repaired_where_the_raw_events_are_archived(app: App, user: str) -> None:
    """As it is between archiving January and restoring it; a late event has come meanwhile."""
    send(app, user, 5, at="2026-01-15T10:00:00Z", key="early")
    send(app, user, 3, at="2026-01-15T10:30:00Z", key="late")
    send(app, user, 1, at="2026-02-01T10:30:00Z", key="here")
    aggregate.aggregate(app)
    with app.db.transaction() as tx:
        tx.connection.execute("delete from billing_usage where user_id = %s and idempotency_key = 'early'", (user,))
        tx.connection.execute(
            "insert into billing_usage_archives (month, state, location, events, actor, started_at)"
            " values ('2026-01-01', 'dropped', 's3://there', 1, 'test', now())"
        )
        tx.connection.execute(
            "update billing_usage_rollups set total = 9 where user_id = %s and hour > '2026-02-01'", (user,)
        )
    try:
        with pytest.raises(EventsArchived, match="2026-01"):
            adjust.void(app, VoidEvent(user=user, key="late", execute=True))
        found = explain.explain(app, ExplainEvent(key="early", user=user))
        assert found.result.startswith("counted; the event itself is not stored any more")
        done = recalculate.recalculate(app, RecalculateUsage(user=user, execute=True))
        assert (len(done.hours), done.archived) == (1, ["2026-01"])
        assert (used(app, user, month="2026-01"), used(app, user, month="2026-02")) == (8, 1)
    finally:
        with app.db.transaction() as tx:
            tx.connection.execute("update billing_usage_archives set returned = 1")
            tx.connection.execute(
                "insert into billing_usage select user_id, metric_type, 5, created_at - interval '30 minutes', 'early', properties, source,"
                " recorded_at from billing_usage where user_id = %s and idempotency_key = 'late'",
                (user,),
            )  # fmt: skip
    adjust.void(app, VoidEvent(user=user, key="late", execute=True))
    assert used(app, user, month="2026-01") == 5


def test_a_senders_own_key_that_looks_like_a_drawn_one_says_that_the_event_is_another(app: App, user: str) -> None:
    for _ in range(2):
        send(app, user, 5, at="2026-02-01T10:00:00Z", key=uuid.uuid4().hex)
    done = adjust.deduplicate(app, DeduplicateUsage(user=user, execute=True))
    assert (done.duplicates, done.with_own_keys, used(app, user)) == ([], 1, 10)
    for _ in range(2):
        send(app, user, 7, at="2026-02-01T11:00:00Z")
    assert len(adjust.deduplicate(app, DeduplicateUsage(user=user, execute=True)).duplicates) == 1
    for _ in range(2):
        record.record(app, RecordUsage(user=user, metric="calls", value=9, at="2026-02-01T12:00:00Z"))
    assert len(adjust.deduplicate(app, DeduplicateUsage(user=user, execute=True)).duplicates) == 1
    assert used(app, user) == 10 + 7 + 9


def test_what_is_taken_back_after_the_invoice_is_told_to_wait_for_a_word(app: App, user: str) -> None:
    """As it is: more is billed by itself, less is credited when an operator says so."""
    limits.set_quota(app, SetQuota(user=user, metric="calls", limit=1000, mode="overage"))
    january = {"at": "2026-01-15T10:00:00Z"}
    send(app, user, 1200, key="a", **january)
    send(app, user, 300, key="b", **january)
    invoice_month(app, user, "2026-01")
    with pytest.raises(PeriodInvoiced, match="what is less now is credited once an operator says so"):
        adjust.void(app, VoidEvent(user=user, key="b", execute=True))
    done = adjust.void(app, VoidEvent(user=user, key="b", execute=True, invoiced=True))
    span = period.month("2026-01", app.timezone)
    with app.db.reading() as tx:
        assert late.owed(app, tx, user, span, "usd") == []
    told = f"2026-01 was invoiced: nothing of it is credited before an operator says so: nself billing overage audit --user {user}"
    assert done.remarks() == [told]
    done = adjust.correct(app, CorrectEvent(user=user, key="b", value=400, execute=True, invoiced=True))
    with app.db.reading() as tx:
        assert [one.amount_minor for one in late.owed(app, tx, user, span, "usd")] == [100]
    assert done.remarks() == []
