"""Stripe's form bodies and query strings: `a[b][0][c]=x` becomes `{"a": {"b": {"0": {"c": "x"}}}}`."""

import re
from typing import TypeAlias
from urllib.parse import parse_qsl

from stripe_sandbox.errors import InvalidParameters

Raw: TypeAlias = "str | dict[str, Raw]"
Form: TypeAlias = dict[str, Raw]

_NAME = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)\Z")
_MAXIMUM_FIELDS = 4000


def parse_form(encoded: bytes | str) -> Form:
    text = encoded.decode("utf-8", "replace") if isinstance(encoded, bytes) else encoded
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=_MAXIMUM_FIELDS)
    except ValueError as error:
        raise InvalidParameters("Invalid request: too many parameters") from error
    form: Form = {}
    for name, value in pairs:
        _insert(form, name, value)
    return form


def _insert(form: Form, name: str, value: str) -> None:
    match = _NAME.match(name)
    if match is None:
        raise InvalidParameters(f"Received unknown parameter: {name}", code="parameter_unknown", param=name)
    *parents, last = [match[1], *re.findall(r"\[([^\[\]]*)\]", match[2])]
    level = form
    for key in parents:
        below = level.setdefault(key or str(len(level)), {})
        if isinstance(below, str):
            raise InvalidParameters("Invalid object", param=name)
        level = below
    last = last or str(len(level))
    if isinstance(level.get(last), dict):
        raise InvalidParameters(f"Invalid string: {value}", param=name)
    level[last] = value
