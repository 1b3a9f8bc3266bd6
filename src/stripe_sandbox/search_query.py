"""Stripe's search language: `status:"active" AND metadata["plan"]:"pro"`, into a condition on the stored rows.

https://docs.stripe.com/search: clauses are joined by AND or by OR, never both; `-` negates; `:` is exact without
regard to case, `~` is a part of at least three characters, numbers compare; `null` is a field that is not there.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from stripe_sandbox.errors import StripeError
from stripe_sandbox.store import Condition

Kind = Literal["text", "token", "number", "boolean"]

_MOST_CLAUSES = 10
_SHORTEST_PART = 3
_CLAUSE = re.compile(
    r"""\s*(?P<minus>-?)\s*(?P<field>[a-z_][a-z0-9_.]*)(?:\[(?P<quote>["'])(?P<key>[^"']+)(?P=quote)\])?\s*
    (?P<operator>:|~|>=|<=|>|<|=)\s*
    (?:"(?P<double>(?:[^"\\]|\\.)*)"|'(?P<single>(?:[^'\\]|\\.)*)'|(?P<bare>-?[\w.]+))""",
    re.VERBOSE,
)
_JOIN = re.compile(r"\s+(AND|OR)\s+|\s+(?=[-a-z])", re.IGNORECASE)


@dataclass(frozen=True)
class Field:
    kind: Kind
    path: str = ""  # in the stored object, where it is not the field's own name


def condition(query: str, fields: Mapping[str, Field], resource: str) -> Condition:
    clauses: list[Condition] = []
    joins: set[str] = set()
    at = 0
    while True:
        match = _CLAUSE.match(query, at)
        if match is None:
            raise _wrong(f"We were unable to parse your search query near '{query[at:].strip()[:40]}'.")
        clauses.append(_clause(match, fields, resource))
        at = match.end()
        if not query[at:].strip():
            break
        joined = _JOIN.match(query, at)
        if joined is None:
            raise _wrong(f"We were unable to parse your search query near '{query[at:].strip()[:40]}'.")
        joins.add((joined[1] or "AND").upper())
        at = joined.end()
    if len(joins) > 1:
        raise _wrong("You cannot combine AND and OR in one search query.")
    if len(clauses) > _MOST_CLAUSES:
        raise _wrong(f"A search query can have at most {_MOST_CLAUSES} clauses.")
    word = f" {joins.pop() if joins else 'AND'} "
    arguments = tuple(argument for clause in clauses for argument in clause.arguments)
    return Condition(f"({word.join(clause.sql for clause in clauses)})", arguments)


def _clause(match: re.Match[str], fields: Mapping[str, Field], resource: str) -> Condition:
    name, key = match["field"], match["key"]
    field = fields.get(name)
    if field is None or (name == "metadata") != (key is not None):
        raise _wrong(f"Field `{name}` is an unsupported search field for resource `{resource}`.")
    path = f'$.metadata."{key}"' if key is not None else f"$.{field.path or name}"
    found = _test(match, field, name, path)
    return Condition(f"NOT coalesce({found.sql}, FALSE)", found.arguments) if match["minus"] else found


def _test(match: re.Match[str], field: Field, name: str, path: str) -> Condition:
    operator, bare = match["operator"], match["bare"] or ""
    quoted = match["double"] if match["double"] is not None else match["single"]
    if bare.lower() == "null":
        if operator != ":":
            raise _wrong("`null` can only be compared with `:`.")
        return Condition("(data ->> ?) IS NULL", (path,))
    value: str = bare if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
    if field.kind == "number":
        if operator == "~" or not re.fullmatch(r"-?\d+", value):
            raise _wrong(f"Field `{name}` is compared with whole numbers.")
        return Condition(f"(data ->> ?) {'=' if operator == ':' else operator} ?", (path, int(value)))
    if operator not in (":", "~"):
        raise _wrong(f"The operator `{operator}` is for numbers, and `{name}` is none.")
    if field.kind == "boolean":
        if value.lower() not in ("true", "false"):
            raise _wrong(f"Field `{name}` is true or false.")
        return Condition("(data ->> ?) = ?", (path, value.lower() == "true"))
    if quoted is None:
        raise _wrong(f"The value of `{name}` must be in quotes.")
    if operator == ":":
        return Condition("lower(data ->> ?) = lower(?)", (path, value))
    if field.kind == "token":
        raise _wrong(f"Field `{name}` does not support substring matches.")
    if len(value) < _SHORTEST_PART:
        raise _wrong(f"A substring has at least {_SHORTEST_PART} characters.")
    return Condition("instr(lower(data ->> ?), lower(?)) > 0", (path, value))


def _wrong(message: str) -> StripeError:
    return StripeError(message, param="query")
