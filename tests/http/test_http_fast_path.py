"""Events that are decoded all at once, and keys that are taken to be new, give what one by one and with care gives."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from test_http_fuzz import damaged, events

from metering import fresh, people, steady
from nself.app import App
from nself.core import period
from nself.core.errors import InvalidParameter
from nself.domains.catalog.model import Metered
from nself.domains.usage import rules
from nself.domains.usage.inputs import ShowUsage, UsageEvent
from nself.domains.usage.service import record, show
from nself.http import answer, reading


class Seen(NamedTuple):
    """What became of a body, without the name of its user."""

    refused: list[tuple[int, str, str]]
    duplicates: list[int]
    stored: list[tuple[Any, ...]]
    kept: list[tuple[str, str, str]]
    totals: list[tuple[str, int, int]]
    deltas: list[tuple[Any, ...]]
    intake: list[tuple[Any, ...]]


KEYED = st.builds(
    lambda key, value, metric: {
        "user": "USER",
        "metric": metric,
        "value": value,
        "key": key,
        "at": "2026-01-05T10:00:00.5Z",
    },
    st.sampled_from(["a", "b", "a\\b", "ä", "c" * 255, 'q"']),
    st.integers(0, 2),
    st.sampled_from(["calls", "peak", "seats"]),
)
PLAIN = st.builds(
    lambda at, more: {"user": "USER", "metric": "calls", "value": 3, "at": at, "properties": more},
    st.sampled_from(
        ["2026-01-05T10:00:00Z", "2026-01-05", "20260105T100000Z", "2026-01-05 11:00:00+01:00", "2026-W02-1T10:00:00Z"]
    ),
    st.sampled_from(
        [None, {}, {"b": 1, "a": 1.0}, {"x": "\\N\t\n\u0001"}, {"deep": [[["\\"]]]}, {"n": 12345678901234567890123}]
    ),
)


WAYS = {"few": (500, 0), "copy": (0, 0), "careful": (500, 10)}
"""How keys, events and deltas are stored: FEW and how long known keys are expected."""


def take(way: str) -> None:
    record.FEW, record._cautious = WAYS[way]


@pytest.fixture(autouse=True)
def _as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "FEW", record.FEW)
    monkeypatch.setattr(record, "_cautious", 0)


def seen(app: App, body: bytes, fast: bool, way: str) -> Seen | str:
    """Send `body` for a user of its own."""
    (user,) = people(app)
    source = fresh("way")
    body = body.replace(b"USER", user.encode())
    array = body.lstrip()[:1] == b"["
    try:
        sent = reading.reader([])(body) if fast else reading.Sent(reading._told(reading._raw, body, array))
    except answer.NotJson as error:
        return str(error).replace(user, "USER")
    take(way)
    outcome = record.ingest(app, sent.events, source, sent.written)
    with app.db.reading() as tx:
        stored = tx.connection.execute(
            """select metric_type, value, properties, dimensions, nullif(created_at, recorded_at), encode(digest, 'hex')
            from billing_usage join billing_usage_keys using (user_id, idempotency_key) where user_id = %s""",
            (user,),
        ).fetchall()
        kept = tx.connection.execute(
            "select event, code, message from billing_usage_rejected where source = %s order by id", (source,)
        ).fetchall()
        deltas = tx.connection.execute(
            """select metric_type, events, total, largest, last_value, given.* from billing_usage_deltas
            left join lateral (select hour, last_at where last_at < now() - interval '1 minute') given on true
            where user_id = %s""",
            (user,),
        ).fetchall()
        intake = tx.connection.execute(
            "select received, duplicate from billing_usage_intake where source = %s", (source,)
        ).fetchall()
    return Seen(
        [(at, error.code, error.message.replace(user, "USER")) for at, error in sorted(outcome.refused.items())],
        sorted(outcome.duplicates),
        sorted(stored, key=repr),
        [(event.replace(user, "USER"), code, text.replace(user, "USER")) for event, code, text in kept],
        [(one.metric, one.value, one.events) for one in show.show(app, ShowUsage(user=user, period="2026-01"))],
        sorted(deltas, key=repr),
        intake,
    )


def test_any_mix_of_good_and_bad_events_ends_the_same_on_each_way(app: App) -> None:
    bodies = st.one_of(
        st.lists(st.one_of(KEYED, KEYED, PLAIN), max_size=8),
        st.lists(st.one_of(KEYED, PLAIN, events()), max_size=6),
        events(),
    )

    @steady(120)
    @given(
        st.builds(
            damaged,
            st.builds(lambda one: json.dumps(one).encode(), bodies),
            st.integers(0, 400),
            st.sampled_from(["whole"] * 4 + ["cut", "lost", "other", "nul", "doubled"]),
        ),
        st.permutations([*WAYS]),
    )
    def run(body: bytes, ways: list[str]) -> None:
        assert seen(app, body, fast=True, way=ways[0]) == seen(app, body, fast=False, way=ways[1])

    run()


def test_what_is_refused_is_kept_letter_by_letter_though_the_array_was_decoded_at_once(app: App) -> None:
    (user,) = people(app)
    mark = fresh()
    odd = f'{{ "value" : 1,"metric":"n\\u006f", "user":"{user}", "key": "{mark}" }}'
    good = f'{{"user":"{user}","metric":"calls","value":1}}'
    sent = reading.reader([])(f"[{good}, {odd} ,{good}]".encode())
    assert all(isinstance(one, UsageEvent) for one in sent.events)
    assert list(record.ingest(app, sent.events, "test", sent.written).refused) == [1]
    with app.db.reading() as tx:
        found = tx.connection.execute("select event from billing_usage_rejected where event like %s", (f"%{mark}%",))
        assert found.fetchall() == [(odd,)]


@pytest.mark.parametrize("way", WAYS)
def test_one_known_key_among_new_ones_keeps_none_of_them_away(app: App, way: str) -> None:
    (user,) = people(app)

    def send(*keys: str) -> list[int]:
        take(way)
        events = [UsageEvent(user=user, metric="calls", value=1, key=key) for key in keys]
        return sorted(record.ingest(app, events, "test").duplicates)

    assert send("b") == []
    assert send("a", "b", "c") == [1]
    assert send("d", "d", "e", "a") == [1, 3]
    assert show.show(app, ShowUsage(user=user, metric="calls"))[0].value == 5


@pytest.mark.parametrize("way", ["few", "copy"])
def test_after_a_known_key_none_is_taken_to_be_new_for_a_while(app: App, way: str) -> None:
    (user,) = people(app)
    take(way)
    for _ in range(2):
        record.ingest(app, [UsageEvent(user=user, metric="calls", value=1, key="k")], "test")
    assert record._cautious == record.CAUTIOUS_COMMITS - 1


@pytest.mark.parametrize(
    ("event", "content"),
    [
        (UsageEvent(user="u", metric="calls", value=1), "calls\0" + "1\0\0"),
        (
            UsageEvent(user="u", metric="calls", value=7, at="2026-01-05T11:00:00.120+01:00"),
            "calls\0" + "7\0" + "2026-01-05T10:00:00.120000+00:00\0",
        ),
        (
            UsageEvent(user="u", metric="calls", value=7, at="2026-01-05", properties={"b": "ä", "a": [1.0, None]}),
            "calls\0" + "7\0" + '2026-01-05T00:00:00+00:00\0{"a":[1.0,null],"b":"ä"}',
        ),
    ],
)
def test_the_digest_of_a_content_never_changes(event: UsageEvent, content: str) -> None:
    """Else what was sent before an update would not be known after it."""
    now = datetime(2026, 2, 1, tzinfo=UTC)
    row = rules.check(event, {"calls": Metered((), True)}, now, ZoneInfo("UTC"), "fresh")
    assert row.digest == hashlib.blake2b(content.encode(), digest_size=16).digest()


@given(st.datetimes(datetime(2000, 1, 1), datetime(9999, 12, 31)))
def test_instants_are_written_as_python_writes_them(at: datetime) -> None:
    at = at.replace(tzinfo=UTC)
    assert rules._written(at) == at.isoformat()


@st.composite
def instants(draw: st.DrawFn) -> str:
    """An instant as senders write it, most with a character that is another, too much or missing."""
    at = draw(st.datetimes(datetime(2000, 1, 1), datetime(2026, 1, 1)))
    written = draw(
        st.sampled_from(["%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S.%fZ", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S+01:00",
                         "%Y%m%dT%H%M%SZ", "%G-W%V-%uT%H:%M:%SZ", "%Y-%m-%d"])
    )  # fmt: skip
    text = at.strftime(written)
    text = text[:-4] + "Z" if draw(st.booleans()) and text.endswith("Z") else text
    place, other = draw(st.integers(0, len(text))), draw(st.sampled_from(["", *"0129TZ:.,-+ \0\u0663"]))
    return text if draw(st.booleans()) else text[:place] + other + text[place + draw(st.integers(0, 1)) :]


@given(instants())
@example("2026-01-15+10:12:13Z")  # what Python reads, and we do not
@example("2026-01-15,10:12:13.123Z")
@example("2026-01-15T10:12:13,Z")
@example("2026-01-15T10:12.13Z")
@example("2026-W03-4T10:12:13Z")
def test_an_instant_whose_form_is_not_looked_at_is_what_a_look_gives(text: str) -> None:
    now, tz = datetime(2030, 1, 1, tzinfo=UTC), ZoneInfo("Europe/Berlin")
    try:
        at = period.instant(text, tz)
    except InvalidParameter as error:
        with pytest.raises(InvalidParameter, match=re.escape(str(error))):
            rules._time(text, now, tz)
        return
    if rules.EARLIEST <= at <= now:
        assert rules._time(text, now, tz) == (at, at.isoformat())
