"""How a resource is described: its fields, its expandable references, its operations."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from stripe_sandbox.errors import StripeError, unsupported
from stripe_sandbox.params import Integer, Items, Kind, Range, Shape, Text
from stripe_sandbox.store import Condition, Object

if TYPE_CHECKING:
    from stripe_sandbox.call import Call

Params: TypeAlias = dict[str, Any]
Handler: TypeAlias = "Callable[[Call, Params], Object]"
Part: TypeAlias = "Callable[[Call, Object], Any]"

EXPAND = Items(Text(), 20)
PAGE: Mapping[str, Kind] = {
    "limit": Integer(1, 100),
    "starting_after": Text(),
    "ending_before": Text(),
    "expand": EXPAND,
}


@dataclass(frozen=True)
class Resource:
    kind: str  # Stripe's `object`
    prefix: str
    path: str  # of its collection
    item: str  # the name of its id in Stripe's URL templates
    fields: Mapping[str, Any]  # every field of a new object before its parameters are laid on it
    title: str = ""  # as in "No such customer"
    id_param: str = "id"  # how Stripe names the id in errors
    references: Mapping[str, str] = field(default_factory=dict[str, str])  # expandable field -> kind
    embedded: Mapping[str, Part] = field(default_factory=dict[str, "Part"])  # computed, always shown
    included: Mapping[str, Part] = field(default_factory=dict[str, "Part"])  # computed, shown when expanded
    oldest_first: bool = False
    deleted_is_shown: bool = False  # a deleted one is answered with its stub and not with 404

    @property
    def item_path(self) -> str:
        return f"{self.path}/{{{self.item}}}"

    def new(self, identifier: str, created: int) -> Object:
        fresh: Object = msgspec.json.decode(_template(self.kind))
        for name, value in (("id", identifier), ("created", created)):
            if name in fresh:
                fresh[name] = value
        return fresh


ABSENT: Any = object()  # a field that `new` would give, but this resource does not have
RESOURCES: dict[str, Resource] = {}


@cache
def _template(kind: str) -> bytes:
    """A new object, encoded: decoding it again is the quickest way to copy it."""
    fields = {"id": "", "object": kind, "created": 0, "livemode": False, **RESOURCES[kind].fields}
    return msgspec.json.encode({name: value for name, value in fields.items() if value is not ABSENT})


def register(resource: Resource) -> Resource:
    RESOURCES[resource.kind] = resource
    return resource


@dataclass(frozen=True)
class Operation:
    method: str
    template: str
    params: Shape
    handler: Handler

    @property
    def name(self) -> str:
        return f"{self.method} {self.template}"


OPERATIONS: dict[str, Operation] = {}


def operation(method: str, template: str, params: Shape | None = None) -> Callable[[Handler], Handler]:
    """Declares one of Stripe's operations; every one of them takes `expand`."""
    shape = params or Shape({})

    def declare(handler: Handler) -> Handler:
        full = Shape({**shape.members, "expand": EXPAND}, shape.required, shape.defaults)
        found = Operation(method, template, full, handler)
        OPERATIONS[found.name] = found
        return handler

    return declare


@dataclass(frozen=True)
class Filter:
    """A parameter of a list: a condition on the row, or a check that only refuses."""

    kind: Kind
    condition: "Callable[[Call, Any], Condition | None]"


def matches(field_path: str, kind: Kind | None = None) -> Filter:
    return Filter(kind or Text(), lambda call, value: Condition(f"data ->> '$.{field_path}' = ?", (value,)))


def within(field_path: str | None = None) -> Filter:
    column = f"data ->> '$.{field_path}'" if field_path else "created"
    comparisons = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<=", "eq": "="}

    def condition(call: "Call", value: dict[str, int]) -> Condition:
        bounds = [f"{column} {comparisons[bound]} ?" for bound in value]
        return Condition(f"({' AND '.join(bounds) or 'TRUE'})", tuple(value.values()))

    return Filter(Range(), condition)


def by_test_clock(call: "Call", value: str | None) -> Condition:
    return Condition("data ->> '$.test_clock' IS ?", (value,))


CREATED = {"created": within()}


def retrievable(resource: Resource) -> None:
    @operation("GET", resource.item_path)
    def retrieve(call: "Call", params: Params) -> Object:  # pyright: ignore[reportUnusedFunction]
        return call.addressed(resource.kind, show_deleted=resource.deleted_is_shown)


def listable(
    resource: Resource,
    filters: Mapping[str, Filter] | None = None,
    defaults: Mapping[str, Any] | None = None,
    complete: Callable[[Params], Params] = lambda params: params,
) -> None:
    """`GET` of the collection, newest first, with Stripe's cursors. `complete` adds what other filters imply."""
    known = filters or {}
    params = Shape({**PAGE, **{name: known[name].kind for name in known}}, defaults=defaults or {})

    @operation("GET", resource.path, params)
    def list_all(call: "Call", params: Params) -> Object:  # pyright: ignore[reportUnusedFunction]
        wanted = complete(params)
        conditions = [known[name].condition(call, wanted[name]) for name in known if name in wanted]
        return page(call, resource, params, [one for one in conditions if one is not None], resource.path)


def page(call: "Call", resource: Resource, params: Params, conditions: list[Condition], url: str) -> Object:
    limit = params.get("limit", 10)
    before, after = params.get("ending_before"), params.get("starting_after")
    if before and after:
        raise StripeError(
            "You may only specify one of these parameters: ending_before, starting_after.", code="parameters_exclusive"
        )
    backwards = before is not None
    cursor = before or after
    if cursor is not None:
        n = call.position(resource.kind, cursor, param="ending_before" if backwards else "starting_after")
        greater = backwards != resource.oldest_first
        conditions = [*conditions, Condition(f"n {'>' if greater else '<'} ?", (n,))]
    found = call.store.select(
        resource.kind, conditions, limit=limit + 1, oldest_first=resource.oldest_first != backwards
    )
    shown = found[:limit]
    if backwards:
        shown.reverse()
    return list_of(shown, url, has_more=len(found) > limit)


def list_of(data: list[Object], url: str, *, has_more: bool = False) -> Object:
    return {"object": "list", "data": data, "has_more": has_more, "url": url}


def not_here(part: str) -> Part:
    """An includable field that Stripe has and this sandbox does not."""

    def refuse(call: "Call", obj: Object) -> Any:
        raise unsupported(f"expanding {part} of {obj['object']}")

    return refuse
