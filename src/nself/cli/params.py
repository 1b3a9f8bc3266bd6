"""An input Struct becomes click parameters; click's strings become the Struct."""

from __future__ import annotations

import re
import types
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Literal, NamedTuple, Union, cast, get_args, get_origin, get_type_hints

import click
import msgspec

from nself.core.errors import InvalidInteger, InvalidParameter, plain

INT64 = 2**63


class Integer(click.ParamType[int, Any]):
    """Whole numbers only, in the guide's words: `Invalid integer: 1.5`."""

    name = "integer"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        text = str(value).strip()
        if not re.fullmatch(r"[+-]?\d{1,19}", text, re.ASCII) or not -INT64 <= int(text) < INT64:
            raise InvalidInteger(value, param.name if param else None)
        return int(text)


class DecimalParam(click.ParamType[Decimal, Any]):
    name = "decimal"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        try:
            number = Decimal(str(value))
        except InvalidOperation:
            number = Decimal("nan")
        if not number.is_finite():
            raise InvalidParameter(f"Invalid decimal: {value}", param.name if param else None)
        return number


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


def _type(kind: Any) -> click.ParamType[Any, Any]:
    if get_origin(kind) is Literal:
        return click.Choice([str(one) for one in get_args(kind)])
    return {int: Integer(), Decimal: DecimalParam()}.get(kind, click.STRING)


def parameters(struct: type[msgspec.Struct]) -> list[click.Parameter]:
    """One click parameter for each field."""
    return [_parameter(field) for field in fields(struct)]


def _parameter(field: Field) -> click.Parameter:
    if field.positional:
        return click.Argument(
            [field.name],
            type=_type(field.kind),
            required=field.required,
            nargs=-1 if field.many else 1,
            metavar=field.metavar,
        )
    flag = field.name.replace("_", "-")
    short = [field.short] if field.short else []
    if field.kind is bool:
        names = f"--{flag}/--no-{flag}" if field.default else f"--{flag}"
        return click.Option([names, *short, field.name], is_flag=True, default=bool(field.default), help=field.help)
    default = field.default
    shown = f"{field.help} [default: {default}]" if default not in (None, "", (), []) else field.help
    return click.Option(
        [f"--{flag}", *short, field.name],
        type=_type(field.kind),
        required=field.required,
        multiple=field.many,
        metavar=field.metavar,
        help=shown,
    )


def build(struct: type[msgspec.Struct], values: dict[str, Any]) -> msgspec.Struct:
    """The input; what was not given is left to the Struct's own default. Raises InvalidParameter."""
    given: dict[str, Any] = {
        name: list(cast("tuple[Any, ...]", value)) if isinstance(value, tuple) else value
        for name, value in values.items()
        if value not in (None, ())
    }
    try:
        return msgspec.convert(given, struct)
    except msgspec.ValidationError as error:
        detail, _, place = str(error).partition(" - at `$.")
        param = place.rstrip("`") or None
        raise InvalidParameter(f"Invalid {param}: {plain(detail)}" if param else detail, param) from error
