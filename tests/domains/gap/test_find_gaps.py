"""Gaps: silences against a user's own rhythm, with the cause where it is known, and commands that exist."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

import click
import msgspec
import pytest

from metering import app_on, invoice_month, people, sample
from nself.app import App
from nself.cli import tree
from nself.core.errors import InvalidParameter
from nself.core.period import Period
from nself.domains.catalog.model import NoSuchMetric
from nself.domains.customer.model import NoSuchUser
from nself.domains.gap import rules
from nself.domains.gap.inputs import FindGaps
from nself.domains.gap.model import Gap, Minute, Silence
from nself.domains.gap.service.find import find
from nself.domains.uptime import store as uptime
from nself.domains.uptime.model import Note, Run
from nself.domains.usage.inputs import ImportUsage, UsageEvent
from nself.domains.usage.service import collector, import_file, record
from nself.registry import Registry
from nself.spool.refused import Span

BEGIN = datetime(2026, 1, 5, tzinfo=UTC)  # a Monday
UTC_ZONE, BERLIN = ZoneInfo("UTC"), ZoneInfo("Europe/Berlin")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def minutes_of(instants: Iterable[datetime]) -> list[Minute]:
    found: list[Minute] = []
    for at, some in groupby(sorted(instants), key=lambda one: one.replace(second=0, microsecond=0)):
        times = list(some)
        found.append(Minute("api_calls", at, len(times), times[0], times[-1]))
    return found


def every(step: timedelta, days: int, busy: Callable[[datetime], bool] = lambda at: True) -> list[datetime]:
    times = (BEGIN + number * step for number in range(days * DAY // step))
    return [at for at in times if busy(at)]


def silences(
    instants: list[datetime], span: Period, zone: ZoneInfo = UTC_ZONE, known: Iterable[Period] = ()
) -> list[Silence]:
    return rules.silences(minutes_of(at for at in instants if at < span.end), span, zone, known)[0]


def without(instants: list[datetime], hole: Period) -> list[datetime]:
    return [at for at in instants if not hole.start <= at < hole.end]


def office(at: datetime) -> bool:
    """Work days from nine to five in Berlin."""
    local = at.astimezone(BERLIN)
    return local.weekday() < 5 and 9 <= local.hour < 17


@pytest.mark.parametrize("weeks", [1, 3, 10])
def test_nights_and_weekends_are_usual_and_a_silent_working_day_is_not(weeks: int) -> None:
    events, span = every(timedelta(minutes=20), 7 * weeks, office), Period(BEGIN, BEGIN + 7 * weeks * DAY)
    assert silences(events, span, BERLIN) == []
    wednesday = BEGIN + (7 * weeks - 5) * DAY
    hole = Period(wednesday + 7 * HOUR, wednesday + 17 * HOUR)
    (found,) = silences(without(events, hole), span, BERLIN)
    assert found.span.start < hole.start + HOUR and found.span.end > hole.end
    assert 20 <= found.expected <= 26 and found.chance < rules.RARE


def test_the_clock_of_the_user_is_that_of_the_time_zone() -> None:
    """A year with both changes of the clock: no morning is missing."""
    events = every(timedelta(minutes=20), 365, office)
    assert silences(events, Period(BEGIN, BEGIN + 365 * DAY), BERLIN) == []


def test_a_steady_stream_is_watched_by_the_minute_and_a_burst_is_not_one() -> None:
    stream, span = every(timedelta(seconds=20), 10), Period(BEGIN + DAY, BEGIN + 10 * DAY)
    hole = Period(BEGIN + 8 * DAY + 7 * HOUR, BEGIN + 8 * DAY + 7 * HOUR + timedelta(minutes=10))
    (found,) = silences(without(stream, hole), span)
    assert found.span.start == hole.start - timedelta(seconds=20) and found.span.end == hole.end
    assert 27 <= found.expected <= 30
    # Ten minutes an hour, at any time of it: what is quiet between them is the rhythm.
    bursts = [at for at in stream if at.minute // 10 == hash_of(at) % 6]
    assert silences(bursts, span) == []
    (found,) = silences(without(bursts, Period(hole.start, hole.start + 6 * HOUR)), span)
    assert rules.length(found.span).startswith(("5h", "6h", "7h"))


@pytest.mark.parametrize("minute", [0, 59])
def test_once_a_day_is_a_rhythm(minute: int) -> None:
    events = every(timedelta(minutes=1), 30, lambda at: (at.hour, at.minute) == (12, minute))
    assert silences(events, Period(BEGIN, BEGIN + 30 * DAY)) == []
    (found,) = silences([at for at in events if not 20 <= (at - BEGIN).days < 27], Period(BEGIN, BEGIN + 30 * DAY))
    assert rules.length(found.span) == "8d00h" and found.expected == 7


def hash_of(at: datetime) -> int:
    return (at.day * 24 + at.hour) * 7919 % 101


def test_who_has_ceased_is_silent_to_the_end_and_who_has_just_begun_is_not() -> None:
    events, span = every(HOUR, 10), Period(BEGIN, BEGIN + 14 * DAY)
    (found,) = silences(events, span)
    assert found.span == Period(events[-1], span.end)
    assert silences(events[:2], Period(BEGIN - 30 * DAY, BEGIN + 2 * HOUR)) == []
    assert silences([], span) == []


def test_what_is_known_to_have_been_wrong_needs_less() -> None:
    events, span = every(timedelta(minutes=30), 4), Period(BEGIN, BEGIN + 4 * DAY)
    hole = Period(BEGIN + 2 * DAY + 5 * HOUR, BEGIN + 2 * DAY + 7 * HOUR)
    assert silences(without(events, hole), span) == []
    (found,) = silences(without(events, hole), span, known=[hole])
    assert found.span.end == hole.end
    assert silences(events, span, known=[hole]) == []  # nothing is missing


# with a database


def gaps(app: App, user: str, **given: Any) -> list[Gap]:
    return find(app, FindGaps(user=user, **given))


def use(app: App, user: str, instants: Iterable[datetime]) -> None:
    events = [UsageEvent(user=user, metric="api_calls", value=1, at=at.isoformat()) for at in instants]
    assert not record.ingest(app, events, "test").refused


JANUARY = {"start": "2026-01-01", "end": "2026-01-31"}
HOLE = Period(BEGIN + 9 * DAY + 6 * HOUR, BEGIN + 9 * DAY + 14 * HOUR)


@pytest.fixture
def user(app: App) -> str:
    """Used every half an hour for four weeks, but in HOLE."""
    (user,) = people(app)
    use(app, user, without(every(timedelta(minutes=30), 25), HOLE))
    return user


def parses(line: str) -> None:
    """The program's own parser takes it."""
    name, *arguments = shlex.split(line)
    assert name == "nself"
    command: click.Command = tree.build(Registry())
    context: click.Context | None = None
    while isinstance(command, click.Group):
        context = command.make_context(name, arguments, parent=context)
        found, child, arguments = command.resolve_command(context, [*context._protected_args, *context.args])
        assert found and child, line
        name, command = found, child
    command.make_context(name, arguments, parent=context)


def test_a_gap_without_a_known_cause_says_so(app: App, user: str, clock: Any) -> None:
    clock.now = BEGIN + 25 * DAY
    (found,) = gaps(app, user, **JANUARY)
    assert (found.metric, found.start, found.end) == ("api_calls", HOLE.start - timedelta(minutes=30), HOLE.end)
    assert (found.length, found.causes, found.invoiced) == ("8h30m", ["unknown"], False)
    assert found.expected_about == 16 and "times" in found.why
    assert found.mend == [f"nself billing usage reconstruct --user {user} --from-logs --date 2026-01-14"]
    parses(found.mend[0])
    assert gaps(app, user, start="2026-01-16") == []
    assert gaps(app, user, **JANUARY, metric="bandwidth") == []
    assert msgspec.json.encode(found)


def test_services_refusals_and_rejections_are_told_as_causes(app: App, user: str, clock: Any) -> None:
    clock.now = BEGIN + 25 * DAY
    ended = Run(
        run=f"1{user}",
        service="http",
        place="here",
        pid=11,
        boot="b",
        started_at=BEGIN,
        last_seen_at=HOLE.start,
        ended="killed",
    )
    after = Run(
        run=f"2{user}",
        service="http",
        place="here",
        pid=12,
        boot="b",
        started_at=HOLE.end - HOUR,
        last_seen_at=clock.now,
    )
    full = Span(
        number=1, code="buffer_full", began_at=HOLE.start + HOUR, ended_at=HOLE.start + HOUR, requests=2, events=20
    )
    lost = [
        UsageEvent(user=user, metric="storrage", value=1, at=(HOLE.start + HOUR).isoformat()),
        UsageEvent(user=user, metric="api_calls", value=-1, at=(HOLE.start + HOUR).isoformat()),
        UsageEvent(user=user, metric="api_calls", value=-1, at=(HOLE.end + DAY).isoformat()),
        UsageEvent(user="somebody", metric="api_calls", value=-1, at=(HOLE.start + HOUR).isoformat()),
    ]
    with app.db.transaction() as tx:
        for run in (ended, after):
            uptime.tell(tx, Note(run=run, interruptions=[]))
        uptime.tell_refusals(tx, user, [full])
    assert len(record.ingest(app, lost, "test").refused) == 4
    silence, *others = gaps(app, user, **JANUARY)
    assert [cause.partition(":")[0] for cause in silence.causes] == [
        "service_downtime",
        "buffer_overflow",
        "failed_recordings",
    ]
    assert "killed or crashed" in silence.causes[0] and "20 events of all users" in silence.causes[1]
    assert silence.causes[2] == "failed_recordings: 1 events were rejected: value_out_of_range"
    assert sorted((one.metric, one.expected_about) for one in others) == [("api_calls", 1), ("storrage", 1)]
    for one in (silence, *others):
        for command in one.mend:
            parses(command)
    assert "nself billing usage rejected list --code value_out_of_range" in silence.mend
    with app.db.transaction() as tx:  # for the other tests
        tx.connection.execute("delete from billing_service_runs")
        tx.connection.execute("delete from billing_usage_refusals")


def test_a_gap_in_an_invoiced_month_says_so(app: App, user: str, clock: Any) -> None:
    clock.now = BEGIN + 25 * DAY
    invoice_month(app, user, "2026-01")
    assert [one.invoiced for one in gaps(app, user, **JANUARY)] == [True]


def test_usage_that_waits_on_disk_is_told(app: App, user: str, clock: Any) -> None:
    clock.now = BEGIN + 25 * DAY
    with app_on(app.project.root, "host=/nowhere user=nself dbname=nself", clock) as away:
        use(away, user, [clock.now])
    clock.now += DAY
    last = gaps(app, user, **JANUARY)[-1]
    assert any("1 events of all users wait on disk" in cause for cause in last.causes)
    parses(last.mend[0])
    assert collector.drain(app).counted == 1


def test_wrong_questions_are_refused(app: App, user: str) -> None:
    with pytest.raises(NoSuchUser):
        gaps(app, "nobody")
    with pytest.raises(NoSuchMetric):
        gaps(app, user, metric="nothing")
    with pytest.raises(InvalidParameter):
        gaps(app, user, start="2026-01-31", end="2026-01-01")
    assert gaps(app, user, start="2027-01-01", end="2027-01-31") == []


def test_a_hole_in_the_real_log_is_found_and_nothing_else(app: App, tmp_path: Any) -> None:
    """The busiest addresses of the sample, as they are, and without eight hours of a day."""
    busiest = ("66.249.73.135", "46.105.14.53")
    hole = Period(datetime(2015, 5, 19, 8, tzinfo=UTC), datetime(2015, 5, 19, 16, tzinfo=UTC))
    events = [
        one
        for one in import_file.events_of(app, ImportUsage(file=str(sample())))
        if isinstance(one, UsageEvent) and one.user in busiest and one.metric == "api_calls"
    ]
    for suffix in ("-whole", "-holed"):
        people(app, *(f"{name}{suffix}" for name in busiest))
        mine = [msgspec.structs.replace(one, user=f"{one.user}{suffix}", key=None) for one in events]
        if suffix == "-holed":
            mine = [one for one in mine if not hole.start <= datetime.fromisoformat(one.at or "") < hole.end]
        assert not record.ingest(app, mine, "test").refused
    days = {"start": "2015-05-17", "end": "2015-05-20T21:00:00Z"}
    for name in busiest:
        assert gaps(app, f"{name}-whole", **days) == []
        (found,) = gaps(app, f"{name}-holed", **days)
        assert found.start < hole.start and found.end > hole.end - HOUR and found.length in ("8h59m", "9h59m")
