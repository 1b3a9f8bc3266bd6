"""One function a query of audits."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from datetime import datetime

from nself.db.connect import Tx
from nself.db.queries import beside
from nself.domains.audit.model import Charge, Made, Paid, Suspicion

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


def charges(tx: Tx, livemode: bool, earliest: datetime, since: datetime, until: datetime) -> Generator[Charge]:
    """Customer by customer, each in the order of time."""
    return tx.stream(SQL["charges"], Charge, livemode=livemode, earliest=earliest, since=since, until=until)


def made(tx: Tx, ids: Sequence[str], livemode: bool) -> list[Made]:
    """Oldest first."""
    return tx.all(SQL["made"], Made, ids=list(ids), livemode=livemode)


def paid(tx: Tx, payment_intents: Sequence[str], customers: Sequence[str]) -> list[Paid]:
    return tx.all(SQL["paid"], Paid, payment_intents=list(payment_intents), customers=list(customers))
