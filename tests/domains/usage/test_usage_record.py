"""What recording refuses, and why; what totals keep."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Protocol

import pytest

from metering import fresh, people, short, status
from nself.app import App
from nself.core.errors import BillingError, InvalidParameter
from nself.domains.usage.inputs import AuditUsage, RecordUsage, ShowUsage, UsageEvent
from nself.domains.usage.service import aggregate, inspect, record, show


class Clock(Protocol):
    now: datetime


class Places(Protocol):
    def __call__(self, zone: str = "UTC") -> App: ...


def send(app: App, *events: bytes | UsageEvent) -> list[str]:
    """What became of each event."""
    outcome = record.ingest(app, events, "test")
    return [
        outcome.refused[at].code if at in outcome.refused else "duplicate" if at in outcome.duplicates else "counted"
        for at in range(len(events))
    ]


def event(user: str, metric: str = "calls", value: int = 1, **more: object) -> bytes:
    return json.dumps({"user": user, "metric": metric, "value": value, **more}).encode()


def total(app: App, user: str, metric: str = "calls") -> int:
    return show.show(app, ShowUsage(user=user, metric=metric))[0].value


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"user":"USER","metric":"calls"}', "parameter_missing"),
        (b'{"user":"USER","metric":"calls","value":1,"vaule":2}', "parameter_unknown"),
        (b'{"user":"USER","metric":"calls","value":1.5}', "parameter_invalid_integer"),
        (b'{"user":"USER","metric":"calls","value":1e3}', "parameter_invalid_integer"),
        (b'{"user":"USER","metric":"calls","value":true}', "parameter_invalid_integer"),
        (b'{"user":"USER","metric":"calls","value":"1"}', "parameter_invalid_integer"),
        (b'{"user":"USER","metric":"calls","value":null}', "parameter_invalid_integer"),
        (b'{"user":"USER","metric":"calls","value":1.5,"x":oops}', "parameter_invalid_integer"),
        (b'{"user":"USER","metric":"calls","value":' + b"9" * 5000 + b"}", "parameter_invalid_integer"),
        (b'{"user":"USER","metric":"calls","value":-1}', "value_out_of_range"),
        (b'{"user":"USER","metric":"calls","value":1000000000000001}', "value_out_of_range"),
        (b'{"user":"USER","metric":"calls","value":9223372036854775808}', "value_out_of_range"),
        (b'{"user":"USER","metric":"no","value":1}', "no_such_metric"),
        (b'{"user":"USER","metric":"nul\\u0000","value":1}', "no_such_metric"),
        (b'{"user":"USER","metric":"calls","value":1,"\\u0000":1}', "parameter_unknown"),
        (b'{"user":"nobody","metric":"calls","value":1}', "no_such_user"),
        (b'{"user":"","metric":"calls","value":1}', "parameter_invalid"),
        (b'{"user":"a\\u0000b","metric":"calls","value":1}', "parameter_invalid"),
        (b'{"user":"' + b"x" * 256 + b'","metric":"calls","value":1}', "parameter_invalid"),
        (b'{"user":"USER","metric":"calls","value":1,"key":""}', "key_invalid"),
        (b'{"user":"USER","metric":"calls","value":1,"key":"a\\nb"}', "key_invalid"),
        (b'{"user":"USER","metric":"calls","value":1,"key":"' + b"k" * 256 + b'"}', "key_invalid"),
        (b'{"user":"USER","metric":"calls","value":1,"at":"yesterday\\u0000"}', "parameter_invalid"),
        (b'{"user":"USER","metric":"calls","value":1,"at":"1999-12-31T23:59:59Z"}', "timestamp_out_of_range"),
        (b'{"user":"USER","metric":"calls","value":1,"at":"2026-02-10T12:05:01Z"}', "timestamp_out_of_range"),
        (b'{"user":"USER","metric":"calls","value":1,"at":"0001-01-01T00:00:00+23:00"}', "parameter_invalid"),
        (b'{"user":"USER","metric":"calls","value":1,"at":"9999-12-31T23:59:59-23:00"}', "parameter_invalid"),
        (b'{"user":"USER","metric":"calls","value":1,"at":1770000000}', "unreadable_event"),
        (b'{"user":"USER","metric":"calls","value":1,"properties":[]}', "unreadable_event"),
        (b'{"user":"\xff","metric":"calls","value":1}', "unreadable_event"),
        (b'{"user":"\\ud800","metric":"calls","value":1}', "unreadable_event"),
        (
            b'{"user":"USER","metric":"calls","value":1,"properties":' + b'{"a":' * 5000 + b"1" + b"}" * 5001,
            "unreadable_event",
        ),
        (b"[]", "unreadable_event"),
        (b"1", "unreadable_event"),
        (b"null", "unreadable_event"),
    ],
    ids=short,
)
def test_a_bad_event_is_refused_with_its_code_and_the_rest_of_the_batch_is_counted(
    app: App, body: bytes, code: str
) -> None:
    (user,) = people(app)
    before = status(app)
    good = event(user, value=3)
    assert send(app, good, body.replace(b"USER", user.encode()), good) == ["counted", code, "counted"]
    after = status(app)
    assert (after.rejected - before.rejected, after.accepted - before.accepted) == (1, 3)
    assert total(app, user) == 6


def test_what_was_wrong_is_told_as_it_was_written(app: App) -> None:
    for written in ("1.5", "1e3", "true", '"1"', "null", "[1]", "0.10"):
        outcome = record.ingest(app, [f'{{"user":"u","metric":"calls","value":{written}}}'.encode()], "test")
        assert outcome.refused[0].message == f"Invalid integer: {written}"


def test_a_reason_of_megabytes_is_cut(app: App) -> None:
    outcome = record.ingest(app, [b'{"user":"u","metric":"calls","value":1,"' + b"x" * 2_000_000 + b'":1}'], "test")
    assert len(outcome.part(0, 1).rejected[0].message) <= record.MAX_KEPT


def test_the_last_moments_that_are_allowed_are_counted(app: App) -> None:
    (user,) = people(app)
    times = ("2000-01-01T00:00:00Z", "2026-02-10T12:05:00Z", "2026-02-10", "2026-02-10 01:02:03", "20260210T010203Z")
    assert send(app, *(event(user, at=at) for at in times)) == ["counted"] * len(times)
    assert total(app, user) == 4  # the first is of another month


def test_a_key_counts_once_and_other_content_under_it_is_refused(app: App) -> None:
    (user,) = people(app)
    assert send(app, event(user, value=2, key="k"), event(user, value=2, key="k")) == ["counted", "duplicate"]
    assert send(app, event(user, value=2, key="k"), event(user, value=3, key="k")) == ["duplicate", "idempotency_error"]
    assert send(app, event(user, "seats", 2, key="k")) == ["idempotency_error"]
    assert send(app, event(user, value=2, key="k", at="2026-02-01")) == ["idempotency_error"]
    assert send(app, event(user, value=2, key="k", properties={"a": 1})) == ["idempotency_error"]
    assert send(app, event(user, value=2, key="k", properties={})) == ["duplicate"]
    assert total(app, user) == 2


def test_the_same_instant_written_in_another_zone_is_a_duplicate(app: App) -> None:
    (user,) = people(app)
    assert send(
        app, event(user, key="k", at="2026-02-01T10:00:00Z"), event(user, key="k", at="2026-02-01T11:00:00+01:00")
    ) == [
        "counted",
        "duplicate",
    ]


def test_a_resend_that_states_no_time_is_a_duplicate_whenever_it_comes(app: App, clock: Clock) -> None:
    (user,) = people(app)
    send(app, event(user, key="k"))
    clock.now += timedelta(days=40)
    assert send(app, event(user, key="k")) == ["duplicate"]


def test_keys_of_two_users_do_not_meet(app: App) -> None:
    one, other = people(app, fresh(), fresh())
    assert send(app, event(one, key="k"), event(other, key="k", value=5)) == ["counted", "counted"]


def test_a_key_whose_first_use_was_refused_is_free(app: App) -> None:
    (user,) = people(app)
    assert send(app, event(user, value=-1, key="k"), event(user, value=1, key="k")) == ["value_out_of_range", "counted"]


def test_the_command_gives_a_key_and_says_whether_it_counted(app: App) -> None:
    (user,) = people(app)
    first = record.record(app, RecordUsage(user=user, metric="calls", value=4))
    again = record.record(app, RecordUsage(user=user, metric="calls", value=4, key=first.key))
    assert (first.result, again.result, total(app, user)) == ("recorded", "duplicate", 4)
    with pytest.raises(BillingError, match="No such metric: no"):
        record.record(app, RecordUsage(user=user, metric="no", value=4))


def test_the_command_takes_properties_as_json(app: App) -> None:
    (user,) = people(app)
    made = record.record(app, RecordUsage(user=user, metric="calls", value=1, properties='{"region": "eu", "n": [1]}'))
    (stored,) = inspect.audit(app, AuditUsage(user=user))
    assert (stored.key, json.loads(stored.properties or "")) == (made.key, {"region": "eu", "n": [1]})
    for wrong in ("region=eu", "[1]", '{"a":', "\udcff", '{"a":' * 5000):
        with pytest.raises(InvalidParameter, match="Invalid properties"):
            record.record(app, RecordUsage(user=user, metric="calls", value=1, properties=wrong))


def test_a_fold_of_smaller_values_leaves_the_largest_and_the_last(app: App) -> None:
    (user,) = people(app)
    for value, at in ((9, "2026-02-10T10:30:00Z"), (4, "2026-02-10T10:20:00Z"), (5, "2026-02-10T10:30:00Z")):
        send(app, event(user, "peak", value, at=at), event(user, "seats", value, at=at))
        aggregate.aggregate(app)
        assert (total(app, user, "peak"), total(app, user, "seats")) == (9, 9)


def test_the_largest_totals_are_exact(app: App) -> None:
    (user,) = people(app)
    send(app, *(event(user, value=10**15 - at) for at in range(40)))
    assert total(app, user) == 40 * 10**15 - sum(range(40))
    aggregate.aggregate(app)
    assert total(app, user) == 40 * 10**15 - sum(range(40))


def test_an_hour_of_a_zone_with_half_hours_is_shown_as_the_hour_it_is(app_in: Places) -> None:
    app = app_in("Asia/Kolkata")
    (user,) = people(app)
    send(app, event(user, at="2026-01-31T18:45:00Z"), event(user, at="2026-02-01T18:15:00Z"))
    rows = show.show(app, ShowUsage(user=user, period="2026-02", by="hour"))
    assert [(row.period_start, row.period_end) for row in rows] == [
        (datetime(2026, 1, 31, 18, 30, tzinfo=UTC), datetime(2026, 1, 31, 19, tzinfo=UTC)),
        (datetime(2026, 2, 1, 18, tzinfo=UTC), datetime(2026, 2, 1, 19, tzinfo=UTC)),
    ]


def test_what_is_not_there_is_zero_for_each_metric(app: App) -> None:
    (user,) = people(app)
    assert [(row.metric, row.value, row.events) for row in show.show(app, ShowUsage(user=user))] == [
        (metric, 0, 0) for metric in ("calls", "logins", "peak", "seats")
    ]
    assert show.show(app, ShowUsage(user=user, by="day")) == []


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (ShowUsage(user="nobody"), "No such user: nobody"),
        (ShowUsage(user="nobody", metric="no"), "No such metric: no"),
        (ShowUsage(user="nobody", period="2026-13"), "Invalid period: 2026-13"),
        (ShowUsage(user="nobody", period="9999-12"), "Invalid period: 9999-12"),
        (ShowUsage(user="nobody", period="2026-01", month="2026-02"), "give one"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(app: App, given: ShowUsage, words: str) -> None:
    with pytest.raises(BillingError, match=words):
        show.show(app, given)
