"""Reads assignments, judges values, and edits a settings file's text without touching its other lines."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator, Mapping
from io import StringIO
from typing import NamedTuple

from dotenv.parser import parse_stream

from nself.config import HEREDOC
from nself.core.errors import InvalidParameter
from nself.core.settings import BY_NAME, TRUE, InvalidSetting, Setting, is_secret, mask, wrong
from nself.domains.setting.model import UnknownSetting

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
OURS = ("STRIPE_", "BILLING_", "USAGE_", "QUOTA_", "WEBHOOK_", "PDF_")
"""Names that start so belong to nself: an unknown one is a slip of the pen."""


def assignments(given: Collection[str]) -> dict[str, str]:
    """`NAME=VALUE` texts by name. Raises InvalidParameter."""
    pairs: dict[str, str] = {}
    for one in given:
        name, equals, text = one.partition("=")
        if not equals:
            shown = f", not {one}" if one in BY_NAME else ""  # anything else may be a secret
            raise InvalidParameter(f"NAME=VALUE is needed{shown} (quote a value that holds blanks)", "assignments")
        pairs[checked_name(name)] = text
    return pairs


def checked_name(name: str) -> str:
    """Raises InvalidParameter unless a shell could export `name`."""
    if not NAME.fullmatch(name):
        raise InvalidParameter(f"Invalid name of a setting: {name!r}", "name")
    return name


def close(name: str, known: Collection[str]) -> str:
    """` (did you mean …?)` or nothing."""
    found = difflib.get_close_matches(name.upper(), known, n=3, cutoff=0.75)
    return f" (did you mean {', '.join(found)}?)" if found else ""


def check(name: str, text: str) -> None:
    """Raises UnknownSetting, InvalidSetting, InvalidParameter."""
    setting = BY_NAME.get(name)
    if setting is None and (name.upper() in BY_NAME or name.upper().startswith(OURS)):
        raise UnknownSetting(name=name, meant=close(name, BY_NAME))
    complaint = wrong(setting, text) if setting else None
    if complaint:
        shown = mask(text) if is_secret(name) else text
        raise InvalidSetting(name=name, value=shown, wanted=complaint, origin="the command line")
    if "\0" in text or any("\ud800" <= char <= "\udfff" for char in text):  # bytes that are no UTF-8
        raise InvalidParameter(f"The value of {name} is not text", name)


def effect(setting: Setting | None) -> str:
    """What a setting does, in words."""
    if setting is None:
        return "not a setting of nself: kept for your own programs"
    return setting.effect


def key_note(name: str, text: str, mode: str) -> str | None:
    """What is wrong with a Stripe key in this mode, or None."""
    wanted = {"STRIPE_SECRET_KEY": ("sk_", "rk_"), "STRIPE_PUBLISHABLE_KEY": ("pk_",)}.get(name)
    if not text:
        return None
    if name == "STRIPE_WEBHOOK_SECRET" and not all(one.strip().startswith("whsec_") for one in text.split(",")):
        return "a webhook secret starts with whsec_"
    if not wanted:
        return None
    kinds = [f"{prefix}{which}_" for prefix in wanted for which in ("test", "live")]
    if not text.startswith(tuple(kinds)):
        return f"such a key starts with {' or '.join(kinds)}"
    if f"_{mode}_" not in text[:8]:
        return f"STRIPE_MODE is {mode} and this key is not: Stripe is not called until both agree"
    return "a placeholder: towards Stripe it counts as not configured" if "PLACEHOLDER" in text else None


# ---- The text of a file ----

NEWLINE = "\n"
PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,=-]*")
HEREDOC_END = "NSELF"
QUOTED = re.compile(r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"", re.DOTALL)
HEAD = re.compile(r"(\s*)((?:export[^\S\r\n]+)?)(?:'[^']+'|[^=#\s]+)[^\S\r\n]*(=?)([^\S\r\n]*)")
REST = re.compile(r"([^\r\n]*)(\r\n|\n|\r|)")


FOLLOWS = {
    "BILLING_AUTO_PAYMENT=false": "Stripe goes on charging subscriptions and open invoices by itself until: "
    "nself billing subscription pause-collection --all",
    "BILLING_AUTO_PAYMENT=true": "payments that wait are made with: nself billing process-queue; what was paused at Stripe "
    "goes on with: nself billing subscription resume-collection --all",
    "BILLING_QUEUE_PAYMENTS=true": "payments wait for: nself billing process-queue; Stripe goes on charging subscriptions",
    "BILLING_QUEUE_PAYMENTS=false": "what waits already is made with: nself billing process-queue",
    "BILLING_SAFE_MODE=true": "commands keep to it from now on; Stripe goes on charging subscriptions by itself",
}
"""What an operator must know beside the value of a switch."""


def follows(name: str, text: str) -> str | None:
    return FOLLOWS.get(f"{name}={'true' if text.lower() in TRUE else 'false'}")


def literal(text: str) -> str | None:
    """`text` as one word that a shell and python-dotenv read alike, or None where there is no such word."""
    if PLAIN.fullmatch(text):
        return text
    if "\r" in text:  # python-dotenv opens files with universal newlines
        return None
    if "'" not in text and "\\\\" not in text and not text.endswith("\\"):
        return f"'{text}'"
    if "$" not in text and "`" not in text:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return None


def _shell_only(text: str) -> str:
    """A word that a shell expands to `text`; newlines at its end, which `$(…)` would lose, stand outside."""
    body = text.rstrip("\n")
    octal = re.sub(
        r"^-|[^\w !#$&()*+,./:;<=>?@\[\]^{|}~-]",
        lambda found: "".join(f"\\{byte:03o}" for byte in found[0].encode()),
        body,
        flags=re.ASCII,
    )
    newlines = "\n" * (len(text) - len(body))
    return f"\"$(printf '{octal}'){newlines}\""


def _dotenv_only(text: str) -> str:
    """A line's worth that python-dotenv reads as `text`."""
    for char, escape in (("\\", "\\\\"), ('"', '\\"'), ("\r", "\\r"), ("\n", "\\n")):
        text = text.replace(char, escape)
    return f'"{text}"'


class Entry(NamedTuple):
    """A piece of the file: `name` is None for comments, blanks and what nobody can read."""

    name: str | None
    text: str


def _entries(text: str) -> Iterator[Entry]:
    """The pieces of `text` in order, complete: joined, they are `text`."""
    pieces = list(parse_stream(StringIO(text)))
    at = 0
    while at < len(pieces):
        name, taken = pieces[at].key, 1
        if at + 3 < len(pieces) and pieces[at + 1].key == HEREDOC and pieces[at + 2].key == name:
            taken = 4
        elif pieces[at].error:
            broken = re.match(r"\s*(?:export\s+)?'?([A-Za-z_]\w*)'?[^\S\r\n]*=", pieces[at].original.string)
            name = broken[1] if broken else None
        yield Entry(name, "".join(piece.original.string for piece in pieces[at : at + taken]))
        at += taken


def read(text: str) -> dict[str, str]:
    """Names with the values that python-dotenv finds in `text`."""
    found = parse_stream(StringIO(text))
    return {one.key: one.value for one in found if one.key is not None and one.value is not None}


def _written(name: str, value: str, old: str) -> str:
    """The piece `old` with another value: what stood before and behind the value stays."""
    head = HEAD.match(old)
    assert head, old
    lead, export, equals, gap = head.groups()
    rest = old[head.end() :]
    quoted = QUOTED.match(rest) if equals else None
    if quoted:
        rest = rest[quoted.end() :]
    behind = REST.match(rest)
    assert behind
    line, end = behind.groups()
    comment = re.search(r"\s*#.*" if quoted or (gap and line.startswith("#")) else r"\s+#.*", line)
    tail = comment[0] if comment else ""
    if tail and not tail[0].isspace():
        tail = f" {tail}"
    start = f"{lead}{export}{name}="
    word = literal(value)
    if word is not None:
        return f"{start}{word}{tail}{end}"
    again = f"{HEREDOC}\n{name}={_dotenv_only(value)}\n{HEREDOC_END}"
    return f"{start}{_shell_only(value)}{tail}\n{again}{end or NEWLINE}"


def edit(text: str, changes: Mapping[str, str | None]) -> str:
    """`text` with the values of `changes`, None meaning gone; other lines stay byte for byte.

    A text without a common spelling (`it's $5`) is written twice, for the shell and, in a here-document
    that the shell skips, for python-dotenv. Raises InvalidParameter where the file cannot be edited.
    """
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    entries = list(_entries(text))
    for name, value in changes.items():
        places = [at for at, entry in enumerate(entries) if entry.name == name]
        if value is None:
            for at in places:
                blank = re.match(r"\s*", entries[at].text)
                kept = blank[0] if blank else ""
                entries[at] = Entry(None, kept[: kept.rfind("\n") + 1])
        elif places:
            entries[places[-1]] = Entry(name, _written(name, value, entries[places[-1]].text))
        else:
            if entries and not entries[-1].text.endswith("\n"):
                entries.append(Entry(None, "\n"))
            entries.append(Entry(name, _written(name, value, f"{name}=\n")))
    after = mark + "".join(entry.text for entry in entries)
    found = read(after)
    lost = [name for name, value in changes.items() if found.get(name) != value]
    if lost:
        names = ", ".join(lost)
        raise InvalidParameter(f"{names}: the file's quotes are out of order there; mend them by hand", lost[0])
    return after
