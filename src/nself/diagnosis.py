"""What a root cause is and what shows it; the `doctor` domain gathers the declarations of all domains.

A cause is declared beside the facts that show it, in a domain's `service/causes`: `1.1.4` is cause 4 of issue 1.1 of the guide.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any, Literal, NamedTuple, TypeVar

from nself.app import App

T = TypeVar("T")
Need = Literal["database", "stripe"]
Sure = Literal["certain", "likely"]


class Evidence(NamedTuple):
    """What shows that a cause is there: one sentence with figures and names, without secrets."""

    text: str
    fields: Mapping[str, object] = {}
    """Fill the commands of `mend`."""
    sure: Sure = "certain"
    """`certain`: it can be nothing else; `likely`: it is what usually looks like this."""


class Look:
    """One examination. What several causes ask is found out once, whichever thread asks first."""

    def __init__(self, app: App) -> None:
        self.app = app
        self._locks: dict[Callable[[App], Any], Lock] = {}
        self._known: dict[Callable[[App], Any], tuple[Any, Exception | None]] = {}
        self._lock = Lock()

    def once(self, ask: Callable[[App], T]) -> T:
        """`ask(app)`, remembered; what it raised is raised again."""
        with self._lock:
            own = self._locks.setdefault(ask, Lock())
        with own:
            if ask not in self._known:
                self._known[ask] = _asked(ask, self.app)
        result, error = self._known[ask]
        if error:
            raise error
        return result


def _asked(ask: Callable[[App], T], app: App) -> tuple[T | None, Exception | None]:
    try:
        return ask(app), None
    except Exception as error:  # whoever asks meets it again, as if it had asked itself
        return None, error


class Cause(NamedTuple):
    """A root cause of the guide.

    `detect` only reads, takes well below a second and answers None on a healthy busy system. What it raises is told as "could
    not be looked at" and is no finding.
    """

    id: str
    title: str
    """The guide's words."""
    detect: Callable[[Look], Evidence | None]
    explain: str
    """Why it brings the symptoms about, and what it is told apart from."""
    mend: tuple[str, ...]
    """Command lines of nself in their order, the guide's where it has them; `{name}` is a field of the evidence."""
    itself: bool = False
    """`doctor fix` may run `mend`: it is safe to repeat and changes nothing but what is broken."""
    money: bool = False
    """`mend` moves money, which `doctor fix` does only with --yes."""
    elsewhere: str = ""
    """What somebody has to do where nself cannot: Stripe's Dashboard, firewall, DNS, certificate authority."""
    follows: tuple[str, ...] = ()
    """Causes that bring this one about: where one of them is found too, this is its consequence."""
    needs: tuple[Need, ...] = ("database",)
    """What has to answer before it can be looked at; where it does not, that is the finding."""
