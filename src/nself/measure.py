"""How often and how long: counted in the process, written to the database with each beat, told by `nself billing metrics`.

Counting costs less than a microsecond and never fails; what could not be written yet is kept and added to.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

BOUNDS = tuple(round(0.0001 * 2 ** (step / 2), 7) for step in range(41))
"""Seconds: 0.1 ms to 105 s, two steps an octave. A duration belongs to the first bound that is not below it."""
SLOW_SECONDS = 1.0
"""From here on a command, a request or a job is worth a line in the log."""
SERIES = 2000
"""Different names and labels that one process holds; more are counted under the label `other`."""
Name = Literal[
    "http_request", "stripe_request", "job", "webhook_delivery", "webhook", "mail", "pdf", "stripe_cache", "database",
    "operation",
]  # fmt: skip
LABELS: dict[Name, tuple[str, ...]] = {
    "http_request": ("method", "route", "status"),
    "stripe_request": ("method", "collection", "outcome"),
    "job": ("type", "outcome"),
    "webhook_delivery": ("outcome",),
    "webhook": ("kind", "outcome"),
    "mail": ("channel", "outcome"),
    "pdf": ("outcome",),
    "stripe_cache": ("collection", "outcome"),
    "database": ("outcome",),
    "operation": ("operation", "asked_by", "outcome"),
}
"""What is measured, and by what it is told apart. Never by ids: each combination is a row a minute."""


class Measured(msgspec.Struct, frozen=True):
    """What occurred `count` times and took `seconds` in all; `counts` by BOUNDS, the last one for what took longer."""

    name: Name
    labels: tuple[str, ...]
    count: int
    seconds: float
    counts: list[int]


class _Series:
    __slots__ = ("counts", "seconds")

    def __init__(self) -> None:
        self.counts, self.seconds = [0] * (len(BOUNDS) + 1), 0.0


class Measures:
    """Thread-safe."""

    def __init__(self) -> None:
        self.heard: Callable[[Name, tuple[str, ...], float, int], None] | None = None
        """Is told what was observed, as it is told here."""
        self._lock = threading.Lock()
        self._series: dict[tuple[Name, tuple[str, ...]], _Series] = {}

    def observe(self, name: Name, labels: tuple[str, ...], seconds: float, times: int = 1) -> None:
        """It occurred `times` times and took `seconds` each time; `labels` as LABELS has them."""
        at = bisect_left(BOUNDS, seconds)
        with self._lock:
            series = self._of(name, labels)
            series.counts[at] += times
            series.seconds += seconds * times
        if heard := self.heard:  # once: a service that ends takes it away meanwhile
            heard(name, labels, seconds, times)

    def observe_all(self, name: Name, labels: tuple[str, ...], seconds: Sequence[float]) -> None:
        """It occurred once for each of `seconds`."""
        places = [bisect_left(BOUNDS, one) for one in seconds]
        with self._lock:
            series = self._of(name, labels)
            for at in places:
                series.counts[at] += 1
            series.seconds += sum(seconds)

    def pending(self) -> bool:
        """Whether anything was counted since the last `take`."""
        return bool(self._series)

    def take(self) -> list[Measured]:
        """All that was counted since the last `take`."""
        with self._lock:
            taken, self._series = self._series, {}
        return [
            Measured(name, labels, sum(one.counts), one.seconds, one.counts) for (name, labels), one in taken.items()
        ]

    def give_back(self, taken: list[Measured]) -> None:
        """What was taken could not be written."""
        with self._lock:
            for one in taken:
                series = self._of(one.name, one.labels)
                series.counts = [here + back for here, back in zip(series.counts, one.counts, strict=True)]
                series.seconds += one.seconds

    def _of(self, name: Name, labels: tuple[str, ...]) -> _Series:
        key = (name, labels)
        if key not in self._series:
            if len(self._series) >= SERIES:
                key = (name, tuple("other" for _ in LABELS[name]))
            self._series.setdefault(key, _Series())
        return self._series[key]


measures = Measures()
"""The process's."""
