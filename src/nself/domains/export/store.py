"""One function a query of exports; each streams."""

from __future__ import annotations

from collections.abc import Generator
from datetime import datetime

from nself.db.connect import Tx
from nself.db.queries import beside
from nself.domains.export.model import Charge, Invoice, Payment, Refund, Subscription, Usage

SQL = beside(__file__)


def charges(tx: Tx, since: datetime, until: datetime, user: str | None, livemode: bool) -> Generator[Charge]:
    return tx.stream(SQL["charges"], Charge, since=since, until=until, user=user, livemode=livemode)


def invoices(tx: Tx, since: datetime, until: datetime, user: str | None, livemode: bool) -> Generator[Invoice]:
    return tx.stream(SQL["invoices"], Invoice, since=since, until=until, user=user, livemode=livemode)


def subscriptions(
    tx: Tx, since: datetime, until: datetime, user: str | None, livemode: bool
) -> Generator[Subscription]:
    return tx.stream(SQL["subscriptions"], Subscription, since=since, until=until, user=user, livemode=livemode)


def payments(tx: Tx, since: datetime, until: datetime, user: str | None, livemode: bool) -> Generator[Payment]:
    return tx.stream(SQL["payments"], Payment, since=since, until=until, user=user, livemode=livemode)


def refunds(tx: Tx, since: datetime, until: datetime, user: str | None, livemode: bool) -> Generator[Refund]:
    return tx.stream(SQL["refunds"], Refund, since=since, until=until, user=user, livemode=livemode)


def usage(tx: Tx, since: datetime, until: datetime, user: str | None, livemode: bool) -> Generator[Usage]:
    """Usage belongs to no mode."""
    return tx.stream(SQL["usage"], Usage, since=since, until=until, user=user)
