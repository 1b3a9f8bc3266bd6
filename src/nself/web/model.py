"""What a page is made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Share(NamedTuple):
    """Columns of rows that are drawn as a share of a limit."""

    name: str
    used: str
    limit: str
    state: str


class OverTime(NamedTuple):
    """Columns of rows that are drawn over time, one chart for each of `name`."""

    name: str
    value: str
    unit: str
    start: str
    end: str


class ByMonth(NamedTuple):
    """Columns of money by month: one chart of each of `lines` for each currency, its columns side by side."""

    month: str
    currency: str
    lines: Mapping[str, tuple[str, ...]]


QUOTA = Share("metric", "used", "limit", "state")
USAGE = OverTime("metric", "value", "unit", "period_start", "period_end")
MOVEMENTS = ("new_minor", "expansion_minor", "reactivated_minor", "contraction_minor", "churned_minor")
REVENUE = ByMonth("month", "currency", {"MRR": ("mrr_minor",), "What moved MRR": MOVEMENTS})


class Panel(NamedTuple):
    """What a command says."""

    title: str
    command: str
    """Path of the command: `billing invoice show`."""
    given: Mapping[str, str] = {}
    """Its fields; `{id}` is a part of the page's address."""
    asks: tuple[str, ...] = ()
    """Fields that the page's query string may set; the panel has a form for them."""
    words: Mapping[str, tuple[str, ...]] = {}
    """Of a field that it asks for: only these; others of the query string are meant for other panels."""
    columns: tuple[str, ...] = ()
    """Only these, where it says more than is good to look at."""
    every: int = 0
    """Seconds until it is asked again by itself; 0 for never."""
    late: bool = False
    """It takes longer, or asks Stripe: the page comes without it, and asks for it then."""
    bars: Share | None = None
    chart: OverTime | ByMonth | None = None
    within: str = ""
    """Only this field of the answer."""


class Deed(NamedTuple):
    """A command that changes something; it has a form of its own."""

    label: str
    command: str
    given: Mapping[str, str] = {}


class Page(NamedTuple):
    path: str
    title: str
    panels: tuple[Panel, ...]
    deeds: tuple[Deed, ...] = ()
    menu: str = ""
    """Its word in the menu; empty where other pages lead to it."""
    role: str = "read-only"
