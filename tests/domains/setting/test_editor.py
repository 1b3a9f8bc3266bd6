"""The editor of settings files: both readers agree, other lines survive byte for byte."""

from __future__ import annotations

import subprocess
from io import StringIO
from pathlib import Path

import pytest
from dotenv import dotenv_values
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nself.core.errors import InvalidParameter
from nself.domains.setting import rules

AWKWARD = st.sampled_from(["'", '"', "\\", "$", "`", "\n", "\r", "#", " ", "=", "!", "%", "\\n", "~", "a", "é", "-"])
TEXT = st.one_of(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30),
    st.lists(AWKWARD, max_size=12).map("".join),
)
HEAD = "# a comment\nexport FIRST=1 # why\n\n"


def source(shell: str, path: Path, names: list[str]) -> list[str]:
    """The values that `shell` has after sourcing the file."""
    script = f'. "{path}"\n' + "".join(f"printf '%s\\0' \"${name}\"\n" for name in names)
    done = subprocess.run([shell, "-euc", script], capture_output=True, env={"LC_ALL": "C.UTF-8"}, check=False)
    assert done.returncode == 0 and not done.stderr, (done.stderr, path.read_bytes())
    return [part.decode() for part in done.stdout.split(b"\0")[:-1]]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(TEXT, min_size=15, max_size=15), st.booleans())
def test_shell_and_dotenv_read_back_what_was_written(tmp_path: Path, texts: list[str], twice: bool) -> None:
    names = [f"V{at}" for at in range(len(texts))]
    text = HEAD
    if twice:  # written over another awkward value
        text = rules.edit(text, dict(zip(names, reversed(texts), strict=True)))
    text = rules.edit(text, dict(zip(names, texts, strict=True)))
    path = tmp_path / ".env"
    path.write_bytes(text.encode())
    assert [dotenv_values(path, interpolate=False)[name] for name in names] == texts
    assert rules.read(text) == {"FIRST": "1", **dict(zip(names, texts, strict=True))}
    for shell in ("sh", "bash"):
        assert source(shell, path, names) == texts
    assert text.startswith(HEAD)
    assert rules.edit(text, dict.fromkeys(names)) == HEAD


LINES = (
    *("", "# note", "  # indented", "A=1", "export B='two words' # why", "C = spaced", "garbage here", "\t"),
    *("E='x'#tight", "F=", "G", "H=#hash", "I= # only a comment", "É=1", "J=a\\ b $c", "K='it'\\''s'"),
    'D="multi\nline"',
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(LINES), max_size=8), st.sampled_from(["\n", "\r\n"]), st.booleans(), TEXT)
def test_other_lines_stay_byte_for_byte(lines: list[str], eol: str, ended: bool, value: str) -> None:
    before = eol.join(lines) + (eol if ended and lines else "")
    after = rules.edit(before, {"NEW": value})
    glue = "" if not before or before.endswith("\n") else "\n"
    assert after.startswith(before + glue + "NEW=")
    assert rules.edit(after, {"NEW": None}) == before + glue
    assert {**rules.read(before), "NEW": value} == rules.read(after)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("A=1\n", "A=2\n"),
        ("export A=1  # keep me\nB=3\n", "export A=2  # keep me\nB=3\n"),
        ("A='1 2' # x\r\nB=3\r\n", "A=2 # x\r\nB=3\r\n"),
        ('\n\n  A="x\ny"#tight\n', "\n\n  A=2 #tight\n"),
        ("A= # only a comment\n", "A=2 # only a comment\n"),
        ("A=#hash\n", "A=2\n"),
        ("A = 1\n", "A=2\n"),
        ("'A'=1\n", "A=2\n"),
        ("A\n", "A=2\n"),
        ("A=1\nA=1\n", "A=1\nA=2\n"),
        ("A=1", "A=2"),
        ("A='it'\\''s' # for a shell only\n", "A=2 # for a shell only\n"),
        ("\ufeffB=1\n", "\ufeffB=1\nA=2\n"),
        ("AB=1\n#A=1\n", "AB=1\n#A=1\nA=2\n"),
    ],
)
def test_set_keeps_what_stands_around_the_value(before: str, after: str) -> None:
    assert rules.edit(before, {"A": "2"}) == after


def test_unset_removes_every_occurrence_and_nothing_else() -> None:
    before = "# one\n\nA=1 # x\nB=2\n\nexport A='a\nb'\nC=3\n"
    assert rules.edit(before, {"A": None}) == "# one\n\nB=2\n\nC=3\n"


def test_value_without_a_common_spelling_is_replaced_as_a_whole() -> None:
    awkward = "it's $5\n`x`\\\\"
    text = rules.edit("Z=1\nA=1 # c\nB=2\n", {"A": awkward})
    assert rules.read(text) == {"Z": "1", "A": awkward, "B": "2"}
    assert rules.edit(text, {"A": "plain"}) == "Z=1\nA=plain # c\nB=2\n"


def test_values_are_not_quoted_without_need() -> None:
    text = rules.edit("", {"A": "sk_test_1", "B": "http://x:1/?a=1", "C": "two words", "D": "it's", "E": ""})
    assert text == "A=sk_test_1\nB='http://x:1/?a=1'\nC='two words'\nD=\"it's\"\nE=\n"


def test_a_file_whose_quotes_would_swallow_the_line_is_refused() -> None:
    with pytest.raises(InvalidParameter, match="mend them by hand"):
        rules.edit("A='never closed\n", {"B": "it is 'quoted'", "C": "also ' this"})


def test_read_agrees_with_the_library() -> None:
    text = "A=1\nexport B='x'\nC\nD=\"a\\nb\" # c\n"
    wanted = {name: value for name, value in dotenv_values(stream=StringIO(text)).items() if value is not None}
    assert rules.read(text) == wanted
