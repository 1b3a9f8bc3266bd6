"""A chain of steps, of which each needs those before it: what was done, how long it took, where it broke."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeVar

import msgspec

from nself.core.clock import monotonic
from nself.core.errors import BillingError

T = TypeVar("T")


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """`warning`: it went well, and something is odd about it."""

    step: str
    state: Literal["ok", "warning", "failed", "skipped"]
    milliseconds: float
    detail: str


class Broken(Exception):
    """A step failed: the cause in words, and the command that helps."""

    def __init__(self, cause: str, help: str) -> None:
        super().__init__(cause)
        self.cause, self.help = cause, help


class Steps:
    """Runs steps in the order of `names` and keeps what they said."""

    def __init__(self, *names: str, masked: Callable[[str], str] = str) -> None:
        """`masked` takes secrets out of what is told of a failure."""
        self.names, self.masked, self.done = names, masked, list[Step]()
        self.found = dict[str, str]()
        """What later steps learned and the whole tells."""

    def take(
        self,
        work: Callable[[], tuple[str, T]],
        diagnose: Callable[[Exception], tuple[str, str]],
        *,
        odd: Callable[[T], bool] = lambda _: False,
    ) -> T:
        """The next step: `work` gives what to tell and its result. Raises Broken where it raised what is foreseen."""
        began, name = monotonic(), self.names[len(self.done)]
        try:
            detail, result = work()
        except (OSError, ValueError, OverflowError, BillingError) as error:
            cause, help = diagnose(error)
            self._add(name, "failed", began, self.masked(str(error)))
            raise Broken(self.masked(cause), help) from error
        self._add(name, "warning" if odd(result) else "ok", began, detail)
        return result

    def skip(self, detail: str) -> None:
        """The next step is of no use here."""
        self.done.append(Step(step=self.names[len(self.done)], state="skipped", milliseconds=0, detail=detail))

    def all(self) -> list[Step]:
        """Those that were never reached as skipped."""
        rest = self.names[len(self.done) :]
        return [*self.done, *(Step(step=one, state="skipped", milliseconds=0, detail="") for one in rest)]

    def _add(self, name: str, state: Literal["ok", "warning", "failed"], began: float, detail: str) -> None:
        took = round((monotonic() - began) * 1000, 3)
        self.done.append(Step(step=name, state=state, milliseconds=took, detail=detail))
