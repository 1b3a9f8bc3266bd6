"""Each command line of the troubleshooting guide is read by the CLI's own parser. `make guide` also runs them.

guide.jsonl is the project's own copy of the 445 lines, so that a clone without the guide tests them too.
"""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import click
import pytest

from cli_parsing import parser
from nself.cli import main
from nself.core.errors import Invalid
from nself.registry import Registry

RUNNER = Path(__file__).parents[3] / "shared" / "guide" / "run_guide.py"
REFUSED = {
    2627: "Invalid integer: 10.00", 2633: "Invalid integer: 1.5", 2636: "'--user'", 2962: "'--user'", 2968: "'--customer'",
    2975: "'--customer'", 2981: "'--user'", 2986: "'--metric'", 2987: "'--user'",
}  # fmt: skip
"""Lines that are no whole command, or wrong on purpose: the guide shows how they are refused."""
REGISTRY = Registry()
PARSE = parser(main.command(REGISTRY), REGISTRY)


class Line(NamedTuple):
    line: int
    heading: str
    command: str

    @property
    def typed(self) -> str:
        """Without `watch` and `time` before it, and without pipes, redirections and further commands behind it."""
        plain = re.sub(r"^(?:time |watch -n \d+ '(?=.*'$))", "", self.command, flags=re.DOTALL)
        plain = plain.removesuffix("'") if self.command.startswith("watch") else plain
        plain = plain.replace("$(date +%s)", "1769904000")
        return re.match(r"""(?:"[^"]*"|'[^']*'|[^|>"'])*""", plain)[0].strip()  # type: ignore[index]


LINES = [Line(**json.loads(one)) for one in Path(__file__).with_name("guide.jsonl").read_text("utf-8").splitlines()]


def verdict(line: Line) -> str | None:
    """Why it is refused; '' where it is read, None where there is no such command."""
    try:
        PARSE(line.typed)
    except click.UsageError as error:
        return None if "No such command" in error.message else error.format_message()
    except Invalid as error:
        return error.message
    return ""


def test_there_are_445_lines() -> None:
    assert len(LINES) == 445 and len({(one.line, one.command) for one in LINES}) == 445


def test_the_table_is_the_guide() -> None:
    if not RUNNER.exists():
        pytest.skip("../shared/guide/run_guide.py is not here")
    spec = importlib.util.spec_from_file_location("run_guide", RUNNER)
    assert spec and spec.loader
    guide: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(guide)
    steps = guide.steps(guide.GUIDE.read_text("utf-8"))
    assert [Line(number, heading, command) for heading, number, command in steps] == LINES


def test_each_line_is_read_but_for_those_that_are_wrong_on_purpose() -> None:
    found = {one: verdict(one) for one in LINES}
    assert [one.typed for one, said in found.items() if said is None] == []
    refused = {one.line: said for one, said in found.items() if said}
    assert refused.keys() == REFUSED.keys(), refused
    assert {line: said for line, said in refused.items() if REFUSED[line] not in said} == {}
