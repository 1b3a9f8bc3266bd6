"""A command's result as rows, a card, bars or charts, with its ids as links."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, cast

import msgspec
from markupsafe import Markup, escape

from nself.core.money import Money
from nself.present.values import printable, shown
from nself.web.charts import Bar, Chart, bars, charts
from nself.web.model import Panel
from nself.web.pages import LINKS
from nself.web.words import NAMES, NUMBER, STATES, TOLD, count, label

ID = re.compile(r"\b(cus|sub|in|inc|evt)_[A-Za-z0-9]{2,}\b")
MOST = 200
"""Rows of one table."""
LONG = 60
"""Characters of a text that takes a line of its own."""


Leads = Callable[[str, str], str]
"""Id and its prefix -> where it is looked at, empty for nowhere."""


def dashboard(id: str, kind: str) -> str:
    """On the dashboard."""
    return LINKS[kind].format(id=id)


class Table(NamedTuple):
    names: list[str]
    kinds: list[str]
    """Of each column: `num` stands at the right, `long` is broken into lines."""
    rows: list[list[Markup]]
    left: int = 0
    """Rows that are not here: the command shows them."""


class Pair(NamedTuple):
    name: str
    value: Markup | Table
    wide: bool


class Shown(NamedTuple):
    """One of these is filled; bars and charts come with their table."""

    table: Table | None = None
    card: Sequence[Pair] = ()
    text: str = ""
    bars: Sequence[Bar] = ()
    charts: Sequence[Chart] = ()


def show(result: object, panel: Panel | None = None, leads: Leads = dashboard) -> Shown:
    if panel and panel.within and isinstance(result, msgspec.Struct):
        result = getattr(result, panel.within)
    if isinstance(result, str):
        return Shown(text=printable(result))
    if isinstance(result, list):
        return _rows(cast("list[object]", result), panel, leads)
    if isinstance(result, dict):
        return Shown(text=_lines(cast("object", result)))
    if isinstance(result, msgspec.Struct):
        fields = {
            name: one
            for name, one in _fields(result).items()
            if not panel or not panel.columns or name in panel.columns
        }
        return Shown(card=[_pair(name, value, fields, leads) for name, value in fields.items()])
    return Shown(text=printable(str(result)) if result is not None else "done")


def _lines(content: object) -> str:
    """JSON over several lines; of its text no character means anything to a terminal or a browser."""
    lines = msgspec.json.format(msgspec.json.encode(content), indent=2).decode().splitlines()
    return "\n".join(printable(line) for line in lines)


def _rows(found: list[object], panel: Panel | None, leads: Leads) -> Shown:
    if not found:
        return Shown(text="none")
    if isinstance(found[0], str):
        return Shown(text="\n".join(printable(str(one)) for one in found))
    every = [_fields(one) for one in found]
    names = [name for name in every[0] if not panel or not panel.columns or name in panel.columns]
    return Shown(
        table=_table(names, every, leads),
        bars=bars(every, panel.bars) if panel and panel.bars else (),
        charts=charts(every, panel.chart) if panel and panel.chart else (),
    )


def _table(names: list[str], rows: list[dict[str, Any]], leads: Leads) -> Table:
    """Columns in which nothing is said are left out, and a currency that its amounts name."""
    if any(name.endswith("_minor") for name in names):
        names = [name for name in names if name != "currency"]
    columns = list[tuple[str, str, list[Markup]]]()
    for name in names:
        texts = [_text(name, row[name], row) for row in rows[:MOST]]
        if any(text != "-" for text in texts):
            cells = [_cell(name, row[name], text, leads) for row, text in zip(rows, texts, strict=False)]
            columns.append((label(name, rows[0]), _kind(name, texts), cells))
    lines = [list(line) for line in zip(*(cells for _, _, cells in columns), strict=True)]
    return Table([one[0] for one in columns], [one[1] for one in columns], lines, len(rows[MOST:]))


def _kind(name: str, texts: Sequence[str]) -> str:
    said = [text for text in texts if text != "-"]
    if name not in NAMES and all(NUMBER.fullmatch(text) for text in said):
        return "num"
    return "long" if any(len(text) > LONG for text in said) else ""


def _fields(one: object) -> dict[str, Any]:
    if isinstance(one, msgspec.Struct):
        found = {name: getattr(one, name) for name in one.__struct_fields__}
        return {name: value for name, value in found.items() if value is not msgspec.UNSET}
    return cast("dict[str, Any]", one) if isinstance(one, dict) else {"line": one}


def _pair(name: str, value: object, row: dict[str, Any], leads: Leads) -> Pair:
    named = label(name, row)
    if isinstance(value, msgspec.Struct):
        inner = _fields(value)
        texts = [(label(key, inner), _cell(key, one, _text(key, one, inner), leads)) for key, one in inner.items()]
        return Pair(named, Table(["", ""], ["", ""], [[escape(key), cell] for key, cell in texts]), wide=True)
    many: list[object] = cast("list[object]", value) if isinstance(value, list) else []
    if many and isinstance(many[0], msgspec.Struct):
        return Pair(named, cast("Table", _rows(many, None, leads).table), wide=True)
    text = _text(name, cast("object", value), row)
    return Pair(named, _cell(name, cast("object", value), text, leads), wide=len(text) > LONG)


def _text(name: str, value: object, row: dict[str, Any]) -> str:
    """As `shown`, for eyes alone: nothing of it is typed into a command."""
    many: Sequence[object] = cast("list[object]", value) if isinstance(value, list) else ()
    if many and isinstance(many[0], msgspec.Struct):
        return "; ".join(shown(name, list(_fields(one).values()), {}) for one in many)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and name.endswith("_minor") and isinstance(row.get("currency"), str):
        return str(Money(value, row["currency"]))
    if isinstance(value, int) and name not in NAMES:
        return count(name, value)
    if isinstance(value, dict):
        counted = cast("dict[str, object]", value)
        return ", ".join(f"{key}: {_text(key, one, counted)}" for key, one in counted.items()) or "none"
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
    return shown(name, cast("object", value), row) or "-"


def _cell(name: str, value: object, text: str, leads: Leads) -> Markup:
    """Escaped, with links; states are coloured and said in words all the same."""
    if name in ("user", "user_id") and value and leads is dashboard:
        return Markup('<a href="/users/{}">{}</a>').format(text, text)
    if name in TOLD and text in STATES:
        return Markup('<span class="state {}">{}</span>').format(STATES[text], text)
    if isinstance(value, datetime):
        return Markup('<time datetime="{}Z">{}</time>').format(text.replace(" ", "T"), text)
    return linked(text, leads)


def linked(text: str, leads: Leads) -> Markup:
    parts, at = list[Markup](), 0
    for found in ID.finditer(text):
        parts += [escape(text[at : found.start()]), _link(found[0], leads(found[0], found[1]))]
        at = found.end()
    return Markup("").join([*parts, escape(text[at:])])


def _link(id: str, place: str) -> Markup:
    return Markup('<a href="{}">{}</a>').format(place, id) if place else escape(id)
