"""The client's buffer on disk: whatever is cut off, flipped or refused by the system, no record is lost or told twice."""

from __future__ import annotations

import errno
import os
import random
import resource
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from metering import steady
from nself.client import segments
from nself.client.errors import BufferFull, BufferUnwritable, ClientClosed
from nself.client.folder import Folder
from nself.client.model import Rejected
from nself.client.segments import START, Batch, Damage, Queue, Segment
from nself.core.clock import system_clock
from nself.spool import frames
from nself.spool.frames import SIZE

ROOM = 10**9


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "buffer")


def add(queue: Queue, *texts: str, room: int = ROOM) -> None:
    for text in texts:
        queue.append(text.encode(), 1_000, room)


def step(queue: Queue, most: int = 3) -> list[str] | Damage | None:
    """Deliver one batch."""
    found = queue.head(most, 64)
    if isinstance(found, Damage):
        queue.settle(found.segment, found.end, 1)
    elif isinstance(found, Batch):
        queue.settle(found.segment, found.ends[-1], len(found.payloads))
        return [payload.decode() for payload in found.payloads]
    return found


def drained(queue: Queue) -> list[str]:
    texts = list[str]()
    while (found := step(queue)) is not None:
        assert not isinstance(found, Damage), found
        texts += found
    assert (queue.bytes, queue.records) == (0, 0)
    return texts


def die(queue: Queue) -> None:
    """As SIGKILL: everything is closed, nothing is written."""
    queue.closed = True
    queue.abandon()


def inherited(folder: Folder) -> Queue:
    (found,) = folder.left_behind()
    return found


def test_records_come_back_in_order_over_segments(folder: Folder) -> None:
    queue = folder.new_queue(each=True, segment_bytes=200)
    texts = [f"record {at}" for at in range(100)]
    add(queue, *texts)
    assert len(list(queue.folder.glob("*.seg"))) > 10 and queue.records == 100
    assert folder.left_behind() == [], "a living process's queue is its own"
    assert drained(queue) == texts
    assert len(list(queue.folder.glob("*.seg"))) == 1
    add(queue, "one more")
    assert drained(queue) == ["one more"]
    folder.remove(queue)
    assert not queue.folder.exists()
    with pytest.raises(ClientClosed):
        add(queue, "too late")


def test_what_was_delivered_is_not_delivered_again_by_the_heir(folder: Folder) -> None:
    queue = folder.new_queue(each=False, segment_bytes=100)
    texts = [f"record {at}" for at in range(20)]
    add(queue, *texts)
    first = step(queue)
    die(queue)
    heir = inherited(folder)
    assert isinstance(first, list) and first and heir.records == 20 - len(first)
    assert folder.left_behind() == [], "an heir holds what it took over"
    assert first + drained(heir) == texts
    folder.remove(heir)
    assert list((folder.root / "queues").iterdir()) == []


def test_half_a_record_is_passed_over_wherever_it_was_cut(folder: Folder) -> None:
    queue = folder.new_queue(each=True, segment_bytes=ROOM)
    add(queue, "first", "second")
    (path,) = queue.folder.glob("*.seg")
    whole, frame = path.read_bytes(), frames.pack(b"third, never acknowledged", 1, 1_000)
    die(queue)
    for cut in range(len(frame)):
        for tail in (frame[:cut], bytes(cut)):
            path.write_bytes(whole + tail)
            heir = inherited(folder)
            assert drained(heir) == ["first", "second"], cut
            die(heir)
    for cut in range(START):  # killed while the segment was made
        path.write_bytes(whole[:cut])
        heir = inherited(folder)
        assert drained(heir) == []
        die(heir)


def test_a_flipped_bit_costs_one_record_at_most_and_is_never_passed_over(folder: Folder) -> None:
    texts = ["first", "second", "third"]
    queue = folder.new_queue(each=True, segment_bytes=ROOM)
    add(queue, *texts)
    (path,) = queue.folder.glob("*.seg")
    whole = path.read_bytes()
    die(queue)
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << at % 8)]) + whole[at + 1 :])
        heir, read, damage = inherited(folder), list[str](), list[Damage]()
        while (found := step(heir, 1)) is not None:
            if isinstance(found, Damage):
                damage.append(found)
                assert folder.set_aside(found).read_bytes() == found.data
            else:
                read += found
        if at < START:  # the cursor: everything is delivered again
            assert (read, damage) == (texts, [])
            die(heir)
            continue
        place = at - START
        bad = 0 if place < SIZE + 5 else 1 if place < 2 * SIZE + 11 else 2
        assert read == [text for number, text in enumerate(texts) if number != bad], at
        assert len(damage) == 1 and len(damage[0].data) == SIZE + len(texts[bad])
        assert (heir.bytes, heir.records) == (0, 0)
        die(heir)


def test_a_full_buffer_takes_nothing_and_loses_nothing(folder: Folder) -> None:
    queue = folder.new_queue(each=True, segment_bytes=ROOM)
    room = 2 * (SIZE + 1)
    add(queue, "a", "b", room=room)
    with pytest.raises(BufferFull, match="bytes of this process wait"):
        add(queue, "c", room=room)
    assert step(queue, 1) == ["a"]
    add(queue, "d", room=room)
    assert drained(queue) == ["b", "d"]


@contextmanager
def file_size(limit: int) -> Iterator[None]:
    """As on a disk that is full: a file takes no byte beyond `limit`."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)


def test_a_full_disk_takes_nothing_and_loses_nothing(folder: Folder) -> None:
    queue = folder.new_queue(each=True, segment_bytes=ROOM)
    with file_size(START - 1), pytest.raises(BufferFull):
        add(queue, "not even a segment")
    add(queue, "first")
    (path,) = queue.folder.glob("*.seg")
    size = path.stat().st_size
    for room in range(SIZE + 6):
        with file_size(size + room), pytest.raises(BufferFull, match="File too large"):
            add(queue, "second")
        assert path.stat().st_size == size
    add(queue, "third")
    assert drained(queue) == ["first", "third"]


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_file_system_without_room(tmp_path: Path) -> None:
    place = tmp_path / "small"
    place.mkdir()
    line = ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(place)]
    if subprocess.run(line, capture_output=True).returncode:
        pytest.skip("no mount here")
    try:
        folder, kept = Folder(place / "buffer"), list[str]()
        queue = folder.new_queue(each=True, segment_bytes=20_000)

        def fill() -> None:
            for at in range(1000):
                add(queue, text := f"{at}-" + "x" * 1000)
                kept.append(text)

        with pytest.raises(BufferFull, match="No space left"):
            fill()
        assert len(kept) > 50
        rejected = Rejected(event={"key": "k", "text": "y" * 5000}, code="c", message="m", rejected_at=system_clock())
        with pytest.raises(BufferUnwritable, match="No space left"):
            folder.reject([rejected])
        half = [one for _ in range(30) for one in (step(queue) or [])]
        folder.reject([rejected])
        assert [one.code for one in folder.rejected()] == ["c"]
        add(queue, "room again")
        assert half + drained(queue) == [*kept, "room again"]
        folder.remove(queue)
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_fails_to_sync_takes_nothing(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `append` refused is never delivered; what it acknowledged is, and the next segment is tried."""
    queue = folder.new_queue(each=True, segment_bytes=ROOM)
    add(queue, "first")

    def broken(descriptor: int) -> None:
        found = queue.head(9)
        assert isinstance(found, Batch) and found.payloads == [b"first"], "what is not on the disk is not delivered"
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patched:
        patched.setattr(segments, "to_disk", broken)
        for text in ("second", "third"):
            with pytest.raises(BufferUnwritable, match="Input/output error"):
                add(queue, text)
    assert queue.records == 1
    add(queue, "fourth")
    assert drained(queue) == ["first", "fourth"]
    assert len(list(queue.folder.glob("*.seg"))) == 1


def test_threads_share_one_sync_and_none_is_told_too_early(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = folder.new_queue(each=True, segment_bytes=5_000)
    synced, real, calls = dict[Path, int](), os.fdatasync, list[int]()
    told = list[str]()

    def slow(descriptor: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        size = os.fstat(descriptor).st_size
        real(descriptor)
        calls.append(descriptor)
        synced[path] = max(size, synced.get(path, 0))

    monkeypatch.setattr(segments, "to_disk", slow)
    flushed: Callable[[Segment, int], None] = Segment.flush

    def watched(segment: Segment, end: int) -> None:
        flushed(segment, end)
        assert synced.get(segment.path, 0) >= end

    monkeypatch.setattr(Segment, "flush", watched)

    def run(number: int) -> None:
        for at in range(50):
            add(queue, text := f"{number}-{at}")
            told.append(text)

    threads = [Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    texts = drained(queue)
    assert sorted(texts) == sorted(told) and len(told) == 400
    for number in range(8):
        mine = [int(text.partition("-")[2]) for text in texts if text.startswith(f"{number}-")]
        assert mine == sorted(mine)
    assert len(calls) < 400


def test_rejected_events_are_told_once_each_and_a_torn_line_harms_nobody(folder: Folder) -> None:
    def rejected(key: str) -> Rejected:
        return Rejected(event={"user": "u", "key": key}, code="no_such_user", message="é", rejected_at=system_clock())

    assert list(folder.rejected()) == []
    folder.reject([rejected("a"), rejected("b")])
    whole = folder.rejections.read_bytes()
    for cut in range(len(whole)):
        folder.rejections.write_bytes(whole[:cut])
        folder.reject([rejected("b"), rejected("c")])
        keys = [one.event["key"] for one in folder.rejected()]
        assert keys == (["a", "b", "c"] if cut > whole.index(b"\n") else ["b", "c"]), cut


def test_a_folder_that_cannot_be_written_is_told(folder: Folder) -> None:
    folder.root.write_text("a file where the folder should be")
    with pytest.raises(BufferUnwritable, match="buffer"):
        folder.new_queue(each=True, segment_bytes=ROOM)


@pytest.mark.parametrize("each", [True, False], ids=["each", "interval"])
def test_processes_that_are_killed_while_they_append_leave_what_they_acknowledged(folder: Folder, each: bool) -> None:
    """Each says through a pipe what is durable; SIGKILL comes at any moment."""
    said: list[str] = []
    luck = random.Random(7)
    for turn in range(15):
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            mine = folder.new_queue(each, 10_000)
            for at in range(100_000):
                add(mine, text := f"{turn}-{at}-" + "x" * luck.randrange(2000))
                os.write(writing, text.split("x")[0].encode() + b"\n")
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as pipe:
            said += [pipe.readline().strip() for _ in range(luck.randrange(1, 30))]
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            said += [line.strip() for line in pipe]
    texts = [text.split("x")[0] for queue in folder.left_behind() for text in drained(queue)]
    assert len(texts) == len(set(texts))
    assert set(said) <= set(texts)
    assert len(texts) - len(said) <= 15


class AgainstAList(RuleBasedStateMachine):
    """Processes, deaths, torn tails, full rooms and deliveries against lists of what was acknowledged."""

    def __init__(self) -> None:
        super().__init__()
        self.place = tempfile.TemporaryDirectory()
        self.folder = Folder(Path(self.place.name) / "buffer")
        self.queues: list[tuple[Queue, list[str], bool]] = []
        self.dead: list[list[str]] = []
        self.number = 0

    def teardown(self) -> None:
        for queue, _, _ in self.queues:
            die(queue)
        self.place.cleanup()

    @precondition(lambda self: len(self.queues) < 4)
    @rule(each=st.booleans(), size=st.sampled_from([1, 150, 10_000]))
    def begin(self, each: bool, size: int) -> None:
        self.queues.append((self.folder.new_queue(each, size), [], True))

    @precondition(lambda self: any(own for _, _, own in self.queues))
    @rule(data=st.data(), length=st.integers(0, 300), room=st.sampled_from([0, 400, ROOM]))
    def record(self, data: st.DataObject, length: int, room: int) -> None:
        queue, model, _ = data.draw(st.sampled_from([one for one in self.queues if one[2]]))
        self.number += 1
        text = f"{self.number}-" + "x" * length
        before = sum(SIZE + len(one) for one in model)
        if before + SIZE + len(text) > room:
            with pytest.raises(BufferFull):
                add(queue, text, room=room)
        else:
            add(queue, text, room=room)
            model.append(text)

    @precondition(lambda self: self.queues)
    @rule(data=st.data(), most=st.integers(1, 5))
    def deliver(self, data: st.DataObject, most: int) -> None:
        queue, model, _ = data.draw(st.sampled_from(self.queues))
        found = step(queue, most)
        if found is None:
            assert model == []
            return
        assert not isinstance(found, Damage)
        assert found and len(found) <= most and found == model[: len(found)]
        del model[: len(found)]

    @precondition(lambda self: self.queues)
    @rule(data=st.data(), torn=st.integers(0, 60))
    def kill(self, data: st.DataObject, torn: int) -> None:
        at = data.draw(st.integers(0, len(self.queues) - 1))
        queue, model, own = self.queues.pop(at)
        die(queue)
        paths = sorted(queue.folder.glob("*.seg"))
        if own and paths:  # in the middle of a write
            with paths[-1].open("ab") as file:
                file.write(frames.pack(b"never acknowledged" * 2, 1, 1)[:torn])
        self.dead.append(model)

    @precondition(lambda self: self.queues)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        """In an orderly way."""
        queue, model, _ = self.queues.pop(data.draw(st.integers(0, len(self.queues) - 1)))
        self.folder.remove(queue)
        assert queue.folder.exists() == bool(queue.bytes)
        if queue.bytes:
            self.dead.append(model)
        else:
            assert model == []

    @rule()
    def take_over(self) -> None:
        """In the order of their deaths, since that of the folders is by chance."""
        found = dict[str | None, list[Queue]]()
        for queue in self.folder.left_behind():
            head = queue.head(1)
            first = head.payloads[0].decode() if isinstance(head, Batch) else None
            found.setdefault(first, []).append(queue)
        for model in self.dead:
            queue = found[model[0] if model else None].pop()
            assert queue.records == len(model)
            self.queues.append((queue, model, False))
        assert not any(found.values())
        self.dead = []

    @invariant()
    def counts(self) -> None:
        for queue, model, own in self.queues:
            assert queue.records == len(model)
            if own:
                assert queue.bytes == sum(SIZE + len(one) for one in model)
            assert self.folder.others_bytes(queue) >= sum(
                SIZE + len(one) for other, texts, _ in self.queues if other is not queue for one in texts
            )


def test_any_interleaving_is_as_a_list() -> None:
    run_state_machine_as_test(AgainstAList, settings=steady(60))


def test_a_segment_ends_where_it_is_said_to(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record larger than what is read at once."""
    monkeypatch.setattr(segments, "READ_BYTES", 50)
    queue = folder.new_queue(each=True, segment_bytes=ROOM)
    texts = ["a" * 10, "b" * 5_000, "c"]
    add(queue, *texts)
    assert drained(queue) == texts


def test_a_queue_that_goes_away_while_it_is_measured_is_no_failure(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process took over what a dead one had left, and removed it, between two looks of ours."""
    mine, theirs, gone = (folder.new_queue(True, 1 << 20) for _ in range(3))
    add(theirs, "waits")
    real, waits, removing = os.scandir, folder.others_bytes(mine), list[bool]()
    assert waits > 0

    def scandir(path: str | os.PathLike[str]) -> Iterator[os.DirEntry[str]]:
        if Path(path) == gone.folder and not removing:
            removing.append(True)
            folder.remove(gone)
        return real(path)  # type: ignore[return-value]

    monkeypatch.setattr(os, "scandir", scandir)
    assert folder.others_bytes(mine) == waits
    assert not gone.folder.exists()
    for queue in (mine, theirs):
        queue.close()
