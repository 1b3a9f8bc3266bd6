"""Pure: the chain and what breaks it, and a command as it may be written down."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Iterable, Iterator
from datetime import UTC
from typing import Any, cast, get_args, get_type_hints

import msgspec

from nself.core.errors import InvalidParameter
from nself.core.settings import is_secret
from nself.domains.trail.model import Chained, Entry, Head
from nself.present.fields import fields

START = Head(0, bytes(32))
LONGEST = 2000
"""Characters of a command that are kept."""


def digest(previous: bytes, number: int, one: Entry, incident: str) -> bytes:
    """sha256 over the hash before it and the content in one spelling."""
    at = one.at.astimezone(UTC).isoformat(timespec="microseconds")
    content = [number, one.entry, one.phase, at, one.actor, one.host, one.command, one.outcome, incident]
    return hashlib.sha256(previous + msgspec.json.encode(content)).digest()


def chain(head: Head, entries: Iterable[Entry], incident: str) -> Iterator[Chained]:
    """The entries behind `head`."""
    for one in entries:
        number, previous = head.number + 1, head.hash
        head = Head(number, digest(previous, number, one, incident))
        yield Chained(
            **msgspec.structs.asdict(one), number=number, incident=incident, previous=previous, hash=head.hash
        )


def broken(rows: Iterable[Chained], head: Head, kept: Head | None = None) -> Iterator[str]:
    """What is wrong with a chain, in the order of its numbers. `kept`: an entry whose hash was kept elsewhere."""
    last = START
    for row in rows:
        if row.number <= last.number:
            yield f"entry {row.number} was inserted"
            continue
        follows = row.number == last.number + 1
        if not follows:
            yield missing(last.number + 1, row.number - 1)
        if digest(row.previous, row.number, row, row.incident) != row.hash:
            yield f"entry {row.number} was changed"
        elif follows and row.previous != last.hash:
            yield f"entry {row.number} was chained to another one than what is entry {last.number} now"
        if kept and kept.number == row.number and kept.hash != row.hash:
            yield f"entry {row.number} is not the one whose hash was kept"
        if row.number > head.number:
            yield f"entry {row.number} was inserted behind the end"
        last = Head(row.number, row.hash)
    if last.number < max(head.number, kept.number if kept else 0):
        yield missing(last.number + 1, max(head.number, kept.number if kept else 0))
    elif last.number == head.number and last.hash != head.hash:
        yield f"entry {last.number} is not the one that the chain ended with"


def missing(first: int, last: int) -> str:
    return f"entry {first} was removed" if first == last else f"entries {first} to {last} were removed"


def spelled(head: Head) -> str:
    return f"{head.number}:{head.hash.hex()}"


def read_head(text: str) -> Head:
    """Raises InvalidParameter."""
    number, _, hash = text.partition(":")
    try:
        return Head(int(number), bytes.fromhex(hash))
    except ValueError:
        raise InvalidParameter("Invalid head: what --verify prints is needed, like 17:ab12…", "head") from None


# ---- What may be written down ----


def command_line(path: str, given: msgspec.Struct) -> str:
    """What was given, without defaults, so that it can be given again; secrets as ***. Keys and card numbers in other texts are for `log.redact`."""
    hidden, words, options = secrets(type(given)), [path], list[str]()
    for field in fields(type(given)):
        value, flag = getattr(given, field.name), field.name.replace("_", "-")
        if value in (field.default, None, ()) or value == []:
            continue
        if field.kind is bool:
            options.append(f"--{'' if value else 'no-'}{flag}")
            continue
        many = cast("list[object]", value if isinstance(value, (list, tuple)) else [value])
        texts = [
            "***" if field.name in hidden else one if isinstance(one, str) else msgspec.json.encode(one).decode()
            for one in many
        ]
        for text in texts:
            word = shlex.quote(_assigned(text))
            (words if field.positional else options).append(word if field.positional else f"--{flag}={word}")
    return " ".join([*words, *options])[:LONGEST]


def _assigned(text: str) -> str:
    """`NAME=value` of a secret setting."""
    name, equals, value = text.partition("=")
    return f"{name}=***" if equals and value and is_secret(name.strip()) else text


def secrets(struct: type[msgspec.Struct]) -> frozenset[str]:
    """Fields that may hold a card number or the like."""
    hints = get_type_hints(struct, include_extras=True)
    return frozenset(name for name, kind in hints.items() if _secret(kind))


def _secret(kind: Any) -> bool:
    for one in (*get_args(kind), *getattr(kind, "__metadata__", ())):
        if isinstance(one, msgspec.Meta):
            if (one.extra or {}).get("secret"):
                return True
        elif _secret(one):
            return True
    return False
