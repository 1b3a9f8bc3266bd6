"""One function a query of notices."""

from __future__ import annotations

from nself.db.connect import Tx
from nself.db.queries import beside
from nself.domains.notice.model import ExpiringCard, LastInvoice

SQL = beside(__file__)


def last_invoice(tx: Tx, customer: str, template: str) -> LastInvoice | None:
    return tx.maybe(SQL["last_invoice"], LastInvoice, customer=customer, template=template)


def expiring_cards(
    tx: Tx, livemode: bool, months: tuple[tuple[int, int], tuple[int, int]], after: str, limit: int
) -> list[ExpiringCard]:
    """By id, behind `after`; `months` are years and months."""
    (year, month), (next_year, next_month) = months
    return tx.all(
        SQL["expiring_cards"], ExpiringCard, livemode=livemode, year=year, month=month, next_year=next_year,
        next_month=next_month, after=after, limit=limit,
    )  # fmt: skip


def active_customers(tx: Tx, livemode: bool, after: str, limit: int) -> list[str]:
    """Ids behind `after`."""
    return tx.values(SQL["active_customers"], livemode=livemode, after=after, limit=limit)
