"""Stripe's objects in a compact form, from its OpenAPI document: what the sandbox checks fixtures by.

A shape is `"s"`, `"i"`, `"n"`, `"b"` (string, integer, number, boolean), `"x"` (anything), `{"e": […]}` one of these
strings, `{"a": shape}` an array, `{"m": shape}` a map, `{"k": kind}` a whole object or its id, `{"o": {name: shape},
"r": [name]}` a hash with the names that it must have, or `{"u": […]}` one of several. `"?"` in front of a letter, or `"z": 1` in a shape, allows null.
"""

import json
from pathlib import Path
from typing import Any

from stripe_openapi import Json, rules

OBJECTS = Path(__file__).parent.parent / "src/stripe_sandbox/fixtures/objects.json"

_DEEPEST = 3
_PARTS = ("credit_note_line_item",)  # of objects, without a path of their own
_LOOSE = ("payment_method_options",)  # large, and the sandbox does not look at it


def object_shapes(kinds: list[str]) -> Json:
    """The fields of each kind of object, private ones of the sandbox excluded."""
    return {kind: _hash(rules().schemas[kind], 0) for kind in kinds if kind in rules().schemas}


def _shape(schema: Json, depth: int) -> Any:
    if "$ref" in schema:
        return _referred(schema["$ref"].removeprefix("#/$defs/"), depth)
    if "anyOf" in schema:
        return _one_of(schema["anyOf"], depth)
    match schema.get("type"):
        case "string":
            return {"e": schema["enum"]} if "enum" in schema else "s"
        case "integer" | "number" | "boolean" as name:
            return {"integer": "i", "number": "n", "boolean": "b"}[name]
        case "array":
            return {"a": _shape(schema["items"], depth)}
        case "object" if "properties" in schema:
            return _hash(schema, depth)
        case "object" if isinstance(schema.get("additionalProperties"), dict):
            return {"m": _shape(schema["additionalProperties"], depth)}
        case _:
            return "x"


def _hash(schema: Json, depth: int) -> Any:
    if depth > _DEEPEST:
        return "x"
    fields = {name: "x" if name in _LOOSE else _shape(one, depth + 1) for name, one in schema["properties"].items()}
    needed = [name for name in schema.get("required", ()) if not _takes_null(fields[name])]
    return {"o": fields, "r": needed} if needed else {"o": fields}


def _takes_null(shape: Any) -> bool:
    return shape == "x" or (shape.startswith("?") if isinstance(shape, str) else "z" in shape)


def _referred(name: str, depth: int) -> Any:
    schema = rules().schemas[name]
    kind = schema.get("properties", {}).get("object", {}).get("enum", [None])[0]
    if kind is not None and "id" in schema["properties"]:
        return {"k": kind}
    return _shape(schema, depth)


def _one_of(options: list[Json], depth: int) -> Any:
    """An id that can be expanded is only an id; null is a mark and not an alternative."""
    shapes = [_shape(one, depth) for one in options if one != {"type": "null"}]
    nullable = len(shapes) < len(options)
    if "s" in shapes and all(one == "s" or (isinstance(one, dict) and "k" in one) for one in shapes):
        shapes = ["s"]
    only = shapes[0] if len(shapes) == 1 else {"u": shapes}
    if not nullable:
        return only
    return {**only, "z": 1} if isinstance(only, dict) else f"?{only}"


def write() -> None:
    from stripe_sandbox import resources
    from stripe_sandbox.resource import RESOURCES

    resources.load()
    OBJECTS.write_text(
        json.dumps(object_shapes(sorted([*RESOURCES, *_PARTS])), separators=(",", ":"), sort_keys=True) + "\n"
    )
