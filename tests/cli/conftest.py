"""Parses command lines as the program would, without running them; runs them in a folder of their own."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import click
import pytest

from cli_parsing import Parse, parser
from nself.cli import main
from nself.registry import Registry


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
    return parser(root, registry)


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
