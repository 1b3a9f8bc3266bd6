"""Loads the named statements of a folder's `.sql` files: `-- name: find_user`, why-comments, the statement."""

from __future__ import annotations

import re
from pathlib import Path

NAME = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)
KEYWORD = re.compile(r"\A(?:\s|--[^\n]*\n)*\w+")


def named(text: str, name: str) -> str:
    """`text` with its name as a comment, by which PostgreSQL's statistics and logs tell it.

    It stands behind the first keyword: PostgreSQL 18 keeps no comment that stands before it.
    """
    return KEYWORD.sub(lambda found: f"{found[0]} /* {name} */", text, count=1)


class Queries:
    """Statements by name, as bytes: the driver takes no strings that were put together at run time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.by_name: dict[str, bytes] = {}
        for path in sorted(folder.glob("*.sql")):
            parts = NAME.split(path.read_text(encoding="utf-8"))
            for name, text in zip(parts[1::2], parts[2::2], strict=True):
                if name in self.by_name:
                    raise ValueError(f"{path}: query {name} is written twice")
                self.by_name[name] = named(text.strip(), f"{folder.name}.{name}").encode()

    def __getitem__(self, name: str) -> bytes:
        return self.by_name[name]


def beside(module_file: str) -> Queries:
    """The statements in the folder of `module_file` (pass `__file__`)."""
    return Queries(Path(module_file).parent)
