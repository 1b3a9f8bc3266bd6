"""Clients and the service are killed at any moment: no acknowledged event is lost, none is counted twice."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from client.conftest import Make
from metering import people
from nself.app import App
from nself.client import Client
from nself.client import client as module
from serving import Service, serving, until
from serving_fixtures import LIMITS

SCRIPT = Path(__file__).with_name("sender_process.py")
FAST = {"linger": 0.005, "batch_events": 20}


def counted(app: App, user: str) -> dict[str, int]:
    """Key and value of every event that is stored; a key that is there twice fails."""
    with app.db.reading() as tx:
        rows = tx.connection.execute(
            "select idempotency_key, value from billing_usage where user_id = %s", (user,)
        ).fetchall()
    assert len(rows) == len(dict(rows)), "a key was counted twice"
    return dict(rows)


class Recorder:
    """sender_process.py, killed when `end` says so."""

    def __init__(self, url: str, key: str, buffer: Path, user: str, name: str, fsync: float = 0) -> None:
        line = [sys.executable, SCRIPT, url, key, str(buffer), user, str(fsync), name]
        self.process = subprocess.Popen(line, stdout=subprocess.PIPE, text=True)

    def end(self) -> list[str]:
        """The keys that it said are kept."""
        self.process.kill()
        said, _ = self.process.communicate()
        return said.split("\n")[:-1]


@pytest.fixture
def own_service(project: App) -> Iterator[Service]:
    """One to be killed."""
    with serving(project.project.root, project.db.conninfo, **LIMITS) as running:
        yield running


@pytest.mark.parametrize("fsync", [0, 0.05], ids=["each", "interval"])
def test_a_process_that_is_killed_loses_nothing_that_it_acknowledged(
    app: App, url: str, key: str, make: Make, tmp_path: Path, fsync: float
) -> None:
    """Two at a time, killed with random timing in mid-write and mid-drain; the next ones take over what is left."""
    (user,) = people(app)
    luck, said = random.Random(11), list[str]()
    for turn in range(6):
        pair = [Recorder(url, key, tmp_path / "buffer", user, f"{turn}-{one}", fsync) for one in range(2)]
        for one in pair:
            assert one.process.stdout and one.process.stdout.readline()
        time.sleep(luck.random() * 0.3)
        for one in pair:
            said += one.end()
    client = make()
    client.record(user, "calls", 1, key="last")
    until(lambda: not list((tmp_path / "buffer").glob("*/queues/*")) or only_own(client), what=str(client.status()))
    stored = counted(app, user)
    assert len(said) > 100 and set(said) <= stored.keys()
    assert client.rejected() == [] and client.status().damaged == 0


def only_own(client: Client) -> bool:
    queues = list((client._folder.root / "queues").iterdir())
    return len(queues) == 1 and client.status().pending == 0


@pytest.mark.long
def test_the_service_is_killed_and_started_again_in_mid_drain(app: App, own_service: Service, make: Make) -> None:
    (user,) = people(app)
    client = make(url=f"http://127.0.0.1:{own_service.port}", fsync_interval=0.1, **FAST)
    luck, keys = random.Random(5), list[str]()
    for _ in range(4):
        keys += [client.record(user, "calls") for _ in range(1500)]
        time.sleep(luck.random() * 0.1)
        own_service.kill()
        keys += [client.record(user, "calls") for _ in range(100)]
        assert client.status().pending > 0
        own_service.start()
    assert client.flush(60), client.status()
    assert sorted(counted(app, user)) == sorted(keys)
    found = client.status()
    assert found.accepted + found.duplicate == len(keys) and found.error is None


def test_the_same_with_the_client_killed_too(
    app: App, own_service: Service, key: str, make: Make, tmp_path: Path
) -> None:
    (user,) = people(app)
    url, said = f"http://127.0.0.1:{own_service.port}", list[str]()
    for turn in range(4):
        one = Recorder(url, key, tmp_path / "buffer", user, str(turn))
        assert one.process.stdout and one.process.stdout.readline()
        time.sleep(0.2)
        own_service.kill()
        time.sleep(0.1)
        said += one.end()
        own_service.start()
    client = make(url=url)
    until(lambda: not list((client._folder.root / "queues").iterdir()), seconds=60, what=str(client.status()))
    assert set(said) <= counted(app, user).keys()


def test_two_processes_side_by_side_share_a_full_buffer(
    app: App, url: str, key: str, make: Make, tmp_path: Path
) -> None:
    """A client whose buffer is full for what others left says so, and goes on when that is delivered."""
    (user,) = people(app)
    room = 40_000
    with make(key="nsk_test_00000000_" + "0" * 32, buffer_bytes=room) as away:  # refused: everything waits
        kept, error = fill(away, user)
        assert error.code == "client_buffer_full" and "invalid_api_key" in error.message
        other = make(key="nsk_test_00000000_" + "1" * 32, buffer_bytes=room)
        with pytest.raises(type(error), match=r"[1-9][0-9]* bytes of others"):
            other.record(user, "calls")
        other.close()
        assert len(counted(app, user)) == 0
    client = make(buffer_bytes=room)
    until(lambda: len(counted(app, user)) == len(kept), what=str(client.status()))

    def goes_on() -> bool:
        """Its place on disk is free a moment after it was counted."""
        with suppress(type(error)):
            return bool(client.record(user, "calls"))
        return False

    until(goes_on)
    assert client.flush(60) and len(counted(app, user)) == len(kept) + 1


def fill(client: Client, user: str) -> tuple[list[str], module.BillingError]:
    kept = list[str]()
    try:
        while True:
            kept.append(client.record(user, "calls"))
    except module.BillingError as error:
        until(lambda: client.status().error_code)
        try:
            client.record(user, "calls")
        except module.BillingError as again:
            return kept, again
        raise AssertionError("a full buffer took one more") from error


def test_forked_children_have_a_buffer_and_a_thread_of_their_own(app: App, make: Make, tmp_path: Path) -> None:
    """As gunicorn does: the client is made, and used, before the fork; parent and children record at once."""
    (user,) = people(app)
    client = make(**FAST)
    expected = [client.record(user, "calls") for _ in range(200)]
    pipes, children = [], []
    for _ in range(4):
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                mine = [client.record(user, "calls") for _ in range(200)]
                done = client.flush(60)
                with os.fdopen(writing, "w") as pipe:
                    pipe.write("\n".join([str(done), *mine]))
            finally:
                os._exit(0)  # as a worker that ends without a word
        os.close(writing)
        pipes.append(reading)
        children.append(child)
        expected += [client.record(user, "calls") for _ in range(50)]
    for reading, child in zip(pipes, children, strict=True):
        with os.fdopen(reading) as pipe:
            done, *mine = pipe.read().split("\n")
        os.waitpid(child, 0)
        assert done == "True" and len(mine) == 200
        expected += mine
    assert client.flush(60)
    assert len(set(expected)) == len(expected) == 1200
    assert sorted(counted(app, user)) == sorted(expected)


def test_a_child_that_never_records_holds_nothing_of_its_parents(app: App, url: str, key: str, tmp_path: Path) -> None:
    (user,) = people(app)
    reading, writing = os.pipe()
    parent = os.fork()
    if parent == 0:
        mine = Client("http://127.0.0.1:9", key, buffer=str(tmp_path / "buffer"))
        mine.record(user, "calls", key="orphan")
        child = os.fork()
        if child == 0:
            signal.pause()
        os.write(writing, str(child).encode())
        os._exit(0)
    os.waitpid(parent, 0)
    child = int(os.read(reading, 20))
    try:
        folders = list((tmp_path / "buffer").glob("*/queues/*"))
        assert len(folders) == 1
        client = module.Folder(folders[0].parents[1])
        (left,) = client.left_behind()
        assert left.records == 1
        client.remove(left)
    finally:
        os.kill(child, signal.SIGKILL)
        os.close(reading)
        os.close(writing)


def test_a_process_that_ends_sends_what_it_has(app: App, url: str, key: str, tmp_path: Path) -> None:
    """Without close: at exit. While the service is away it does not wait for it."""
    (user,) = people(app)
    script = "import sys; from nself.client import Client; c = Client(sys.argv[1], sys.argv[2], buffer=sys.argv[3]); c.record(sys.argv[4], 'calls')"
    buffer = str(tmp_path / "buffer")

    def run(address: str) -> float:
        began = time.monotonic()
        subprocess.run([sys.executable, "-c", script, address, key, buffer, user], check=True)
        return time.monotonic() - began

    run(url)
    assert len(counted(app, user)) == 1
    assert run("http://127.0.0.1:9") < 30
    assert len(counted(app, user)) == 1


def test_a_clock_that_steps_back_changes_nothing_but_the_time_that_is_told(
    app: App, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Order, keys and waiting do not look at it."""
    (user,) = people(app)
    client = make()
    from nself.client import sender
    from nself.core import clock

    first = [client.record(user, "calls") for _ in range(50)]
    back: Callable[[], object] = lambda: clock.system_clock() - timedelta(hours=1)  # noqa: E731
    monkeypatch.setattr(module, "system_clock", back)
    monkeypatch.setattr(sender, "wall_seconds", lambda: clock.wall_seconds() - 3600)
    second = [client.record(user, "calls") for _ in range(50)]
    assert client.flush(60) and client.rejected() == []
    assert sorted(counted(app, user)) == sorted([*first, *second])


def test_bytes_that_cannot_be_read_are_kept_and_told_and_the_rest_is_counted(
    app: App, key: str, make: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (user,) = people(app)
    with make(key="nsk_test_00000000_" + "0" * 32) as away:
        keys = [away.record(user, "calls") for _ in range(10)]
    (path,) = (tmp_path / "buffer").glob("*/queues/*/*.seg")
    data = bytearray(path.read_bytes())
    data[data.index(keys[4].encode())] ^= 1
    path.write_bytes(data[:-3])
    client = make()
    until(lambda: len(counted(app, user)) == 8, what=str(client.status()))
    assert sorted(counted(app, user)) == sorted([*keys[:4], *keys[5:9]])
    until(lambda: client.status().damaged == 1)
    (copy,) = (tmp_path / "buffer").glob("*/damaged/*")
    assert keys[4][1:].encode() in copy.read_bytes() and str(copy) in caplog.text
