"""An input Struct becomes click parameters; click's strings become the Struct."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Any, Literal, get_args, get_origin

import click
import msgspec

from nself.core.errors import InvalidInteger, InvalidParameter
from nself.present.fields import Field, fields

INT64 = 2**63


class Integer(click.ParamType[int, Any]):
    """Whole numbers only, in the guide's words: `Invalid integer: 1.5`."""

    name = "integer"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        text = str(value).strip()
        if re.match("--[a-z]", text):  # the next option: this one's number was left out
            raise click.BadOptionUsage(
                param.name or "" if param else "", f"{text} stands where a whole number is needed", ctx
            )
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
