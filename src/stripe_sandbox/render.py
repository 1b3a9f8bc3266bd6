"""From a stored object to what Stripe shows: computed parts, `expand`, and the difference of two showings."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from stripe_sandbox.errors import InvalidParameters
from stripe_sandbox.resource import RESOURCES, Resource
from stripe_sandbox.store import Object
from stripe_sandbox.surface import surface

if TYPE_CHECKING:
    from stripe_sandbox.call import Call

_DEEPEST = 4
_LISTS = ("list", "search_result")
AS_SHOWN = "_as_shown"  # marks an object that is nowhere stored and already as Stripe shows it
Tree: TypeAlias = "dict[str, Tree]"


def render(call: "Call", obj: Object, expand: Sequence[str] = ()) -> Object:
    return _shown(call, obj, _tree(expand), ())


def _tree(paths: Sequence[str]) -> Tree:
    tree: Tree = {}
    for path in paths:
        names = path.split(".")
        if len(names) > _DEEPEST:
            raise InvalidParameters(
                f"You cannot expand more than {_DEEPEST} levels of a property. Property: {path}", param="expand"
            )
        level = tree
        for name in names:
            level = level.setdefault(name, {})
    return tree


def _shown(call: "Call", obj: Object, tree: Tree, path: tuple[str, ...]) -> Object:
    """A whole object: its private fields are left out, its computed ones are added."""
    if obj.get("object") in _LISTS:
        return _list(call, obj, tree, path)
    resource = RESOURCES.get(obj["object"])
    shown = {name: value for name, value in obj.items() if not name.startswith("_")}
    if resource is None or obj.get("deleted") or AS_SHOWN in obj:
        return shown
    for name, part in resource.embedded.items():
        shown[name] = part(call, obj)
    for name, part in resource.included.items():
        if name in tree:
            shown[name] = part(call, obj)
    return _members(call, shown, tree, resource, "", path)


def _members(call: "Call", value: Object, tree: Tree, resource: Resource, prefix: str, path: tuple[str, ...]) -> Object:
    shown: Object = {
        name: _nested(call, cast(Object, member), path) if isinstance(member, dict) and name not in tree else member
        for name, member in value.items()
    }
    for name, below in tree.items():
        here = (*path, name)
        if name not in value or not (prefix or name in surface().expandable.get(resource.kind, ())):
            raise _not_expandable(here)
        kind = resource.references.get(f"{prefix}{name}")
        if kind is not None:
            shown[name] = _referred(call, kind, value[name], below, here)
        elif isinstance(value[name], dict):
            shown[name] = _hash(call, cast(Object, value[name]), below, resource, f"{prefix}{name}.", here)
        elif _is_array_of_hashes(value[name]):
            shown[name] = [_hash(call, one, below, resource, f"{prefix}{name}.", here) for one in value[name]]
        elif prefix and value[name] is not None:
            raise _not_expandable(here)
    return shown


def _is_array_of_hashes(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, dict) for one in cast(list[Any], value))


def _referred(call: "Call", kind: str, value: Any, below: Tree, here: tuple[str, ...]) -> Any:
    """Where an id stands, or a list of ids, the objects themselves. A reference may be to one kind or another."""
    if isinstance(value, list):
        return [_referred(call, kind, one, below, here) for one in cast(list[Any], value)]
    if value is None:
        return None
    loaded = next(found for one in kind.split("|") if (found := call.look(one, value)) is not None)
    return _shown(call, loaded, below, here)


def _hash(call: "Call", inner: Object, below: Tree, resource: Resource, prefix: str, here: tuple[str, ...]) -> Object:
    if "object" in inner:
        return _shown(call, inner, below, here)
    return _members(call, inner, below, resource, prefix, here) if below else inner


def _nested(call: "Call", inner: Object, path: tuple[str, ...]) -> Any:
    """Lists of whole objects inside an object are shown whole too."""
    return _list(call, inner, {}, path) if inner.get("object") == "list" else inner


def _list(call: "Call", obj: Object, tree: Tree, path: tuple[str, ...]) -> Object:
    shown = {name: value for name, value in obj.items() if not name.startswith("_")}
    for name in tree:
        if f"_{name}" in obj:
            shown[name] = obj[f"_{name}"]
        elif name != "data":
            raise _not_expandable((*path, name), hint=".".join((*path, "data", name)))
    below = tree.get("data", {})
    return {**shown, "data": [_shown(call, one, below, (*path, "data")) for one in obj["data"]]}


def _not_expandable(path: tuple[str, ...], *, hint: str = "") -> InvalidParameters:
    advice = f" You may want to try expanding '{hint}' instead." if hint else ""
    return InvalidParameters(f"This property cannot be expanded ({'.'.join(path)}).{advice}", param="expand")


def difference(before: Object, after: Object) -> Object:
    """`previous_attributes`: the old value of what changed; inside hashes only what changed there."""
    previous: Object = {}
    for name in before.keys() | after.keys():
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict) and "object" not in old:
            previous[name] = difference(cast(Object, old), cast(Object, new))
        else:
            previous[name] = old
    return previous
