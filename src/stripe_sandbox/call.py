"""One call of the API (or one step of the sandbox's own): reads, changes and events in one transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stripe_sandbox import events, ids
from stripe_sandbox.clock import Clock
from stripe_sandbox.errors import StripeError, no_such
from stripe_sandbox.params import MetadataPatch
from stripe_sandbox.render import difference, render
from stripe_sandbox.resource import RESOURCES, Resource
from stripe_sandbox.schedule import plan
from stripe_sandbox.store import Object, Store, equals

_TEST_CLOCK = "test_helpers.test_clock"


@dataclass
class Call:
    store: Store
    clock: Clock
    request_id: str | None = None
    idempotency_key: str | None = None
    path: Mapping[str, str] = field(default_factory=dict[str, str])
    url: str = ""
    reads: bool = False  # it changes nothing, so a test clock that advances is no obstacle
    at: int | None = None  # a step of the sandbox's own: the instant that it was due
    test_clock: str | None = None  # the clock that its objects live by
    preview: bool = False  # an invoice is only wanted to be looked at

    def __post_init__(self) -> None:
        # One instant a call: objects, lines and events of one operation agree.
        self.wall = self.clock.now()
        self.now = self.wall if self.at is None else self.at

    @property
    def automatic(self) -> bool:
        """Nobody called: time has come."""
        return self.at is not None

    def follow(self, obj: Object) -> Object:
        """From here on it is the time of the object's test clock, if it or its customer has one."""
        if self.automatic or self.test_clock is not None:
            return obj
        identifier = obj["id"] if obj["object"] == _TEST_CLOCK else obj.get("test_clock")
        if identifier is None and isinstance(obj.get("customer"), str):
            identifier = (self.look("customer", obj["customer"]) or {}).get("test_clock")
        clock = self.store.get(_TEST_CLOCK, identifier) if identifier else None
        if clock is not None:
            if clock[0]["status"] == "advancing" and not self.reads:
                raise StripeError("Test clock advancement underway - cannot perform modifications", status=429)
            self.test_clock, self.now = identifier, clock[0]["frozen_time"]
        return obj

    def addressed(self, kind: str, *, show_deleted: bool = False) -> Object:
        """The object that the URL names."""
        resource = RESOURCES[kind]
        identifier = self.path[resource.item]
        found = self.store.get(kind, identifier)
        if found is None or (found[1] and not show_deleted):
            raise no_such(resource.title or kind, identifier, resource.id_param, status=404)
        return deleted_stub(found[0]) if found[1] else self.follow(found[0])

    def require(self, kind: str, identifier: str, *, param: str) -> Object:
        """The object that a parameter names."""
        found = self.store.get(kind, identifier)
        if found is None or found[1]:
            raise no_such(RESOURCES[kind].title or kind, identifier, param)
        return self.follow(found[0])

    def load(self, kind: str, identifier: str) -> Object:
        """An object that another object refers to, so it exists; a deleted one comes as its stub."""
        found = self.look(kind, identifier)
        if found is None:
            raise LookupError(f"{kind} {identifier} is referred to, yet missing")
        return found

    def look(self, kind: str, identifier: str) -> Object | None:
        found = self.store.get(kind, identifier)
        if found is None:
            return None
        return deleted_stub(found[0]) if found[1] else found[0]

    def position(self, kind: str, identifier: str, *, param: str) -> int:
        n = self.store.position(kind, identifier)
        if n is None:
            raise no_such(RESOURCES[kind].title or kind, identifier, param)
        return n

    def find(self, kind: str, **fields: Any) -> list[Object]:
        """Newest first, or in the resource's own order."""
        wanted = [equals(name, value) for name, value in fields.items()]
        return self.store.select(kind, wanted, oldest_first=RESOURCES[kind].oldest_first)

    def create(self, resource: Resource, fields: Mapping[str, Any], *, identifier: str | None = None) -> Object:
        obj = resource.new(identifier or ids.new_id(resource.prefix), self.now)
        if "test_clock" in obj:
            obj["test_clock"] = self.test_clock
        obj.update(_laid_on(obj, fields))
        plan(obj)
        self.store.insert(obj, obj.get("created", self.now))
        return obj

    def change(self, obj: Object, fields: Mapping[str, Any]) -> None:
        """Lays `fields` on the object."""
        obj.update(_laid_on(obj, fields))
        plan(obj)
        self.store.replace(obj)

    def record(self, obj: Object, fields: Mapping[str, Any]) -> Object | None:
        """A change, and its `previous_attributes`, or nothing when nothing changed."""
        before = self.show(obj)
        self.change(obj, fields)
        return difference(before, self.show(obj)) or None

    def update(self, obj: Object, fields: Mapping[str, Any], event: str) -> None:
        """A change that is worth an event only if it changes something."""
        previous = self.record(obj, fields)
        if previous is not None:
            self.emit(event, obj, previous)

    def delete(self, obj: Object, event: str | None) -> Object:
        if event is not None:
            self.emit(event, obj)
        self.store.delete(obj)
        return deleted_stub(obj)

    def emit(self, event: str, obj: Object, previous: Object | None = None) -> Object:
        return events.emit(self, event, self.show(obj), previous)

    def page(self, kind: str, identifier: str) -> str:
        """A link that shows an object; it answers programs on this machine only, as all admin routes do."""
        return f"{self.store.base_url}/_sandbox/pages/{kind}/{identifier}"

    def show(self, obj: Object, expand: Sequence[str] = ()) -> Object:
        return render(self, obj, expand)


def _laid_on(obj: Object, fields: Mapping[str, Any]) -> Object:
    return {
        name: value.applied_to(obj[name]) if isinstance(value, MetadataPatch) else value
        for name, value in fields.items()
    }


def deleted_stub(obj: Object) -> Object:
    return {"id": obj["id"], "object": obj["object"], "deleted": True}
