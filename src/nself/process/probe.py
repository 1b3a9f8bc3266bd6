"""Looks into a running service without stopping it: a thread of its own answers on a private socket.

One JSON line in, one JSON object out. It tells of places in the code, of types and of sizes: never of values.
"""

from __future__ import annotations

import atexit
import gc
import os
import select
import socket
import sys
import threading
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterable, Sized
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Literal, cast

import msgspec
import psutil

from nself import log
from nself.core.clock import monotonic
from nself.core.errors import Conflict, Unavailable
from nself.core.project import Project
from nself.process.paths import private, socket_folder

Task = Literal["profile", "memory", "heap"]
RATE = 100
"""Looks a second."""
DEPTH = 200
LONGEST = 3600
TOP = 50
ANSWER_SECONDS = 120
"""For what comes after the time that was asked for: a heap of gigabytes."""
MAX_REQUEST = 1000


class NotRunning(Unavailable):
    code = "service_not_running"
    text = "Service {service} does not run, so that there is nothing to look into"
    hints = ("nself start {service}", "nself status")
    guide = "8.3"


class ProbeBusy(Conflict):
    code = "probe_busy"
    text = "Somebody else looks into service {service} at the moment"


class Asked(msgspec.Struct, frozen=True):
    """`seconds` of a profile or of watching memory."""

    task: Task
    seconds: float = 0


class Stack(msgspec.Struct, frozen=True):
    """`samples` times this thread was seen here; `frames` from the outermost on, `function (file:line)`."""

    thread: str
    frames: list[str]
    samples: int


class Profile(msgspec.Struct, frozen=True):
    """`looks`: how often it was looked, `rate` times a second."""

    pid: int
    seconds: float
    looks: int
    rate: int
    stacks: list[Stack]


class Growth(msgspec.Struct, frozen=True):
    """Bytes that a line of code holds more (or less) than at the beginning, in so many more pieces."""

    place: str
    bytes: int
    pieces: int


class Memory(msgspec.Struct, frozen=True):
    """Bytes of the process before and after; `growth` by line of code, what grew most first."""

    pid: int
    seconds: float
    rss_before: int
    rss_after: int
    growth: list[Growth]


class Kind(msgspec.Struct, frozen=True):
    """All objects of a type."""

    type: str
    count: int
    bytes: int


class Large(msgspec.Struct, frozen=True):
    """A single object; `length` where it has one."""

    type: str
    bytes: int
    length: int | None


class Heap(msgspec.Struct, frozen=True):
    """What lives, `kinds` and `largest` with the most bytes first."""

    pid: int
    rss: int
    objects: int
    bytes: int
    kinds: list[Kind]
    largest: list[Large]


# ---- In the service ----

_places: list[tuple[Path, int]] = []


def path(project: Project, service: str) -> Path:
    return socket_folder(project) / f"probe-{service}.sock"


def listen(project: Project, service: str) -> None:
    """Answer from now on, until the process ends. A service that cannot be looked into works all the same."""
    place = path(project, service)
    try:
        private(place.parent)
        place.unlink(missing_ok=True)
        server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        server.bind(str(place))
        place.chmod(0o600)
        server.listen(4)
        _places.append((place, place.stat().st_ino))
    except Exception as error:
        log.warning("probe_unavailable", error=str(error))
        return
    threading.Thread(target=_serve, args=(server,), name="probe", daemon=True).start()


@atexit.register
def close() -> None:
    """Remove the socket, unless another process has taken its place; the folder too where nothing else is in it."""
    while _places:
        place, inode = _places.pop()
        with suppress(OSError):
            if place.stat().st_ino == inode:
                place.unlink()
                place.parent.rmdir()


def _serve(server: socket.socket) -> None:
    busy = threading.Lock()
    while True:
        with suppress(OSError):
            line, _ = server.accept()
            threading.Thread(target=_answer, args=(line, busy), name="probe", daemon=True).start()


def _answer(line: socket.socket, busy: threading.Lock) -> None:
    with line, suppress(OSError):
        line.settimeout(ANSWER_SECONDS)
        try:
            asked = msgspec.json.decode(line.makefile("rb").readline(MAX_REQUEST), type=Asked)
        except msgspec.DecodeError:
            return
        if not busy.acquire(blocking=False):
            line.sendall(b'{"busy": true}')
            return
        try:
            found = WORK[asked.task](min(asked.seconds, LONGEST), lambda: _left(line))
            log.info("probed", task=asked.task, seconds=asked.seconds)
            line.sendall(msgspec.json.encode(found))
        except Exception:
            log.failure("probe_failed")
        finally:
            busy.release()


def _left(line: socket.socket) -> bool:
    """Whether who asked has gone."""
    return bool(select.select([line], [], [], 0)[0])


Left = Callable[[], bool]


def profile(seconds: float, left: Left) -> Profile:
    """Where the threads of this process are, looked at RATE times a second."""
    found, own = Counter[tuple[str, tuple[str, ...]]](), threading.current_thread().ident
    names = dict[int, str]()
    began, looks = monotonic(), 0
    while monotonic() - began < seconds:
        if looks % RATE == 0:
            names = {one.ident: one.name for one in threading.enumerate() if one.ident}
            if left():
                break
        for thread, frame in sys._current_frames().items():
            if thread != own:
                found[names.get(thread, "unknown"), tuple(_frames(frame))] += 1
        looks += 1
        time.sleep(max(0.0, began + looks / RATE - monotonic()))
    stacks = [Stack(thread, list(frames), count) for (thread, frames), count in found.most_common()]
    return Profile(os.getpid(), monotonic() - began, looks, RATE, stacks)


def _frames(frame: FrameType | None) -> list[str]:
    frames = list[str]()
    while frame and len(frames) < DEPTH:
        code = frame.f_code
        frames.append(f"{code.co_qualname} ({shown(code.co_filename)}:{frame.f_lineno})")
        frame = frame.f_back
    return frames[::-1]


def shown(file: str) -> str:
    """From the package on."""
    for mark in ("/site-packages/", "/src/"):
        if mark in file:
            return file.rpartition(mark)[2]
    return "/".join(file.split("/")[-2:])


def memory(seconds: float, left: Left) -> Memory:
    """Which lines of code come to hold more memory. Allocations are slower meanwhile."""
    process = psutil.Process()
    before = process.memory_info().rss
    tracemalloc.start()
    try:
        began, first = monotonic(), tracemalloc.take_snapshot()
        while (passed := monotonic() - began) < seconds and not left():
            time.sleep(min(1.0, seconds - passed))
        found = tracemalloc.take_snapshot().compare_to(first, "lineno")
    finally:
        tracemalloc.stop()
    growth = [
        Growth(f"{shown(one.traceback[0].filename)}:{one.traceback[0].lineno}", one.size_diff, one.count_diff)
        for one in sorted(found, key=lambda one: one.size_diff, reverse=True)
        if one.size_diff and not one.traceback[0].filename.endswith(("tracemalloc.py", "probe.py"))
    ]
    return Memory(os.getpid(), monotonic() - began, before, process.memory_info().rss, growth[:TOP])


def heap(seconds: float, left: Left) -> Heap:
    """Every object that is reached from those that the collector knows, frozen ones included."""
    sizes, counts = Counter[str](), Counter[str]()
    largest = list[Large]()
    seen = set[int]()
    waiting: list[object] = [*gc.get_objects(), *sys.modules.values()]
    known = {id(one) for one in (sizes, counts, largest, seen, waiting)}
    while waiting:
        one = waiting.pop()
        if id(one) in seen or id(one) in known:
            continue
        seen.add(id(one))
        name, size = _type(one), sys.getsizeof(one, 0)
        counts[name] += 1
        sizes[name] += size
        if size >= 4096:
            largest.append(Large(name, size, _length(one)))
        waiting += gc.get_referents(one)
    kinds = [Kind(name, counts[name], size) for name, size in sizes.most_common(TOP)]
    largest.sort(key=lambda one: one.bytes, reverse=True)
    rss = psutil.Process().memory_info().rss
    return Heap(os.getpid(), rss, sum(counts.values()), sum(sizes.values()), kinds, largest[:TOP])


def _type(one: object) -> str:
    kind = type(one)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _length(one: object) -> int | None:
    if isinstance(one, str | bytes | bytearray | list | tuple | dict | set | frozenset):
        return len(cast("Sized", one))
    return None


WORK: dict[Task, Callable[[float, Left], Profile | Memory | Heap]] = {
    "profile": profile,
    "memory": memory,
    "heap": heap,
}


# ---- In a command ----


def ask(project: Project, service: str, asked: Asked) -> bytes:
    """The answer of a running service, as JSON. Raises NotRunning, ProbeBusy."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.settimeout(asked.seconds + ANSWER_SECONDS)
        try:
            line.connect(str(path(project, service)))
            line.sendall(msgspec.json.encode(asked) + b"\n")
            answer = b"".join(_parts(line))
        except OSError as error:
            raise NotRunning(service=service) from error
    if not answer:
        raise NotRunning(service=service)
    if answer == b'{"busy": true}':
        raise ProbeBusy(service=service)
    return answer


def _parts(line: socket.socket) -> Iterable[bytes]:
    while part := line.recv(1 << 16):
        yield part
