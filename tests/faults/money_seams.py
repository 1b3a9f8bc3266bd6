"""Crashes at chosen seams: before and after each commit of `app.db`, before and after each call to Stripe.

A statement outside a transaction commits by itself; to crash before it is to crash after what came before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from nself.app import App
from nself.db.connect import Database, Tx
from nself.gateway import live

if TYPE_CHECKING:
    from money_bench import Bench

GENERAL = ("change", "remove", "listed")
"""Calls whose seams are told by their path, without ids: `before change invoices finalize`."""


class Crash(BaseException):
    """The process is gone: nothing catches this."""


class Seams:
    """Counts the seams that are passed; crashes at number `at`, from 1."""

    def __init__(self, at: int | None = None) -> None:
        self.at = at
        self.passed: list[str] = []
        self.hand: tuple[Any, ...] = ()
        """What the last fetch from Stripe was about."""

    def __call__(self, name: str) -> None:
        self.passed.append(name)
        if len(self.passed) == self.at:
            raise Crash(f"{self.at}: {name}")


class Pause(Seams):
    """At seam `at`, or the next one outside a transaction, somebody else gets the time to do `meanwhile`, once.

    `at` is a number or a name.
    """

    def __init__(self, at: int | str, meanwhile: Callable[[], object]) -> None:
        super().__init__()
        self.where, self.meanwhile, self.done = at, meanwhile, False

    def __call__(self, name: str) -> None:
        self.passed.append(name)
        here = len(self.passed) >= self.where if isinstance(self.where, int) else name == self.where
        if here and not self.done and name != "before commit":
            self.done = True
            self.meanwhile()


class SeamDatabase(Database):
    def __init__(self, conninfo: str, seams: Seams) -> None:
        super().__init__(conninfo, wait=5)
        self.seams = seams

    @contextmanager
    def _statement(self) -> Iterator[Tx]:
        with super()._statement() as tx:
            yield tx
        self.seams("after statement")

    @contextmanager
    def _transaction(self) -> Iterator[Tx]:
        with super()._transaction() as tx:
            yield tx
            self.seams("before commit")
        self.seams("after commit")


class SeamStripe:
    """The real gateway; what its calls did stays done when the caller crashes."""

    def __init__(self, stripe: Any, seams: Seams) -> None:
        self._stripe, self._seams = stripe, seams

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._stripe, name)
        if name in ("close", "counters", "live"):
            return found

        def call(*args: Any, **more: Any) -> Any:
            self._seams.hand = () if name in GENERAL else args
            deed = " ".join((name, args[0], *args[2:])) if name in GENERAL else name
            self._seams(f"before {deed}")
            answer = found(*args, **more)
            self._seams(f"after {deed}")
            return answer

        return call


def fragile(bench: Bench, seams: Seams, **environ: str) -> App:
    """An app that crashes where `seams` says."""
    app = bench.app(**environ)
    app.close()
    app.__dict__["db"] = SeamDatabase(bench.database, seams)
    app.__dict__["stripe"] = SeamStripe(live.connect(app.settings), seams)
    return app


def crashes(bench: Bench, user: str, at: int) -> bool:
    """Whether a whole run for `user` crashed at seam `at`; false where it has fewer seams."""
    app = fragile(bench, Seams(at))
    try:
        bench.whole_run(app, user)
    except Crash:
        return True
    finally:
        app.close()
    return False
