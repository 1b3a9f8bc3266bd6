"""Parses command lines as the program would, without running them; runs them in a folder of their own."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, cast

import click
import msgspec
import pytest

from nself.cli import main, params
from nself.core.entrypoint import Command
from nself.registry import Registry

Parse = Callable[[str], msgspec.Struct]


class Ran(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Ran]


@pytest.fixture(scope="session")
def root(registry: Registry) -> click.Group:
    return main.command(registry)


@pytest.fixture(scope="session")
def parse(root: click.Group, registry: Registry) -> Parse:
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
        return params.build(cast("type[msgspec.Struct]", struct), values)

    return parse_line


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Runs a command line in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    kept = logging.getLogger("nself").handlers

    def run_line(*arguments: str) -> Ran:
        capfd.readouterr()
        code = main.run(arguments)
        out, err = capfd.readouterr()
        return Ran(code, out, err)

    yield run_line
    for handler in logging.getLogger("nself").handlers:
        if handler not in kept:
            handler.close()
    logging.getLogger("nself").handlers = kept
