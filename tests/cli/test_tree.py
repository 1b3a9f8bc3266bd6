"""The whole command tree: help, examples, hints of all errors, and what it costs to build."""

from __future__ import annotations

import inspect
import re
import string
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest

from nself import reference
from nself.cli.tree import Group
from nself.core.entrypoint import Command
from nself.core.errors import BillingError
from nself.domains.database import rules as database_rules
from nself.present import fields
from nself.registry import Registry

Parse = Callable[[str], msgspec.Struct]
Run = Callable[..., Any]
ROWS = Registry().rows(Command)
PATHS = [(path, row) for row in ROWS for path in (row.path, *row.aliases)]
ERRORS = reference.all_errors()
SAMPLES: dict[str, object] = {
    "id": "4fJ9xQ2a",
    "limit": 100,
    "livemode": False,
    "metric": "api_calls",
    "mode": "test",
    "name": "STRIPE_MODE",
    "scope": "usage:write",
    "seconds": 10,
    "customer": "cus_123",
    "method": "pm_123",
    "minor": 1000,
    "user": "user123",
    "value": 1,
}
HEAVY = ("psycopg", "psycopg_pool", "stripe", "starlette", "uvicorn", "jinja2", "rich", "yaml", "supervisor")


def groups(root: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Group]]:
    yield path, root
    context = click.Context(root)
    for name in root.list_commands(context):
        assert isinstance(root, Group)
        child = root.groups.get(name) or root.get_command(context, name)
        if isinstance(child, click.Group):
            yield from groups(child, (*path, name))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.path)
def test_every_command_says_what_it_does(row: Command, registry: Registry) -> None:
    assert row.help.endswith(".") and len(row.help) > 10
    use = registry.resolve(row.use)
    assert inspect.isfunction(use) and use.__doc__, f"{row.use} has no docstring"
    assert len(inspect.signature(use).parameters) == 2
    struct = registry.resolve(row.input)
    assert isinstance(struct, type) and issubclass(struct, msgspec.Struct)
    config = struct.__struct_config__
    assert config.frozen and config.forbid_unknown_fields, row.input
    for field in fields.fields(struct):
        assert field.help, f"{row.input} says nothing of {field.name}"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.path)
def test_every_example_is_accepted_by_its_own_parser(row: Command, parse: Parse, registry: Registry) -> None:
    assert row.example.startswith(tuple(f"nself {path}" for path in (row.path, *row.aliases)))
    assert isinstance(parse(row.example), registry.resolve(row.input))  # type: ignore[arg-type]


def test_paths_are_used_once_and_few_are_groups_as_well(root: click.Group) -> None:
    paths = [path for path, _ in PATHS]
    assert len(paths) == len(set(paths))
    assert {" ".join(path) for path, _ in groups(root)} & set(paths) == {
        "billing doctor",
        "billing metrics",
        "billing reconcile",
    }


def test_a_command_that_is_a_group_too_goes_by_the_next_word(run: Run, parse: Parse) -> None:
    assert "show-diff" in run("billing", "reconcile", "--help").out
    assert type(parse("nself billing reconcile --batch-size 100")).__name__ == "Reconcile"
    assert type(parse("nself billing reconcile status")).__name__ == "Nothing"
    wrong = run("billing", "reconcile", "--batch-size", "100", "status")
    assert (wrong.code, "unexpected extra argument (status)" in wrong.err) == (2, True)
    assert run("billing", "reconcile", "nonsense").code == 2


def test_the_parser_helper_refuses_what_the_program_refuses(parse: Parse) -> None:
    """Else the tests of examples and hints could not fail."""
    for line in (
        "nself env gut X",
        "nself env get",
        "nself env get X --wrong",
        "nself db query x --limit many",
        "nself env",
    ):
        with pytest.raises((click.ClickException, BillingError)):
            parse(line)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: f"{error.__module__}.{error.__name__}")
def test_every_hint_of_every_error_is_a_command(error: type[BillingError], parse: Parse) -> None:
    assert error.code != BillingError.code and (error.status, error.exit_code) != (500, 1)
    for hint in error.hints:
        names = [name for _, name, _, _ in string.Formatter().parse(hint) if name is not None]
        line = hint.format(**{name: SAMPLES.get(name, "sample") for name in names})
        with suppress(click.exceptions.Exit):  # of --help
            parse(line)


def test_the_walk_found_errors_of_all_layers() -> None:
    found = {error.__name__ for error in ERRORS}
    assert {"NoSuchSetting", "NoSuchProject", "DatabaseUnavailable", "Unauthorized", "TruncateRefused"} <= found
    assert len(ERRORS) > 20


def test_what_helps_a_failing_connection_is_a_command(parse: Parse) -> None:
    for _, _, help in database_rules.CAUSES:
        parse(help)


def test_help_of_every_group_and_command(root: click.Group) -> None:
    shown = 0
    for path, group in groups(root):
        assert group.help, f"the group {' '.join(path)} says nothing: see registry.GROUPS"
        context = click.Context(group, info_name=" ".join(("nself", *path)))
        text = group.get_help(context)
        for name in group.list_commands(context):
            assert name in text
            child = group.get_command(context, name)
            assert child
            if not isinstance(child, click.Group):
                leaf = child.get_help(click.Context(child, info_name=name, parent=context))
                assert "Example:" in leaf and "--format" in leaf
                shown += 1
    assert shown == len(PATHS)


def fresh(code: str) -> str:
    """stdout of an interpreter that has loaded nothing yet."""
    script = f"import sys\n{code}\nprint(','.join(name for name in {HEAVY} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


BUILD = "from nself.cli.main import command\nfrom nself.registry import Registry\nroot = command(Registry())\n"


def test_building_the_tree_and_its_help_load_nothing_heavy() -> None:
    code = """
import click
def show(group, context):
    group.get_help(context)
    for child in group.groups.values():
        show(child, click.Context(child, parent=context))
show(root, click.Context(root))
"""
    assert fresh(BUILD + code) == ""


def test_a_command_without_a_database_loads_nothing_heavy() -> None:
    code = "from nself.cli.main import run\nassert run(['env', 'get', 'BILLING_TIMEZONE']) == 0\n"
    assert fresh(code) == ""


def test_help_of_a_database_command_does_not_load_the_driver() -> None:
    code = "from nself.cli.main import run\nassert run(['db', 'query', '--help']) == 0\n"
    assert fresh(code) == ""


def test_the_lines_of_stripes_command_line_are_mapped_to_commands(parse: Parse) -> None:
    page = Path(__file__).parents[2] / "docs/stripe-cli.md"
    lines = re.findall(r"^\| `stripe [^`]+` \| `(nself [^`]+)` \|", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(lines) == 6
    for line in lines:
        parse(line)
