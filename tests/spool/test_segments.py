"""The spool on disk: whatever is cut off, flipped or refused by the system, no whole record is lost or told twice."""

from __future__ import annotations

import os
import random
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest

from nself.spool import frames, segments
from nself.spool.errors import BufferDamaged, BufferFull, BufferUnwritable
from nself.spool.frames import SIZE
from nself.spool.segments import Place, Spool

MANY = 10**9


def add(spool: Spool, *texts: str, events: int = 1, most: int = MANY) -> None:
    for text in texts:
        spool.append(text.encode(), events, 1_000, most)


def drained(spool: Spool, place: Place | None = None, most: int = 3) -> list[str]:
    """All that can be read, in order. Raises BufferDamaged."""
    spool.seal()
    place, texts = place or spool.first(), list[str]()
    while True:
        found, place = spool.read(place, most)
        if not found:
            return texts
        texts += [one.payload.decode() for one in found]
        place = found[-1].end


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "project" / "spool")


def test_records_come_back_in_order_over_segments(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "SEGMENT_BYTES", 100)
    texts = [f"record {at}" for at in range(50)]
    add(spool, *texts)
    assert len(spool.numbers()) > 10
    assert spool.waiting(spool.first()).events == 50
    assert drained(spool) == texts
    assert drained(Spool(spool.folder)) == texts
    assert not spool.idle()
    spool.remove_before(spool.numbers()[-1])
    assert spool.idle() and len(spool.numbers()) == 1


def test_numbers_never_come_again(spool: Spool) -> None:
    seen: set[int] = set()
    for at in range(5):
        add(spool, str(at))
        spool.seal()
        last = spool.numbers()[-1]
        assert not seen & {last}
        seen.add(last)
        spool.remove_before(last)
        assert Spool(spool.folder).id == spool.id


def test_half_a_record_is_passed_over_wherever_it_was_cut(spool: Spool) -> None:
    """A write that was interrupted at any byte: what was acknowledged stays, what comes next is not behind rubbish."""
    add(spool, "first", "second")
    path = spool.path(1)
    whole = path.read_bytes()
    frame = frames.pack(b"third, never acknowledged", 1, 1_000)
    for cut in range(len(frame)):
        for other in spool.numbers()[1:]:
            spool.path(other).unlink()
        path.write_bytes(whole + frame[:cut])
        fresh = Spool(spool.folder)
        assert fresh.waiting(fresh.first()).events == 2
        add(fresh, "fourth")
        assert drained(fresh) == ["first", "second", "fourth"], cut
        assert drained(spool) == ["first", "second", "fourth"], cut


def test_a_flipped_bit_is_never_passed_over(spool: Spool) -> None:
    """Wherever it is: records before it are read, then the damage is told, and behind it all is there once."""
    texts = ["first", "second", "third"]
    add(spool, *texts)
    spool.seal()
    path = spool.path(1)
    whole = path.read_bytes()
    size = SIZE + len("first")
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << at % 8)]) + whole[at + 1 :])
        fresh, place, read = Spool(spool.folder), Place(1, 0), list[str]()
        told: BufferDamaged | None = None
        while not told:
            try:
                found, place = fresh.read(place, 1)
                assert found, at
                read += [one.payload.decode() for one in found]
            except BufferDamaged as error:
                told = error
        bad = 0 if at < size else 1 if at < 2 * size + 1 else 2
        assert (told.fields["segment"], told.fields["offset"]) == place == found_end(whole, bad)
        copy, behind, events = fresh.set_aside(place)
        assert read + drained(fresh, behind) == [text for number, text in enumerate(texts) if number != bad], at
        assert copy.read_bytes() == path.read_bytes()[place.offset : found_end(whole, bad + 1).offset]
        assert events in (None, 1)


def found_end(whole: bytes, records: int) -> Place:
    """The place behind so many records of segment 1."""
    offset = 0
    for _ in range(records):
        head = frames.header(whole[offset : offset + SIZE])
        assert head
        offset += SIZE + head.length
    return Place(1, offset)


def test_a_segment_that_is_gone_or_shrank_is_told(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "SEGMENT_BYTES", 1)
    add(spool, "first", "second", "third")
    spool.seal()
    spool.path(2).unlink()
    with pytest.raises(BufferDamaged, match="gone"):
        spool.read(Place(2, 0), 1)
    assert spool.set_aside(Place(2, 0))[1] == Place(3, 0)
    spool.path(1).write_bytes(b"")
    with pytest.raises(BufferDamaged, match="shorter"):
        spool.read(Place(1, SIZE + 5), 1)


def test_a_full_buffer_takes_nothing_and_loses_nothing(spool: Spool) -> None:
    add(spool, "a", events=6, most=10)
    with pytest.raises(BufferFull, match="6 events are kept, 5 more came, USAGE_BUFFER_SIZE is 10"):
        add(spool, "b", events=5, most=10)
    with pytest.raises(BufferFull):
        add(Spool(spool.folder), "b", events=5, most=10)
    add(spool, "c", events=4, most=10)
    assert drained(spool) == ["a", "c"]
    spool.remove_before(spool.numbers()[-1])
    add(spool, "d", events=10, most=10)
    assert drained(spool) == ["d"]


@contextmanager
def file_size(limit: int) -> Iterator[None]:
    """As on a disk that is full: a file takes no byte beyond `limit`."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)


def test_a_full_disk_takes_nothing_and_loses_nothing(spool: Spool) -> None:
    add(spool, "first")
    size = spool.path(1).stat().st_size
    for room in range(SIZE + 6):
        with file_size(size + room), pytest.raises(BufferFull, match="File too large"):
            add(spool, "second")
        assert spool.path(1).stat().st_size == size
    add(spool, "third")
    assert drained(spool) == ["first", "third"]


def test_a_folder_that_cannot_be_written_is_told(spool: Spool) -> None:
    spool.folder.parent.mkdir(parents=True)
    spool.folder.write_text("a file where the folder should be")
    with pytest.raises(BufferUnwritable, match="spool"):
        add(spool, "first")


def test_threads_and_spools_share_a_folder(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "SEGMENT_BYTES", 300)
    spools = [spool, spool, Spool(spool.folder), Spool(spool.folder)]

    def run(number: int) -> None:
        for at in range(25):
            add(spools[number], f"{number}-{at}")
            if at % 10 == 9:
                spools[number].seal()

    threads = [Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    texts = drained(spool)
    assert sorted(texts) == sorted(f"{number}-{at}" for number in range(4) for at in range(25))
    for number in range(4):
        mine = [int(text.partition("-")[2]) for text in texts if text.startswith(f"{number}-")]
        assert mine == sorted(mine)


def test_processes_that_are_killed_while_they_append_leave_what_they_acknowledged(spool: Spool) -> None:
    """Each says through a pipe what is durable; SIGKILL comes at any moment."""
    said: list[str] = []
    luck = random.Random(7)
    for turn in range(12):
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            mine = Spool(spool.folder)
            for at in range(10_000):
                add(mine, text := f"{turn}-{at}-" + "x" * luck.randrange(2000))
                os.write(writing, text.split("x")[0].encode() + b"\n")
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as pipe:
            said += [pipe.readline().strip() for _ in range(luck.randrange(1, 20))]
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            said += [line.strip() for line in pipe]
    texts = [text.split("x")[0] for text in drained(Spool(spool.folder))]
    assert len(texts) == len(set(texts))
    assert set(said) <= set(texts)
    assert len(texts) - len(said) <= 12
