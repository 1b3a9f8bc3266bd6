"""Reads SQL far enough to split it and to refuse what must never run; the server enforces the rest."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from nself.core.errors import InvalidParameter
from nself.domains.database.model import (
    READS,
    ConfirmationNeeded,
    PlainIndex,
    Statement,
    StatementRefused,
    TruncateRefused,
    WriteNeeded,
)

TOKEN = re.compile(
    r"""(?P<blank>\s+|--[^\n]*)
    |(?P<comment>/\*)
    |(?P<text>[eE]'(?:''|\\.|[^'\\])*'|'(?:''|[^'])*'|"(?:""|[^"])*")
    |(?P<dollar>\$(?P<tag>[^\W\d]\w*)?\$)
    |(?P<word>[^\W\d][\w$]*)
    |(?P<sign>.)""",
    re.VERBOSE | re.DOTALL,
)
PLAIN_INDEX = re.compile(
    r"create\s+index\s+(?P<name>\w+)\s+on\s+(?P<table>[\w.]+)\s*(?:using\s+btree\s*)?\((?P<columns>[\w\s,]+)\)",
    re.IGNORECASE,
)
COMMENT_SIGN = re.compile(r"/\*|\*/")
CHANGES = frozenset({"INSERT", "UPDATE", "DELETE", "MERGE"})
DEFINITIONS = frozenset({"CREATE", "ALTER", "COMMENT", "ANALYZE", "REINDEX", "REFRESH"})
NO_COMMAND = frozenset({"FOR", "KEY", "DO", "ON", "THEN", "BEFORE", "AFTER", "OR", "OF"})
"""Before UPDATE or DELETE: a clause, no command (`FOR UPDATE`, `ON CONFLICT DO UPDATE`, `MATCHED THEN`)."""


def _end_of_comment(sql: str, at: int) -> int:
    """Behind the comment that opens at `at`; comments nest."""
    depth = 0
    for sign in COMMENT_SIGN.finditer(sql, at):
        depth += 1 if sign[0] == "/*" else -1
        if not depth:
            return sign.end()
    return len(sql)


def _tokens(sql: str) -> Iterator[tuple[str, str, int]]:
    """Kind, text and place of all that is no blank and no comment."""
    at = 0
    while at < len(sql):
        found = TOKEN.match(sql, at)
        assert found and found.lastgroup
        kind, end = found.lastgroup, found.end()
        if kind == "comment":
            end = _end_of_comment(sql, at)
        elif found["dollar"]:
            close = sql.find(found["dollar"], end)
            kind, end = "text", len(sql) if close < 0 else close + len(found["dollar"])
        if kind not in ("blank", "comment"):
            yield kind, sql[at:end], at
        at = end


def split(sql: str) -> list[Statement]:
    """The statements of `sql`. Raises InvalidParameter where there is none.

    A mistake here cannot let a second statement slip through: each is sent through the extended
    protocol, which takes one only.
    """
    statements: list[Statement] = []
    words: list[tuple[str, int]] = []
    start, depth = -1, 0
    for kind, text, at in (*_tokens(sql), ("sign", ";", len(sql))):
        if kind == "sign" and text == ";":
            if start >= 0:
                lead = words[0][0] if words else ""
                statements.append(Statement(sql[start:at].rstrip(), start, lead, tuple(words)))
            words, start, depth = [], -1, 0
            continue
        start = at if start < 0 else start
        if kind == "sign":
            depth += {"(": 1, ")": -1}.get(text, 0)
        elif kind == "word":
            words.append((text.upper(), depth))
    if not statements:
        raise InvalidParameter("No SQL statement was given", "sql")
    return statements


def _unbounded(statement: Statement) -> str | None:
    """UPDATE or DELETE where one stands without a WHERE of its own, anywhere in the statement."""
    words = statement.words
    for at, (word, depth) in enumerate(words):
        before = words[at - 1][0] if at else ""
        if word not in ("UPDATE", "DELETE") or before in NO_COMMAND:
            continue
        for later, other in words[at + 1 :]:
            if other < depth:
                return word
            if later == "WHERE" and other == depth:
                break
        else:
            return word
    return None


def refuse(statement: Statement, live: bool) -> None:
    """Raises TruncateRefused, StatementRefused for what never runs, whatever the flags."""
    kind, names = statement.kind, [word for word, _ in statement.words]
    if kind == "TRUNCATE":
        given = re.match(r"(?i)truncate\s+(?:table\s+)?(?:only\s+)?([^\s;,*(]+)", statement.text)
        raise TruncateRefused(table=given[1] if given else "")
    if kind == "DROP" or (kind in DEFINITIONS and "DROP" in names):
        raise StatementRefused(detail="DROP destroys data for good and is refused")
    if kind not in READS | CHANGES | DEFINITIONS:
        raise StatementRefused(detail=f"`db query` does not run {kind or 'this'}")
    if live and kind in DEFINITIONS:
        raise StatementRefused(detail=f"{kind} changes the schema, which is refused in live mode")
    command = _unbounded(statement)
    if command:
        raise StatementRefused(detail=f"{command} without WHERE touches every row and is refused")


def writes(statements: Sequence[Statement], *, write: bool, live: bool, confirmed: bool) -> bool:
    """Whether the transaction may write. Raises what `refuse` raises, WriteNeeded, ConfirmationNeeded."""
    for statement in statements:
        refuse(statement, live)
    if write:
        if live and not confirmed:
            raise ConfirmationNeeded
        return True
    for statement in statements:
        if not statement.reads and (live or not _as_printed(statement)):
            raise WriteNeeded(detail=f"{statement.kind} was refused and nothing was run")
    return not all(statement.reads for statement in statements)


def _as_printed(statement: Statement) -> bool:
    """Whether the guide prints such statements: in test mode they run without --write."""
    words = [word for word, _ in statement.words]
    return statement.kind in CHANGES or words[:2] == ["CREATE", "INDEX"] or words[:3] == ["CREATE", "UNIQUE", "INDEX"]


def plain_index(statement: Statement) -> PlainIndex | None:
    """What a plain CREATE INDEX asks for; None of any other statement."""
    found = PLAIN_INDEX.fullmatch(statement.text)
    if not found:
        return None
    columns = tuple(part.strip().lower() for part in found["columns"].split(","))
    return PlainIndex(found["name"].lower(), found["table"].lower(), columns)


def point(sql: str, offset: int) -> str:
    """Line and column of a character of `sql`, with the line and a mark below it."""
    offset = min(max(offset, 0), len(sql))
    line = sql.count("\n", 0, offset) + 1
    start = sql.rfind("\n", 0, offset) + 1
    text = sql[start:].partition("\n")[0].replace("\t", " ").rstrip()
    column = offset - start
    return f" (line {line}, column {column + 1})\n  {text}\n  {' ' * column}^"


def distinct(names: Sequence[str]) -> list[str]:
    """Column names with `_2` … behind those that stand more than once."""
    found: list[str] = []
    for name in names:
        number, new = 1, name
        while new in found:
            number += 1
            new = f"{name}_{number}"
        found.append(new)
    return found


def cause(detail: str) -> tuple[str, str]:
    """What a refused connection means, and the command that helps, by PostgreSQL's words."""
    for words, meaning, help in CAUSES:
        if words in detail:
            return meaning, help
    return "the server refused the session", "nself env get DATABASE_URL"


CAUSES = (
    ("password", "user or password is wrong", "nself env set DATABASE_URL --stdin"),
    (
        "no pg_hba.conf entry",
        "the server does not let this host, user or database in",
        "nself env get DATABASE_URL",
    ),
    ("does not exist", "the database or the user does not exist there", "nself env set DATABASE_URL --stdin"),
    ("too many", "all connections are taken", "nself env set BILLING_DB_POOL_SIZE=5"),
    ("remaining connection slots", "all connections are taken", "nself env set BILLING_DB_POOL_SIZE=5"),
    ("starting up", "the server is starting", "nself db ping"),
    ("shutting down", "the server is stopping", "nself db ping"),
    ("SSL", "the two sides do not agree on TLS", "nself env set DATABASE_URL --stdin"),
)
