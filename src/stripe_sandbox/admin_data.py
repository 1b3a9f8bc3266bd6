"""Admin routes about the sandbox's content: fixtures, seeds, snapshots; and about keys and secrets."""

import re
from collections.abc import Callable
from typing import Any

import msgspec

from stripe_sandbox import auth, fixtures, ids, recipes, seeds, snapshots
from stripe_sandbox.admin_input import Refused, read
from stripe_sandbox.call import Call
from stripe_sandbox.clock import Clock
from stripe_sandbox.errors import StripeError
from stripe_sandbox.front import Request
from stripe_sandbox.resources import discounts
from stripe_sandbox.resources.checkout_sessions import complete
from stripe_sandbox.store import Store


class Fixtures(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    objects: list[Any] | None = None
    set: str | None = None
    names: list[str] | None = None  # of the objects, for messages
    keep: bool = False  # what is there already is left alone

    def __post_init__(self) -> None:
        if self.names is not None and len(self.names) != len(self.objects or ()):
            raise ValueError("names must be as many as objects")


class Name(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str


class Restriction(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    key: str
    permissions: dict[str, auth.Level]


class Complete(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    payment_method: str = "pm_card_visa"
    email: str | None = None


class Trigger(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    event: str


class GiveDiscount(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    coupon: str


class Roll(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    overlap: int = 0  # seconds in which the old secret signs too
    secret: str | None = None  # the new one, drawn where it is left out


_LONGEST_OVERLAP = 24 * 3600
_PAGES = ("billing_portal.session", "checkout.session", "invoice")


class DataRoutes:
    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self.routes: list[tuple[str, re.Pattern[str], Callable[..., Any]]] = [
            ("POST", re.compile(r"fixtures"), self._load_fixtures),
            ("POST", re.compile(r"seed"), self._seed),
            ("GET", re.compile(r"trigger"), self._list_recipes),
            ("POST", re.compile(r"trigger"), self._trigger),
            ("GET", re.compile(r"pages/([^/]+)/([^/]+)"), self._page),
            ("POST", re.compile(r"checkout/sessions/([^/]+)/complete"), self._complete),
            ("POST", re.compile(r"customers/([^/]+)/discount"), self._discount),
            ("GET", re.compile(r"snapshots"), self._list_snapshots),
            ("POST", re.compile(r"snapshots"), self._save_snapshot),
            ("POST", re.compile(r"snapshots/([^/]+)/restore"), self._restore_snapshot),
            ("DELETE", re.compile(r"snapshots/([^/]+)"), self._forget_snapshot),
            ("POST", re.compile(r"keys/restrict"), self._restrict),
            ("POST", re.compile(r"webhook_endpoints/([^/]+)/roll"), self._roll),
        ]

    def _load_fixtures(self, request: Request) -> Any:
        wanted = read(request.body, Fixtures)
        if (wanted.objects is None) == (wanted.set is None):
            raise Refused(400, "Exactly one of objects (an array) and set (a name) is needed.")
        if wanted.set is not None and wanted.set not in fixtures.SETS:
            raise Refused(404, f"No such set: {wanted.set} (there is {', '.join(fixtures.SETS)})")
        objects = fixtures.built_in(wanted.set) if wanted.set is not None else wanted.objects or []
        names = wanted.names or [f"[{at}]" for at in range(len(objects))]
        call = Call(self._store, self._clock)
        try:
            with self._store.transaction():
                if not wanted.keep:
                    return {"loaded": fixtures.load(call, objects, names)}
                loaded, left, differing = fixtures.load_new(call, objects, names)
                return {"loaded": loaded, "left": left, "differing": differing}
        except fixtures.BadFixture as bad:
            raise Refused(400, str(bad)) from bad

    def _seed(self, request: Request) -> Any:
        wanted = read(request.body, seeds.Seed)
        try:
            with self._store.transaction():
                return {"made": seeds.plant(Call(self._store, self._clock), wanted)}
        except seeds.AlreadyPlanted as there:
            raise Refused(409, "This seed was planted already; choose another one or reset.") from there

    def _list_recipes(self, request: Request) -> Any:
        return {"events": sorted(recipes.RECIPES)}

    def _trigger(self, request: Request) -> Any:
        """What `stripe trigger` does: the calls after which the event occurs."""
        wanted = read(request.body, Trigger)
        if wanted.event not in recipes.RECIPES:
            raise Refused(404, f"No recipe for {wanted.event}. There are: {', '.join(sorted(recipes.RECIPES))}")
        with self._store.transaction():
            made = recipes.run(self._store, self._clock, wanted.event)
        return {"events": [{"id": one["id"], "type": one["type"]} for one in made]}

    def _list_snapshots(self, request: Request) -> Any:
        return {"snapshots": snapshots.listed(self._store)}

    def _save_snapshot(self, request: Request) -> Any:
        wanted = read(request.body, Name)
        if not re.fullmatch(r"[\w.-]{1,100}", wanted.name):
            raise Refused(400, "A name is of letters, digits, dots, dashes and underscores.")
        return {"saved": wanted.name, "rows": snapshots.save(self._store, self._clock, wanted.name)}

    def _restore_snapshot(self, request: Request, name: str) -> Any:
        if not snapshots.restore(self._store, self._clock, name):
            raise Refused(404, f"No such snapshot: {name}")
        return {"restored": name, "now": self._clock.now()}

    def _forget_snapshot(self, request: Request, name: str) -> Any:
        if not snapshots.forget(self._store, name):
            raise Refused(404, f"No such snapshot: {name}")
        return {"forgotten": name}

    def _restrict(self, request: Request) -> Any:
        wanted = read(request.body, Restriction)
        if not wanted.key.startswith("rk_test_"):
            raise Refused(400, "Only a restricted key (rk_test_…) has permissions.")
        auth.restrict(self._store, wanted.key, wanted.permissions)
        return {"key": auth.masked(wanted.key), "permissions": wanted.permissions}

    def _roll(self, request: Request, identifier: str) -> Any:
        """What the Dashboard's "roll secret" does."""
        wanted = read(request.body, Roll)
        if not 0 <= wanted.overlap <= _LONGEST_OVERLAP:
            raise Refused(400, f"overlap must be from 0 to {_LONGEST_OVERLAP} seconds")
        call = Call(self._store, self._clock)
        with self._store.transaction():
            endpoint = call.look("webhook_endpoint", identifier)
            if endpoint is None or endpoint.get("deleted"):
                raise Refused(404, f"No such webhook endpoint: {identifier}")
            until = self._clock.time() + wanted.overlap
            secret = wanted.secret or ids.webhook_secret()
            call.change(endpoint, {"_rolled": [[endpoint["_secret"], until]], "_secret": secret})
        return {"id": identifier, "secret": secret, "old_secret_until": int(until)}

    def _page(self, request: Request, kind: str, identifier: str) -> Any:
        """What a link of the sandbox shows: the object."""
        found = Call(self._store, self._clock).look(kind, identifier) if kind in _PAGES else None
        if found is None:
            raise Refused(404, f"No such page: {kind} {identifier}")
        return Call(self._store, self._clock).show(found)

    def _complete(self, request: Request, identifier: str) -> Any:
        """What the customer does on the checkout page."""
        wanted = read(request.body, Complete)
        call = Call(self._store, self._clock)
        with self._store.transaction():
            session = call.look("checkout.session", identifier)
            if session is None:
                raise Refused(404, f"No such checkout session: {identifier}")
            call.follow(session)
            try:
                complete(call, session, wanted.payment_method, wanted.email)
            except StripeError as error:
                raise Refused(402 if error.status == 402 else 409, error.message) from error
            return call.show(session)

    def _discount(self, request: Request, identifier: str) -> Any:
        """A coupon for a customer: this version of the API has no parameter for it, the Dashboard does it."""
        wanted = read(request.body, GiveDiscount)
        call = Call(self._store, self._clock)
        with self._store.transaction():
            customer = call.look("customer", identifier)
            if customer is None or customer.get("deleted"):
                raise Refused(404, f"No such customer: {identifier}")
            call.follow(customer)
            try:
                discounts.give_to_customer(call, customer, wanted.coupon)
            except StripeError as error:
                raise Refused(400, error.message) from error
            return call.show(customer)
