"""What a plant works with: hands at the sandbox, in files, at processes and in the database; never the doctor's own code."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple
from uuid import uuid4

from nself.app import App
from nself.core.clock import monotonic
from nself.core.project import Project
from nself.db.connect import Tx
from nself.domains.drill import store
from nself.domains.drill.model import Planted, PlantFailed, Prop
from nself.domains.sandbox.service import reach


class Bench:
    """A project in test mode with the guide's fixtures: user123, cus_123, sub_123, in_123, pm_123, price_123."""

    def __init__(self, app: App, cause: str, beside: Bench | None = None) -> None:
        """`beside`: what is planted already; one file tells of both."""
        self.project: Project = app.project
        self.registry, self.environ, self._clock = app.registry, app.environ, app.clock
        self.cause = cause
        self._own = list[Prop]()
        self.props: list[Prop] = beside.props if beside else []
        self.files: dict[str, str | None] = beside.files if beside else {}

    @contextmanager
    def app(self) -> Generator[App]:
        """A fresh one, with the settings of now."""
        found = App(self.project, self.registry, environ=self.environ)
        try:
            yield found
        finally:
            found.close()

    def nself(self, line: str, *, fails: bool = False) -> str:
        """What the command line prints (`line` without `nself`). Raises PlantFailed where it fails, unless it `fails` by intent."""
        code, said = store.shell(self.project, f"nself {line}")
        if bool(code) != fails:
            raise PlantFailed(cause=self.cause, detail=f"nself {line}: exit code {code}: {said[-300:]}")
        return said

    def json(self, line: str) -> Any:
        said = self.nself(f"{line} --format json 2>/dev/null")
        return json.loads(said)

    def damage(self, work: Callable[[Tx], object]) -> None:
        """A hand in the database: a function of the store, in one transaction."""
        with self.app() as app:
            app.db.transact(work)

    def sandbox(self, method: str, route: str, body: object = None) -> Any:
        """What the sandbox's admin route answers: hands in Stripe's Dashboard, faults, its clock."""
        with self.app() as app:
            return reach.ask(app, method, route, body)

    def api(self, method: Literal["POST", "DELETE"], *path: str, **params: object) -> dict[str, Any]:
        """A call below /v1 by another program, or by hands in the Dashboard: Stripe tells of what changed."""
        with self.app() as app:
            if method == "DELETE":
                return app.stripe.remove(*path, params=params, key=uuid4().hex)
            return app.stripe.change(*path, params=params, key=uuid4().hex)

    def write(self, path: str, text: str) -> None:
        """A file of the project, as an editor would write it; `drill clear` puts the old one back."""
        self._kept(path)
        store.write(self.project, path, text)

    def read(self, path: str) -> str:
        return store.read(self.project, path) or ""

    def append(self, path: str, line: str) -> None:
        """A line at a file's end."""
        old = store.read(self.project, path) or ""
        self.write(path, f"{old.rstrip()}\n{line}\n".lstrip())

    def _kept(self, path: str) -> None:
        if path not in self.files:
            self.files[path] = store.read(self.project, path)
            self.keep()

    def prop(self, kind: str, *arguments: str) -> str:
        """Starts a process that plays something of the world outside, and gives the first line that it says."""
        prop, said = store.start_prop(self.project, kind, *arguments)
        self._begun(prop)
        return said

    def begin(self, line: str) -> None:
        """A command line (without `nself`) that goes on by itself, until `end_props` kills it."""
        self._begun(store.start_command(self.project, line))

    def _begun(self, prop: Prop) -> None:
        self._own.append(prop)
        self.props.append(prop)
        self.keep()

    def keep(self) -> None:
        store.keep(self.project, Planted(cause=self.cause, at=self._clock(), props=self.props, files=self.files))

    def end_props(self) -> None:
        """The world outside is as it was."""
        for one in self._own:
            store.end_prop(one)
            self.props.remove(one)
        self._own.clear()
        self.keep()

    def wait(self, until: Callable[[], object], seconds: float = 30) -> None:
        """Raises PlantFailed where it does not come true."""
        limit = monotonic() + seconds
        while monotonic() < limit:
            if until():
                return
            store.pause(0.2)
        raise PlantFailed(cause=self.cause, detail=f"{until.__name__} did not come true in {seconds:.0f} s")


class Drill(NamedTuple):
    """How a root cause is rehearsed."""

    cause: str
    plant: Callable[[Bench], None]
    shows: tuple[tuple[str, str], ...]
    """The guide's diagnosis lines, as printed, and a regular expression that is found in what they print while it is planted,
    and not found when it is mended."""
    mend: tuple[str, ...]
    """The guide's resolution lines, as printed, that mend it."""
    outside: Callable[[Bench], None] | None = None
    """What hands outside nself do for the mend, before its lines: in Stripe's Dashboard, at the firewall, in a file."""
    blinds: bool = False
    """While it is there others cannot be looked at: it is not paired."""
    apart: tuple[str, ...] = ()
    """Issues or causes that are not at the same object at once, since one mends the other or hides it: a subscription has a trial
    or none, and a customer who is missing has no tax id."""

    def together(self, other: Drill) -> bool:
        """Whether both may be there at once."""
        blind = self.blinds or other.blinds
        return not blind and not any(
            f"{one.cause}.".startswith(f"{issue}.")
            for this, one in ((self, other), (other, self))
            for issue in this.apart
        )
