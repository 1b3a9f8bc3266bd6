"""The OpenAPI document, generated from the rows and their inputs, and a page that shows it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable
from html import escape
from typing import Any, cast, get_type_hints
from urllib.parse import urlencode

import msgspec

from nself.app import Registry
from nself.core.entrypoint import Attached, Route
from nself.domains.usage.inputs import UsageEvent
from nself.domains.usage.model import Intake

Document = dict[str, Any]
INGEST = Route(
    method="POST", path="/api/v1/usage", use="usage.service.record:ingest", input="usage.inputs:UsageEvent", scope="usage:write",
    help="Record one usage event, an array of them, NDJSON, or CloudEvents 1.0 (id is the key, subject the user, type the "
    "metric, data.value the value). Answered after the commit with 200, also where single events are refused: `rejected` names them.",
    example='{"user": "user123", "metric": "api_calls", "value": 1, "key": "request-4711"}',
)  # fmt: skip


FAILURES = {
    400: "Wrong input",
    401: "No valid key",
    403: "The key may not do this",
    402: "Declined",
    404: "Not found",
    409: "In the state that it is in this cannot be done",
    413: "Too large",
    429: "Too often; Retry-After says when",
    503: "Away; try again",
    504: "Took longer than API_TIMEOUT",
}
NEVER_OF_USAGE = (402, 404, 409, 504)  # fmt: skip
TEXT = {"type": "string"}
ERROR: Document = {
    "title": "Error",
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["type", "code", "message", "request_id"],
            "properties": {
                "type": TEXT, "code": TEXT, "message": TEXT, "param": TEXT, "guide": TEXT, "request_id": TEXT,
                "hint": {"type": "array", "items": TEXT, "description": "Commands that help."},
            },
        }
    },
}  # fmt: skip
TOLD: Document = {"$ref": "#/components/schemas/Error"}
KEY: Document = {
    "name": "Idempotency-Key", "in": "header", "required": False, "schema": TEXT,
    "description": "As at Stripe, and the same as the field idempotency_key (key): the same key and body again give the same object "
    "and change nothing, another body is refused (idempotency_error).",
}  # fmt: skip
KEYED = ("/api/v1/quota/reserve",)
"""Whose field is named `key`."""
CLOUD_EVENT: Document = {
    "title": "CloudEvent",
    "type": "object",
    "description": "CloudEvents 1.0: id is the key, subject the user, type the metric, time the time. Other data and extension "
    "attributes are properties. Binary mode (attributes as ce-* headers, the data as the body) is read too.",
    "required": ["specversion", "id", "source", "type", "subject", "data"],
    "properties": {
        "specversion": {"const": "1.0"}, "id": TEXT, "source": TEXT, "type": TEXT, "subject": TEXT, "time": TEXT,
        "data": {"type": "object", "required": ["value"], "properties": {"value": {"type": "integer"}}},
    },
}  # fmt: skip


def openapi(rows: tuple[Route, ...], registry: Registry) -> Document:
    """OpenAPI 3.1 of all routes."""
    inputs = {row: cast("type[msgspec.Struct]", registry.resolve(row.input)) for row in rows}
    results = {row: get_type_hints(cast("Callable[..., object]", registry.resolve(row.use)))["return"] for row in rows}
    inputs[INGEST], results[INGEST] = UsageEvent, Intake
    schema, components = _schemas(inputs.values())
    answers, answered = _schemas(one for one in results.values() if one is not Attached)
    for one in answered.values():
        one.setdefault("required", []).extend(name for name, field in one["properties"].items() if "default" in field)
    paths: dict[str, Document] = {}
    for row in (INGEST, *rows):
        struct = inputs[row]
        paths.setdefault(row.path, {})[row.method.lower()] = {
            "summary": row.help,
            "operationId": row.use.replace(".service", "").replace(":", "."),
            "security": [{"key": [row.scope]}],
            **_given(row, struct, schema[struct], components),
            "responses": _responses(row, answers.get(results[row])),
        }
    return {
        "openapi": "3.1.0",
        "info": {"title": "nself billing", "version": "1", "description": "Metering, quotas and invoices."},
        "paths": paths,
        "components": {
            "schemas": {**components, **answered, "Error": ERROR},
            "responses": {
                str(status): {"description": what, "content": {"application/json": {"schema": TOLD}}}
                for status, what in FAILURES.items()
            },
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _schemas(types: Iterable[Any]) -> tuple[dict[Any, Document], dict[str, Document]]:
    """Of each type, and of what they are made of."""
    once = list(dict.fromkeys(types))
    schemas, components = msgspec.json.schema_components(once, ref_template="#/components/schemas/{name}")
    return dict(zip(once, schemas, strict=True)), components


def _given(row: Route, struct: type[msgspec.Struct], schema: Document, components: Document) -> Document:
    example: Document = msgspec.json.decode(row.example)
    if row.method != "GET":
        path = re.findall(r"{(\w+)}", row.path)
        body: Document = {"schema": _without(path, struct, schema, components), "example": _rest(row, example)}
        content: Document = {"application/json": body}
        if row is INGEST:
            body["schema"] = {"oneOf": [schema, {"type": "array", "items": schema}]}
            content["application/x-ndjson"] = {"schema": {"type": "string", "description": "One event a line."}}
            content["application/cloudevents+json"] = {"schema": CLOUD_EVENT}
            content["application/cloudevents-batch+json"] = {"schema": {"type": "array", "items": CLOUD_EVENT}}
        parameters = [_in_path(name, example[name]) for name in path] + [KEY] * (
            row.path in KEYED or "idempotency_key" in struct.__struct_fields__
        )
        given: Document = {"requestBody": {"required": not path, "content": content}}
        return given | ({"parameters": parameters} if parameters else {})
    properties: Document = components[struct.__name__]["properties"]
    required: list[str] = components[struct.__name__].get("required", [])
    return {
        "parameters": [
            {
                "name": name,
                "in": "path" if f"{{{name}}}" in row.path else "query",
                "required": name in required,
                "schema": one,
                "description": one.get("description", ""),
                **({"example": example[name]} if name in example else {}),
            }
            for name, one in properties.items()
        ]
    }


def _in_path(name: str, example: str) -> Document:
    description = f"Id of the {name}."
    return {
        "name": name,
        "in": "path",
        "required": True,
        "schema": TEXT,
        "description": description,
        "example": example,
    }


def _rest(row: Route, example: Document) -> Document:
    """What of an example is not in the path."""
    return {name: value for name, value in example.items() if f"{{{name}}}" not in row.path}


def _without(path: list[str], struct: type[msgspec.Struct], schema: Document, components: Document) -> Document:
    """The body of a route does not name what its path names."""
    if not path:
        return schema
    whole: Document = components[struct.__name__]
    return {
        **whole,
        "properties": {name: one for name, one in whole["properties"].items() if name not in path},
        "required": [name for name in whole.get("required", []) if name not in path],
    }


def _responses(row: Route, schema: Document | None) -> Document:
    """Without a schema the answer is a PDF."""
    content: Document = {"application/json": {"schema": schema}} if schema else {"application/pdf": {}}
    found: Document = {"200": {"description": "Done", "content": content}}
    for status in FAILURES:
        if not (row is INGEST and status in NEVER_OF_USAGE):
            found[str(status)] = {"$ref": f"#/components/responses/{status}"}
    if row.refusal:
        both = {"application/json": {"schema": {"anyOf": [schema, TOLD]}}}
        found["429"] = {"description": "Refused, the body is the same; or too often", "content": both}
    return found


STYLE = """pre{overflow-x:auto}body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}
code,pre{font-family:ui-monospace,monospace}h2{border-top:1px solid #8884;padding-top:1rem}td{padding:.1rem 1rem .1rem 0;vertical-align:top}"""


def page(document: Document, url: str) -> str:
    """The document as a plain page: no script, no request to anywhere else. `url`: where the service is reached."""
    parts = [f"<h2 id='{escape(path)}'><code>{method.upper()} {escape(path)}</code></h2>{_operation(one, document)}"
             f"<pre>{escape(_example(url, method, path, one))}</pre>"
             for path, methods in document["paths"].items() for method, one in methods.items()]  # fmt: skip
    return (
        f"<!doctype html><html lang='en'><meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
        f"<title>nself billing API</title><style>{STYLE}</style><h1>nself billing API</h1>"
        "<p>Send <code>Authorization: Bearer nsk_…</code>, made by <code>nself billing api-key create</code>. "
        "The machine-readable document is <a href='/openapi.json'>/openapi.json</a>.</p>"
        f"{''.join(parts)}</html>"
    )


def _example(url: str, method: str, path: str, one: Document) -> str:
    """The command line that asks an operation's example."""
    given = {row["name"]: row["example"] for row in one.get("parameters", []) if "example" in row}
    query = urlencode({name: value for name, value in given.items() if f"{{{name}}}" not in path})
    where = f"{url}{path.format_map(given)}{query and f'?{query}'}"
    line = f'curl -H "Authorization: Bearer $KEY" {shlex.quote(where)}'
    if method == "get":
        return line
    body: object = one["requestBody"]["content"]["application/json"]["example"]
    return f"{line} -d {shlex.quote(msgspec.json.encode(body).decode())}"


def _operation(one: Document, document: Document) -> str:
    body = _body(one, document) if "requestBody" in one else {}
    rows: list[Document] = [
        *one.get("parameters", []),
        *(
            {"name": name, "description": _described(schema), "required": name in body.get("required", [])}
            for name, schema in body.get("properties", {}).items()
        ),
    ]
    cells = "".join(
        f"<tr><td><code>{escape(row['name'])}</code><td>{'required' if row['required'] else ''}<td>{escape(row['description'])}"
        for row in rows
    )
    return f"<p>{escape(one['summary'])} Scope <code>{escape(next(iter(one['security']))['key'][0])}</code>.</p><table>{cells}</table>"


def _described(schema: Document) -> str:
    """What may be left out has its description one level down."""
    return next((str(one["description"]) for one in [schema, *schema.get("anyOf", [])] if "description" in one), "")


def _body(one: Document, document: Document) -> Document:
    schema: Document = one["requestBody"]["content"]["application/json"]["schema"]
    if "properties" in schema:
        return schema
    reference = str((schema.get("oneOf") or [schema])[0].get("$ref", ""))
    return document["components"]["schemas"].get(reference.rpartition("/")[2], {})
