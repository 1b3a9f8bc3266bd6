"""Files: every line once, whatever the file is called, however often and by however many it is imported."""

from __future__ import annotations

import gzip
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from metering import app_on, count_access_log, database_on, fresh, law, people, sample, status
from nself.app import App
from nself.core.errors import BillingError
from nself.domains.usage.errors import ImportDiffers, UnreadableImport
from nself.domains.usage.inputs import AggregateUsage, ImportUsage, ShowUsage
from nself.domains.usage.model import Imported
from nself.domains.usage.service import aggregate, import_file, measure, show

LINE = '{host} - - [{day:02}/Feb/2026:10:00:{second:02} +0000] "GET /{path} HTTP/1.1" 200 {size} "-" "curl"'


@pytest.fixture
def app(place: str, tmp_path: Path) -> Iterator[App]:
    """With the default metrics."""
    with app_on(tmp_path / "project", place) as made:
        yield made
        law(made)


def load(app: App, path: Path, **more: object) -> Imported:
    return import_file.import_file(app, ImportUsage(file=str(path), create_users=True, **more))  # type: ignore[arg-type]


def used(app: App, user: str, metric: str = "api_calls", period: str = "2026-02") -> int:
    return show.show(app, ShowUsage(user=user, metric=metric, period=period))[0].value


def access_log(hosts: list[str], lines: int, begin: int = 0) -> str:
    """Lines of `hosts` in turn; each is worth its number in bytes."""
    return "".join(
        LINE.format(host=hosts[at % len(hosts)], day=1 + at % 9, second=at % 60, path=at, size=at) + "\n"
        for at in range(begin, begin + lines)
    )


# the sample


def test_the_sample_counts_as_an_independent_reader_counts_it(server: str, template: str, tmp_path: Path) -> None:
    lines, sent = count_access_log(sample())
    assert (lines.total(), sent.total(), len(lines), lines["66.249.73.135"]) == (10_000, 2_747_282_740, 1753, 482)
    with database_on(server, template) as conninfo, app_on(tmp_path / "project", conninfo) as app:
        done = load(app, sample())
        assert (done.lines, done.rejected, done.duplicate, done.users_created) == (10_000, 0, 0, 1753)
        calls, bandwidth = totals(app)
        assert (calls, bandwidth) == (lines, sent)
        again = load(app, sample())
        assert (again.lines, again.accepted, again.duplicate) == (0, 0, 0)
        aggregate.aggregate(app, AggregateUsage())
        assert totals(app) == (lines, sent)
        assert law(app).counted == done.accepted


def totals(app: App) -> tuple[Counter[str], Counter[str]]:
    """Lines and bytes by user in May 2015."""
    found = {"api_calls": Counter[str](), "bandwidth": Counter[str]()}
    with app.db.reading() as tx:
        span = show.given_period(app, "2015-05")
        for one in show.figures_of(app, tx, None, span, measure.metrics_of(app, tx, span, None)):
            found[one.metric][one.user] = one.value
    # A client that was sent nothing has no bandwidth event; the independent reader counts it as zero.
    for user in found["api_calls"]:
        found["bandwidth"].setdefault(user, 0)
    return found["api_calls"], found["bandwidth"]


def test_equal_lines_of_the_sample_count_as_often_as_they_occur(app: App, tmp_path: Path) -> None:
    text = gzip.decompress(sample().read_bytes()).decode()
    often = {line: times for line, times in Counter(text.splitlines()).items() if times > 1}
    assert len(often) == 17
    log = tmp_path / "often.log"
    log.write_text("".join(f"{line}\n" * times for line, times in often.items()))
    assert load(app, log).accepted >= sum(often.values())
    hosts = Counter[str]()
    for line, times in often.items():
        hosts[line.split()[0]] += times
    assert {host: used(app, host, period="2015-05") for host in hosts} == hosts


# the same content


def test_plain_packed_and_renamed_copies_count_once(app: App, tmp_path: Path) -> None:
    host = fresh("host")
    text = access_log([host], 30)
    for name in ("access.log", "renamed.txt"):
        (tmp_path / name).write_text(text)
    for name in ("access.log.gz", "packed-without-the-ending"):
        (tmp_path / name).write_bytes(gzip.compress(text.encode()))
    found = [
        load(app, tmp_path / name).accepted
        for name in ("access.log", "access.log.gz", "renamed.txt", "packed-without-the-ending")
    ]
    assert found == [60, 0, 0, 0]
    assert (used(app, host), used(app, host, "bandwidth")) == (30, sum(range(30)))


def test_a_file_that_grew_adds_its_new_lines_alone(app: App, tmp_path: Path) -> None:
    host, log = fresh("host"), tmp_path / "access.log"
    before = status(app)
    for until in (1, 2, 7, 20):
        log.write_text(access_log([host], until))
        load(app, log)
        assert used(app, host) == until
    packed = tmp_path / "access.log.1.gz"
    packed.write_bytes(gzip.compress(access_log([host], 25).encode()))
    assert load(app, packed).lines == 5
    assert status(app).duplicate == before.duplicate


def test_a_last_line_without_newline_is_left_until_it_is_whole(app: App, tmp_path: Path) -> None:
    host, log = fresh("host"), tmp_path / "access.log"
    text = access_log([host], 5)
    for cut in (1, 20, len(text.splitlines()[-1])):
        log.write_text(text[:-cut])
        left = load(app, log).left
        assert left
        assert "no newline yet" in left
        assert used(app, host) == 4
    log.write_text(text)
    assert load(app, log).left is None
    assert (used(app, host), used(app, host, "bandwidth")) == (5, 10)


def test_half_an_object_at_the_end_is_left_and_a_whole_one_is_not(app: App, tmp_path: Path) -> None:
    (user,), file = people(app), tmp_path / "usage.ndjson"
    first, second = (f'{{"user":"{user}","metric":"api_calls","value":{value},"at":"2026-02-01"}}' for value in (1, 2))
    file.write_text(f"{first}\n{second[:-5]}")
    assert load(app, file).left
    file.write_text(f"{first}\n{second}")
    assert load(app, file).left is None
    file.write_text(f"{first}\n{second}\n{second}\n")
    load(app, file)
    assert used(app, user) == 5


def test_another_file_that_begins_with_the_same_line_is_never_taken_for_the_first(app: App, tmp_path: Path) -> None:
    host = fresh("host")
    one, other = tmp_path / "web1.log", tmp_path / "web2.log"
    one.write_text(access_log([host], 10))
    other.write_text(access_log([host], 1) + access_log([host], 20, begin=50))
    load(app, one)
    with pytest.raises(ImportDiffers, match=r"web2\.log begins like .*web1\.log, but is not the same"):
        load(app, other)
    other.write_text(access_log([host], 3))
    with pytest.raises(ImportDiffers):
        load(app, other)
    assert used(app, host) == 10
    assert load(app, other, origin="web2").lines == 3
    assert load(app, other, origin="web2").lines == 0
    assert used(app, host) == 13


# bad lines


def test_malformed_lines_are_rejected_with_a_reason_and_the_rest_is_imported(app: App, tmp_path: Path) -> None:
    host, log = fresh("host"), tmp_path / "access.log"
    good = access_log([host], 4).splitlines()
    bad = [
        b"no log line",
        b"\xff\xfe\x00\x00",
        LINE.format(host="nul\0host", day=1, second=1, path="x", size=1).encode(),
        LINE.format(host="h" * 300, day=1, second=1, path="x", size=1).encode(),
        LINE.format(host=host, day=31, second=1, path="x", size=1).encode(),
        LINE.format(host=host, day=1, second=1, path="x", size=10**16).encode(),
        LINE.format(host=host, day=1, second=1, path="x", size="9" * 5000).encode(),
        b"x" * (import_file.MAX_LINE + 10),
    ]
    lines = [line.encode() for line in good[:2]] + bad + [b"", b"   "] + [line.encode() for line in good[2:]]
    log.write_bytes(b"".join(line + b"\n" for line in lines))
    before = {reason.code: reason.events for reason in status(app).rejected_by_reason}
    done = load(app, log)
    reasons = {reason.code: reason.events - before.get(reason.code, 0) for reason in status(app).rejected_by_reason}
    assert {code: events for code, events in reasons.items() if events} == {
        "unreadable_event": 5,  # not a log line, not text, a size of 5,000 digits, a line of a megabyte in two parts
        "parameter_invalid": 6,  # two users that cannot be, and a day that is not: each line is two events
        "value_out_of_range": 1,
    }
    assert (done.rejected, used(app, host)) == (12, 5)
    assert load(app, log).lines == 0


def test_users_are_created_only_when_asked_for(app: App, tmp_path: Path) -> None:
    host, log = fresh("host"), tmp_path / "access.log"
    log.write_text(access_log([host], 3))
    done = import_file.import_file(app, ImportUsage(file=str(log)))
    assert (done.accepted, done.rejected, done.users_created) == (0, 6, 0)
    with pytest.raises(BillingError, match="No such user"):
        used(app, host)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("none.log", None, "No such file"),
        ("empty.log", b"", "the file is empty"),
        ("what.bin", b"\x00\x01\x02\n", "its format was not recognised"),
        ("long.bin", b"x" * 3_000_000, "its format was not recognised"),
        ("broken.csv", b"user,metrik,value\nu,api_calls,1\n", "the header must name user, metric and value"),
        ("broken.log.gz", gzip.compress(b"x" * 100_000, mtime=0)[:50], "cannot be imported"),
        (".", None, "cannot be imported"),
    ],
    ids=["none", "empty", "no text", "one long line", "no value column", "half a gzip", "a folder"],
)
def test_a_file_that_cannot_be_imported_says_why(
    app: App, tmp_path: Path, name: str, content: bytes | None, words: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(BillingError, match=words):
        load(app, tmp_path / name)


def test_a_packed_file_that_breaks_off_keeps_what_was_read_and_goes_on_when_it_is_whole(
    app: App, tmp_path: Path
) -> None:
    host, log = fresh("host"), tmp_path / "access.log.gz"
    text = access_log([host], import_file.CHUNK_LINES * 2)
    packed = gzip.compress(text.encode())
    log.write_bytes(packed[: len(packed) * 3 // 4])
    with pytest.raises(UnreadableImport):
        load(app, log)
    assert used(app, host) == import_file.CHUNK_LINES
    log.write_bytes(packed)
    assert load(app, log).lines == import_file.CHUNK_LINES
    assert used(app, host) == import_file.CHUNK_LINES * 2


# tables and objects


def test_csv_with_and_without_keys(app: App, tmp_path: Path) -> None:
    (user,), file = people(app), tmp_path / "usage.csv"
    rows = [
        '\ufeff"User",Metric,value,at,key,region',
        f"{user},api_calls,1,2026-02-01,,eu",
        f"{user},api_calls,1,2026-02-01,,eu",
        f"{user},api_calls,5,2026-02-01T10:00:00Z,k1,",
        f"{user},api_calls,5,2026-02-01T10:00:00Z,k1,",
        f'"{user}", bandwidth ,7,2026-02-02,,"a, ""b"""',
        f"{user},api_calls,1.5,2026-02-01,,",
        f"{user},api_calls,,2026-02-01,,",
        f"{user},api_calls,1",
        f'{user},api_calls,1,2026-02-01,"open,',
    ]
    file.write_text("\r\n".join(rows))
    done = load(app, file)
    assert (done.format, done.accepted, done.duplicate, done.rejected) == ("csv", 4, 1, 4)
    assert (used(app, user), used(app, user, "bandwidth")) == (7, 7)
    file.write_text("\r\n".join([*rows, f"{user},api_calls,9,2026-02-03,,"]))
    assert (load(app, file).accepted, used(app, user)) == (1, 16)


def test_ndjson_with_and_without_keys(app: App, tmp_path: Path) -> None:
    (user,), file = people(app), tmp_path / "usage.jsonl"
    keyless = f'{{"user":"{user}","metric":"api_calls","value":1,"at":"2026-02-01"}}'
    keyed = f'{{"user":"{user}","metric":"api_calls","value":5,"at":"2026-02-01","key":"k"}}'
    file.write_text(
        "\n".join(["\ufeff" + keyless, keyless, keyed, keyed, "{", keyed.replace('"value":5', '"value":6'), ""])
    )
    done = load(app, file)
    assert (done.format, done.accepted, done.duplicate, done.rejected) == ("ndjson", 3, 1, 2)
    assert used(app, user) == 7


# at once


def test_two_imports_at_once_count_each_line_once(app: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_file, "CHUNK_LINES", 40)
    hosts = [fresh("host") for _ in range(3)]
    text = access_log(hosts, 900) + "broken\n" + access_log(hosts, 99, begin=900)
    plain, packed = tmp_path / "access.log", tmp_path / "access.log.gz"
    plain.write_text(text)
    packed.write_bytes(gzip.compress(text.encode()))
    before = status(app)
    barrier = threading.Barrier(4)

    def run(path: Path) -> Imported:
        barrier.wait(60)
        return load(app, path)

    with ThreadPoolExecutor() as pool:
        done = list(pool.map(run, [plain, packed, plain, packed]))
    assert (sum(one.lines for one in done), sum(one.accepted for one in done)) == (1000, 1998)
    assert [used(app, host) for host in hosts] == [333] * 3
    assert status(app).rejected - before.rejected == 1


def overtaken_by(monkeypatch: pytest.MonkeyPatch, other: Callable[[], None]) -> None:
    """While the first chunk of the next import is read, before it is counted, `other` happens."""
    checked, waiting = import_file.record.check, [other]

    def overtake(*given: object) -> object:
        if waiting:
            waiting.pop()()
        return checked(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(import_file.record, "check", overtake)


def test_an_import_of_a_growing_file_loses_nothing_to_a_faster_one(
    app: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The faster run read the file when it was shorter, so that the chunks of the two end at different lines."""
    host, log, before = fresh("host"), tmp_path / "access.log", status(app)
    log.write_text(access_log([host], 35))
    monkeypatch.setattr(import_file, "CHUNK_LINES", 10)

    def grow() -> None:
        load(app, log)
        log.write_text(access_log([host], 60))

    overtaken_by(monkeypatch, grow)
    assert load(app, log).lines == 25
    assert (used(app, host), used(app, host, "bandwidth")) == (60, sum(range(60)))
    assert status(app).duplicate == before.duplicate


@pytest.mark.parametrize("lines", [3, 10, 30])
def test_two_files_that_begin_alike_are_told_apart_at_once_too(
    app: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: int
) -> None:
    host, one, other = fresh("host"), tmp_path / "web1.log", tmp_path / "web2.log"
    one.write_text(access_log([host], 20))
    first, *rest = access_log([host], lines).splitlines(keepends=True)
    other.write_text(first + "".join(rest).replace("curl", "wget"))
    monkeypatch.setattr(import_file, "CHUNK_LINES", 10)
    overtaken_by(monkeypatch, lambda: load(app, other) and None)
    with suppress(ImportDiffers):  # where this file is shorter, its end comes before the difference
        assert load(app, one).lines == 0
    with pytest.raises(ImportDiffers):
        load(app, one)
    assert used(app, host) == lines
