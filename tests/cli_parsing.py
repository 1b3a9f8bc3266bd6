"""Reads command lines as the program would, without running them."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import Any, cast

import click
import msgspec

from nself.core.entrypoint import Command
from nself.present import fields
from nself.registry import Registry

Parse = Callable[[str], msgspec.Struct]


def parser(root: click.Group, registry: Registry) -> Parse:
    """A line -> the input that its command would get. Raises what the program would report."""
    rows = {path: row for row in registry.rows(Command) for path in (row.path, *row.aliases)}

    def parse_line(line: str) -> msgspec.Struct:
        name, *arguments = shlex.split(line)
        assert name == "nself", line
        command: click.Command = root
        context: click.Context | None = None
        path: list[str] = []
        while isinstance(command, click.Group):
            context = command.make_context(name, arguments, parent=context)
            rest = [*context._protected_args, *context.args]
            found, child, arguments = command.resolve_command(context, rest)
            assert child and found, line
            name, command = found, child
            path.append(name)
        values: dict[str, Any] = command.make_context(name, arguments, parent=context).params
        values.pop("format")
        struct = registry.resolve(rows[" ".join(path)].input)
        return fields.build(cast("type[msgspec.Struct]", struct), values)

    return parse_line
