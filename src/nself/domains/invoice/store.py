"""One function a query of invoices."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from psycopg.types.json import Jsonb

from nself.core.period import Period
from nself.db.connect import Tx
from nself.db.queries import beside
from nself.domains.invoice.model import Billed, Invoice, Plan, StoredLine, StoredPlan, Summary

SQL = beside(__file__)


def billed(tx: Tx, users: Sequence[str], span: Period, livemode: bool) -> list[Billed]:
    return tx.all(SQL["billed"], Billed, users=list(users), start=span.start, end=span.end, livemode=livemode)


def add_plan(tx: Tx, plan: Plan, livemode: bool, now: datetime) -> bool:
    """False where somebody else was faster."""
    added = tx.run(
        SQL["add_plan"],
        user=plan.user, start=plan.period_start, end=plan.period_end, revision=plan.revision, operation=plan.operation,
        customer=plan.customer, currency=plan.currency, total=plan.total_minor, livemode=livemode, now=now,
    )  # fmt: skip
    if added:
        tx.run_many(
            SQL["add_plan_line"], [{**msgspec.structs.asdict(line), "operation": plan.operation} for line in plan.lines]
        )
    return added == 1


def operations(tx: Tx, span: Period, livemode: bool, user: str | None) -> list[str]:
    return tx.values(SQL["operations"], start=span.start, end=span.end, livemode=livemode, user=user)


def plan(tx: Tx, operation: str) -> StoredPlan:
    return tx.one(SQL["plan"], StoredPlan, operation=operation)


def plan_lines(tx: Tx, operation: str) -> list[StoredLine]:
    return tx.all(SQL["plan_lines"], StoredLine, operation=operation)


def set_invoice(tx: Tx, operation: str, invoice: str) -> None:
    tx.run(SQL["set_invoice"], operation=operation, invoice=invoice)


def summary(tx: Tx, span: Period, livemode: bool, user: str | None) -> Summary:
    return tx.one(SQL["summary"], Summary, start=span.start, end=span.end, livemode=livemode, user=user)


def closed(tx: Tx, operations: Sequence[str]) -> set[str]:
    return set(tx.values(SQL["closed"], operations=list(operations)))


def upsert(tx: Tx, snapshot: dict[str, Any], number: int) -> bool:
    """False where the stored snapshot has a higher number, or the invoice was deleted."""
    return (
        tx.run(
            SQL["upsert"],
            id=snapshot["id"],
            customer=snapshot["customer"],
            number=snapshot.get("number"),
            status=snapshot["status"],
            currency=snapshot["currency"],
            total=snapshot["total"],
            amount_due=snapshot["amount_due"],
            amount_paid=snapshot["amount_paid"],
            livemode=snapshot["livemode"],
            snapshot=Jsonb(snapshot),
            snapshot_number=number,
            created=snapshot["created"],
        )
        == 1
    )


def is_deleted(tx: Tx, invoice: str) -> bool:
    return bool(tx.value(SQL["is_deleted"], id=invoice))


def mark_deleted(tx: Tx, invoice: str, number: int) -> None:
    tx.run(SQL["mark_deleted"], id=invoice, snapshot_number=number)


def by_id(tx: Tx, invoice: str) -> Invoice | None:
    return tx.maybe(SQL["by_id"], Invoice, id=invoice)


def snapshot(tx: Tx, invoice: str) -> dict[str, Any]:
    return tx.value(SQL["snapshot"], id=invoice)


def list_invoices(
    tx: Tx, status: str | None, user: str | None, livemode: bool, limit: int, offset: int
) -> list[Invoice]:
    return tx.all(SQL["list"], Invoice, status=status, user=user, livemode=livemode, limit=limit, offset=offset)
