"""The fields of an input Struct, and what was typed as that Struct."""

from __future__ import annotations

import shlex
import types
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, NamedTuple, Union, cast, get_args, get_origin, get_type_hints

import msgspec

from nself.core.errors import InvalidParameter, plain


class Field(NamedTuple):
    """One field of an input: `kind` is its type without None, `many` for lists."""

    name: str
    kind: Any
    many: bool
    required: bool
    default: Any
    help: str
    positional: bool
    metavar: str | None
    short: str | None
    secret: bool
    """May be a card number: no complaint about the command line repeats digits."""
    rest: bool
    """The rest of the command line, options and all."""


def fields(struct: type[msgspec.Struct]) -> Iterator[Field]:
    """The fields of `struct` in order, with what Meta says of them."""
    hints = get_type_hints(struct, include_extras=True)
    for field in msgspec.structs.fields(struct):
        kind, meta = hints[field.name], msgspec.Meta()
        while get_origin(kind) is Annotated:
            meta, kind = get_args(kind)[1], get_args(kind)[0]
        options = [one for one in get_args(kind) if one is not types.NoneType]
        if get_origin(kind) in (Union, types.UnionType) and len(options) == 1:
            kind = options[0]
            while get_origin(kind) is Annotated:
                meta, kind = get_args(kind)[1], get_args(kind)[0]
        many = get_origin(kind) in (list, tuple)
        extra = meta.extra or {}
        yield Field(
            name=field.name,
            kind=get_args(kind)[0] if many else kind,
            many=many,
            required=field.required,
            default=None if field.default is msgspec.NODEFAULT else field.default,
            help=meta.description or "",
            positional=bool(extra.get("positional")),
            metavar=extra.get("metavar"),
            short=extra.get("short"),
            secret=bool(extra.get("secret")),
            rest=bool(extra.get("rest")),
        )


def build(struct: type[msgspec.Struct], values: Mapping[str, Any], *, strict: bool = True) -> msgspec.Struct:
    """The input; what was not given is left to the Struct's own default. Raises InvalidParameter.

    Not `strict`: numbers and switches may be texts.
    """
    given: dict[str, Any] = {
        name: list(cast("tuple[Any, ...]", value)) if isinstance(value, tuple) else value
        for name, value in values.items()
        if value not in (None, ())
    }
    try:
        return msgspec.convert(given, struct, strict=strict)
    except msgspec.ValidationError as error:
        detail, _, place = str(error).partition(" - at `$.")
        param = place.rstrip("`") or None
        raise InvalidParameter(f"Invalid {param}: {plain(detail)}" if param else detail, param) from error


def typed(path: str, given: msgspec.Struct) -> str:
    """The command line that gives the same, ready to paste; secrets as ***."""
    words, options = [f"nself {path}"], list[str]()
    for field in fields(type(given)):
        value = getattr(given, field.name)
        if value in (field.default, None, ()) or value == []:
            continue
        texts = [_text(one, field) for one in (cast("list[object]", value) if field.many else [value])]
        if field.positional:
            words += texts
        elif field.kind is bool:
            options.append(f"--{'' if value else 'no-'}{field.name.replace('_', '-')}")
        else:
            options += [f"--{field.name.replace('_', '-')} {text}" for text in texts]
    return " ".join([*words, *options])


def _text(value: object, field: Field) -> str:
    return (
        "***" if field.secret else shlex.quote(value if isinstance(value, str) else msgspec.json.encode(value).decode())
    )
