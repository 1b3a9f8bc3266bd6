"""Profiles as files: for speedscope, as a flame graph, as rows. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from decimal import Decimal
from html import escape
from typing import Any

import msgspec

from nself.domains.health.model import Spot
from nself.process.probe import Profile

WIDTH, ROW = 1200, 16
"""Of a flame graph, in pixels."""
LETTER = 7
WAITING = frozenset({"wait", "select", "poll", "accept", "_worker", "_wait_for_tstate_lock", "_stopping", "Runner.run"})
"""Functions in which a thread rests; `Runner.run` is an event loop without anything to do."""


def percent(part: int, whole: int) -> Decimal:
    """With one digit."""
    return Decimal(part * 1000 // max(1, whole)).scaleb(-1)


def function(frame: str) -> str:
    """A frame without its line."""
    return f"{frame.rpartition(':')[0]})"


def resting(frames: list[str]) -> bool:
    """Such samples are in the files but not in the table."""
    name = frames[-1].partition(" (")[0]
    return not WAITING.isdisjoint((name, name.rpartition(".")[2]))


def spots(profile: Profile, limit: int) -> list[Spot]:
    """Functions that run, those with the most time of their own first. What only waits is left out."""
    own, total, samples = Counter[str](), Counter[str](), 0
    for one in profile.stacks:
        if one.frames and not resting(one.frames):
            samples += one.samples
            own[function(one.frames[-1])] += one.samples
            total.update(dict.fromkeys(map(function, one.frames), one.samples))
    order = sorted(total, key=lambda name: (own[name], total[name]), reverse=True)[:limit]
    return [
        Spot(
            function=name,
            self_percent=percent(own[name], samples),
            total_percent=percent(total[name], samples),
            samples=total[name],
        )
        for name in order
    ]


def speedscope(profile: Profile, name: str) -> str:
    """https://www.speedscope.app/file-format-schema.json: one profile a thread, weights in seconds."""
    frames, step = dict[str, int](), 1 / profile.rate
    threads = dict[str, list[tuple[list[int], int]]]()
    for one in profile.stacks:
        places = [frames.setdefault(frame, len(frames)) for frame in one.frames]
        threads.setdefault(one.thread, []).append((places, one.samples))
    whole: dict[str, Any] = {
        "$schema": "https://www.speedscope.app/file-format-schema.json",
        "exporter": "nself",
        "name": name,
        "shared": {"frames": [_frame(frame) for frame in frames]},
        "profiles": [
            {
                "type": "sampled",
                "name": thread,
                "unit": "seconds",
                "startValue": 0,
                "endValue": sum(count for _, count in found) * step,
                "samples": [places for places, _ in found],
                "weights": [count * step for _, count in found],
            }
            for thread, found in threads.items()
        ],
    }
    return msgspec.json.encode(whole).decode()


def _frame(text: str) -> dict[str, object]:
    name, _, place = text.removesuffix(")").rpartition(" (")
    file, _, line = place.rpartition(":")
    return {"name": name, "file": file, "line": int(line) if line.isdigit() else 0}


class _Node:
    __slots__ = ("below", "samples")

    def __init__(self) -> None:
        self.samples, self.below = 0, dict[str, _Node]()


def flamegraph(profile: Profile, title: str) -> str:
    """An SVG without scripts: the width of a box is its share of all samples, its tooltip says the number."""
    root = _Node()
    for one in profile.stacks:
        node, root.samples = root, root.samples + one.samples
        for frame in (one.thread, *map(function, one.frames)):
            node = node.below.setdefault(frame, _Node())
            node.samples += one.samples
    boxes = list(_boxes(root, 0.0, WIDTH / max(1, root.samples), 1))
    depth = 1 + max((row for row, _ in boxes), default=1)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {depth * ROW}" font-family="monospace" font-size="11">'
        f'<text x="4" y="12">{escape(title)}</text>{"".join(text for _, text in boxes)}</svg>\n'
    )


def _boxes(node: _Node, x: float, scale: float, row: int) -> Iterable[tuple[int, str]]:
    for name, one in sorted(node.below.items()):
        width = one.samples * scale
        if width >= 0.5:
            label = escape(name[: int(width) // LETTER]) if width > 3 * LETTER else ""
            hue = 10 + sum(name.encode()) % 45
            yield (
                row,
                (
                    f'<g><title>{escape(name)}: {one.samples} samples</title><rect x="{x:.1f}" y="{row * ROW}" width="{width:.1f}" '
                    f'height="{ROW - 1}" fill="hsl({hue} 90% 65%)"/><text x="{x + 2:.1f}" y="{row * ROW + 11}">{label}</text></g>'
                ),
            )
            yield from _boxes(one, x, scale, row + 1)
        x += width
