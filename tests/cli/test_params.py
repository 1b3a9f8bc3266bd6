"""From an input Struct to click's parameters and back."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Literal

import click
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from nself.cli import params
from nself.core.errors import BillingError, InvalidInteger, InvalidParameter
from nself.present import fields


class Given(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Annotated[str, Meta(description="Whose.", extra={"positional": True, "metavar": "NAME"})]
    value: int
    rate: Decimal | None = None
    kind: Literal["a", "b"] = "a"
    tag: list[str] = []
    rest: Annotated[tuple[str, ...], Meta(extra={"positional": True})] = ()
    dry_run: Annotated[bool, Meta(description="Only show.")] = False
    notify: bool = True
    limit: Annotated[int, Meta(ge=1, le=10)] = 5
    at: Annotated[str | None, Meta(description="When.")] = None
    code: Annotated[str, Meta(pattern="^[a-z]+$")] = "x"
    word: Annotated[str, Meta(min_length=1, max_length=3)] = "x"


def build(*arguments: str) -> Given:
    command = click.Command("x", params=params.parameters(Given))
    made = fields.build(Given, command.make_context("x", list(arguments)).params)
    assert isinstance(made, Given)
    return made


def test_defaults_are_the_structs() -> None:
    assert build("me", "--value", "1") == Given(name="me", value=1)


def test_everything_given() -> None:
    made = build(
        *("me", "--value", "-7", "--rate", "0.10", "--kind", "b", "--tag", "x", "--tag", "y"),
        *("--dry-run", "--no-notify", "--limit", "10", "--at", "", "r1", "r2"),
    )
    assert made == Given(
        name="me", value=-7, rate=Decimal("0.10"), kind="b", tag=["x", "y"], rest=("r1", "r2"),
        dry_run=True, notify=False, limit=10, at="",
    )  # fmt: skip


@given(st.integers(-(2**63), 2**63 - 1))
def test_whole_numbers_survive(number: int) -> None:
    assert build("me", "--value", str(number)).value == number


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=25))
def test_an_integer_is_taken_or_refused_in_the_guides_words(value: str) -> None:
    plain = value.strip()
    digits = plain[1:] if plain[:1] in ("+", "-") else plain
    good = digits.isascii() and digits.isdecimal() and len(digits) < 20 and -(2**63) <= int(plain) < 2**63
    if good:
        assert build("me", f"--value={value}").value == int(plain)
        return
    if re.match("--[a-z]", plain):  # it looks like the next option
        with pytest.raises(click.BadOptionUsage, match="a whole number is needed"):
            build("me", f"--value={value}")
        return
    with pytest.raises(InvalidInteger) as caught:
        build("me", f"--value={value}")
    assert caught.value.message == f"Invalid integer: {value}" and caught.value.param == "value"


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (("--rate", "ten"), InvalidParameter, "Invalid decimal: ten"),
        (("--rate", "nan"), InvalidParameter, "Invalid decimal: nan"),
        (("--rate", "inf"), InvalidParameter, "Invalid decimal: inf"),
        (("--limit", "11"), InvalidParameter, "Invalid limit: 10 or less is needed"),
        (("--code", "7"), InvalidParameter, r"Invalid code: it is not of the form \^\[a-z\]\+\$"),
        (("--word", ""), InvalidParameter, "Invalid word: it is empty"),
        (("--word", "four"), InvalidParameter, "Invalid word: 3 characters at most are allowed"),
        (("--kind", "c"), click.BadParameter, "'c' is not one of"),
    ],
)
def test_refused(arguments: tuple[str, ...], error: type[BillingError], words: str) -> None:
    with pytest.raises(error, match=words):
        build("me", "--value", "1", *arguments)


def test_help_tells_defaults_and_metavars() -> None:
    command = click.Command("x", params=params.parameters(Given))
    text = command.get_help(click.Context(command, info_name="x"))
    for words in ("NAME", "[default: 5]", "--notify / --no-notify", "--dry-run", "Only show.", "[a|b]"):
        assert words in text
