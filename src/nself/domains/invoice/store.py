"""One function a query of invoices."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar, cast

import msgspec
from psycopg.types.json import Jsonb

from nself.core.period import Period
from nself.db.connect import Tx
from nself.db.queries import beside
from nself.domains.invoice.inputs import ListInvoices
from nself.domains.invoice.model import (
    Billed,
    Decision,
    ExplainedLine,
    FailedStep,
    HeldDraft,
    Invoice,
    InvoicedLine,
    Override,
    Plan,
    PlanOfInvoice,
    Revision,
    StoredLine,
    StoredPlan,
    Summary,
)
from nself.domains.mirror.model import ListedChange, Picture

SQL = beside(__file__)
T = TypeVar("T", bound=msgspec.Struct)


def lock_users(tx: Tx, users: Sequence[str]) -> None:
    """Until the end of the transaction nobody else plans what is billed to `users`."""
    tx.run(SQL["lock_users"], users=list(users))


def billed(tx: Tx, users: Sequence[str], span: Period, livemode: bool) -> list[Billed]:
    return tx.all(SQL["billed"], _of(Billed), users=list(users), start=span.start, end=span.end, livemode=livemode)


def moved(tx: Tx, user: str | None, span: Period, livemode: bool) -> Period | None:
    """Other bounds by which the month `span` of `user`, or of anybody, was billed."""
    return tx.maybe(SQL["moved"], Period, user=user, start=span.start, end=span.end, livemode=livemode)


for _kind in (
    Billed,
    ExplainedLine,
    InvoicedLine,
    Override,
):  # before there are threads, as in catalog.store
    msgspec.json.Decoder(_kind)


def _of(kind: type[T]) -> type[T]:
    """`kind`, made from a row's columns: JSON and numeric become what the fields say."""

    def make(**columns: Any) -> T:
        return msgspec.convert({name: _whole(value) for name, value in columns.items()}, kind)

    return cast("type[T]", make)


def _whole(value: object) -> object:
    """Units are whole numbers of any size, which the database keeps as numeric."""
    return int(value) if isinstance(value, Decimal) else value


def revisions(tx: Tx, users: Sequence[str], span: Period, livemode: bool) -> dict[str, int]:
    """The newest revision of each user's plans."""
    found = tx.all(SQL["revisions"], Revision, users=list(users), start=span.start, end=span.end, livemode=livemode)
    return {one.user_id: one.revision for one in found}


def overrides(tx: Tx, users: Sequence[str], livemode: bool) -> list[Override]:
    return tx.all(SQL["overrides"], _of(Override), users=list(users), livemode=livemode)


def users_with_overrides(tx: Tx, user: str | None, livemode: bool) -> list[str]:
    return tx.values(SQL["users_with_overrides"], user=user, livemode=livemode)


def add_override(tx: Tx, decision: Decision, livemode: bool) -> None:
    tx.run(
        SQL["add_override"],
        **{**msgspec.structs.asdict(decision), "price": _json(decision.price), "livemode": livemode},
    )


def _json(value: object) -> Jsonb | None:
    return None if value is None else Jsonb(msgspec.to_builtins(value))


def add_plan(tx: Tx, plan: Plan, livemode: bool, now: datetime) -> bool:
    """False where somebody else was faster."""
    added = tx.run(
        SQL["add_plan"],
        user=plan.user, start=plan.period_start, end=plan.period_end, revision=plan.revision, operation=plan.operation,
        customer=plan.customer, currency=plan.currency, total=plan.total_minor, minimum=_json(plan.minimum), livemode=livemode,
        now=now, invoice=plan.invoice,
    )  # fmt: skip
    if added:
        tx.run_many(
            SQL["add_plan_line"],
            [
                {
                    **msgspec.structs.asdict(line),
                    "operation": plan.operation,
                    "price": _json(line.price),
                    "rated": _json(line.rated),
                }
                for line in plan.lines
            ],
        )
    return added == 1


def operations(tx: Tx, span: Period, livemode: bool, user: str | None) -> list[str]:
    return tx.values(SQL["operations"], start=span.start, end=span.end, livemode=livemode, user=user)


def plan(tx: Tx, operation: str) -> StoredPlan:
    return tx.one(SQL["plan"], StoredPlan, operation=operation)


def plan_lines(tx: Tx, operation: str) -> list[StoredLine]:
    return tx.all(SQL["plan_lines"], StoredLine, operation=operation)


def user_lines(tx: Tx, user: str, livemode: bool) -> list[InvoicedLine]:
    """Oldest first."""
    return tx.all(SQL["user_lines"], _of(InvoicedLine), user=user, livemode=livemode)


def explained_lines(tx: Tx, invoice: str) -> list[ExplainedLine]:
    return tx.all(SQL["explained_lines"], _of(ExplainedLine), invoice=invoice)


def newest_of_user(tx: Tx, user: str, livemode: bool) -> str | None:
    return tx.value(SQL["newest_of_user"], user=user, livemode=livemode)


def set_invoice(tx: Tx, operation: str, invoice: str) -> None:
    tx.run(SQL["set_invoice"], operation=operation, invoice=invoice)


def open_operations(tx: Tx, invoice: str, livemode: bool) -> list[str]:
    """Step: those that are not at their end with an invoice."""
    return tx.values(SQL["open_operations"], invoice=invoice, livemode=livemode)


def summary(tx: Tx, span: Period, livemode: bool, user: str | None) -> Summary:
    return tx.one(SQL["summary"], Summary, start=span.start, end=span.end, livemode=livemode, user=user)


def closed(tx: Tx, operations: Sequence[str]) -> set[str]:
    return set(tx.values(SQL["closed"], operations=list(operations)))


def upsert(tx: Tx, pictures: Sequence[Picture]) -> bool:
    """False where one that is stored, and was not deleted, has a higher number; the others are written."""
    rows, ids = [one.row() for one in pictures], [one.snapshot["id"] for one in pictures]
    written = tx.run(SQL["upsert"], rows=Jsonb(rows))
    return written == len(ids) or written + count_deleted(tx, ids) == len(ids)


def count_deleted(tx: Tx, invoices: Sequence[str]) -> int:
    """How many of them were deleted."""
    return int(tx.value(SQL["count_deleted"], invoices=list(invoices)))


def mark_deleted(tx: Tx, picture: Picture) -> None:
    columns = picture.row()
    tx.run(SQL["mark_deleted"], **{**columns, "snapshot": Jsonb(columns["snapshot"])})


def by_id(tx: Tx, invoice: str) -> Invoice | None:
    return tx.maybe(SQL["by_id"], Invoice, id=invoice)


def snapshot(tx: Tx, invoice: str) -> dict[str, Any]:
    return tx.value(SQL["snapshot"], id=invoice)


def list_invoices(tx: Tx, given: ListInvoices, livemode: bool, now: datetime) -> list[Invoice]:
    return tx.all(SQL["list"], Invoice, **msgspec.structs.asdict(given), livemode=livemode, now=now)


def of_invoice(tx: Tx, invoice: str) -> list[PlanOfInvoice]:
    """Oldest first."""
    return tx.all(SQL["of_invoice"], PlanOfInvoice, invoice=invoice)


def replaced(tx: Tx, old: str, new: str) -> None:
    tx.run(SQL["replaced"], old=old, new=new)


def drafts(tx: Tx, livemode: bool, limit: int) -> list[dict[str, Any]]:
    """Newest first."""
    return tx.values(SQL["drafts"], livemode=livemode, limit=limit)


def failed_steps(tx: Tx, livemode: bool, since: datetime, limit: int) -> list[FailedStep]:
    """Newest first."""
    return tx.all(SQL["failed_steps"], FailedStep, livemode=livemode, since=since, limit=limit)


def tax_rates(tx: Tx, livemode: bool, limit: int) -> list[dict[str, Any]]:
    """Oldest first."""
    return tx.values(SQL["tax_rates"], livemode=livemode, limit=limit)


def made(tx: Tx, operation: str) -> str | None:
    """The invoice that a chain of steps made."""
    return tx.value(SQL["made"], operation=operation)


def without_address(tx: Tx, livemode: bool) -> int:
    return int(tx.value(SQL["without_address"], livemode=livemode))


# Root causes


def held_drafts(tx: Tx, livemode: bool, made: datetime, advanced: datetime, limit: int) -> list[HeldDraft]:
    """Oldest first."""
    return tx.all(SQL["held_drafts"], HeldDraft, livemode=livemode, made=made, advanced=advanced, limit=limit)


def drafts_of_usage(tx: Tx, livemode: bool, limit: int) -> list[PlanOfInvoice]:
    """Newest first."""
    return tx.all(SQL["drafts_of_usage"], PlanOfInvoice, livemode=livemode, limit=limit)


def prices_subscribed(tx: Tx, customers: Sequence[str]) -> list[tuple[str, str, str]]:
    """Customer, product, price."""
    return [(one[0], one[1], one[2]) for one in tx.values(SQL["prices_subscribed"], customers=list(customers))]


def draft_changes(tx: Tx, livemode: bool, limit: int) -> list[ListedChange]:
    """Oldest first."""
    return tx.all(SQL["draft_changes"], ListedChange, livemode=livemode, limit=limit)


def untaxed_drafts(tx: Tx, livemode: bool, since: datetime, limit: int) -> list[str]:
    """Newest first."""
    return tx.values(SQL["untaxed_drafts"], livemode=livemode, since=since, limit=limit)


def unverified_customers(tx: Tx, livemode: bool, limit: int) -> list[str]:
    return tx.values(SQL["unverified_customers"], livemode=livemode, limit=limit)
