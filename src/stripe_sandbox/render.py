"""From a stored object to what Stripe shows: computed parts, `expand`, and the difference of two showings."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from stripe_sandbox.errors import InvalidParameters
from stripe_sandbox.resource import RESOURCES
from stripe_sandbox.store import Object

if TYPE_CHECKING:
    from stripe_sandbox.call import Call

_DEEPEST = 4
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
    if obj.get("object") == "list":
        return _list(call, obj, tree, path)
    resource = RESOURCES.get(obj["object"])
    shown = {name: value for name, value in obj.items() if not name.startswith("_")}
    if resource is None or obj.get("deleted"):
        return shown
    for name, part in resource.embedded.items():
        shown[name] = part(call, obj)
    for name, part in resource.included.items():
        if name in tree:
            shown[name] = part(call, obj)
    return _members(call, shown, tree, resource.references, "", path)


def _members(call: "Call", value: Object, tree: Tree, references: Any, prefix: str, path: tuple[str, ...]) -> Object:
    shown = {
        name: _nested(call, member, tree.get(name, {}), path) if name not in tree else member
        for name, member in value.items()
    }
    for name, below in tree.items():
        here = (*path, name)
        if name not in value:
            raise _not_expandable(here)
        member = value[name]
        kind = references.get(f"{prefix}{name}")
        if kind is not None and isinstance(member, str):
            shown[name] = _shown(call, call.load(kind, member), below, here)
        elif kind is not None and isinstance(member, list):
            shown[name] = [_shown(call, call.load(kind, one), below, here) for one in cast(list[str], member)]
        elif isinstance(member, dict):
            inner = cast(Object, member)
            if "object" in inner:
                shown[name] = _shown(call, inner, below, here)
            elif below:
                shown[name] = _members(call, inner, below, references, f"{prefix}{name}.", here)
            else:
                shown[name] = inner
        elif kind is None or member is not None:
            raise _not_expandable(here)
    return shown


def _nested(call: "Call", member: Any, tree: Tree, path: tuple[str, ...]) -> Any:
    """Lists of whole objects inside an object are shown whole too."""
    if not isinstance(member, dict):
        return member
    inner = cast(Object, member)
    return _list(call, inner, tree, path) if inner.get("object") == "list" else inner


def _list(call: "Call", obj: Object, tree: Tree, path: tuple[str, ...]) -> Object:
    for name in tree:
        if name != "data":
            raise _not_expandable((*path, name), hint=".".join((*path, "data", name)))
    below = tree.get("data", {})
    return {**obj, "data": [_shown(call, one, below, (*path, "data")) for one in obj["data"]]}


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
