"""Admin routes about the sandbox's content: fixtures and seeds."""

import re
from collections.abc import Callable
from typing import Any

import msgspec

from stripe_sandbox import fixtures, seeds
from stripe_sandbox.admin_input import Refused, read
from stripe_sandbox.call import Call
from stripe_sandbox.clock import Clock
from stripe_sandbox.front import Request
from stripe_sandbox.store import Store


class Fixtures(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    objects: list[Any] | None = None
    set: str | None = None


class DataRoutes:
    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self.routes: list[tuple[str, re.Pattern[str], Callable[..., Any]]] = [
            ("POST", re.compile(r"fixtures"), self._load_fixtures),
            ("POST", re.compile(r"seed"), self._seed),
        ]

    def _load_fixtures(self, request: Request) -> Any:
        wanted = read(request.body, Fixtures)
        if (wanted.objects is None) == (wanted.set is None):
            raise Refused(400, "Exactly one of objects (an array) and set (a name) is needed.")
        if wanted.set is not None and wanted.set not in fixtures.SETS:
            raise Refused(404, f"No such set: {wanted.set} (there is {', '.join(fixtures.SETS)})")
        objects = fixtures.built_in(wanted.set) if wanted.set is not None else wanted.objects or []
        try:
            with self._store.transaction():
                return {"loaded": fixtures.load(Call(self._store, self._clock), objects)}
        except fixtures.BadFixture as bad:
            raise Refused(400, str(bad)) from bad

    def _seed(self, request: Request) -> Any:
        wanted = read(request.body, seeds.Seed)
        try:
            with self._store.transaction():
                return {"made": seeds.plant(Call(self._store, self._clock), wanted)}
        except seeds.AlreadyPlanted as there:
            raise Refused(409, "This seed was planted already; choose another one or reset.") from there
