"""Rows as bars of a limit, and as charts over time. Never more than one metric in one picture: their units differ."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from nself.core.money import Money, exponent
from nself.web.model import ByMonth, OverTime, Share
from nself.web.words import STATES, count, label


class Bar(NamedTuple):
    name: str
    text: str
    share: int | None
    """Of the limit, in percent, 100 at most; None without a limit."""
    state: str
    """good, wait or bad."""


def bars(rows: Sequence[dict[str, Any]], of: Share) -> list[Bar]:
    return [
        _bar(str(one[of.name]), one[of.used], one[of.limit], STATES.get(str(one[of.state]), "good")) for one in rows
    ]


def _bar(name: str, used: int, limit: int, state: str) -> Bar:
    if limit < 0:
        return Bar(name, f"{used:,}, {count('limit', limit)}", None, state)
    percent = Decimal(used * 1000 // limit) / 10 if limit else Decimal(100 if used else 0)
    return Bar(name, f"{used:,} of {limit:,} ({percent.normalize():f} %)", min(100, int(percent)), state)


class Chart(NamedTuple):
    caption: str
    summary: str
    """For who does not see it."""
    data: str
    """JSON: middles of the periods in seconds, values, a period's seconds, name."""


def charts(rows: Sequence[dict[str, Any]], of: OverTime | ByMonth) -> list[Chart]:
    """What has no figure is not drawn."""
    if isinstance(of, ByMonth):
        grouped = _grouped(rows, of.currency)
        return [_months(title, names, found, of) for found in grouped.values() for title, names in of.lines.items()]
    grouped = _grouped([row for row in rows if row[of.value] is not None], of.name)
    return [_chart(name, found, of) for name, found in grouped.items()]


def _grouped(rows: Sequence[dict[str, Any]], by: str) -> dict[str, list[dict[str, Any]]]:
    grouped = dict[str, list[dict[str, Any]]]()
    for row in rows:
        grouped.setdefault(str(row[by]), []).append(row)
    return grouped


def _months(title: str, names: tuple[str, ...], rows: list[dict[str, Any]], of: ByMonth) -> Chart:
    """Of one currency; in months that are apart by their order, whatever their days."""
    rows = sorted(rows, key=lambda row: row[of.month])
    currency = rows[0][of.currency]
    last = "; ".join(f"{label(name, rows[-1])} {Money(rows[-1][name], currency)}" for name in names)
    summary = f"{title}: bars of {len(rows)} months, {rows[0][of.month]} to {rows[-1][of.month]}; in the last {last}. The table has each."
    data = {
        "months": [row[of.month] for row in rows],
        "series": [{"name": label(name, rows[0]), "values": [row[name] for row in rows]} for name in names],
        "digits": exponent(currency),
    }
    return Chart(f"{title}, {currency.upper()} by month", summary, msgspec.json.encode(data).decode())


def _chart(name: str, rows: list[dict[str, Any]], of: OverTime) -> Chart:
    step = min(row[of.end] - row[of.start] for row in rows)
    word = "hour" if step <= timedelta(hours=1) else "day" if step <= timedelta(days=1) else "period"
    most = max(rows, key=lambda row: row[of.value])
    summary = f"{name}: bars of {len(rows)} {word}s with usage, {_moment(rows[0][of.start])} to {_moment(rows[-1][of.end])}; the most is {most[of.value]:,} from {_moment(most[of.start])} on. The table has each."
    data = {
        "at": [int((row[of.start].timestamp() + row[of.end].timestamp()) / 2) for row in rows],
        "values": [row[of.value] for row in rows],
        "step": int(step.total_seconds()),
        "name": name,
    }
    return Chart(f"{name}, {rows[0][of.unit]} by {word}", summary, msgspec.json.encode(data).decode())


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M")
