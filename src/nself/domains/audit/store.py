"""One function a query of audits."""

from __future__ import annotations

from datetime import datetime

from nself.db.connect import Tx
from nself.db.queries import beside
from nself.domains.audit.model import Suspicion

SQL = beside(__file__)
OF_RULES = {
    "disputed": SQL["disputed"],
    "tried_cards": SQL["tried_cards"],
    "shared_card": SQL["shared_card"],
    "foreign_card": SQL["foreign_card"],
    "same_email": SQL["same_email"],
    "no_user": SQL["no_user"],
    "no_email": SQL["no_email"],
    "no_card": SQL["no_card"],
}


def found(tx: Tx, rule: str, livemode: bool, since: datetime, limit: int) -> list[Suspicion]:
    """What the rule of that name finds."""
    return tx.all(OF_RULES[rule], Suspicion, livemode=livemode, since=since, limit=limit)
