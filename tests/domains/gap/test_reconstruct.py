"""Usage from logs: what is missing is counted, what is stored under whatever key is not, and twice is once."""

from __future__ import annotations

import gzip
import json
import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering import app_on, fresh, invoice_month, law, people, sample, steady
from nself import log
from nself.app import App
from nself.core.errors import MissingParameter
from nself.domains.customer.model import NoSuchUser
from nself.domains.gap import rules
from nself.domains.gap.inputs import ReconstructUsage
from nself.domains.gap.model import Entry, EventsGone, NoLogGiven, Reconstructed
from nself.domains.gap.service.reconstruct import reconstruct
from nself.domains.repair.model import PeriodInvoiced
from nself.domains.usage.errors import NoSuchFile
from nself.domains.usage.inputs import AggregateUsage, ImportUsage, RecordUsage, UsageEvent
from nself.domains.usage.service import aggregate, import_file, record
from nself.process.paths import log_folder

DAY = "2026-01-15"
BEGIN = datetime(2026, 1, 15, tzinfo=UTC)


def line(user: str, second: int, size: int | None) -> str:
    at = (BEGIN + timedelta(seconds=second)).strftime("%d/%b/%Y:%H:%M:%S +0000")
    return f'{user} - - [{at}] "GET / HTTP/1.1" 200 {"-" if size is None else size} "-" "curl"\n'


def again(app: App, user: str, *logs: Path, date: str = DAY, **more: Any) -> Reconstructed:
    return reconstruct(app, ReconstructUsage(user=user, date=date, log=[str(one) for one in logs], **more))


def stored(app: App, user: str) -> dict[str, tuple[int, int]]:
    """Events and sum by metric, from the raw events."""
    with app.db.reading() as tx:
        query = b"select metric_type, count(*), sum(value) from billing_usage where user_id = %(user)s group by 1"
        return {name: (events, int(total)) for name, events, total in tx.connection.execute(query, {"user": user})}


def send(app: App, user: str, calls: Sequence[tuple[int, str | None]], millis: int = 0) -> None:
    """api_calls as an application would have recorded them, `millis` later than the log says."""
    events = [
        UsageEvent(user=user, metric="api_calls", value=1, key=key, at=(BEGIN + timedelta(seconds=at, milliseconds=millis)).isoformat())
        for at, key in calls
    ]  # fmt: skip
    if events:
        assert not record.ingest(app, events, "test").refused


# one to one

LINES = st.lists(st.tuples(st.integers(0, 5), st.one_of(st.none(), st.integers(0, 2))), max_size=12)


@steady(40)
@given(LINES, st.data())
def test_any_part_of_a_log_under_any_keys_and_the_rest_from_the_log_are_its_totals(place: str, tmp_path_factory: Any, lines: list[tuple[int, int | None]], data: st.DataObject) -> None:  # fmt: skip
    folder = tmp_path_factory.mktemp("any")
    with app_on(folder / "project", place, lambda: datetime(2026, 2, 10, 12, tzinfo=UTC)) as app:
        (user,) = people(app)
        path = folder / "access.log"
        path.write_text("".join(line(user, 3600 + second, size) for second, size in lines))
        wanted = list(import_file.events_of(app, ImportUsage(file=str(path)))) if lines else []
        before, foreign = list[UsageEvent](), False
        for one in wanted:
            assert isinstance(one, UsageEvent)
            what = data.draw(st.sampled_from(["missing", "own key", "its key", "no key"]))
            foreign |= what in ("own key", "no key")
            key = {"own key": fresh("k"), "its key": one.key}.get(what)
            if what != "missing":
                before.append(UsageEvent(user=user, metric=one.metric, value=one.value, at=one.at, key=key))
        if before:
            record.ingest(app, before, "test")
        if data.draw(st.booleans()):
            aggregate.aggregate(app, AggregateUsage())
        if not lines:
            return
        shown = again(app, user, path)
        assert (shown.missing, shown.recorded) == (len(wanted) - len(before), 0) and shown.in_log == len(wanted)
        assert sum(one.missing for one in shown.hours) == shown.missing
        assert sum(one.stored for one in shown.hours) == len(before)
        assert again(app, user, path, execute=True).recorded == shown.missing
        sizes = [size for _, size in lines if size is not None]
        totals = {"api_calls": (len(lines), len(lines)), **({"bandwidth": (len(sizes), sum(sizes))} if sizes else {})}
        assert stored(app, user) == totals
        assert again(app, user, path, execute=True).missing == 0
        if not foreign:
            import_file.import_file(
                app, ImportUsage(file=str(path))
            )  # the same lines by another way have the same keys
            assert stored(app, user) == totals
        law(app)


ENTRIES = st.lists(
    st.builds(Entry, st.just("m"), st.integers(1, 2), st.sampled_from("abcdefgh"), st.integers(0, 4)),
    max_size=5,
    unique_by=lambda one: one.key,
)


def most(entries: Sequence[Entry], others: Sequence[Entry]) -> int:
    """The most pairs, by trying all."""
    if not entries:
        return 0
    first, rest = entries[0], entries[1:]
    found = most(rest, others)
    for at, one in enumerate(others):
        if (one.metric, one.value) == (first.metric, first.value) and abs(one.second - first.second) <= rules.TOLERANCE:
            found = max(found, 1 + most(rest, [*others[:at], *others[at + 1 :]]))
    return found


@steady(300)
@given(ENTRIES, ENTRIES)
def test_as_many_as_possible_are_matched(entries: list[Entry], others: list[Entry]) -> None:
    left = rules.unmatched(entries, others)
    shared = {one.key for one in entries} & {one.key for one in others}
    open_entries = [one for one in entries if one.key not in shared]
    free = [one for one in others if one.key not in shared]
    assert len(left) == len(open_entries) - most(open_entries, free)
    assert all(entries[at].key not in shared for at in left) and left == sorted(left)


def test_a_log_cuts_instants_to_the_second(app: App, tmp_path: Path) -> None:
    (user,) = people(app)
    send(app, user, [(10, "a"), (20, None)], millis=999)
    send(app, user, [(31, "b")])  # the log's time is when the request began
    path = tmp_path / "access.log"
    path.write_text("".join(line(user, second, None) for second in (10, 20, 30, 40)))
    assert again(app, user, path).missing == 1
    assert again(app, user, path, execute=True).recorded == 1
    assert stored(app, user) == {"api_calls": (4, 4)}


def test_only_the_day_is_looked_at_and_days_begin_in_the_time_zone(place: str, tmp_path: Path, clock: Any) -> None:
    with app_on(tmp_path / "project", place, clock, BILLING_TIMEZONE="Europe/Berlin") as app:
        (user,) = people(app)
        path = tmp_path / "access.log"
        path.write_text("".join(line(user, second, None) for second in (-3601, -3600, 82_799, 82_800, 200_000)))
        assert again(app, user, path, execute=True).recorded == 2
        assert again(app, user, path, until="2026-01-17", execute=True).recorded == 2
        assert again(app, user, path, date="2026-01-14", execute=True).recorded == 1


def test_two_at_once_count_once(app: App, tmp_path: Path, place: str, clock: Any) -> None:
    (user,) = people(app)
    path, copy = tmp_path / "access.log", tmp_path / "copy.log"
    path.write_text("".join(line(user, second % 60, 7) for second in range(200)))
    copy.write_text(line("somebody", 0, 1) + path.read_text())  # the same lines, with other keys
    with app_on(tmp_path / "other", place, clock) as other, ThreadPoolExecutor(4) as pool:
        runs = [
            pool.submit(again, *args, execute=True)
            for args in ((app, user, path), (other, user, copy))
            for _ in range(2)
        ]
        recorded = [one.result().recorded for one in runs]
    assert sum(recorded) == 400 and stored(app, user) == {"api_calls": (200, 200), "bandwidth": (200, 1400)}


def test_files_of_several_servers_are_added_and_copies_are_not(app: App, tmp_path: Path) -> None:
    (user,) = people(app)
    one, two, packed = (tmp_path / name for name in ("one.log", "two.log", "one.log.gz"))
    one.write_text(line(user, 1, 5) * 2)
    two.write_text(line("somebody", 0, 1) + line(user, 1, 5))
    packed.write_bytes(gzip.compress(one.read_bytes()))
    assert again(app, user, one, two, packed).in_log == 6
    assert again(app, user, one, two, packed, execute=True).recorded == 6


# what the project knows


def test_a_file_that_was_imported_is_read_again_as_it_was_read_first(app: App, tmp_path: Path) -> None:
    (user,) = people(app)
    path = tmp_path / "access.log"
    path.write_text("".join(line(user, second, 7) for second in range(5)))
    import_file.import_file(
        app, ImportUsage(file=str(path), count_metric="functions", bytes_metric="storage", origin="eu")
    )
    assert again(app, user, from_logs=True).missing == 0
    lose(app, user, 2)
    found = again(app, user, from_logs=True, execute=True)
    assert (found.missing, found.recorded) == (2, 2)
    assert {name: events for name, (events, _) in stored(app, user).items()} == {"functions": 5, "storage": 5}
    path.unlink()
    gone = again(app, user, from_logs=True)
    assert [one.note for one in gone.sources if one.name == str(path)] == [f"No such file: {path}"]


def lose(app: App, user: str, events: int) -> None:
    """As a table that was damaged and put back from an older copy: events, keys and sums are gone."""
    with psycopg.connect(app.db.conninfo, autocommit=True) as link:
        link.execute("set search_path = billing, public")
        lost = link.execute(
            "delete from billing_usage where user_id = %s and idempotency_key in"
            " (select idempotency_key from billing_usage where user_id = %s order by idempotency_key limit %s)"
            " returning idempotency_key",
            (user, user, events),
        ).fetchall()
        keys = [key for (key,) in lost]
        link.execute("delete from billing_usage_keys where user_id = %s and idempotency_key = any(%s)", (user, keys))
        link.execute("delete from billing_usage_deltas where user_id = %s", (user,))
        link.execute("delete from billing_usage_rollups where user_id = %s", (user,))
        link.execute(
            "insert into billing_usage_deltas (user_id, metric_type, hour, events, total, largest, last_value, last_at)"
            " select user_id, metric_type, date_trunc('hour', created_at, 'UTC'), 1, value, value, value, created_at"
            " from billing_usage where user_id = %s",
            (user,),
        )
        link.execute(
            "insert into billing_usage_intake (source, received, duplicate, at) values ('lost', %s, 0, now())",
            (-len(keys),),
        )


@pytest.fixture
def logging(app: App) -> Any:
    """The lines of this process are those of the project's http service."""
    folder = log_folder(app.project, app.settings)
    folder.mkdir(parents=True, exist_ok=True)
    log.configure("cli", "info", folder)
    yield folder
    log.close()


def test_the_services_own_log_brings_single_events_back_under_their_keys(
    app: App, tmp_path: Path, logging: Path
) -> None:
    (user,) = people(app)
    for second in range(3):
        send(app, user, [(second, f"k{second}")])
    record.record(app, RecordUsage(user=user, metric="api_calls", value=4, at=f"{DAY} 10:00:00"))
    record.ingest(
        app, [UsageEvent(user=user, metric="api_calls", value=1, key="k0", at=BEGIN.isoformat())], "test"
    )  # known
    lines = [json.loads(text) for text in (logging / "cli.log").read_text().splitlines()]
    assert sum(one["message"] == "usage_recorded" for one in lines) == 5
    lose(app, user, 4)
    found = again(app, user, from_logs=True, execute=True)
    assert (found.missing, found.recorded) == (4, 4) and stored(app, user) == {"api_calls": (4, 7)}
    # The web server saw the same requests: they are not counted again.
    path = tmp_path / "access.log"
    path.write_text("".join(line(user, second, None) for second in (0, 1, 2, 3)))
    found = again(app, user, path, from_logs=True, execute=True)
    assert (found.in_log, found.missing) == (5, 1)
    with app.db.reading() as tx:
        sources = tx.values(b"select source from billing_usage where user_id = %(user)s", user=user)
        assert set(sources) == {"reconstructed"}
        kept = b"select count(*) from billing_usage_reconstructions where user_id = %(user)s"
        assert tx.value(kept, user=user) == 2


def test_the_web_servers_log_and_its_rotated_files_are_read(app: App, tmp_path: Path, place: str, clock: Any) -> None:
    folder = tmp_path / "web"
    folder.mkdir()
    (user,) = people(app)
    (folder / "access.log").write_text(line(user, 30, None))
    (folder / "access.log.1").write_text(line(user, 20, None))
    (folder / "access.log.2.gz").write_bytes(gzip.compress(line(user, 10, None).encode()))
    (folder / "access.log.3").write_text(line(user, 5, None))
    for name in os.listdir(folder):
        os.utime(folder / name, (BEGIN.timestamp() + 90_000,) * 2)
    os.utime(folder / "access.log.3", (BEGIN.timestamp() - 90_000,) * 2)  # too old to hold anything of that day
    with app_on(tmp_path / "project", place, clock, BILLING_ACCESS_LOG=str(folder / "access.log")) as web:
        found = again(web, user, from_logs=True)
    assert found.missing == 3 and len([one for one in found.sources if one.kind == "access" and one.events]) == 3


# refusals


def test_a_period_that_is_invoiced_is_refused_until_it_is_said(app: App, tmp_path: Path) -> None:
    (user,) = people(app)
    path = tmp_path / "access.log"
    path.write_text(line(user, 1, None))
    invoice_month(app, user, "2026-01")
    shown = again(app, user, path)
    assert shown.invoiced and "--invoiced" in shown.result
    with pytest.raises(PeriodInvoiced):
        again(app, user, path, execute=True)
    assert stored(app, user) == {}
    assert again(app, user, path, execute=True, invoiced=True, reason="lost").recorded == 1
    assert not again(app, user, path, execute=True).missing  # nothing is missing: nothing to refuse


def test_what_is_wrong_with_the_question_is_said(app: App, tmp_path: Path, place: str, clock: Any) -> None:
    (user,) = people(app)
    with pytest.raises(NoLogGiven):
        again(app, user)
    with pytest.raises(NoSuchFile):
        again(app, user, tmp_path / "nothing.log")
    with pytest.raises(NoSuchUser):
        again(app, "nobody", from_logs=True)
    with (
        app_on(tmp_path / "live", place, clock, STRIPE_MODE="live", STRIPE_SECRET_KEY="sk_live_x") as live,
        pytest.raises(MissingParameter),
    ):
        again(live, user, from_logs=True, execute=True)


def test_where_events_are_gone_nothing_is_guessed(app: App, tmp_path: Path) -> None:
    (user,) = people(app)
    send(app, user, [(1, "a")])
    path = tmp_path / "access.log"
    path.write_text(line(user, 1, None))
    with psycopg.connect(app.db.conninfo, autocommit=True) as link:
        link.execute("delete from billing.billing_usage where user_id = %s", (user,))
    with pytest.raises(EventsGone):
        again(app, user, path)
    with psycopg.connect(app.db.conninfo, autocommit=True) as link:  # for the law
        link.execute("delete from billing.billing_usage_deltas where user_id = %s", (user,))
        link.execute(
            "insert into billing.billing_usage_intake (source, received, duplicate, at) values ('lost', -1, 0, now())"
        )


def test_the_sample_comes_back_whole(app: App, tmp_path: Path) -> None:
    """The busiest address of the real log: a part was recorded by the application, and the log brings the rest."""
    user = "66.249.73.135"
    people(app, user)
    path = tmp_path / "sample.log.gz"
    shutil.copy(sample(), path)
    events = [
        one
        for one in import_file.events_of(app, ImportUsage(file=str(path)))
        if isinstance(one, UsageEvent) and one.user == user
    ]
    kept = [UsageEvent(user=user, metric=one.metric, value=one.value, at=one.at) for one in events[::3]]
    record.ingest(app, kept, "test")
    done = again(app, user, path, date="2015-05-17", until="2015-05-20", execute=True)
    assert done.recorded == len(events) - len(kept)
    assert stored(app, user)["api_calls"] == (482, 482)
    assert again(app, user, path, date="2015-05-17", until="2015-05-20").missing == 0
