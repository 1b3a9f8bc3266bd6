"""A command's result as rows, a card or bars, with its ids as links."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, NamedTuple, cast

import msgspec
from markupsafe import Markup, escape

from nself.present.values import printable, shown
from nself.web.model import Panel
from nself.web.pages import LINKS

ID = re.compile(r"\b(cus|sub|in|inc)_[A-Za-z0-9]{2,}\b")
STATES = {
    **dict.fromkeys(("ok", "active", "paid", "running", "processed", "succeeded", "done", "enabled", "true"), "good"),
    **dict.fromkeys(
        ("warning", "trialing", "pending", "open", "draft", "waiting", "past_due", "queued", "likely"), "wait"
    ),
    **dict.fromkeys(
        (
            "failed",
            "stopped",
            "canceled",
            "unpaid",
            "stuck",
            "dead",
            "void",
            "uncollectible",
            "exceeded",
            "certain",
            "false",
            "disabled",
        ),
        "bad",
    ),
}


TOLD = frozenset("state status ok sure standing collector pdf_generator healthy balanced".split())
"""Columns whose words are states."""


Leads = Callable[[str, str], str]
"""Id and its prefix -> where it is looked at, empty for nowhere."""


def dashboard(id: str, kind: str) -> str:
    """On the dashboard."""
    return LINKS[kind].format(id=id)


class Table(NamedTuple):
    names: list[str]
    rows: list[list[Markup]]


class Bar(NamedTuple):
    name: str
    text: str
    share: int
    """Of the longest, in percent."""


class Shown(NamedTuple):
    """One of these is filled."""

    table: Table | None = None
    card: Sequence[tuple[str, Any]] = ()
    """Names with texts, or with a table of their own."""
    text: str = ""
    bars: Sequence[Bar] = ()


def show(result: object, panel: Panel | None = None, leads: Leads = dashboard) -> Shown:
    if panel and panel.within and isinstance(result, msgspec.Struct):
        result = getattr(result, panel.within)
    if isinstance(result, str):
        return Shown(text=printable(result))
    if isinstance(result, list):
        return _rows(cast("list[object]", result), panel, leads)
    if isinstance(result, msgspec.Struct):
        return Shown(
            card=[(name, _value(name, value, _fields(result), leads)) for name, value in _fields(result).items()]
        )
    return Shown(text=printable(str(result)) if result is not None else "done")


def _rows(found: list[object], panel: Panel | None, leads: Leads) -> Shown:
    if not found:
        return Shown(text="none")
    if isinstance(found[0], str):
        return Shown(text="\n".join(printable(str(one)) for one in found))
    every = [_fields(one) for one in found]
    names = [name for name in every[0] if not panel or not panel.columns or name in panel.columns]
    rows = [[_cell(name, one[name], one, leads) for name in names] for one in every]
    return Shown(table=Table(names, rows), bars=_bars(every, panel.bars) if panel and panel.bars else [])


def _bars(rows: Sequence[dict[str, Any]], columns: tuple[str, str]) -> list[Bar]:
    name, value = columns
    counted = [(str(one[name]), one[value]) for one in rows if isinstance(one.get(value), (int, Decimal))]
    most = max((count for _, count in counted), default=0)
    return [Bar(what, f"{count:,}", int(count * 100 // most) if most > 0 else 0) for what, count in counted]


def _fields(one: object) -> dict[str, Any]:
    if isinstance(one, msgspec.Struct):
        found = {name: getattr(one, name) for name in one.__struct_fields__}
        return {name: value for name, value in found.items() if value is not msgspec.UNSET}
    return cast("dict[str, Any]", one) if isinstance(one, dict) else {"line": one}


def _value(name: str, value: object, row: dict[str, Any], leads: Leads) -> Any:
    if isinstance(value, msgspec.Struct):
        return Table(
            ["", ""], [[escape(key), _cell(key, one, _fields(value), leads)] for key, one in _fields(value).items()]
        )
    many: list[object] = cast("list[object]", value) if isinstance(value, list) else []
    if many and isinstance(many[0], msgspec.Struct):
        return _rows(many, None, leads).table
    return _cell(name, cast("object", value), row, leads)


def _cell(name: str, value: object, row: dict[str, Any], leads: Leads) -> Markup:
    """Escaped, with links; states are coloured and said in words all the same."""
    many: Sequence[object] = cast("list[object]", value) if isinstance(value, list) else ()
    if many and isinstance(many[0], msgspec.Struct):
        text = "; ".join(shown(name, list(_fields(one).values()), {}) for one in many)
    else:
        text = shown(name, cast("object", value), row)
    if name in ("user", "user_id") and value and leads is dashboard:
        return Markup('<a href="/users/{}">{}</a>').format(text, text)
    if name in TOLD and text in STATES:
        return Markup('<span class="state {}">{}</span>').format(STATES[text], text)
    return linked(text, leads)


def linked(text: str, leads: Leads) -> Markup:
    parts, at = list[Markup](), 0
    for found in ID.finditer(text):
        parts += [escape(text[at : found.start()]), _link(found[0], leads(found[0], found[1]))]
        at = found.end()
    return Markup("").join([*parts, escape(text[at:])])


def _link(id: str, place: str) -> Markup:
    return Markup('<a href="{}">{}</a>').format(place, id) if place else escape(id)
