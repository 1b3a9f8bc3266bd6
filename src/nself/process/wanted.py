"""What should run: one private file, edited under the stack lock, obeyed by the supervisor.

The file is the only truth. A command that is killed between its edit and the end leaves nothing half
done: the supervisor goes on, and a new supervisor starts from the same file.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from nself.process.paths import as_object, read_json, write_private

FILE = "wanted.json"


class Wish(NamedTuple):
    """A service that should run. A new `generation` means: start it afresh, with `environ` on top."""

    generation: int
    environ: dict[str, str]


Wanted = dict[str, Wish]


def load(run: Path) -> Wanted:
    wanted: Wanted = {}
    for name, entry in read_json(run / FILE).items():
        fields = as_object(entry)
        generation, environ = fields.get("generation"), as_object(fields.get("environ"))
        if isinstance(generation, int):
            wanted[name] = Wish(generation, {key: str(value) for key, value in environ.items()})
    return wanted


def save(run: Path, wanted: Wanted) -> None:
    """0600: forwarded settings may be secrets."""
    write_private(run / FILE, json.dumps({name: wish._asdict() for name, wish in wanted.items()}, indent=1))


def next_generation(run: Path) -> int:
    """Higher than any before, also when nothing is wanted at the moment."""
    path = run / "generation"
    try:
        number = int(path.read_text()) + 1
    except (OSError, ValueError):
        number = max((wish.generation for wish in load(run).values()), default=0) + 1
    write_private(path, f"{number}\n")
    return number
