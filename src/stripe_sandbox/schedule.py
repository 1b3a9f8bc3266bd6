"""What time does to an object: when something is due, and the step that is taken then.

A step is a function of the object alone and leads to the object's next one, so no list of timers can go stale:
`Call` writes each object's next instant beside it, whenever it writes the object.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from stripe_sandbox.store import Object

if TYPE_CHECKING:
    from stripe_sandbox.call import Call

Due: TypeAlias = Callable[[Object], int | None]
Step: TypeAlias = "Callable[[Call, Object], None]"

DUE_AT = "_due_at"


@dataclass(frozen=True)
class Task:
    due: Due
    step: Step


TASKS: dict[str, Task] = {}


def scheduled(kind: str, due: Due) -> Callable[[Step], Step]:
    """Declares the step of a kind of object, to be taken at `due`."""

    def declare(step: Step) -> Step:
        TASKS[kind] = Task(due, step)
        return step

    return declare


def plan(obj: Object) -> None:
    """Notes on the object when its next step is due."""
    task = TASKS.get(obj["object"])
    if task is not None:
        obj[DUE_AT] = task.due(obj)
