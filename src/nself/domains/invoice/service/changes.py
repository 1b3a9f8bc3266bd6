"""What hands at Stripe did to the lines of drafts after they had been made."""

from __future__ import annotations

import re
from typing import NamedTuple

from nself.app import App
from nself.core.money import Money
from nself.domains.connection.model import Snapshot
from nself.domains.connection.rules import items
from nself.domains.invoice import formulas, store
from nself.domains.mirror.model import ListedChange

AMOUNT = re.compile(r"lines\.([^.]+)\.amount")
MOST = 50


class Touched(NamedTuple):
    """A line of a draft whose amount was changed; `source` is what told us."""

    invoice: str
    line: str
    before: Money
    after: Money
    source: str


def by_hand(app: App) -> list[Touched]:
    """Of the newest drafts."""
    with app.db.reading() as tx:
        drafts = {one["id"]: one for one in store.drafts(tx, app.settings.live, MOST)}
        found = store.draft_changes(tx, app.settings.live, MOST)
    return touched(drafts, found)


def touched(drafts: dict[str, Snapshot], found: list[ListedChange]) -> list[Touched]:
    """By `found`, oldest first: items that stand on `drafts` and were made with another amount. nself makes a line anew instead."""
    made = dict[tuple[str, str], tuple[int, str]]()
    for change in found:
        for field in change.changes:
            name = AMOUNT.fullmatch(field["field"])
            if name and field["before"] is not None and field["after"] is not None:
                before = made.get((change.object, name[1]), (field["before"], ""))[0]
                made[change.object, name[1]] = before, change.source
    return [
        Touched(id, line["id"], Money(known[0], line["currency"]), Money(line["amount"], line["currency"]), known[1])
        for id, draft in drafts.items()
        for line in items(draft, "lines")
        if (known := made.get((id, line["id"]))) and known[0] != line["amount"] and formulas.kind(line) == "item"
    ]
