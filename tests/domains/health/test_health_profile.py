"""Looks into a process that runs: this one, through its socket."""

from __future__ import annotations

import json
import shutil
import socket
import stat
import threading
import tracemalloc
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest

from nself.app import App
from nself.core.errors import InvalidParameter
from nself.core.project import Project
from nself.domains.health import figures
from nself.domains.health.inputs import ProfileMemory, ProfileService, SnapshotHeap
from nself.domains.health.service import profile
from nself.files import FileNotWritten
from nself.process import probe
from nself.process.paths import socket_folder
from nself.process.probe import Asked, NotRunning, ProbeBusy, Profile, Stack
from nself.registry import Registry
from serving import until

SECRET = "sk_test_" + "never_in_a_dump" * 400


@pytest.fixture
def app(tmp_path: Path, database: str) -> Iterator[App]:
    made = App(Project(tmp_path), Registry(), environ={"DATABASE_URL": database})
    made.project.state.mkdir()
    yield made
    made.close()
    shutil.rmtree(socket_folder(made.project), ignore_errors=True)


class Busy:
    """A thread that computes, and one that gathers memory."""

    def __init__(self) -> None:
        self.over, self.kept = threading.Event(), list[bytes]()
        self.threads = [threading.Thread(target=one) for one in (self.churn_in_a_loop, self.gather)]

    def churn_in_a_loop(self) -> None:
        while not self.over.is_set():
            sum(range(1000))

    def gather(self) -> None:
        while not self.over.wait(0.01):
            if len(self.kept) < 2000:
                self.kept.append(bytes(50_000))

    def __enter__(self) -> Busy:
        for one in self.threads:
            one.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        for one in self.threads:
            one.join()


def files(app: App) -> list[Path]:
    return sorted((app.project.state / "profiles").iterdir())


def test_a_profile_finds_what_computes_and_leaves_out_what_waits(app: App):
    probe.listen(app.project, "http")
    with Busy():
        rows = profile.profile(app, ProfileService(duration="1s"))
    assert [one.self_percent > 5 for one in rows if "Busy.churn_in_a_loop" in one.function] == [True]
    assert not [one for one in rows if "Condition.wait" in one.function]
    [written] = files(app)
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
    found = json.loads(written.read_text())
    frames = found["shared"]["frames"]
    for one in found["profiles"]:
        assert len(one["samples"]) == len(one["weights"]) and one["endValue"] == pytest.approx(sum(one["weights"]))
        assert all(0 <= at < len(frames) for sample in one["samples"] for at in sample)


def test_forms(app: App):
    probe.listen(app.project, "http")
    with Busy():
        profile.profile(app, ProfileService(duration="500ms", form="flamegraph"))
        profile.profile(app, ProfileService(duration="500ms", form="table", output=str(app.project.root / "t.csv")))
    [svg] = files(app)
    boxes = ET.fromstring(svg.read_text()).findall(".//{*}title")
    assert any("churn_in_a_loop" in str(one.text) for one in boxes)
    assert "churn_in_a_loop" in (app.project.root / "t.csv").read_text()


def test_shares_are_of_what_ran():
    found = Profile(1, 1.0, 100, 100, [
        Stack("a", ["main (m.py:1)", "work (m.py:2)"], 30),
        Stack("a", ["main (m.py:1)", "work (m.py:3)", "main (m.py:1)"], 10),
        Stack("b", ["run (t.py:1)", "Event.wait (threading.py:5)"], 60),
    ])  # fmt: skip
    rows = {one.function: (str(one.self_percent), str(one.total_percent)) for one in figures.spots(found, 10)}
    assert rows == {"work (m.py)": ("75.0", "100.0"), "main (m.py)": ("25.0", "100.0")}


def test_memory_that_grows_is_found_by_its_line(app: App):
    probe.listen(app.project, "worker")
    with Busy() as busy:
        rows = profile.memory(app, ProfileMemory(duration="1s", service="worker"))
    assert rows[0].place.rpartition(":")[0].endswith("test_health_profile.py") and rows[0].grown_kb > 0
    assert busy.kept


def test_a_heap_tells_types_and_sizes_never_values(app: App):
    held = {"key": SECRET, "list": list(range(100_000))}
    probe.listen(app.project, "mail")
    rows = profile.heap(app, SnapshotHeap(service="mail"))
    assert {"str", "dict", "function"} <= {one.type for one in rows}
    [written] = files(app)
    text = written.read_text()
    assert "never_in_a_dump" not in text
    assert any(one["type"] == "list" and one["length"] == 100_000 for one in json.loads(text)["largest"])
    assert held


def test_where_the_file_cannot_be_written_nothing_is_looked_at(app: App):
    for look, given in (
        (profile.profile, ProfileService(output="none/x.svg")),
        (profile.memory, ProfileMemory(output="none/x.json")),
        (profile.heap, SnapshotHeap(output="none/x.json")),
    ):
        with pytest.raises(FileNotWritten, match="No such file"):
            look(app, given)  # type: ignore[operator]


def test_without_a_service_nothing_is_told(app: App):
    for use, given in (
        (profile.profile, ProfileService()),
        (profile.memory, ProfileMemory()),
        (profile.heap, SnapshotHeap()),
    ):
        with pytest.raises(NotRunning, match="does not run") as found:
            use(app, given)  # pyright: ignore[reportArgumentType]
        assert found.value.exit_code == 3
    with pytest.raises(InvalidParameter):
        profile.profile(app, ProfileService(duration="2h"))


def test_one_at_a_time_and_who_leaves_ends_it(app: App):
    probe.listen(app.project, "http")
    with socket.socket(socket.AF_UNIX) as first:
        first.connect(str(probe.path(app.project, "http")))
        first.sendall(b'{"task": "memory", "seconds": 3600}\n')
        until(tracemalloc.is_tracing)
        assert asked(app) == "busy"
    until(lambda: asked(app) == "answered")


def asked(app: App) -> str:
    try:
        probe.ask(app.project, "http", Asked("memory", 0.01))
    except ProbeBusy:
        return "busy"
    return "answered"
