"""`nself logs`: which lines, in which order, how shown, and none lost when a log rotates."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from harness import Stand, until

from nself.domains.stack import rules, store
from nself.domains.stack.model import Line, WrongTime

NOW = datetime(2026, 2, 1, 12, tzinfo=UTC)


def raw(second: int, message: str, level: str = "info", **fields: object) -> str:
    time = (NOW + timedelta(seconds=second)).isoformat().replace("+00:00", "Z")
    return json.dumps({"time": time, "level": level, "service": "http", "message": message, **fields})


def test_a_structured_line_becomes_a_readable_one() -> None:
    line = rules.parse(raw(1, "usage_recorded", user="user 1", value=3, ok=True, at=None), "http")
    assert isinstance(line, Line)
    assert line.text == '2026-02-01T12:00:01.000Z info    http usage_recorded user="user 1" value=3 ok=true at=null'
    trace = rules.parse(raw(1, "failed", "error", traceback="Traceback\n  File"), "http")
    assert isinstance(trace, Line)
    assert trace.text.splitlines()[1:] == ["    Traceback", "      File"]


@pytest.mark.parametrize("text", ["plain words", "{broken", "[1]", '{"no": "message"}', "\x1b[31mred"])
def test_a_foreign_line_is_shown_as_it_is_but_not_obeyed(text: str) -> None:
    assert rules.parse(text + "\n", "x") == text.replace("\x1b", "\\x1b")


def test_postgres_lines_have_their_own_time_and_level() -> None:
    text = "2026-02-01 12:00:05.250 UTC [77] nself/nself ERROR:  relation does not exist"
    line = rules.parse(text, "postgres")
    assert line == Line(NOW + timedelta(seconds=5.25), "error", text)
    assert rules.parse("2026-02-01 12:00:05 UTC [77] LOG:  ready", "postgres").level == "info"  # type: ignore[union-attr]


def test_lines_without_a_time_stay_with_the_line_before_them() -> None:
    lines = [raw(1, "a"), "one", "two", raw(2, "b")]
    there = list(rules.forwards(lines, "http"))
    assert [line.time for line in there] == [NOW + timedelta(seconds=at) for at in (1, 1, 1, 2)]
    assert list(rules.backwards(reversed(lines), "http")) == there[::-1]


def test_filters() -> None:
    lines = list(rules.forwards([raw(1, "a", "debug"), raw(2, "b", "error"), "free text"], "http"))

    def kept(level: str | None = None, pattern: str | None = None, since: datetime | None = None) -> str:
        found = re.compile(pattern) if pattern else None
        return "".join(line.text.split()[-1][-1] for line in lines if rules.matches(line, level, found, since))

    assert kept() == "abt"
    assert kept("warning") == "bt"
    assert kept(pattern="htt.*b$|free") == "bt"
    assert kept(since=NOW + timedelta(seconds=2)) == "bt"


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("2026-01-01", datetime(2025, 12, 31, 15, tzinfo=UTC)),
        ("2026-01-01T10:00:00Z", datetime(2026, 1, 1, 10, tzinfo=UTC)),
        ("2026-01-30 00:00:00", datetime(2026, 1, 29, 15, tzinfo=UTC)),
        ("2h", NOW - timedelta(hours=2)),
        ("90 s ago", NOW - timedelta(seconds=90)),
    ],
)
def test_since(given: str, wanted: datetime) -> None:
    assert rules.instant(given, NOW, ZoneInfo("Asia/Tokyo")) == wanted


@pytest.mark.parametrize("given", ["", "yesterday", "2026-13-01", "99999999999d"])
def test_a_time_that_is_none(given: str) -> None:
    with pytest.raises(WrongTime):
        rules.instant(given, NOW, UTC)


@pytest.mark.parametrize(("seconds", "shown"), [(-1, "0s"), (69, "1m09s"), (7500, "2h05m"), (274000, "3d04h")])
def test_uptime(seconds: float, shown: str) -> None:
    assert rules.uptime(seconds) == shown


def rotated(folder: Path) -> Path:
    path = folder / "http.log"
    texts = [f"line {number} {'x' * (number % 300)}\n" for number in range(3000)]
    for name, part in (("http.log.2", texts[:999]), ("http.log.1", texts[999:2400]), ("http.log", texts[2400:])):
        (folder / name).write_text("".join(part))
    return path


def numbers(lines: Iterator[str]) -> list[int]:
    return [int(line.split()[1]) for line in lines]


def test_rotated_files_read_as_one_both_ways(tmp_path: Path) -> None:
    files = store.LogFiles(rotated(tmp_path))
    assert numbers(files.forwards(None)) == list(range(3000))
    assert numbers(files.backwards()) == list(range(3000))[::-1]
    files.close()


def test_a_follower_crosses_several_rotations_between_two_looks(tmp_path: Path) -> None:
    path = rotated(tmp_path)
    with path.open("a") as file:
        file.write("line 3000 unfinished")
    files = store.LogFiles(path)
    follower = store.Follower(files)
    assert numbers(files.forwards(None))[-1] == 2999
    with path.open("a") as file:
        file.write(" no longer\nline 3001\n")
    for first in (3002, 3004):
        (tmp_path / "http.log.1").rename(tmp_path / "http.log.2")
        path.rename(tmp_path / "http.log.1")
        path.write_text(f"line {first}\nline {first + 1}\n")
    assert numbers(follower.lines()) == list(range(3000, 3006))
    assert not list(follower.lines())
    follower.close()
    files.close()


def test_logs_of_running_services_through_rotations(fresh: Stand) -> None:
    fresh.run("start", "chatter", STANDIN_LOG_BYTES="150KB")
    follow = fresh.popen("logs", "chatter", "--follow", "--tail", "5")
    assert follow.stdout
    try:
        lines = list(islice((line for line in follow.stdout if " tick " in line), 3000))
    finally:
        follow.kill()
        follow.communicate()
    found = [int(line.split("number=")[1].split()[0]) for line in lines]
    assert found == list(range(found[0], found[0] + 3000))
    assert len(list((fresh.state / "logs").glob("chatter.log*"))) >= 3
    fresh.run("stop", "chatter")
    tail = fresh.run("logs", "chatter", "--tail", "1500", "--grep", "number=").stdout.splitlines()
    told = [int(line.split("number=")[1].split()[0]) for line in tail]
    assert len(told) == 1500
    assert told == list(range(told[0], told[0] + 1500))
    assert "drained" in fresh.run("logs", "chatter", "--tail", "1").stdout
    assert fresh.run("logs", "chatter", "--since", "0s").stdout == ""


def test_a_groups_logs_are_one_in_order_of_time_and_hide_secrets(fresh: Stand) -> None:
    secret = "sk_test_planted51424242"
    fresh.run("start", "light", STRIPE_SECRET_KEY=secret)
    fresh.run("stop", "light")
    text = fresh.run("logs", "light").stdout
    lines = text.splitlines()
    assert [line[:24] for line in lines] == sorted(line[:24] for line in lines)
    assert {line.split()[2] for line in lines} == {"one", "two"}
    assert secret not in text
    assert "STRIPE_SECRET_KEY=sk_test_***" in text
    assert fresh.run("logs", "light", "--level", "error").stdout == ""
    assert fresh.run("logs", "two", "--grep", "started", "--tail", "1").stdout.count("\n") == 1


def test_what_cannot_be_read_is_told(fresh: Stand) -> None:
    fresh.run("start", "two")
    assert "has not written a log yet" in fresh.run("logs", "one", code=1).stderr
    assert "No such log" in fresh.run("logs", "nonsense", code=1).stderr
    assert "not a regular expression" in fresh.run("logs", "two", "--grep", "(", code=2).stderr
    assert "is not a time" in fresh.run("logs", "two", "--since", "soon", code=2).stderr


def test_a_reader_that_leaves_ends_the_command(fresh: Stand) -> None:
    fresh.run("start", "chatter")
    follow = fresh.popen("logs", "chatter", "--follow")
    assert follow.stdout
    follow.stdout.readline()
    os.close(os.dup(follow.stdout.fileno()))
    follow.stdout.close()
    until(lambda: follow.poll() is not None)
    assert follow.stderr
    follow.stderr.close()
